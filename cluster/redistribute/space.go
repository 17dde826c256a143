package redistribute

import (
	"fmt"

	"cw/schema"
)

// need is how many bytes the move of a unit writes on each segment, at most.
// Growing makes a table anew, on old and new segments; until it is done the
// old one stays. Shrinking adds to the remaining segments the rows of those that
// go, which pass through a temporary table on the segments that they leave;
// tables that are kept whole take their size once more on top.
func (u *unit) need(target int, down bool) map[int]int64 {
	out := map[int]int64{}
	if !down {
		var most, sum int64
		for _, b := range u.bytes {
			most, sum = max(most, b), sum+b
		}
		for c := range target {
			// What is skewed stays skewed: a new segment may get the share
			// of the fullest.
			share := most * int64(max(1, len(u.bytes))) / int64(target)
			out[c] = max(u.bytes[c], share)
			if sum == 0 {
				out[c] = 0
			}
		}
		return out
	}
	var leaving, whole int64
	for c, b := range u.bytes {
		whole += b
		if c >= target {
			leaving += b
			out[c] += b
		}
	}
	for c := range target {
		out[c] = leaving / int64(target)
		if u.rewritten() {
			out[c] = u.bytes[c] + whole/int64(target)
		}
	}
	return out
}

// rewritten says whether a shrinking unit is written anew.
func (u *unit) rewritten() bool {
	for _, p := range u.parts {
		if p.Legacy || p.Kind == "m" {
			return true
		}
	}
	return false
}

// small is what is not worth a look at the disks of its own.
const small = 8 << 20

// room says why units, moved while others are, do not fit; "" when they do.
// needs are those of everything that would be moved at once, by content.
func room(hosts []Host, needs map[int]int64, factor float64) string {
	for _, h := range hosts {
		if h.Err != nil {
			return fmt.Sprintf("host %s does not say how much space it has: %v", h.Name, h.Err)
		}
		for _, d := range h.Disks {
			var n int64
			for _, c := range d.Contents {
				n += needs[c]
			}
			if want := int64(float64(n) * factor); want > d.Free {
				return fmt.Sprintf("%s on host %s has %s free, of %s needed", d.Mount, h.Name, schema.FormatSize(d.Free), schema.FormatSize(want))
			}
		}
	}
	return ""
}
