package ledger

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestGaps(t *testing.T) {
	t.Parallel()
	r := func(start, end, line, lines int64, eof bool) Range {
		return Range{Start: start, End: end, FirstLine: line, Lines: lines, EOF: eof}
	}
	for _, c := range []struct {
		name   string
		ranges []Range
		want   []Gap
	}{
		{"nothing", nil, []Gap{{0, ToEnd, 1}}},
		{"all", []Range{r(0, 10, 1, 2, false), r(10, 20, 3, 4, true)}, nil},
		{"empty object", []Range{r(0, 0, 1, 0, true)}, nil},
		{"end missing", []Range{r(0, 10, 1, 2, false)}, []Gap{{10, ToEnd, 3}}},
		{"middle missing", []Range{r(0, 10, 1, 2, false), r(30, 40, 9, 1, true)}, []Gap{{10, 30, 3}}},
		{"begin and end missing", []Range{r(10, 20, 5, 2, false)}, []Gap{{0, 10, 1}, {20, ToEnd, 7}}},
		{"empty end after all", []Range{r(0, 10, 1, 2, false), r(10, 10, 3, 0, true)}, nil},
	} {
		if got := Gaps(c.ranges); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestGapsAreTheComplement removes random ranges of a complete load.
func TestGapsAreTheComplement(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		var kept, missing []Range
		at, line := int64(0), int64(1)
		n := 1 + rng.IntN(12)
		for i := range n {
			x := Range{Start: at, End: at + 1 + rng.Int64N(50), FirstLine: line, Lines: 1 + rng.Int64N(5), EOF: i == n-1}
			at, line = x.End, x.FirstLine+x.Lines
			if rng.IntN(2) == 0 {
				kept = append(kept, x)
			} else {
				missing = append(missing, x)
			}
		}
		gaps := Gaps(kept)
		for _, m := range missing {
			covered := false
			for _, g := range gaps {
				if g.Start <= m.Start && m.End <= g.End {
					covered = true
					if g.Start == m.Start && g.Line != m.FirstLine {
						t.Fatalf("gap %v begins at line %d", g, m.FirstLine)
					}
				}
			}
			if !covered {
				t.Fatalf("%v is in no gap of %v", m, gaps)
			}
		}
		for _, k := range kept {
			for _, g := range gaps {
				if k.Start < g.End && g.Start < k.End {
					t.Fatalf("%v is in gap %v", k, g)
				}
			}
		}
	}
}
