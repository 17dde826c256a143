package run

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
)

// planObjects lists the objects when the job is new, else takes those of the
// ledger, so that a job never gains or loses objects between its runs, but for
// those that another job has loaded meanwhile.
func (j *job) planObjects(ctx context.Context, conn *pgx.Conn, journal *ledger.Journal) error {
	j.emptied = journal.Done[ledger.Truncate]
	t := j.targetOf()
	t.Again = t.Again && j.round == 0 || journal.Target != nil && journal.Target.Again
	if !journal.Planned() {
		found, err := j.set.List(ctx)
		if err != nil {
			return err
		}
		if j.o.Watch > 0 {
			if err := watchable(found); err != nil {
				return err
			}
			found = j.watched.still(found, time.Now(), j.o.Watch)
		}
		return j.planNew(ctx, conn, t, j.offer(found))
	}
	return j.planRest(ctx, conn, t, journal)
}

// offer puts listed objects into the ledger's words.
func (j *job) offer(found []source.Object) []ledger.Object {
	offered := make([]ledger.Object, len(found))
	for i, o := range found {
		offered[i] = ledger.Object{URL: o.URL, ETag: j.tagged(o.ETag), Source: o.Source, Size: o.Size}
	}
	return offered
}

// planNew decides what of the offered objects is the job's, and notes it.
func (j *job) planNew(ctx context.Context, conn *pgx.Conn, t ledger.Target, offered []ledger.Object) error {
	var c *choice
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		if c, err = j.choose(ctx, tx, t, offered, decision{}); err != nil {
			return err
		}
		return j.ledger.Plan(ctx, tx, t, c.load, c.skipped)
	})
	if err != nil {
		return copy.Explain(err)
	}
	j.tellChoice(ctx, conn, t, c)
	return j.arrange(&ledger.Journal{Objects: c.load, Skipped: c.skipped}, nil)
}

// planRest looks at what is left of a job that was planned before.
func (j *job) planRest(ctx context.Context, conn *pgx.Conn, t ledger.Target, journal *ledger.Journal) error {
	var left []ledger.Object
	begun := own{}
	for _, o := range journal.Objects {
		ranges := journal.Of(o.URL)
		if len(ledger.Gaps(ranges)) > 0 {
			left = append(left, o)
			begun[o.URL] = len(ranges) > 0
		}
	}
	if len(left) == 0 {
		return j.arrange(journal, nil)
	}
	var c *choice
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		c, err = j.choose(ctx, tx, t, left, decision{begun: begun})
		return err
	})
	if err != nil {
		return copy.Explain(err)
	}
	leave := map[string]bool{}
	for _, o := range left {
		leave[o.URL] = true
	}
	for _, o := range c.load {
		delete(leave, o.URL)
	}
	journal.Skipped = append(journal.Skipped, c.skipped...)
	return j.arrange(journal, leave)
}

// arrange makes the work list of the plan, without the objects to leave.
func (j *job) arrange(journal *ledger.Journal, leave map[string]bool) error {
	j.objects = nil // of an earlier try
	base := j.prior
	base.Resumed = base.Resumed || len(journal.Ranges) > 0
	for _, s := range journal.Skipped {
		base.Skipped += s.Objects
		base.SkippedBytes += s.Bytes
		if name := ledger.Root(s.Job); !slices.Contains(base.SkippedBy, name) {
			base.SkippedBy = append(base.SkippedBy, name)
		}
	}
	for _, o := range journal.Objects {
		if leave[o.URL] {
			continue
		}
		base.ObjectsTotal++
		etag, err := j.untagged(o.URL, o.ETag)
		if err != nil {
			return err
		}
		ranges := journal.Of(o.URL)
		base.BytesTotal += o.Size
		var bytes int64
		for _, r := range ranges {
			bytes += r.SourceBytes
			base.Rows += r.Rows
		}
		gaps := ledger.Gaps(ranges)
		if len(gaps) == 0 {
			base.Objects++
			base.Bytes += o.Size
			continue
		}
		base.Bytes += min(bytes, o.Size)
		j.objects = append(j.objects, object{Object: source.Object{URL: o.URL, ETag: etag, Size: o.Size, Source: o.Source}, gaps: gaps})
	}
	j.state.begin(base)
	return nil
}

// stepper runs the steps that happen once, on a session that it renews when
// it is lost.
type stepper struct {
	j    *job
	conn *pgx.Conn
	done map[ledger.Step]bool
	here bool // only in this session: its end is the caller's to deal with
}

// once runs sql as step, in one transaction with its ledger row. A lost
// connection is no problem: the ledger knows whether the step has happened.
func (s *stepper) once(ctx context.Context, step ledger.Step, sql string) error {
	if sql == "" || s.done[step] {
		return nil
	}
	s.j.state.phase(string(step))
	retry := s.j.newRetry()
	for {
		err := s.try(ctx, step, sql)
		if err == nil {
			s.done[step] = true
			return nil
		}
		if s.here || !retry.again(ctx, err) {
			return stepError(step, err)
		}
	}
}

func (s *stepper) try(ctx context.Context, step ledger.Step, sql string) error {
	if s.conn.IsClosed() {
		conn, err := s.j.connect(ctx)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	return s.j.ledger.Once(ctx, s.conn, step, func(tx pgx.Tx) error {
		// The simple protocol takes several statements at once, as psql does.
		if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil || step != ledger.Truncate {
			return err
		}
		return s.j.ledger.Emptied(ctx, tx, s.j.targetOf())
	})
}

func stepError(step ledger.Step, err error) error {
	err = copy.Explain(err)
	what := map[ledger.Step]string{ledger.Truncate: "PRELOAD TRUNCATE", ledger.Before: "SQL BEFORE", ledger.Stage: "making the staging table", ledger.Merge: "putting the rows into the target", ledger.After: "SQL AFTER"}[step]
	hint := fault.HintOf(err)
	if hint == "" {
		hint = "it runs inside one transaction; correct it and run cw load again"
	}
	return fault.New(fault.KindOf(err), hint, "%s: %w", what, err)
}

// retry decides how long to go on after the database went away.
type retry struct {
	j     *job
	since time.Time
	wait  time.Duration
}

func (j *job) newRetry() *retry { return &retry{j: j} }

// again waits and returns true when err may be a passing one and patience is
// left.
func (r *retry) again(ctx context.Context, err error) bool {
	if !copy.Retriable(ctx, err) {
		return false
	}
	now := time.Now()
	if r.since.IsZero() {
		r.since, r.wait = now, 50*time.Millisecond
	}
	if now.Sub(r.since) > r.j.o.Patience {
		return false
	}
	r.j.o.Log.Warn("the database connection was lost; trying again", "error", err, "wait", r.wait)
	r.j.state.waiting(err)
	t := time.NewTimer(r.wait)
	defer t.Stop()
	r.wait = min(2*r.wait, 2*time.Second)
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// reset forgets the outage once something has worked.
func (r *retry) reset() {
	if !r.since.IsZero() {
		r.since = time.Time{}
		r.j.state.waiting(nil)
	}
}
