package ledger

import "sort"

// ToEnd is the End of a gap that reaches to the object's end, wherever that is.
const ToEnd = int64(1)<<62 - 1

// Gap is a part of an object that is not committed, uncompressed bytes. It
// starts and ends on record boundaries, since splits do.
type Gap struct {
	Start, End int64
	Line       int64 // line number at Start
}

// Gaps is the complement of an object's ranges, which are sorted by start.
func Gaps(ranges []Range) []Gap {
	var gaps []Gap
	at, line := int64(0), int64(1)
	for _, r := range ranges {
		if r.Start > at {
			gaps = append(gaps, Gap{Start: at, End: r.Start, Line: line})
		}
		if r.End >= at {
			at, line = r.End, r.FirstLine+r.Lines
		}
		if r.EOF {
			return gaps
		}
	}
	return append(gaps, Gap{Start: at, End: ToEnd, Line: line})
}

// Of returns the ranges of one object.
func (j *Journal) Of(object string) []Range {
	from := sort.Search(len(j.Ranges), func(i int) bool { return j.Ranges[i].Object >= object })
	to := from + sort.Search(len(j.Ranges)-from, func(i int) bool { return j.Ranges[from+i].Object > object })
	return j.Ranges[from:to:to]
}
