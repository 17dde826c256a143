package perfcheck

import (
	"cmp"
	"math"
	"slices"
)

// What counts as a change of level.
const (
	minDrop      = 0.20  // share by which the level falls, at least
	minRatio     = 5.0   // step ÷ pooled MAD, both of the logarithms
	minNoise     = 0.01  // MAD of the logarithms below which calm is not believed
	minSegment   = 10    // values in a long segment, or 5 % of the series
	minSpan      = 60.0  // seconds for which the level stays down, unless to the end
	shortDrop    = 0.45  // share by which it falls when a segment is shorter
	shortNoise   = 0.025 // MAD of the logarithms on the lower side of such a step: a ceiling is flat
	shortHead    = 2     // values before such a step: a bucket may last for two seconds
	shortTail    = 5     // values after it
	minSurround  = 30    // values on each side that a smooth curve is held against
	abruptShare  = 0.6   // of the step that its close surroundings show
	smoothFactor = 1.06  // by which a step explains the values better than a smooth curve
	stallShare   = 0.05  // of the level: below is a stall
)

// Detect finds where the level of a series falls at once and stays down (the
// credits of a disk or link are spent, or a limit sets in), where it rises
// again after that, and stalls. It splits the logarithms of the series where
// two medians explain them best, and believes in a split only when the step
// is large against the noise, abrupt, lasting, and explains more than a smooth
// curve does. A flat but noisy series, drift, waves, bursts and single dips
// are no throttle. Fewer than six values are too few to tell.
func Detect(s Series) []Event {
	if s.Interval <= 0 {
		s.Interval = 1
	}
	if len(s.Values) < shortHead+shortTail {
		return nil
	}
	d := detector{s: s, logs: logarithms(s.Values)}
	d.split(0, len(d.logs))
	slices.Sort(d.cuts)
	d.levels()
	d.stalls()
	slices.SortStableFunc(d.events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return d.events
}

type detector struct {
	s      Series
	logs   []float64
	cuts   []int // where segments begin, but for the first
	events []Event
}

// logarithms bounds the values from below: a second of nothing is a deep dip
// and not minus infinity.
func logarithms(values []float64) []float64 {
	floor := max(median(values)/1000, math.SmallestNonzeroFloat32)
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = math.Log(max(v, floor))
	}
	return out
}

// split finds the changes of level in logs[from:to]: first one that parts it
// in two, else a part in its middle that is unlike both of its sides.
func (d *detector) split(from, to int) {
	x := d.logs[from:to]
	at := bestSplit(x)
	if at > 0 && d.believable(x, at, to == len(d.logs)) {
		d.cuts = append(d.cuts, from+at)
		d.split(from, from+at)
		d.split(from+at, to)
		return
	}
	begin, end := bestMiddle(x)
	if end > begin && d.believable(x[:end], begin, false) && d.believable(x[begin:], end-begin, to == len(d.logs)) {
		d.cuts = append(d.cuts, from+begin, from+end)
		d.split(from, from+begin)
		d.split(from+begin, from+end)
		d.split(from+end, to)
	}
}

// bestSplit is the place at which two medians explain the values best; 0 when
// there are too few.
func bestSplit(x []float64) int {
	n := len(x)
	if n < shortHead+shortTail {
		return 0
	}
	reversed := slices.Clone(x)
	slices.Reverse(reversed)
	forward, backward := medianCosts(x), medianCosts(reversed)
	best, at := math.Inf(1), 0
	for i := shortHead; i <= n-shortTail; i++ {
		if c := forward[i] + backward[n-i]; c < best {
			best, at = c, i
		}
	}
	return at
}

// bestMiddle is the part of x whose median differs most from that of what is
// before and that of what is after it; nothing when x is too short for one.
// The search goes over medians of a few values, the bounds are made exact
// afterwards.
func bestMiddle(x []float64) (begin, end int) {
	const most = 150
	if len(x) < 4*minSegment {
		return 0, 0
	}
	bin := (len(x) + most - 1) / most
	rough := make([]float64, 0, most)
	for i := 0; i+bin <= len(x); i += bin {
		rough = append(rough, median(x[i:i+bin]))
	}
	reversed := slices.Clone(rough)
	slices.Reverse(reversed)
	forward, backward := medianCosts(rough), medianCosts(reversed)
	best := math.Inf(1)
	for i := 1; i < len(rough)-1; i++ {
		for n, c := range medianCosts(rough[i : len(rough)-1]) {
			if c += forward[i] + backward[len(rough)-i-n]; n > 0 && c < best {
				best, begin, end = c, i*bin, (i+n)*bin
			}
		}
	}
	half := (end - begin) / 2
	if half < shortTail {
		return 0, 0
	}
	low, high := max(0, begin-half), min(len(x), end+half)
	first, second := bestSplit(x[low:begin+half]), bestSplit(x[end-half:high])
	if first == 0 || second == 0 {
		return 0, 0
	}
	return low + first, end - half + second
}

