package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

// The kinds of jobs.
const (
	kindLoad   = "load"
	kindUnload = "unload"
)

// loadMachines stands where a cluster's name does in the folder of known
// hosts; no cluster can be called so.
const loadMachines = "_load"

// jobSpec is the control file of a job; both nil when it is to be taken from
// the store.
type jobSpec struct {
	load   *loadspec.Spec
	unload *loadspec.Unload
}

// runJob runs a job of the store in this process and prints it at its end.
func (a *App) runJob(ctx context.Context, j state.Job, spec jobSpec) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	show := a.newProgress()
	o := run.Options{Log: a.Log, Reporter: &loadProgress{show: show, job: j.ID}, Warn: func(text string) { a.warnf("%s", text) }}
	var res *run.Result
	if j.Kind == kindUnload {
		res, err = a.runUnload(ctx, st, j, spec.unload, show, o)
	} else {
		res, err = a.runLoad(ctx, st, j, spec.load, show, o)
	}
	show.Close()
	if err != nil {
		return resumeHint(j.ID, err)
	}
	what := fmt.Sprintf("loaded %d rows from %s (%s) into %s", res.Rows, objectCount(res.Objects), schema.FormatSize(res.Bytes), j.Target)
	if j.Kind == kindUnload {
		what = fmt.Sprintf("unloaded %d rows (%s) of %s into %s", res.Rows, schema.FormatSize(res.Bytes), j.Target, objectCount(res.Objects))
	}
	if res.Skipped > 0 {
		a.infof("%s (%s)", skippedText(res.Skipped, res.SkippedBy), schema.FormatSize(res.SkippedBytes))
	}
	what += fmt.Sprintf(" in %s", res.ThisRun.Round(10*time.Millisecond))
	if rate := int64(float64(res.Bytes) / res.ThisRun.Seconds()); rate > 0 {
		what += ", " + schema.FormatRate(rate)
	}
	a.infof("%s", what)
	if res.Timing != nil {
		a.infof("%s", res.Timing.Text())
	}
	done, err := st.Job(ctx, j.ID)
	if err != nil {
		return err
	}
	if err := a.printJob(done); err != nil {
		return err
	}
	if res.Rejected > 0 {
		what := "rows were"
		if res.Rejected == 1 {
			what = "row was"
		}
		return fault.New(fault.Partial, "see with: cw load errors "+j.ID, "%d %s rejected", res.Rejected, what)
	}
	return nil
}

func (a *App) runLoad(ctx context.Context, st *state.Store, j state.Job, spec *loadspec.Spec, show *progress, o run.Options) (*run.Result, error) {
	var err error
	if o.Spec = spec; spec == nil {
		if o.Spec, err = run.StoredSpec(j); err != nil {
			return nil, err
		}
	}
	o.Source.Stdin = a.IO.In
	if err := run.StoredOptions(j, &o); err != nil {
		return nil, err
	}
	if len(o.Spec.Hosts) > 0 {
		if o.Hosts, err = a.pool(loadMachines); err != nil {
			return nil, err
		}
	}
	show.Event(fmt.Sprintf("load %s into %s: cw load limit %s RATE changes its speed", j.ID, j.Target, j.ID), nil)
	return run.Recorded(ctx, st, j.ID, o)
}

func (a *App) runUnload(ctx context.Context, st *state.Store, j state.Job, u *loadspec.Unload, show *progress, o run.Options) (*run.Result, error) {
	var err error
	if u == nil {
		if u, err = run.StoredUnload(j); err != nil {
			return nil, err
		}
	}
	show.Event(fmt.Sprintf("unload %s of %s to %s: cw load limit %s RATE changes its speed", j.ID, j.Target, u.Sink.Locations[0], j.ID), nil)
	return run.RecordedUnload(ctx, st, j.ID, u, o)
}

// resumeHint tells how to go on, with the job's own name.
func resumeHint(id string, err error) error {
	hint := fault.HintOf(err)
	switch kind := fault.KindOf(err); {
	case kind == fault.Locked:
		return err
	case hint == "":
		hint = "what is committed stays; go on with: cw load resume " + id
	case kind == fault.Unreachable || kind == fault.Auth:
		hint += "; then: cw load resume " + id
	default:
		hint = replaceJob(hint, id)
	}
	return fault.Wrap(fault.KindOf(err), hint, err)
}

