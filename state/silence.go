package state

import (
	"context"
	"fmt"
	"time"

	"cw/fault"
)

// Silence keeps alerts from being told. They fire all the same. Cluster, Host
// and Rule are patterns as of path.Match, "" is any.
type Silence struct {
	ID        string    `json:"id"`
	Cluster   string    `json:"cluster,omitempty"`
	Host      string    `json:"host,omitempty"`
	Rule      string    `json:"rule,omitempty"`
	Reason    string    `json:"reason"`
	Owner     string    `json:"owner"` // user@machine
	CreatedAt time.Time `json:"created_at"`
	Until     time.Time `json:"until"`
}

// AddSilence begins a silence of a duration, with an event. ID, Owner and
// times are filled in.
func (s *Store) AddSilence(ctx context.Context, q Silence, d time.Duration) (Silence, error) {
	now, err := s.now(ctx)
	if err != nil {
		return q, err
	}
	q.ID, q.Owner, q.CreatedAt, q.Until = NewID("s"), s.Who(), now, now.Add(d)
	_, err = s.exec(ctx, "insert into silences (id, cluster, host, rule, reason, owner, created_at, until) values (?,?,?,?,?,?,?,?)",
		q.ID, q.Cluster, q.Host, q.Rule, q.Reason, q.Owner, micros(q.CreatedAt), micros(q.Until))
	if err != nil {
		return q, err
	}
	return q, s.AddEvent(ctx, q.event(fmt.Sprintf("alerts are silenced for %s by %s: %s", d, q.Owner, q.Reason)))
}

func (q Silence) event(message string) Event {
	return Event{Kind: EventSilenced, Cluster: q.Cluster, Host: q.Host, Message: message, Data: map[string]any{"silence": q.ID, "rule": q.Rule, "by": q.Owner}}
}

// Silences lists the silences that are in force, the next to end first.
func (s *Store) Silences(ctx context.Context) ([]Silence, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	return collect(ctx, s, func(scan func(...any) error) (Silence, error) {
		var q Silence
		var created, until int64
		err := scan(&q.ID, &q.Cluster, &q.Host, &q.Rule, &q.Reason, &q.Owner, &created, &until)
		q.CreatedAt, q.Until = fromMicros(created), fromMicros(until)
		return q, err
	}, "select id, cluster, host, rule, reason, owner, created_at, until from silences where until>? order by until, id", micros(now))
}

// EndSilence ends a silence before its time.
func (s *Store) EndSilence(ctx context.Context, id string) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, "update silences set until=? where id=? and until>?", micros(now), id, micros(now))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Usage, s.meant(ctx, id, "select id from silences order by until desc limit 1000", "see them with: cw monitor silences"), "silence %q: %w in store %s", id, ErrNotFound, s.where)
	}
	return s.AddEvent(ctx, Silence{ID: id, Owner: s.Who()}.event(fmt.Sprintf("silence %s was ended by %s", id, s.Who())))
}
