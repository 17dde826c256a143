package run

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
)

// planObjects lists the objects when the job is new, else takes those of the
// ledger, so that a job never gains or loses objects between its runs.
func (j *job) planObjects(ctx context.Context, conn *pgx.Conn, journal *ledger.Journal) error {
	objects := journal.Objects
	if len(objects) == 0 {
		found, err := j.set.List(ctx)
		if err != nil {
			return err
		}
		for _, o := range found {
			objects = append(objects, ledger.Object{URL: o.URL, ETag: j.tagged(o.ETag), Source: o.Source, Size: o.Size})
		}
		if err := j.ledger.Plan(ctx, conn, objects); err != nil {
			return copy.Explain(err)
		}
	}
	j.objects = nil // of an earlier try
	base := Progress{ObjectsTotal: int64(len(objects)), Resumed: len(journal.Ranges) > 0}
	for _, o := range objects {
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
		_, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
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
