package net

import "time"

// pacer says how many packets are due. After a hiccup it catches up slowly:
// what was missed in one burst would overflow buffers on the way and count as
// the network's loss.
type pacer struct {
	rate  float64 // packets per second; 0 is as fast as it goes
	start time.Time
	last  time.Time
	sent  int64
}

const (
	// catchUp is the most by which the rate is exceeded after a hiccup.
	catchUp = 1.25
	// longestGap is the time whose packets may be sent in one go.
	longestGap = 2 * time.Millisecond
	// shortestNap is worth a system call.
	shortestNap = 200 * time.Microsecond
	longestNap  = 10 * time.Millisecond
)

// due is how many packets may be sent now, at most limit, and takes them as
// sent.
func (p *pacer) due(now time.Time, limit int) int {
	if p.rate == 0 {
		return limit
	}
	behind := now.Sub(p.start).Seconds()*p.rate - float64(p.sent)
	allowed := catchUp*p.rate*min(now.Sub(p.last), longestGap).Seconds() + 1
	n := int(min(behind, allowed, float64(limit)))
	if n <= 0 {
		return 0
	}
	// A call that was cut short by limit is continued at once.
	if n < limit {
		p.last = now
	}
	p.sent += int64(n)
	return n
}

// wait is how long until a packet is due.
func (p *pacer) wait(now time.Time) time.Duration {
	next := p.start.Add(time.Duration(float64(p.sent+1) / p.rate * 1e9))
	return min(max(next.Sub(now), shortestNap), longestNap)
}
