package state

import (
	"context"
	"encoding/json"
	"time"
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
	Kind     string         `json:"type"` // created, deleted, started, stopped, load-started, limit-changed, fault, …
	Severity string         `json:"severity"`
	Cluster  string         `json:"cluster,omitempty"`
	Job      string         `json:"job,omitempty"`
	Host     string         `json:"host,omitempty"`
	Message  string         `json:"message"`
	Data     map[string]any `json:"data,omitempty"`
}

// AddEvent appends an event; At is filled in by the store's clock.
func (s *Store) AddEvent(ctx context.Context, e Event) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	if e.Severity == "" {
		e.Severity = Info
	}
	data, err := json.Marshal(e.Data)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "insert into events (at, kind, severity, cluster, job, host, message, data) values (?,?,?,?,?,?,?,?)",
		micros(now), e.Kind, e.Severity, e.Cluster, e.Job, e.Host, e.Message, string(data))
	return err
}

// EventFilter narrows Events; empty fields match everything.
type EventFilter struct {
	Cluster string
	Job     string
	Kind    string
	AfterID int64
	Since   time.Time
	Limit   int // newest n, 0 is all
}

// Events lists events in the order they happened.
func (s *Store) Events(ctx context.Context, f EventFilter) ([]Event, error) {
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
	}, `select id, at, kind, severity, cluster, job, host, message, data from (
		select * from events where (cluster=? or ?='') and (job=? or ?='') and (kind=? or ?='') and id>? and at>=?
		order by id desc limit ?) newest order by id`,
		f.Cluster, f.Cluster, f.Job, f.Job, f.Kind, f.Kind, f.AfterID, micros(f.Since), limit)
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
