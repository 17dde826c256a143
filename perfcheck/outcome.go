package perfcheck

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"cw/fault"
)

// Conclude sets the verdict and the reason of a run from its tests: Fail when
// any test fails, since more measuring cannot heal that, then Error,
// Inconclusive, Warn, Pass, and Skipped when nothing ran. The references are
// those that were asked for: a requirement whose test did not run at all makes
// the run inconclusive.
func (r *Report) Conclude(refs []Reference) {
	count := map[Verdict]int{}
	for i := range r.Tests {
		count[r.Tests[i].Verdict]++
	}
	r.Verdict = Skipped
	for _, v := range []Verdict{Fail, Error, Inconclusive, Warn, Pass} {
		if count[v] > 0 {
			r.Verdict = v
			break
		}
	}
	var parts []string
	for _, v := range []Verdict{Fail, Error, Inconclusive, Warn} {
		if count[v] == 0 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%d %s (%s)", count[v], v, r.names(v)))
	}
	if lost := r.unmeasured(refs); len(lost) > 0 {
		if r.Verdict == Pass || r.Verdict == Warn || r.Verdict == Skipped {
			r.Verdict = Inconclusive
		}
		parts = append(parts, "required but not measured: "+strings.Join(lost, ", "))
	}
	for _, h := range r.Hosts {
		if h.Error == "" {
			continue
		}
		if rank(r.Verdict) < rank(Fail) {
			r.Verdict = Error
		}
		parts = append(parts, fmt.Sprintf("%s: %s", h.Name, h.Error))
	}
	r.Reason = strings.Join(parts, "; ")
}

// names lists tests of a verdict with where they ran, a few of them.
func (r *Report) names(v Verdict) string {
	const most = 3
	var out []string
	for i := range r.Tests {
		if t := &r.Tests[i]; t.Verdict == v {
			out = append(out, strings.TrimSpace(t.ID+" "+t.Where()))
		}
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more", len(out)-most))
	}
	return strings.Join(out, ", ")
}

// unmeasured lists the requirements that no test of the run could meet or
// miss.
func (r *Report) unmeasured(refs []Reference) []string {
	var out []string
	for _, ref := range refs {
		if ref.Kind != KindRequirement {
			continue
		}
		for _, b := range ref.Bounds {
			if name := b.Test + "." + b.Metric; !r.has(b) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func (r *Report) has(b Bound) bool {
	for i := range r.Tests {
		t := &r.Tests[i]
		if ok, err := path.Match(b.Test, t.ID); (b.Test == t.ID || ok && err == nil) && t.Verdict != Skipped {
			if _, ok := t.Metrics[b.Metric]; ok || t.Verdict == Error {
				return true
			}
		}
	}
	return false
}

// FailOn is the mildest verdict with which a run counts as failed; it includes
// what is worse.
type FailOn Verdict

// The values of --fail-on.
const (
	FailOnFail         = FailOn(Fail)
	FailOnInconclusive = FailOn(Inconclusive)
	FailOnWarn         = FailOn(Warn)
)

// Outcome is the error that a command ends with, nil when all is well: kind
// Check for failed tests, Partial when some could not be measured, Failed when
// none could.
func (r *Report) Outcome(on FailOn) error {
	look := "see the table, or -o json"
	switch {
	case r.Verdict == Fail,
		r.Verdict == Inconclusive && (on == FailOnInconclusive || on == FailOnWarn),
		r.Verdict == Warn && on == FailOnWarn:
		return fault.New(fault.Check, look, "performance: %s: %s", r.Verdict, r.Reason)
	case r.Verdict != Error:
		return nil
	}
	for i := range r.Tests {
		if v := r.Tests[i].Verdict; v != Error && v != Skipped {
			return fault.New(fault.Partial, look, "performance: %s", r.Reason)
		}
	}
	return fault.New(fault.Failed, look, "performance: nothing could be measured: %s", r.Reason)
}
