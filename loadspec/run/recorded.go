package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/speed"
	"cw/state"
)

// Recorded runs a job that is kept in the store: it holds the job's lease,
// follows what operators write there, and writes down how far it is and how
// it ended. o.Control is not used; o.Reporter still gets every report.
func Recorded(ctx context.Context, st *state.Store, id string, o Options) (*Result, error) {
	return recorded(ctx, st, id, o, o.Spec.Notify, func(ctx context.Context, o Options) (*Result, error) { return Run(ctx, o) })
}

// RecordedUnload is Recorded for an unload.
func RecordedUnload(ctx context.Context, st *state.Store, id string, u *loadspec.Unload, o Options) (*Result, error) {
	return recorded(ctx, st, id, o, u.Notify, func(ctx context.Context, o Options) (*Result, error) { return Unload(ctx, u, o) })
}

func recorded(ctx context.Context, st *state.Store, id string, o Options, told []loadspec.Notify, run func(context.Context, Options) (*Result, error)) (*Result, error) {
	job, err := st.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	held, lease, err := st.Acquire(ctx, state.JobLease(id), "load")
	if err != nil {
		return nil, err
	}
	defer func() { _ = lease.Release(ctx) }()
	if err := st.StartJob(held, id); err != nil {
		return nil, err
	}
	if o.Reporter == nil {
		o.Reporter = discard{}
	}
	r := &recorder{ctx: held, st: st, id: id, kind: job.Kind, target: job.Target, next: o.Reporter, warn: func(err error) {
		if o.Log != nil {
			o.Log.Warn("the job's record could not be written", "job", id, "error", err)
		}
	}}
	o.Job, o.Control, o.Reporter, o.Workers = id, r.control, r, r.elsewhere
	r.started(job)
	res, err := run(held, o)
	r.workers.leave(r)
	r.finish(res, err)
	r.tell(ctx, told)
	return res, err
}

// recorder writes a job's progress into the store, at most twice a second,
// and at once when it changes its state.
type recorder struct {
	ctx     context.Context //nolint:containedctx // Reporter has no context of its own
	st      *state.Store
	id      string
	kind    string // load or unload
	target  string
	next    Reporter
	warn    func(error)
	written time.Time
	last    Progress
	mark    milestone
	workers presence

	ofGroup, groupLimit int64 // bytes per second
	shared              time.Time
}

const recordBeat = 500 * time.Millisecond

func (r *recorder) control(ctx context.Context) (Control, error) {
	c, err := r.st.JobControl(ctx, r.id)
	if err == nil && c.Group != "" {
		err = r.share(ctx, c)
	}
	return Control{Limit: c.WantLimit, Pause: c.Want == state.WantPause, Cancel: c.Want == state.WantCancel, Group: c.Group, Share: r.ofGroup}, err
}

// share finds, now and then, this job's part of its group's limit.
func (r *recorder) share(ctx context.Context, c state.Control) error {
	if c.GroupLimit == 0 {
		r.ofGroup, r.shared = 0, time.Time{}
		return nil
	}
	if time.Since(r.shared) < recordBeat && c.GroupLimit == r.groupLimit {
		return nil
	}
	jobs, err := r.st.GroupJobs(ctx, c.Group, PhaseLoad, PhaseUnload)
	if err != nil {
		return err
	}
	me, rates := -1, []int64{}
	for i, j := range jobs {
		rate := j.Rate
		if rate == 0 { // it has only begun
			rate = c.GroupLimit
		}
		if rates = append(rates, rate); j.ID == r.id {
			me = i
		}
	}
	if me < 0 { // not at it yet
		me, rates = len(rates), append(rates, c.GroupLimit)
	}
	r.ofGroup, r.groupLimit, r.shared = max(speed.Share(c.GroupLimit, rates)[me], 1), c.GroupLimit, time.Now()
	return nil
}

// Progress passes a report on and writes it down.
func (r *recorder) Progress(p Progress) {
	r.next.Progress(p)
	changed := p.Phase != r.last.Phase || p.Paused != r.last.Paused || p.Limit != r.last.Limit || (p.Waiting == nil) != (r.last.Waiting == nil)
	if !changed && time.Since(r.written) < recordBeat {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 5*time.Second)
	defer cancel()
	var err error
	if p.ObjectsTotal+p.Skipped+p.BytesTotal > 0 { // before the plan there is nothing to say, and an earlier run's numbers are there
		err = r.st.SetJobProgress(ctx, r.id, numbers(p))
	}
	if changed {
		now := state.Running
		switch {
		case p.Paused:
			now = state.Paused
		case p.Phase == PhaseWatch:
			now = state.Watching
		}
		phase := p.Phase
		if p.Waiting != nil {
			phase = "waiting for the database"
		}
		err = errors.Join(err, r.st.SetJobState(ctx, r.id, now, phase))
	}
	r.happened(p)
	if err != nil {
		r.warn(err)
	}
	r.here(p)
	r.written, r.last = time.Now(), p
}

// namesKept is how many of the jobs that others were left to are kept by name.
const namesKept = 20

func numbers(p Progress) state.Progress {
	return state.Progress{
		Bytes: p.Bytes, BytesTotal: p.BytesTotal, Rows: p.Rows, Rejected: p.Rejected, Objects: p.Objects, ObjectsTotal: p.ObjectsTotal,
		Skipped: p.Skipped, SkippedBy: strings.Join(p.SkippedBy[:min(len(p.SkippedBy), namesKept)], ","),
		Rate: p.Rate, Limit: p.Limit, ETASeconds: p.ETASeconds, LimitReason: p.LimitReason,
	}
}

// finish writes down how the run ended, also when its context is over.
func (r *recorder) finish(res *Result, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 10*time.Second)
	defer cancel()
	end, severity, text := state.Done, "", ""
	switch {
	case err == nil && res != nil && res.Rejected > 0:
		end, severity = state.Partial, state.Warning
		text = fmt.Sprintf("%d rows were rejected: cw load errors %s", res.Rejected, r.id)
		if res.Rejected == 1 {
			text = "1 row was rejected: cw load errors " + r.id
		}
	case err == nil:
	case errors.Is(err, ErrCancelled):
		end = state.Cancelled
	case fault.KindOf(err) == fault.Interrupted:
		end = state.Interrupted
	default:
		end = state.Failed
	}
	if err != nil {
		text = err.Error()
	}
	if res != nil && res.ObjectsTotal+res.Skipped > 0 {
		p := numbers(res.Progress)
		p.Rate, p.ETASeconds = 0, -1
		if end == state.Done || end == state.Partial {
			p.ETASeconds = 0
		}
		if werr := r.st.SetJobProgress(ctx, r.id, p); werr != nil {
			r.warn(werr)
		}
	}
	timing := ""
	if res != nil && res.Timing != nil {
		data, _ := json.Marshal(res.Timing) // of numbers and names
		timing = string(data)
	}
	if werr := r.st.FinishJob(ctx, r.id, end, text, timing); werr != nil {
		r.warn(werr)
	}
	r.ended(end, severity, text, res)
}
