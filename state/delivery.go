package state

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// The states of a Delivery.
const (
	Sending  = "sending"
	Sent     = "sent"
	GivenUp  = "failed" // the receiver refused it, or too many tries
	TryLater = "later"
)

// Delivery is a notice on its way to a receiver.
type Delivery struct {
	Notice   string // what is told: the same for whoever tells it
	Receiver string
	State    string
	Tries    int
	Error    string
	At       time.Time // of the last change
}

// claimQuery makes a delivery, or takes one that is not being worked on.
const claimQuery = `insert into deliveries (notice, receiver, state, tries, error, at) values (?,?,?,1,'',?)
	on conflict (notice, receiver) do update set state=excluded.state, tries=deliveries.tries+1, at=excluded.at
	where deliveries.state=? and deliveries.at<=? or deliveries.state=? and deliveries.at<=? returning tries`

// ClaimDelivery takes it upon this process to deliver a notice. It is refused
// (false) when the notice was delivered or given up, when another process is
// at it since less than stale, or when its next try is not due. A claim that
// nobody finished is taken over after stale: the receiver may then get the
// notice again, under the same name.
func (s *Store) ClaimDelivery(ctx context.Context, notice, receiver string, stale, retry time.Duration) (tries int, claimed bool, err error) {
	now, err := s.now(ctx)
	if err != nil {
		return 0, false, err
	}
	err = s.queryRow(ctx, claimQuery,
		notice, receiver, Sending, micros(now), Sending, micros(now.Add(-stale)), TryLater, micros(now.Add(-retry))).Scan(&tries)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return tries, err == nil, s.failed(err)
}

// FinishDelivery says how a delivery went: Sent, TryLater or GivenUp.
func (s *Store) FinishDelivery(ctx context.Context, notice, receiver, how, errText string) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "update deliveries set state=?, error=?, at=? where notice=? and receiver=?", how, errText, micros(now), notice, receiver)
	return err
}

// Deliveries lists the deliveries of the time since, the newest first.
func (s *Store) Deliveries(ctx context.Context, since time.Time) ([]Delivery, error) {
	return collect(ctx, s, func(scan func(...any) error) (Delivery, error) {
		var d Delivery
		var at int64
		err := scan(&d.Notice, &d.Receiver, &d.State, &d.Tries, &d.Error, &at)
		d.At = fromMicros(at)
		return d, err
	}, "select notice, receiver, state, tries, error, at from deliveries where at>=? order by at desc, notice, receiver", micros(since))
}
