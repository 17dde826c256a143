package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"cw/fault"
)

const (
	leaseTTL   = 15 * time.Second // a dead holder on another machine blocks no longer than this
	leaseParts = 15.0 / 4         // renewals in a lifetime: three may fail before the lease is lost
)

// LeaseMonitor is the lease of the monitor that acts.
const LeaseMonitor = "monitor"

// LockedError says who holds a lease.
type LockedError struct {
	Name    string
	Owner   string
	Purpose string
	Since   time.Time
	Expires time.Time
	now     time.Time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("%s is locked by %s (%s) since %s ago", e.Name, e.Owner, e.Purpose, e.now.Sub(e.Since).Round(time.Second))
}

// FaultKind makes the exit code 7.
func (e *LockedError) FaultKind() fault.Kind { return fault.Locked }

// Lease is a held lease; it is renewed until Release.
type Lease struct {
	s    *Store
	name string
	ttl  time.Duration
	stop context.CancelFunc
	done sync.WaitGroup
}

// Acquire takes the lease name for this process and keeps renewing it. The
// context it returns ends when ctx ends or when the lease is lost: to
// `unlock`, or to a store that could not be reached for the lease's lifetime.
// A lease whose holder is dead or expired is taken over; a live one is a
// *LockedError.
func (s *Store) Acquire(ctx context.Context, name, purpose string) (context.Context, *Lease, error) {
	return s.AcquireFor(ctx, name, purpose, leaseTTL)
}

// AcquireFor is Acquire with another lifetime: how long a holder that died on
// another machine blocks the others.
func (s *Store) AcquireFor(ctx context.Context, name, purpose string, ttl time.Duration) (context.Context, *Lease, error) {
	if err := s.take(ctx, name, purpose, ttl); err != nil {
		return ctx, nil, err
	}
	held, stop := context.WithCancelCause(ctx)
	l := &Lease{s: s, name: name, ttl: ttl, stop: func() { stop(nil) }}
	l.done.Go(func() { l.renew(held, stop) })
	return held, l, nil
}

func (s *Store) take(ctx context.Context, name, purpose string, ttl time.Duration) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	if s.shared {
		if _, err := tx.ExecContext(ctx, "lock table leases in exclusive mode"); err != nil {
			return s.failed(err)
		}
	}
	held, since, expires, what, err := readLease(tx.QueryRowContext(ctx, s.rebind(leaseQuery), name))
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return s.failed(err)
	case expires.After(now) && !held.gone(s.self.machine):
		return &LockedError{Name: name, Owner: held.String(), Purpose: what, Since: since, Expires: expires, now: now}
	}
	_, err = tx.ExecContext(ctx, s.rebind(`insert into leases (name, owner, machine, pid, born, purpose, since, expires) values (?,?,?,?,?,?,?,?)
		on conflict (name) do update set owner=excluded.owner, machine=excluded.machine, pid=excluded.pid, born=excluded.born,
		purpose=excluded.purpose, since=excluded.since, expires=excluded.expires`),
		name, s.self.user+"@"+s.self.host, s.self.machine, s.self.pid, s.self.born, purpose, micros(now), micros(now.Add(ttl)))
	if err != nil {
		return s.failed(err)
	}
	return s.failed(tx.Commit())
}

const leaseQuery = "select owner, machine, pid, born, purpose, since, expires from leases where name=?"

func readLease(row *sql.Row) (o owner, since, expires time.Time, purpose string, err error) {
	var who string
	var from, to int64
	err = row.Scan(&who, &o.machine, &o.pid, &o.born, &purpose, &from, &to)
	for i := range who {
		if who[i] == '@' {
			o.user, o.host = who[:i], who[i+1:]
		}
	}
	return o, fromMicros(from), fromMicros(to), purpose, err
}

func (l *Lease) renew(ctx context.Context, lost context.CancelCauseFunc) {
	every := time.Duration(float64(l.ttl) / leaseParts)
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mine, err := l.extend(ctx, l.ttl-every-time.Since(last))
		switch {
		case err == nil && !mine:
			lost(fault.New(fault.Locked, "", "%s was taken over by another run (unlocked while this one was working)", l.name))
			return
		case err == nil:
			last = time.Now()
		case time.Since(last) > l.ttl-every:
			lost(fmt.Errorf("lease %s could not be renewed for %s: %w", l.name, time.Since(last).Round(time.Second), err))
			return
		}
	}
}

// extend renews the lease. A store that does not answer must not keep its
// holder believing in it: there is an answer within patience.
func (l *Lease) extend(ctx context.Context, patience time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, max(patience, time.Second))
	defer cancel()
	now, err := l.s.now(ctx)
	if err != nil {
		return false, err
	}
	n, err := l.s.exec(ctx, "update leases set expires=? where name=? and machine=? and pid=? and born=?",
		micros(now.Add(l.ttl)), l.name, l.s.self.machine, l.s.self.pid, l.s.self.born)
	return n > 0, err
}

// Release gives the lease up. It uses its own context's values but not its
// end, since it is called when the work's context is over.
func (l *Lease) Release(ctx context.Context) error {
	l.stop()
	l.done.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := l.s.exec(ctx, "delete from leases where name=? and machine=? and pid=? and born=?", l.name, l.s.self.machine, l.s.self.pid, l.s.self.born)
	return err
}

// LeaseHeld says whether a live process holds the lease.
func (s *Store) LeaseHeld(ctx context.Context, name string) (bool, error) {
	_, err := s.Holder(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Holder returns who holds the lease, or ErrNotFound when nobody alive does.
func (s *Store) Holder(ctx context.Context, name string) (*LockedError, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	held, since, expires, purpose, err := readLease(s.queryRow(ctx, leaseQuery, name))
	if errors.Is(err, sql.ErrNoRows) || err == nil && (!expires.After(now) || held.gone(s.self.machine)) {
		return nil, fmt.Errorf("lease %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, s.failed(err)
	}
	return &LockedError{Name: name, Owner: held.String(), Purpose: purpose, Since: since, Expires: expires, now: now}, nil
}

// BreakLease takes the lease away from whoever holds it. The holder notices
// at its next renewal and stops.
func (s *Store) BreakLease(ctx context.Context, name string) error {
	_, err := s.exec(ctx, "delete from leases where name=?", name)
	return err
}