// detachJob starts cw again in a session of its own to run the job, and waits
// until it has the job in hand.
func (a *App) detachJob(ctx context.Context, j state.Job) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	logName := a.jobLog(j.ID)
	out, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the detached load's output: %w", err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), exe, "load", "resume", j.ID, "--no-input", "--progress", "plain", "--store", a.storeDSN()) //nolint:gosec // cw itself
	cmd.Args[0] = "cw"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // survives the terminal
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the detached load: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	for {
		now, err := st.Job(ctx, j.ID)
		if err != nil {
			return err
		}
		if now.State != state.Pending && now.PID == cmd.Process.Pid { // it has started, or is through already
			a.infof("load %s runs in the background (process %d); follow it with: cw load logs %s --follow; its output: %s", j.ID, cmd.Process.Pid, j.ID, logName)
			return a.printJob(now)
		}
		select {
		case <-ended:
			if now, err = st.Job(ctx, j.ID); err == nil && now.PID != cmd.Process.Pid {
				text, _ := os.ReadFile(logName) //nolint:gosec // written above
				return fault.New(fault.Failed, "", "the detached load %s did not start: %s", j.ID, text)
			}
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// loadProgress shows a running load to people.
type loadProgress struct {
	mu   sync.Mutex
	show *progress
	job  string
	last run.Progress
}

// progressDoc is a line of --progress json.
type progressDoc struct {
	Job        string `json:"job"`
	Phase      string `json:"phase"`
	Bytes      int64  `json:"bytes"`
	BytesTotal int64  `json:"bytes_total"`
	Rows       int64  `json:"rows"`
	Rate       int64  `json:"rate"`
	Skipped    int64  `json:"skipped"`
	Limit      int64  `json:"limit"`
	ETASeconds *int64 `json:"eta_seconds"`
	Paused     bool   `json:"paused,omitempty"`
	Estimated  bool   `json:"estimated,omitempty"` // bytes_total is a guess

	LimitReason string `json:"limit_reason,omitempty"`
}

func (l *loadProgress) Progress(p run.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	doc := progressDoc{Job: l.job, Phase: p.Phase, Bytes: p.Bytes, BytesTotal: p.BytesTotal, Rows: p.Rows, Rate: p.Rate, Limit: p.Limit, Paused: p.Paused, LimitReason: p.LimitReason, Skipped: p.Skipped}
	if p.ETASeconds >= 0 {
		doc.ETASeconds = &p.ETASeconds
	}
	switch {
	case p.Skipped > 0 && l.last.Skipped == 0:
		l.show.Event(skippedText(p.Skipped, p.SkippedBy), doc)
	case p.Resumed && !l.last.Resumed && p.BytesTotal > 0:
		l.show.Event(fmt.Sprintf("resumed: %d rows, %s of %s are committed already", p.Rows, schema.FormatSize(p.Bytes), schema.FormatSize(p.BytesTotal)), doc)
	case p.Waiting != nil && l.last.Waiting == nil:
		l.show.Event(fmt.Sprintf("the database is gone, waiting for it: %v", p.Waiting), doc)
	case p.Waiting == nil && l.last.Waiting != nil:
		l.show.Event("the database is back", doc)
	case p.Paused != l.last.Paused:
		l.show.Event(map[bool]string{true: "paused", false: "continued"}[p.Paused]+because(p.LimitReason), doc)
	case l.limitChanged(p):
		l.show.Event("limit is now "+schema.FormatRate(p.Limit)+because(p.LimitReason), doc)
	case p.Phase != l.last.Phase:
		l.show.Event(phaseText(p), doc)
	}
	l.last = p
	if p.Phase == run.PhaseLoad || p.Phase == run.PhaseUnload {
		l.show.Status(progressText(p), doc)
	}
}

// limitChanged is true for changes that somebody has made. One that follows
// the database's every breath is seen in the status line.
func (l *loadProgress) limitChanged(p run.Progress) bool {
	if l.last.Phase != p.Phase || p.Phase != run.PhaseLoad && p.Phase != run.PhaseUnload || p.Limit == l.last.Limit {
		return false
	}
	kind, _, measured := strings.Cut(p.LimitReason, ":")
	before, _, _ := strings.Cut(l.last.LimitReason, ":")
	return !measured || kind != before
}

// because puts a reason behind what it is the reason of.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func phaseText(p run.Progress) string {
	if p.Phase == run.PhaseLoad {
		return fmt.Sprintf("load: %s of %s to do", schema.FormatSize(p.BytesTotal-p.Bytes), objectCount(p.ObjectsTotal))
	}
	return p.Phase
}

func progressText(p run.Progress) string {
	rate := schema.FormatRate(p.Rate)
	if p.Rate == 0 {
		rate = "0B/s"
	}
	if p.Paused {
		rate = "paused" + because(p.LimitReason)
	}
	limit := schema.FormatRate(p.Limit) + because(p.LimitReason)
	if p.Estimated {
		return fmt.Sprintf("%4s  %s of about %s  %d rows  %s  limit %s  eta %s", percent(p.Bytes, p.BytesTotal), schema.FormatSize(p.Bytes), schema.FormatSize(p.BytesTotal),
			p.Rows, rate, limit, formatETA(p.ETASeconds))
	}
	if p.BytesTotal == 0 { // nobody knows how much it will be
		return fmt.Sprintf("%s  %s  limit %s", schema.FormatSize(p.Bytes), rate, limit)
	}
	return fmt.Sprintf("%4s  %s of %s  %d rows  %s  limit %s  eta %s", percent(p.Bytes, p.BytesTotal), schema.FormatSize(p.Bytes), schema.FormatSize(p.BytesTotal),
		p.Rows, rate, limit, formatETA(p.ETASeconds))
}

var errNoUnfinished = errors.New("no load is unfinished")
