package state

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"
)

// Claim is several notices that this process has taken upon itself to deliver
// to a receiver at once. Those of one claim have one time, so that whoever
// takes them over can tell what was on its way together.
type Claim struct {
	Receiver string
	Notices  []string // in order
	Tries    int      // the most of any
	At       time.Time
}

// ClaimDeliveries takes it upon this process to deliver notices, in one step:
// of two that claim the same ones, one gets them all. Left out is a notice that
// was delivered or given up, that another process is at since less than stale,
// or whose next try is not due since it ended less than retry ago. A claim that
// nobody finished is taken over after stale: the receiver may then get the
// notice again, under the same name.
func (s *Store) ClaimDeliveries(ctx context.Context, receiver string, notices []string, stale, retry time.Duration) (Claim, error) {
	c := Claim{Receiver: receiver}
	now, err := s.now(ctx)
	if err != nil {
		return c, err
	}
	c.At = fromMicros(micros(now))
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return c, s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	sorted := slices.Compact(slices.Sorted(slices.Values(notices))) // in one order: two that claim the same must not wait for each other
	for _, n := range sorted {
		var tries int
		err := tx.QueryRowContext(ctx, s.rebind(claimQuery), n, receiver, Sending, micros(now), Sending, micros(now.Add(-stale)), TryLater, micros(now.Add(-retry))).Scan(&tries)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return Claim{Receiver: receiver}, s.failed(err)
		default:
			c.Notices, c.Tries = append(c.Notices, n), max(c.Tries, tries)
		}
	}
	if err := tx.Commit(); err != nil {
		return Claim{Receiver: receiver}, s.failed(err)
	}
	return c, nil
}

// FinishDeliveries says how the delivery of a claim went: Sent, TryLater or
// GivenUp. It changes nothing, and says false, when others took the claim over
// meanwhile.
func (s *Store) FinishDeliveries(ctx context.Context, c Claim, how, errText string) (bool, error) {
	now, err := s.now(ctx)
	if err != nil {
		return false, err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	var done int64
	for _, n := range c.Notices {
		r, err := tx.ExecContext(ctx, s.rebind("update deliveries set state=?, error=?, at=? where notice=? and receiver=? and state=? and at=?"),
			how, errText, micros(now), n, c.Receiver, Sending, micros(c.At))
		if err != nil {
			return false, s.failed(err)
		}
		rows, err := r.RowsAffected()
		if err != nil {
			return false, s.failed(err)
		}
		done += rows
	}
	return done > 0, s.failed(tx.Commit())
}

// Now is the store's clock: the database's where several machines share it.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return s.now(ctx) }
