package run

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/loadspec/speed"
	"cw/schema"
)

// steering is what beside an operator decides how fast a job goes.
type steering struct {
	schedule *speed.Schedule
	probe    *probe  // nil: nothing is measured
	first    Control // as the control file has it
}

// begin prepares it and sets the speed to begin with.
func (s *steering) begin(j *job) error {
	var err error
	if s.schedule, err = speed.NewSchedule(j.spec.Schedule, j.spec.Zone); err != nil {
		return err
	}
	if j.spec.Adaptive != nil {
		s.probe = newProbe(j)
	}
	s.first = Control{Limit: j.spec.Limit}
	j.steer(time.Now(), s.first)
	return nil
}

// steer brings the job to the lowest of all speeds that are wanted. It tells
// whether the job stands still, and why it goes no faster when that is not an
// operator's word.
func (j *job) steer(now time.Time, want Control) (paused bool, reason string) {
	limit, paused := want.Limit, want.Pause
	lower := func(to int64, why string) {
		if to > 0 && (limit == 0 || to < limit) {
			limit, reason = to, why
		}
	}
	if want.Share > 0 {
		lower(want.Share, "share of group "+want.Group)
	}
	rule := j.steering.schedule.At(now)
	lower(rule.Limit, "schedule: "+rule.Name)
	if p := j.steering.probe; p != nil {
		v := p.decide(now, j.state.moved())
		lower(v.Limit, "adaptive: "+p.text(v))
	}
	if rule.Pause && !paused {
		paused, reason = true, "schedule: "+rule.Name
	}
	j.limiter.SetRate(limit)
	j.limiter.Pause(paused)
	return paused, reason
}

// tryProbe finds mistakes of ADAPTIVE before anything is loaded.
func (j *job) tryProbe(ctx context.Context, conn *pgx.Conn) error {
	if j.steering.probe == nil {
		return nil
	}
	return j.steering.probe.check(ctx, conn)
}

// text says what is measured and what comes of it.
func (p *probe) text(v speed.Verdict) string {
	what := fmt.Sprintf("%s %s, target %s", p.want.Signal, p.unit(v.Value), p.unit(p.want.Target))
	if err := p.failure(); err != nil {
		what = "the probe fails: " + err.Error()
	}
	if v.Floor {
		what += fmt.Sprintf(", missed even at MIN %s", schema.FormatRate(p.want.Min))
	}
	return what
}
