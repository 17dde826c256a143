package perfcheck

import (
	"fmt"
	"strings"
)

// levels turns the changes of level into events.
func (d *detector) levels() {
	bounds := append(append([]int{0}, d.cuts...), len(d.s.Values))
	throttled := 0.0 // the level before the throttle that holds
	for i := 1; i < len(bounds)-1; i++ {
		if d.endsBurst(bounds, i) {
			continue
		}
		before := median(d.s.Values[bounds[i-1]:bounds[i]])
		after := median(d.s.Values[bounds[i]:bounds[i+1]])
		at := bounds[i]
		// The first value of the new level may be the second in which it came.
		e := Event{At: float64(at) * d.s.Interval, Before: before, After: after, Length: float64(len(d.s.Values)-at) * d.s.Interval}
		switch {
		case after < before:
			for _, v := range d.s.Values[bounds[i-1]:at] {
				e.Credit += max(0, v-after) * d.s.Interval
			}
			throttled = max(throttled, before)
			e.Kind = EventThrottle
			e.Text = fmt.Sprintf("%s fell from %s to %s (-%.0f %%) after %.0f s; moved above the later level until then: %s",
				d.s.Name, FormatValue(before, d.s.Unit), FormatValue(after, d.s.Unit), 100*(1-after/before), e.At, formatCredit(e.Credit, d.s.Unit))
		case throttled > 0:
			e.Kind = EventRecovery
			e.Text = fmt.Sprintf("%s rose again from %s to %s after %.0f s", d.s.Name, FormatValue(before, d.s.Unit), FormatValue(after, d.s.Unit), e.At)
			d.endThrottle(e.At)
			if after >= (1-minDrop)*throttled {
				throttled = 0
			}
		default:
			continue // it began slowly: no throttle, nothing to recover from
		}
		d.events = append(d.events, e)
	}
}

// endsBurst says whether a fall only ends a short rise from about the level
// that it falls to: what was there all the time cannot have run out.
func (d *detector) endsBurst(bounds []int, i int) bool {
	if i < 2 || bounds[i-1]-bounds[i-2] < minSegment || float64(bounds[i]-bounds[i-1])*d.s.Interval >= minSpan {
		return false
	}
	first, high, after := median(d.s.Values[bounds[i-2]:bounds[i-1]]), median(d.s.Values[bounds[i-1]:bounds[i]]), median(d.s.Values[bounds[i]:bounds[i+1]])
	return first < high && after < high && after > (1-minDrop)*first
}

// endThrottle sets how long the last throttle lasted.
func (d *detector) endThrottle(at float64) {
	for i := len(d.events) - 1; i >= 0; i-- {
		if e := &d.events[i]; e.Kind == EventThrottle {
			e.Length = at - e.At
			return
		}
	}
}

// stalls finds the intervals in which next to nothing happened.
func (d *detector) stalls() {
	bounds := append(append([]int{0}, d.cuts...), len(d.s.Values))
	for b := range len(bounds) - 1 {
		part := d.s.Values[bounds[b]:bounds[b+1]]
		level := median(part)
		for i := 0; i < len(part); i++ {
			n := 0
			for i+n < len(part) && part[i+n] < stallShare*level {
				n++
			}
			if n == 0 {
				continue
			}
			e := Event{Kind: EventStall, At: float64(bounds[b]+i) * d.s.Interval, Length: float64(n) * d.s.Interval, Before: level, After: mean(part[i : i+n])}
			e.Text = fmt.Sprintf("%s stalled for %.0f s after %.0f s", d.s.Name, e.Length, e.At)
			d.events = append(d.events, e)
			i += n
		}
	}
}

func formatCredit(v float64, unit string) string {
	if unit == BytesPerSecond {
		return FormatValue(v, Bytes)
	}
	return strings.TrimSuffix(FormatValue(v, PerSecond), "/s") + " operations"
}

// Recovered says how much of what a throttle took an idle time gave back: 0
// when a second series, taken after the idle time, begins at the throttled
// level, 1 when it begins where the first began; it may be a little outside of
// both. It looks at the second series' beginning only, since its credits may
// end sooner. ok is false without a throttle or values.
func Recovered(throttle Event, later Series) (share float64, ok bool) {
	fall := throttle.Before - throttle.After
	if throttle.Kind != EventThrottle || fall <= 0 || len(later.Values) == 0 {
		return 0, false
	}
	begin := later.Values[:min(len(later.Values), 5)]
	for _, e := range Detect(later) {
		if e.Kind == EventThrottle {
			begin = later.Values[:max(1, int(e.At/max(later.Interval, 1e-9)))]
			break
		}
	}
	return (median(begin) - throttle.After) / fall, true
}
