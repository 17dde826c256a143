package redistribute

import (
	"fmt"
	"time"

	"cw/schema"
)

// pace decides how many tables are moved at once: one more after every calm
// while, half as many when the disks or the mirrors cannot keep up.
type pace struct {
	most    int     // that was asked for, or connections allow
	now     int     // at once
	why     string  // it is less than was asked for
	maxBusy float64 // 0 is off
	maxLag  int64   // 0 is off
	calm    time.Time
}

// calmTime is how long nothing must be wrong before one more is begun.
const calmTime = 15 * time.Second

func newPace(o Options, sessions int, now time.Time) *pace {
	p := &pace{most: o.Parallel, now: o.Parallel, maxBusy: o.MaxBusy, maxLag: o.MaxLag, calm: now}
	if sessions > 0 && sessions < p.most {
		p.most, p.now, p.why = sessions, sessions, fmt.Sprintf("the connection to the coordinator carries %d sessions", sessions)
	}
	if p.maxBusy > 0 || p.maxLag > 0 {
		p.now = min(p.now, 2) // and from there up, as far as it goes
	}
	return p
}

// limit is how many may run, with free connections of the coordinator. The
// engine's own tool counts 2n+1 for n tables at once (gpexpand, -n).
func (p *pace) limit(free int) (int, string) {
	if byConnections := (free - 1) / 2; byConnections < p.now {
		return max(0, byConnections), fmt.Sprintf("the coordinator has %d free connections", max(0, free))
	}
	return p.now, p.why
}

// look reacts to what was measured.
func (p *pace) look(now time.Time, hosts []Host, lag int64) {
	why := ""
	for _, h := range hosts {
		for _, d := range h.Disks {
			if p.maxBusy > 0 && d.Busy > p.maxBusy {
				why = fmt.Sprintf("%s on host %s is busy %.0f %% of the time", d.Mount, h.Name, 100*d.Busy)
			}
		}
	}
	if p.maxLag > 0 && lag > p.maxLag {
		why = fmt.Sprintf("a mirror is %s behind", schema.FormatSize(lag))
	}
	switch {
	case why != "":
		p.halve(now, why)
	case p.now < p.most && now.Sub(p.calm) >= calmTime:
		p.now, p.calm = p.now+1, now
		if p.now == p.most {
			p.why = ""
		}
	}
}

// halve is what a sign of trouble does.
func (p *pace) halve(now time.Time, why string) {
	p.now, p.why, p.calm = max(1, p.now/2), why, now
}

// rate measures how fast it goes. Moves of many small tables are counted in
// bytes and tables both: each costs something whatever it holds.
type rate struct {
	marks []mark
}

type mark struct {
	at          time.Time
	work, bytes int64
}

const (
	overhead = 256 << 10 // bytes that could be moved in the time that an empty table takes
	rateSpan = 5 * time.Minute
)

// note adds a total so far.
func (r *rate) note(at time.Time, work, bytes int64) {
	r.marks = append(r.marks, mark{at, work, bytes})
	for len(r.marks) > 2 && at.Sub(r.marks[1].at) > rateSpan {
		r.marks = r.marks[1:]
	}
}

// restart forgets what was measured before a pause, which says nothing.
func (r *rate) restart(at time.Time, work, bytes int64) { r.marks = []mark{{at, work, bytes}} }

// now is work and bytes per second, lately; 0 is not known.
func (r *rate) now() (work, bytes float64) {
	if len(r.marks) < 2 {
		return 0, 0
	}
	a, b := r.marks[0], r.marks[len(r.marks)-1]
	s := b.at.Sub(a.at).Seconds()
	if s <= 0 {
		return 0, 0
	}
	return float64(b.work-a.work) / s, float64(b.bytes-a.bytes) / s
}

func (u *unit) work() int64 { return u.Bytes + overhead }
