package perfcheck

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Changes from one run to another.
const (
	ChangeBetter  = "better"
	ChangeWorse   = "worse"
	ChangeSame    = "same"       // no difference, and little noise
	ChangeUnclear = "unclear"    // the noise is larger than the difference, and not little
	ChangeOther   = "different"  // a difference in something that is neither good nor bad
	ChangeOnlyA   = "only in A"  //
	ChangeOnlyB   = "only in B"  //
	ChangeNone    = "not judged" // no number on one of the sides
)

// Difference is what distinguishes two runs.
type Difference struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"` // PerfComparison
	A          Run       `json:"a"`
	B          Run       `json:"b"`
	Notes      []string  `json:"notes,omitempty"` // why numbers may not be comparable
	Metrics    []Changed `json:"metrics"`
}

// Changed is one metric of one test in both runs.
type Changed struct {
	ID     string  `json:"id"`
	Where  string  `json:"where,omitempty"` // "" is all hosts or pairs pooled
	Metric string  `json:"metric,omitempty"`
	Unit   string  `json:"unit,omitempty"`
	Better Better  `json:"better,omitempty"`
	A      float64 `json:"a"`
	B      float64 `json:"b"`
	Ratio  float64 `json:"ratio,omitempty"` // B ÷ A
	Noise  float64 `json:"noise"`           // by how much the ratio may be off by chance: two standard errors
	Change string  `json:"change"`
	Note   string  `json:"note,omitempty"`
	main   bool
}

// leastChange is the least difference that is one, whatever the noise.
const leastChange = 0.02

// calm is the noise up to which no difference means the same.
const calm = 0.15

// Compare holds run b against run a, test by test. Tests are matched by id
// and place; where the places of two runs have other names, by id alone, with
// all places pooled.
func Compare(a, b *Report) Difference {
	d := Difference{APIVersion: fileVersion, Kind: "PerfComparison", A: a.Run, B: b.Run, Metrics: []Changed{}}
	if a.Tool.Engine != b.Tool.Engine {
		d.Notes = append(d.Notes, fmt.Sprintf("A was measured by engines of version %s, B by %s: differences may be theirs", a.Tool.Engine, b.Tool.Engine))
	}
	if a.Run.Profile != b.Run.Profile {
		d.Notes = append(d.Notes, fmt.Sprintf("A is of profile %s, B of %s", a.Run.Profile, b.Run.Profile))
	}
	inA, inB := byID(a), byID(b)
	for _, id := range order(a, b) {
		ta, tb := inA[id], inB[id]
		switch {
		case len(ta) == 0:
			d.Metrics = append(d.Metrics, Changed{ID: id, Change: ChangeOnlyB, main: true})
			continue
		case len(tb) == 0:
			d.Metrics = append(d.Metrics, Changed{ID: id, Change: ChangeOnlyA, main: true})
			continue
		}
		note := ""
		if pa, pb := fmt.Sprint(plainParams(ta[0].Params)), fmt.Sprint(plainParams(tb[0].Params)); pa != pb {
			note = fmt.Sprintf("other settings: %s, then %s", pa, pb)
		}
		for _, p := range matched(ta, tb) {
			d.Metrics = append(d.Metrics, changes(id, p, note)...)
		}
	}
	return d
}

func byID(r *Report) map[string][]*Test {
	out := map[string][]*Test{}
	for i := range r.Tests {
		out[r.Tests[i].ID] = append(out[r.Tests[i].ID], &r.Tests[i])
	}
	return out
}

// order lists the ids of both runs: those of a, then what only b has.
func order(reports ...*Report) []string {
	var ids []string
	for _, r := range reports {
		for i := range r.Tests {
			if !slices.Contains(ids, r.Tests[i].ID) {
				ids = append(ids, r.Tests[i].ID)
			}
		}
	}
	return ids
}

