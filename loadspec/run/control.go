package run

import (
	"context"
	"time"

	"cw/fault"
)

const (
	// controlBeat is how often operators' wishes are looked up: a new limit
	// is in force within it.
	controlBeat = 100 * time.Millisecond
	// reportBeat is how often progress is reported.
	reportBeat = 250 * time.Millisecond
)

// control watches what operators want and reports progress, until the
// context ends.
func (j *job) control(ctx context.Context, cancel context.CancelCauseFunc) error {
	tick := time.NewTicker(controlBeat)
	defer tick.Stop()
	var reported, complained time.Time
	want := j.steering.first
	for {
		if j.o.Control != nil {
			now, err := j.o.Control(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil && time.Since(complained) > 10*time.Second:
				complained = time.Now()
				j.o.Log.Warn("what operators want cannot be read; going on as before", "error", err)
			case err != nil:
			case now.Cancel:
				cancel(fault.Wrap(fault.Interrupted, "what is committed stays; cw load resume "+j.o.Job+" goes on after all", ErrCancelled))
				return nil
			default:
				want = now
			}
		}
		now := time.Now()
		paused, reason := j.steer(now, want)
		j.state.measure(now, paused, reason)
		if now.Sub(reported) >= reportBeat {
			reported = now
			j.state.report()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
