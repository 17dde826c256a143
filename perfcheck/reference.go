package perfcheck

import (
	"path"
	"slices"
)

// Kinds of references.
const (
	KindRecorded    = "recorded"    // a baseline measured before, on machines of the same type
	KindVendor      = "vendor"      // what the vendor's formula promises
	KindRequirement = "requirement" // what the warehouse needs
)

// Reference says what tests ought to measure.
type Reference struct {
	ID   string
	Kind string
	// Complete asks for a comparison of every test: one that the reference
	// knows nothing of is inconclusive.
	Complete bool
	Bounds   []Bound
	// Engine is the version of the engines that measured a recorded
	// reference, "" for others.
	Engine string
}

// Bound is what a reference says of one metric of one test.
type Bound struct {
	Test   string // an id, or a pattern with * and ? as path.Match reads it
	Metric string
	// Value is what is expected, in the metric's unit.
	Value float64
	// Spread is the standard deviation, as a share of Value, by which runs
	// and machines of the same type differ beyond the noise of repetitions.
	Spread float64
	// Noise is the standard deviation of one repetition as a share of Value;
	// 0 is unknown.
	Noise float64
	// Level says what missing a requirement does; GateNone for references of
	// other kinds, whose metrics have their own gates.
	Level Gate
	// Direction of a requirement; Neither takes the metric's own.
	Direction Better
	// Params are the settings under which a recorded value was measured.
	Params map[string]any
}

// find gives the bounds of a metric; requirements may have several.
func (r *Reference) find(id, metric string) []Bound {
	var out []Bound
	for _, b := range r.Bounds {
		if b.Metric != metric {
			continue
		}
		if ok, err := path.Match(b.Test, id); b.Test == id || ok && err == nil {
			out = append(out, b)
		}
	}
	return out
}

// KeepTests drops the bounds of tests that are not among the definitions.
func (r *Reference) KeepTests(defs []Definition) {
	r.Bounds = slices.DeleteFunc(slices.Clone(r.Bounds), func(b Bound) bool {
		return !slices.ContainsFunc(defs, func(d Definition) bool {
			ok, err := path.Match(b.Test, d.ID)
			return b.Test == d.ID || ok && err == nil
		})
	})
}

// knows says whether the reference says anything of a test.
func (r *Reference) knows(id string) bool {
	for _, b := range r.Bounds {
		if ok, err := path.Match(b.Test, id); b.Test == id || ok && err == nil {
			return true
		}
	}
	return false
}
