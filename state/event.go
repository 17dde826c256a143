package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"cw/fault"
)

// The severities of an Event.
const (
	Info     = "info"
	Warning  = "warning"
	Critical = "critical"
)

// Event is something that happened to a cluster, host or job.
type Event struct {
	ID       int64          `json:"id"`
	At       time.Time      `json:"at"`
	Kind     string         `json:"type"` // one of EventKinds
	Severity string         `json:"severity"`
	Cluster  string         `json:"cluster,omitempty"`
	Job      string         `json:"job,omitempty"`
	Host     string         `json:"host,omitempty"`
	Message  string         `json:"message"`
	Data     map[string]any `json:"data,omitempty"`
}

const insertEvent = "insert into events (at, kind, severity, cluster, job, host, message, data) values (?,?,?,?,?,?,?,?)"

// row are the values of insertEvent. An event without a severity has its
// kind's usual one.
func (e Event) row(now time.Time) ([]any, error) {
	if e.Severity == "" {
		e.Severity = usualSeverity(e.Kind)
	}
	data, err := json.Marshal(redacted(e.Data))
	return []any{micros(now), e.Kind, e.Severity, e.Cluster, e.Job, e.Host, fault.Redact(e.Message), string(data)}, err
}

// redacted is a copy of an event's data without secrets in its texts.
func redacted(data map[string]any) map[string]any {
	if data == nil {
		return nil
	}
	out := make(map[string]any, len(data))
	for k, v := range data {
		switch v := v.(type) {
		case string:
			out[k] = fault.Redact(v)
		case []string:
			texts := make([]string, len(v))
			for i := range v {
				texts[i] = fault.Redact(v[i])
			}
			out[k] = texts
		default:
			out[k] = v
		}
	}
	return out
}

// AddEvent appends an event; At is filled in by the store's clock.
func (s *Store) AddEvent(ctx context.Context, e Event) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	row, err := e.row(now)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, insertEvent, row...)
	return err
}

// AddEventOnce is AddEvent unless the newest event of the same kind, cluster,
// job and host says the same and is not older than within: several watchers
// see one thing happen.
func (s *Store) AddEventOnce(ctx context.Context, e Event, within time.Duration) (added bool, err error) {
	e.Message = fault.Redact(e.Message) // as the one that is there was
	now, err := s.now(ctx)
	if err != nil {
		return false, err
	}
	row, err := e.row(now)
	if err != nil {
		return false, err
	}
	tx, err := s.db.BeginTx(ctx, nil) // immediate on SQLite: one writer at a time
	if err != nil {
		return false, s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	if s.shared {
		if _, err := tx.ExecContext(ctx, "select pg_advisory_xact_lock(hashtext('cw_state.events'))"); err != nil {
			return false, s.failed(err)
		}
	}
	var message string
	var at int64
	err = tx.QueryRowContext(ctx, s.rebind("select message, at from events where kind=? and cluster=? and job=? and host=? and at>=? order by at desc, id desc limit 1"),
		e.Kind, e.Cluster, e.Job, e.Host, micros(now.Add(-within))).Scan(&message, &at)
	switch {
	case err == nil && message == e.Message:
		return false, nil
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return false, s.failed(err)
	}
	if _, err := tx.ExecContext(ctx, s.rebind(insertEvent), row...); err != nil {
		return false, s.failed(err)
	}
	return true, s.failed(tx.Commit())
}

// EventFilter narrows Events; empty fields match everything.
type EventFilter struct {
	Cluster    string
	Job        string
	Kinds      []string
	Severities []string
	AfterID    int64
	Since      time.Time
	Limit      int // newest n, 0 is all
}

// Events lists events in the order they happened.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	where, args := "id>? and at>=?", []any{f.AfterID, micros(f.Since)}
	for _, c := range []struct {
		column string
		values []string
	}{{"cluster", one(f.Cluster)}, {"job", one(f.Job)}, {"kind", f.Kinds}, {"severity", f.Severities}} {
		if len(c.values) == 0 {
			continue
		}
		where += " and " + c.column + " in (?" + strings.Repeat(",?", len(c.values)-1) + ")"
		for _, v := range c.values {
			args = append(args, v)
		}
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 1 << 31
	}
	return collect(ctx, s, func(scan func(...any) error) (Event, error) {
		var e Event
		var at int64
		var data string
		if err := scan(&e.ID, &at, &e.Kind, &e.Severity, &e.Cluster, &e.Job, &e.Host, &e.Message, &data); err != nil {
			return e, err
		}
		e.At = fromMicros(at)
		return e, json.Unmarshal([]byte(data), &e.Data)
	}, "select id, at, kind, severity, cluster, job, host, message, data from (select * from events where "+where+" order by id desc limit ?) newest order by id",
		append(args, limit)...)
}

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// AuditRecord is one command that an operator ran and how it ended. Argv is
// redacted by the caller.
type AuditRecord struct {
	At       time.Time
	Operator string
	Host     string
	Argv     string
	Cluster  string
	ExitCode int
	Error    string
	Duration time.Duration
}

// AddAudit appends an audit record; Operator, Host and At are filled in.
func (s *Store) AddAudit(ctx context.Context, a AuditRecord) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "insert into audit (at, operator, host, argv, cluster, exit_code, error, duration_ms) values (?,?,?,?,?,?,?,?)",
		micros(now), s.self.user, s.self.host, a.Argv, a.Cluster, a.ExitCode, a.Error, a.Duration.Milliseconds())
	return err
}

// Audit lists the newest n audit records, newest first.
func (s *Store) Audit(ctx context.Context, n int) ([]AuditRecord, error) {
	return collect(ctx, s, func(scan func(...any) error) (AuditRecord, error) {
		var a AuditRecord
		var at, ms int64
		err := scan(&at, &a.Operator, &a.Host, &a.Argv, &a.Cluster, &a.ExitCode, &a.Error, &ms)
		a.At, a.Duration = fromMicros(at), time.Duration(ms)*time.Millisecond
		return a, err
	}, "select at, operator, host, argv, cluster, exit_code, error, duration_ms from audit order by id desc limit ?", n)
}