// believable tells a change of level at a place from noise and from smooth
// change. It looks at the surroundings: further away there may be other
// changes.
func (d *detector) believable(x []float64, at int, last bool) bool {
	fall := median(x[at:]) < median(x[:at])
	if fall && !last && float64(len(x)-at)*d.s.Interval < minSpan {
		return false
	}
	width := max(minSurround, min(at, len(x)-at))
	head, tail := x[max(0, at-width):at], x[at:min(len(x), at+width)]
	mh, mt := median(head), median(tail)
	step := math.Abs(mh - mt)
	if step < -math.Log(1-minDrop) || fall != (mt < mh) {
		return false
	}
	near := slices.Concat(head, tail)
	residuals := make([]float64, len(near))
	for i, v := range near {
		if residuals[i] = v - mt; i < len(head) {
			residuals[i] = v - mh
		}
	}
	// The fewer values a side has, the more its median is chance.
	ratio := minRatio * (1 + 4/float64(min(len(head), len(tail))))
	if step < ratio*max(mad(residuals)*inflation(residuals), minNoise) {
		return false
	}
	need := max(minSegment, len(d.logs)/20)
	if (len(head) < need || len(tail) < need) && !clearStep(head, tail, step, fall) {
		return false
	}
	return abrupt(head, tail, step) && (len(near) < 2*minSegment || !smooth(near, residuals))
}

// inflation is by how much medians of values that resemble their neighbours
// wander more than those of independent ones.
func inflation(residuals []float64) float64 {
	limit := 4 * max(madToSigma*mad(residuals), minNoise)
	var product, square, before float64
	for i, r := range residuals {
		r = min(max(r, -limit), limit)
		if i > 0 {
			product += r * before
		}
		square += r * r
		before = r
	}
	if square == 0 {
		return 1
	}
	likeness := min(max(0, product/square-0.5/math.Sqrt(float64(len(residuals)))), 0.95)
	return math.Sqrt((1 + likeness) / (1 - likeness))
}

// clearStep is what a step has to be when a side is short: high, with the two
// sides apart and the lower one flat, as a limit is. One value in between is
// the second in which it happened.
func clearStep(head, tail []float64, step float64, fall bool) bool {
	lower, upper := tail, head
	if !fall {
		lower, upper = head, tail
	}
	if step < -math.Log(1-shortDrop) || !flat(lower) {
		return false
	}
	middle := (median(head) + median(tail)) / 2
	strays := 0
	for i, v := range lower {
		first := fall && i == 0 || !fall && i == len(lower)-1
		if v > middle-step/4 && !first {
			strays++
		}
	}
	for i, v := range upper {
		first := fall && i == len(upper)-1 || !fall && i == 0
		if v < middle+step/4 && (!first || len(upper) <= shortHead) {
			strays += 10 // a high level that falls to the low one now and then is no credit
		}
	}
	return strays <= len(lower)/20
}

// flat says whether values lie as close together as under a limit. Of a few
// (nearly) all must: half of a few are close together by chance.
func flat(x []float64) bool {
	if len(x) >= minSegment {
		return mad(x) <= shortNoise
	}
	m, far := median(x), 0
	for _, v := range x {
		if math.Abs(v-m) > 2*shortNoise {
			far++
		}
	}
	return far <= len(x)/6
}

// abrupt says whether most of the step lies between the values next to it.
func abrupt(head, tail []float64, step float64) bool {
	width := min(max((len(head)+len(tail))/20, 5), 15)
	near := head[max(0, len(head)-1-width):]
	if len(near) > shortHead {
		near = near[:len(near)-1]
	}
	after := tail[1:min(len(tail), width+1)]
	return math.Abs(median(near)-median(after)) >= abruptShare*step
}

// smooth says whether a cubic curve explains the values as well as the step
// that leaves these residuals. Outliers, which would bend a curve of least
// squares, are cut first.
func smooth(x, residuals []float64) bool {
	limit := 4 * max(madToSigma*mad(residuals), minNoise)
	cut := make([]float64, len(x))
	var stepCost float64
	for i, v := range x {
		r := min(max(residuals[i], -limit), limit)
		cut[i] = v - residuals[i] + r
		stepCost += math.Abs(r)
	}
	var curveCost float64
	for i, v := range cubic(cut) {
		curveCost += math.Abs(cut[i] - v)
	}
	return curveCost < smoothFactor*stepCost
}
