package source

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// collectDatabase asks the database every interval. One that does not answer
// is asked again after as long, at most five seconds.
func (l *Live) collectDatabase(ctx context.Context) {
	g := &dbCollector{live: l}
	for {
		g.read(ctx)
		if ctx.Err() != nil || !l.ask.wait(ctx, g.pause()) {
			return
		}
	}
}

// dbCollector remembers what is not asked every time.
type dbCollector struct {
	live    *Live
	failing bool
	mpp     *mppView
	down    map[int]time.Time
	histErr error
	readAt  time.Time     // what all segments said
	wait    time.Duration // until they are asked again
	listed  time.Time     // when the sessions were
}

func (g *dbCollector) pause() time.Duration {
	if g.failing {
		return min(g.live.every(), 5*time.Second)
	}
	return g.live.every()
}

// answer is what one turn brought.
type answer struct {
	view     *dbView
	sessions []Session
	hid      bool
	user     string
	skipped  bool // the sessions were not asked for
	history  []Event
	can      *abilities
	errs     map[string]error // of parts, by column
}

func (g *dbCollector) read(ctx context.Context) {
	var a answer
	l := g.live
	err := l.db.do(ctx, func(ctx context.Context, c *pgx.Conn, can *abilities) error {
		a = answer{can: can, user: can.user, errs: map[string]error{}}
		return g.ask(ctx, c, &a)
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		g.fail(err)
		return
	}
	g.failing = false
	g.publish(a)
	if !a.can.greenplum || time.Since(g.readAt) < g.wait || l.hostSilent() {
		return
	}
	g.askAll(ctx, &a)
	if ctx.Err() == nil {
		g.publish(a)
	}
}

// askAll makes the queries that go to all segments. They may hang when one
// does not answer: that costs their columns and no more.
func (g *dbCollector) askAll(ctx context.Context, a *answer) {
	g.readAt, g.wait = time.Now(), mppEvery
	err := g.live.db.do(ctx, func(ctx context.Context, c *pgx.Conn, can *abilities) error {
		a.history, g.down, g.histErr = readHistory(ctx, c)
		g.mpp = readMPP(ctx, c, can)
		return nil
	})
	if err != nil {
		g.mpp = &mppView{noLag: true, err: reason(err)}
	}
	if g.mpp.err != "" {
		g.wait = mppPatience
	}
}

// ask makes the light queries of one turn.
func (g *dbCollector) ask(ctx context.Context, c *pgx.Conn, a *answer) (err error) {
	if !a.can.greenplum {
		if a.view, err = readPostgres(ctx, c, a.can); a.view == nil {
			return err
		}
		a.errs["lag"] = err
	} else {
		if a.view, err = readGreenplum(ctx, c); a.view == nil {
			return err
		}
		if err != nil {
			return err
		}
	}
	text := maxQueryText
	if g.live.o.Lean {
		if text, a.skipped = 0, time.Since(g.listed) < leanSessions; a.skipped {
			return nil
		}
		g.listed = time.Now()
	}
	if a.sessions, a.hid, err = readSessions(ctx, c, a.can, text); err != nil {
		if c.IsClosed() {
			return err
		}
		a.errs["sessions"] = err
	}
	return nil
}

// withAll adds what all segments said last.
func (g *dbCollector) withAll(a *answer) {
	if !a.can.greenplum {
		return
	}
	view := *a.view // the last one may be looked at
	view.down = g.down
	view.noLag = g.mpp == nil // not known yet
	if a.view = &view; g.mpp == nil {
		return
	}
	view.senders, view.noLag = g.mpp.senders, g.mpp.noLag
	if len(g.mpp.locks) > 0 {
		a.sessions = slices.Clone(a.sessions)
		applyLocks(a.sessions, g.mpp.locks)
	}
}

func (g *dbCollector) publish(a answer) {
	l := g.live
	now := time.Now()
	g.withAll(&a)
	reasons := map[string]string{"sessions": "", "lag": "", "query": "", "blocked_by": "", "history": reason(g.histErr)}
	if a.view.noLag && (g.mpp != nil || !a.can.greenplum) {
		reasons["lag"] = fmt.Sprintf("role %s may not see replication: %s", a.user, grantHint(a.can))
	}
	if err := a.errs["lag"]; err != nil {
		reasons["lag"] = reason(err)
	}
	if g.mpp != nil && g.mpp.err != "" {
		reasons["blocked_by"], reasons["lag"] = g.mpp.err, g.mpp.err
	}
	if a.hid {
		reasons["query"] = fmt.Sprintf("role %s may not see the queries of others: %s", a.user, grantHint(a.can))
	}
	l.degrade(reasons)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.db, l.seen.dbErr = a.view, ""
	if err := a.errs["sessions"]; err != nil {
		l.draft.Sessions.Err = reason(err)
	} else if !a.skipped {
		l.draft.Sessions = Sessions{Section: Section{CollectedAt: now}, Items: a.sessions}
	}
	if a.history != nil {
		l.watch.history = a.history
		l.draft.Events.Items = mergeEvents(l.watch.events, l.watch.history)
	}
	l.rejudge()
	if !(judgement{p: l.plan, s: l.seen}).vouched(l.draft.Nodes.Items) && l.plan.lay != nil && now.Sub(l.seen.statusAt) > statusEvery {
		l.judge.now()
	}
	l.dirty = true
}

// grantHint is what the administrator has to do.
func grantHint(can *abilities) string {
	if can.greenplum {
		return "connect as a superuser"
	}
	return "grant pg_monitor to " + can.user
}

func (g *dbCollector) fail(err error) {
	l := g.live
	l.log.Debug("database does not answer", "error", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.seen.db != nil || !g.failing
	g.failing = true
	l.seen.db, l.seen.dbErr = nil, reason(err)
	l.draft.Sessions.Err, l.draft.Cluster.Err = reason(err), reason(err)
	l.rejudge()
	l.dirty = true
	if first {
		l.judge.now()
	}
}
