package state

import (
	"context"
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