// place is the results of one place, or of all, in both runs.
type place struct {
	where string
	a, b  []*Test
}

// matched pairs the results of a test by place when both runs have the same
// places.
func matched(a, b []*Test) []place {
	var places []place
	for _, t := range a {
		i := slices.IndexFunc(b, func(u *Test) bool { return u.Where() == t.Where() })
		if i < 0 || len(a) != len(b) {
			return []place{{a: a, b: b}}
		}
		places = append(places, place{t.Where(), []*Test{t}, []*Test{b[i]}})
	}
	return places
}

// changes compares the metrics of a place.
func changes(id string, p place, note string) []Changed {
	var names []string
	for _, t := range append(slices.Clone(p.a), p.b...) {
		for _, n := range t.MetricNames() {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	if len(names) == 0 {
		return []Changed{{ID: id, Where: p.where, Change: ChangeNone, Note: strings.Join(reasons(p), "; "), main: true}}
	}
	var out []Changed
	for _, name := range names {
		a, unit, noiseA, okA := pooled(p.a, name)
		b, unitB, noiseB, okB := pooled(p.b, name)
		c := Changed{ID: id, Where: p.where, Metric: name, Unit: unit.Unit, Better: unit.Better, A: a, B: b, Noise: 2 * math.Hypot(noiseA, noiseB), Note: note, main: name == mainOf(p)}
		switch {
		case !okA || !okB:
			if !okA {
				c.Unit, c.Better = unitB.Unit, unitB.Better
			}
			c.Change, c.Note = ChangeNone, strings.Join(append(reasons(p), note), "; ")
		case a == 0 || b == 0:
			if c.Change = ChangeSame; a != b {
				c.Change = direction(b > a, c.Better)
			}
		default:
			c.Ratio = b / a
			c.Change = judgeChange(c)
		}
		c.Note = strings.Trim(c.Note, "; ")
		out = append(out, c)
	}
	return out
}

func mainOf(p place) string {
	for _, t := range append(slices.Clone(p.a), p.b...) {
		if t.Main != "" {
			return t.Main
		}
	}
	return ""
}

// reasons are why results of a place have no numbers.
func reasons(p place) []string {
	var out []string
	for i, side := range [][]*Test{p.a, p.b} {
		for _, t := range side {
			if len(t.Metrics) == 0 || t.Verdict == Error {
				out = append(out, fmt.Sprintf("%c: %s: %s", 'A'+rune(i), t.Verdict, t.Reason))
			}
		}
	}
	return out
}

// pooled is a metric over the places of one run, with its standard error as a
// share of it.
func pooled(tests []*Test, name string) (value float64, m Metric, noise float64, ok bool) {
	var reps, values []float64
	for _, t := range tests {
		if got, has := t.Metrics[name]; has && t.Verdict != Error {
			m, ok = got, true
			values = append(values, got.Value)
			reps = append(reps, got.Reps...)
		}
	}
	value = median(values)
	if len(reps) > 1 && value > 0 {
		noise = medianError * sigma(reps) / value / math.Sqrt(float64(len(reps)))
	}
	return value, m, noise, ok
}

func judgeChange(c Changed) string {
	if off := math.Abs(math.Log(c.Ratio)); off > max(math.Log1p(c.Noise), leastChange) {
		return direction(c.Ratio > 1, c.Better)
	}
	if c.Noise <= calm {
		return ChangeSame
	}
	return ChangeUnclear
}

func direction(up bool, better Better) string {
	switch {
	case better == Neither:
		return ChangeOther
	case up == (better == Higher):
		return ChangeBetter
	default:
		return ChangeWorse
	}
}

// Worse counts the metrics that became worse.
func (d *Difference) Worse() int {
	n := 0
	for _, c := range d.Metrics {
		if c.Change == ChangeWorse {
			n++
		}
	}
	return n
}

// Main tells whether the metric is its test's main one.
func (c *Changed) Main() bool { return c.main }
