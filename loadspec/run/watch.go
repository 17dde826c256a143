package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
)

// watched is what a watching job remembers from one look to the next: never
// more than the listing holds.
type watched struct {
	decided map[string]string   // URL: ETag of what is loaded, or is another job's
	growing map[string]sighting // local files that may be written yet
	blind   bool                // the source was not reached
}

type sighting struct {
	tag string
	at  time.Time
}

// still leaves out local files that have changed within the interval: somebody
// may be writing them.
func (w *watched) still(found []source.Object, now time.Time, interval time.Duration) []source.Object {
	growing := map[string]sighting{}
	var ready []source.Object
	for _, o := range found {
		if !strings.HasPrefix(o.URL, "file://") || w.decided[o.URL] == o.ETag {
			ready = append(ready, o)
			continue
		}
		s, seen := w.growing[o.URL]
		if !seen || s.tag != o.ETag {
			s = sighting{tag: o.ETag, at: now}
		}
		growing[o.URL] = s
		if now.Sub(s.at) >= interval || now.Sub(o.Modified) >= interval {
			ready = append(ready, o)
		}
	}
	w.growing = growing
	return ready
}

// fresh is what of a listing is not decided yet, and forgets what is not
// listed any more.
func (w *watched) fresh(found []source.Object) []source.Object {
	decided := make(map[string]string, len(w.decided))
	var fresh []source.Object
	for _, o := range found {
		if tag, ok := w.decided[o.URL]; ok {
			decided[o.URL] = tag
		}
		if decided[o.URL] != o.ETag {
			fresh = append(fresh, o)
		}
	}
	w.decided = decided
	return fresh
}

// watchable refuses objects of which it cannot be told whether they are new.
func watchable(found []source.Object) error {
	for _, o := range found {
		if !o.Identified() {
			return fault.New(fault.Usage, "load it without --watch", "%s: cannot be watched: nothing tells one version of it from the next", o.URL)
		}
	}
	return nil
}

// takeRound makes the job this runner's, and finds the round it is in.
func (j *job) takeRound(ctx context.Context, conn *pgx.Conn) (*ledger.Journal, error) {
	j.ledger = j.ledger.Round(0)
	journal, err := j.ledger.TakeOver(ctx, conn)
	if err != nil {
		return nil, err
	}
	if j.round, err = j.ledger.LastRound(ctx, conn); err != nil || j.round == 0 {
		return journal, err
	}
	j.ledger = j.ledger.Round(j.round)
	before, err := j.ledger.Before(ctx, conn)
	if err != nil {
		return nil, err
	}
	j.prior = Progress{
		Bytes: before.Bytes, BytesTotal: before.Bytes, Rows: before.Rows, Objects: before.Objects, ObjectsTotal: before.Objects, Rejected: before.Rejected, Resumed: true,
	}
	return j.ledger.TakeOver(ctx, conn)
}

// await looks for new objects until there are some, and plans the round that
// loads them.
func (j *job) await(ctx context.Context) (*pgx.Conn, *ledger.Journal, error) {
	j.prior = j.state.progress()
	j.prior.Rate, j.prior.ETASeconds = 0, -1
	j.state.phase(PhaseWatch)
	retry := j.newRetry()
	var conn *pgx.Conn
	for {
		t := time.NewTimer(j.o.Watch)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			closeConn(ctx, conn)
			return nil, nil, context.Cause(ctx)
		}
		found, err := j.look(ctx)
		if err != nil {
			closeConn(ctx, conn)
			return nil, nil, err
		}
		if len(found) == 0 {
			continue
		}
		var journal *ledger.Journal
		if conn, err = j.attach(ctx, conn); err == nil {
			if journal, err = j.nextRound(ctx, conn, found); err == nil {
				retry.reset()
				if journal != nil {
					return conn, journal, nil
				}
				continue
			}
		}
		closeConn(ctx, conn)
		conn = nil
		if !retry.again(ctx, err) {
			return nil, nil, err
		}
	}
}

// look lists what is new. A source that is not reached may be back at the
// next look.
func (j *job) look(ctx context.Context) ([]source.Object, error) {
	found, err := j.set.List(ctx)
	if fault.KindOf(err) == fault.Unreachable && ctx.Err() == nil {
		if !j.watched.blind {
			j.o.Warn(fmt.Sprintf("looking for new objects: %v: trying again every %s", err, j.o.Watch))
		}
		j.watched.blind = true
		return nil, nil
	}
	j.watched.blind = false
	if err := watchable(found); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	return j.watched.fresh(j.watched.still(found, time.Now(), j.o.Watch)), nil
}

// attach opens the session that the next round is planned in.
func (j *job) attach(ctx context.Context, conn *pgx.Conn) (*pgx.Conn, error) {
	if conn != nil && !conn.IsClosed() {
		return conn, nil
	}
	conn, err := j.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = j.prepare(ctx, conn); err == nil {
		err = j.lock(ctx, conn)
	}
	if err != nil {
		closeConn(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// errNothingNew takes a round back that would be empty.
var errNothingNew = errors.New("nothing new")

// nextRound plans a round of what is new. nil says that all of it is loaded,
// or another job's.
func (j *job) nextRound(ctx context.Context, conn *pgx.Conn, found []source.Object) (*ledger.Journal, error) {
	t := j.targetOf()
	t.Again = false // of the objects that were there at the start
	var c *choice
	var round *ledger.Ledger
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		if round, err = j.ledger.Begin(ctx, tx, j.round+1); err != nil {
			return err
		}
		before := j.ledger
		j.ledger = round
		defer func() { j.ledger = before }()
		if c, err = j.choose(ctx, tx, t, j.offer(found), decision{lenient: true}); err != nil {
			return err
		}
		if len(c.load) == 0 {
			return errNothingNew
		}
		return j.ledger.Plan(ctx, tx, t, c.load, nil)
	})
	if err != nil && !errors.Is(err, errNothingNew) {
		return nil, copy.Explain(err)
	}
	later := map[string]bool{}
	for _, w := range c.waiting {
		for _, url := range w.Objects {
			later[url] = true
		}
		w.Target = t.Name
		j.tell(w.Error() + ": left out for now")
	}
	for _, o := range found {
		if !later[o.URL] {
			j.watched.decided[o.URL] = o.ETag
		}
	}
	if err != nil {
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	j.tellChoice(ctx, conn, t, &choice{changed: c.changed})
	j.ledger, j.round = round, j.round+1
	journal := &ledger.Journal{Objects: c.load, Target: &t, Done: map[ledger.Step]bool{}}
	if err := j.arrange(journal, nil); err != nil {
		return nil, err
	}
	return journal, j.tolerate(ctx, conn)
}
