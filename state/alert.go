package state

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"cw/fault"
)

// Alert is something that was found wrong and stayed so. It fires until it is
// resolved; of one Mark at most one fires at a time, however many monitors
// there are.
type Alert struct {
	ID       string    `json:"id"`
	Mark     string    `json:"mark"` // what it is about: rule, cluster, host and object
	Rule     string    `json:"rule"`
	Severity string    `json:"severity"` // warning, critical
	Cluster  string    `json:"cluster,omitempty"`
	Host     string    `json:"host,omitempty"`
	Object   string    `json:"object,omitempty"`
	Job      string    `json:"job,omitempty"`
	Message  string    `json:"message"`
	Remedy   string    `json:"remedy,omitempty"` // the next command
	BeganAt  time.Time `json:"began_at"`         // when it was seen first
	FiredAt  time.Time `json:"fired_at"`         // when it was sure
	// UpdatedAt is when severity or message changed last.
	UpdatedAt  time.Time `json:"updated_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"` // zero: it fires
}

const alertColumns = "id, mark, rule, severity, cluster, host, object, job, message, remedy, began_at, fired_at, updated_at, resolved_at"

func scanAlert(scan func(...any) error) (Alert, error) {
	var a Alert
	var began, fired, updated, resolved int64
	err := scan(&a.ID, &a.Mark, &a.Rule, &a.Severity, &a.Cluster, &a.Host, &a.Object, &a.Job, &a.Message, &a.Remedy, &began, &fired, &updated, &resolved)
	a.BeganAt, a.FiredAt, a.UpdatedAt, a.ResolvedAt = fromMicros(began), fromMicros(fired), fromMicros(updated), fromMicros(resolved)
	return a, err
}

func (a Alert) event(kind, severity, message string) Event {
	return Event{
		Kind: kind, Severity: severity, Cluster: a.Cluster, Host: a.Host, Job: a.Job, Message: message,
		Data: map[string]any{"alert": a.ID, "rule": a.Rule, "object": a.Object},
	}
}

// FireAlert makes an alert fire, with its event, unless one of its mark does
// so already: then that one is returned and fired is false; when severity or
// message differ, they are changed. ID and times but BeganAt are filled in.
func (s *Store) FireAlert(ctx context.Context, a Alert) (is Alert, fired bool, err error) {
	now, err := s.now(ctx)
	if err != nil {
		return a, false, err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return a, false, s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	if a.BeganAt.IsZero() {
		a.BeganAt = now
	}
	a.ID, a.FiredAt, a.UpdatedAt, a.ResolvedAt = NewID("a"), now, now, time.Time{}
	a.Message, a.Remedy = fault.Redact(a.Message), fault.Redact(a.Remedy)
	r, err := tx.ExecContext(ctx, s.rebind("insert into alerts ("+alertColumns+") values (?,?,?,?,?,?,?,?,?,?,?,?,?,0) on conflict (mark) where resolved_at = 0 do nothing"),
		a.ID, a.Mark, a.Rule, a.Severity, a.Cluster, a.Host, a.Object, a.Job, a.Message, a.Remedy, micros(a.BeganAt), micros(now), micros(now))
	if err != nil {
		return a, false, s.failed(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		is, err := s.keepAlert(ctx, tx, a, now)
		return is, false, errors.Join(err, s.failed(tx.Commit()))
	}
	if err := s.addEventTx(ctx, tx, a.event(EventAlert, a.Severity, a.Message), now); err != nil {
		return a, false, err
	}
	return a, true, s.failed(tx.Commit())
}

// keepAlert is the alert that fires in the place of a, with a's words.
func (s *Store) keepAlert(ctx context.Context, tx *sql.Tx, a Alert, now time.Time) (Alert, error) {
	is, err := scanAlert(tx.QueryRowContext(ctx, s.rebind("select "+alertColumns+" from alerts where mark=? and resolved_at=0"), a.Mark).Scan)
	if err != nil {
		return a, s.failed(err) // on a shared store: resolved in this moment
	}
	if is.Severity == a.Severity && is.Message == a.Message {
		return is, nil
	}
	if is.Severity != a.Severity {
		is.UpdatedAt = now
	}
	is.Severity, is.Message = a.Severity, a.Message
	_, err = tx.ExecContext(ctx, s.rebind("update alerts set severity=?, message=?, updated_at=? where id=?"), is.Severity, is.Message, micros(is.UpdatedAt), is.ID)
	return is, s.failed(err)
}

func (s *Store) addEventTx(ctx context.Context, tx *sql.Tx, e Event, now time.Time) error {
	row, err := e.row(now)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.rebind(insertEvent), row...)
	return s.failed(err)
}

// ResolveAlert ends an alert, with its event; false when it does not fire any
// more.
func (s *Store) ResolveAlert(ctx context.Context, id, message string) (bool, error) {
	now, err := s.now(ctx)
	if err != nil {
		return false, err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	a, err := scanAlert(tx.QueryRowContext(ctx, s.rebind("update alerts set resolved_at=? where id=? and resolved_at=0 returning "+alertColumns), micros(now), id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, s.failed(err)
	}
	if err := s.addEventTx(ctx, tx, a.event(EventAlertResolved, Info, message), now); err != nil {
		return false, err
	}
	return true, s.failed(tx.Commit())
}

// AlertFilter narrows Alerts; empty fields match everything.
type AlertFilter struct {
	Cluster string
	Firing  bool      // those only
	Since   time.Time // firing, or resolved since
	Limit   int       // newest n, 0 is all
}

// Alerts lists alerts, the newest first.
func (s *Store) Alerts(ctx context.Context, f AlertFilter) ([]Alert, error) {
	where, args := "(cluster=? or ?='')", []any{f.Cluster, f.Cluster}
	switch {
	case f.Firing:
		where += " and resolved_at=0"
	case !f.Since.IsZero():
		where, args = where+" and (resolved_at=0 or resolved_at>=?)", append(args, micros(f.Since))
	}
	limit := f.Limit
	if limit <= 0 {
		limit = 1 << 31
	}
	return collect(ctx, s, scanAlert, "select "+alertColumns+" from alerts where "+where+" order by fired_at desc, id limit ?", append(args, limit)...)
}
