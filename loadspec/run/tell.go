package run

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cw/loadspec"
	"cw/loadspec/notify"
	"cw/state"
)

// Whoever waits at the terminal after Ctrl-C is not kept for as long as one
// who is not there.
const (
	tellPatience     = 3 * time.Minute
	tellPatienceStop = 5 * time.Second
)

// tell lets NOTIFY know how the job ended, as the store has it.
func (r *recorder) tell(ctx context.Context, list []loadspec.Notify) {
	if len(list) == 0 {
		return
	}
	patience := tellPatience
	if ctx.Err() != nil {
		patience = tellPatienceStop
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	j, err := r.st.Job(ctx, r.id)
	if err != nil {
		r.warn(err)
		return
	}
	err = notify.Send(ctx, list, notify.Result{
		Job: j.ID, JobKind: j.Kind, State: j.State, Target: j.Target, SpecFile: j.SpecFile, Owner: j.Owner, Rows: j.Rows, Bytes: j.Bytes,
		Rejected: j.Rejected, Skipped: j.Skipped, Seconds: j.FinishedAt.Sub(j.StartedAt).Seconds(), Error: j.Error, FinishedAt: j.FinishedAt,
	}, notify.Options{OnRetry: func(who string, err error) { r.warn(fmt.Errorf("%s could not be told, trying again: %w", who, err)) }})
	if err == nil {
		return
	}
	r.warn(err)
	if err := r.st.AddEvent(ctx, state.Event{
		Kind: state.EventNotTold, Job: r.id, Message: fmt.Sprintf("%s %s: its end could not be told to %s", r.kind, r.id, strings.ReplaceAll(err.Error(), "\n", "; ")),
	}); err != nil {
		r.warn(err)
	}
}
