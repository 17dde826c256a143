package speed

import (
	"math"
	"slices"
	"time"
)

const (
	// span is how long a sample counts: long enough for a percentile, short
	// enough that the limit follows within seconds.
	span = 2 * time.Second
	// fewest samples that are judged; a worse one than the target among fewer
	// may be chance.
	fewest = 5
	// step is the time between two decisions.
	step = 500 * time.Millisecond
	// percentile is what is kept under the target.
	percentile = 0.95
	// The limit is raised while the value is under the part calm of the target,
	// stays up to the part guard, and is cut above: who waits for the target to
	// be missed has missed it.
	calm  = 0.6
	guard = 0.8
	// cut is what a speed that hurts is multiplied with.
	cut = 0.6
	// Far below the speed that hurt the last time the limit doubles in two
	// steps; near it, from near to past of it, the part creep of it is added in
	// a step; once it is past that, things have changed, and it grows again.
	fast   = math.Sqrt2
	near   = 0.8
	creep  = 0.005
	past   = 1.05
	beyond = 1.1
	// binding is the part of the limit that must be used for it to be raised:
	// a limit that nobody reaches says nothing.
	binding = 0.7
)

// Adaptive keeps a measured value under a target by the speed it allows, with
// additive increase and multiplicative decrease as TCP does it (Chiu and Jain,
// "Analysis of the increase and decrease algorithms for congestion avoidance
// in computer networks", 1989). It starts at the least speed and doubles until
// the first time that it hurts.
type Adaptive struct {
	target   float64
	min, max int64 // bytes per second; max 0 none

	limit   float64
	hurt    float64 // the speed at which the target was missed the last time; 0 never
	samples []sample
	decided time.Time
	total   int64     // bytes at the last decision
	missed  time.Time // since when the target is missed though nothing is left to take away
	value   float64
}

type sample struct {
	at    time.Time
	value float64
}

// NewAdaptive begins at the least speed. target is in the unit of the samples.
func NewAdaptive(target float64, least, most int64) *Adaptive {
	return &Adaptive{target: target, min: least, max: most, limit: float64(least)}
}

// Sample tells a measured value.
func (a *Adaptive) Sample(now time.Time, value float64) {
	a.samples = append(a.samples, sample{now, value})
}

// Verdict is what an Adaptive has decided.
type Verdict struct {
	Limit  int64   // bytes per second
	Value  float64 // 95th percentile of the samples that count; NaN without any
	Floor  bool    // at the least speed, and the target is missed all the same
	Missed time.Duration
}

// Decide says how fast the job may go that has moved total bytes so far.
// pending is the value of a measurement that is not through, which has become
// at least that. It is to be called several times a second.
func (a *Adaptive) Decide(now time.Time, total int64, pending float64) Verdict {
	a.samples = slices.DeleteFunc(a.samples, func(s sample) bool { return now.Sub(s.at) > span })
	values := make([]float64, 0, len(a.samples)+1)
	for _, s := range a.samples {
		values = append(values, s.value)
	}
	late := pending > a.target
	if late {
		values = append(values, pending)
	}
	a.value = quantile(values)
	if now.Sub(a.decided) < step || len(values) < fewest && !late {
		return a.verdict(now)
	}
	rate := float64(total-a.total) / now.Sub(a.decided).Seconds()
	a.decided, a.total = now, total
	switch {
	case a.value > guard*a.target || late:
		a.lower(now, rate)
	case a.value <= calm*a.target && rate >= binding*a.limit:
		a.raise()
	}
	if a.value <= a.target && !late {
		a.missed = time.Time{}
	}
	return a.verdict(now)
}

// lower takes away, and forgets the samples of before: what they say has been
// answered.
func (a *Adaptive) lower(now time.Time, rate float64) {
	if a.limit <= float64(a.min) && a.missed.IsZero() {
		a.missed = now
	}
	at := a.limit
	if rate > 0 {
		at = min(at, rate)
	}
	if a.hurt = at; at <= float64(a.min) {
		a.hurt = 0 // it is not the load that hurts
	}
	a.limit = max(cut*at, float64(a.min))
	a.samples = a.samples[:0]
}

func (a *Adaptive) raise() {
	switch {
	case a.hurt == 0:
		a.limit *= fast
	case a.limit < near*a.hurt:
		a.limit = min(a.limit*fast, near*a.hurt)
	case a.limit < past*a.hurt:
		a.limit += creep * a.hurt
	default:
		a.limit *= beyond
	}
	if a.max > 0 {
		a.limit = min(a.limit, float64(a.max))
	}
}

func (a *Adaptive) verdict(now time.Time) Verdict {
	v := Verdict{Limit: int64(a.limit), Value: a.value}
	if !a.missed.IsZero() {
		v.Floor, v.Missed = true, now.Sub(a.missed)
	}
	return v
}

// Stop falls back to the least speed: nothing can be measured.
func (a *Adaptive) Stop() {
	a.limit, a.samples = float64(a.min), a.samples[:0]
}

// quantile is the smallest value that is not exceeded by that part of values
// (nearest rank).
func quantile(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return values[max(int(math.Ceil(percentile*float64(len(values)))), 1)-1]
}
