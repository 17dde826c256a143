package source

import (
	"context"
	"errors"
	"time"
)

const (
	statusEvery    = 10 * time.Second
	statusPatience = 8 * time.Second // Status promises five
)

var errStatus = errors.New("the hosts were not looked at in time")

// collectStatus looks at the cluster by way of its hosts while the database
// does not tell how every node is: it is down, or a standby does not stream.
func (l *Live) collectStatus(ctx context.Context) {
	var last time.Time
	wait := time.Second // the database has the first word
	for l.judge.wait(ctx, wait) {
		wait = statusEvery
		if !l.needStatus() {
			continue
		}
		if since := time.Since(last); since < time.Second {
			wait = time.Second
			continue
		}
		l.readStatus(ctx)
		last = time.Now()
	}
}

func (l *Live) needStatus() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !judgement{p: l.plan, s: l.seen}.vouched(l.draft.Nodes.Items)
}

func (l *Live) readStatus(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, statusPatience, errStatus)
	defer cancel()
	top, lay, err := l.look.Topology(ctx, l.o.Cluster)
	if err != nil {
		l.statusFailed(ctx, err)
		return
	}
	began := time.Now()
	st, err := l.look.Status(ctx, l.o.Cluster)
	if err != nil {
		l.statusFailed(ctx, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plan = clusterPlan{top: top, lay: lay}
	l.seen.status, l.seen.statusAt, l.seen.statusErr = &st, began, ""
	l.rejudge()
}

func (l *Live) statusFailed(ctx context.Context, err error) {
	if ended(ctx, err) && !errors.Is(context.Cause(ctx), errStatus) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.statusErr = reason(err)
	l.rejudge()
}
