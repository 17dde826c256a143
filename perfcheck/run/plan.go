package run

import (
	"time"

	"cw/perfcheck"
)

// Plan is what a run would do.
type Plan struct {
	Profile  string        `json:"profile"`
	Hosts    []string      `json:"hosts"`
	Tests    []PlannedTest `json:"tests"`
	Duration time.Duration `json:"-"`
	Seconds  float64       `json:"seconds"` // without filling the test files
}

// PlannedTest is one test of a plan.
type PlannedTest struct {
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Rounds  int     `json:"rounds"` // that follow one another, each of hosts or pairs at once
	Reps    int     `json:"reps"`
	Seconds float64 `json:"seconds"`
}

// MakePlan tells what Run would do, and connects nowhere.
func MakePlan(o Options) (*Plan, error) {
	tests, err := o.tests()
	if err != nil {
		return nil, err
	}
	r := &runner{o: o, fleet: &Fleet{}}
	p := &Plan{Profile: o.Profile.Name}
	for _, m := range o.Machines {
		r.fleet.members = append(r.fleet.members, &Member{Machine: m})
		p.Hosts = append(p.Hosts, m.Name)
	}
	for _, t := range tests {
		d := r.estimate(t)
		p.Tests = append(p.Tests, PlannedTest{ID: t.ID, Title: t.Title, Rounds: len(r.rounds(t)), Reps: r.reps(t), Seconds: d.Seconds()})
		p.Duration += d
	}
	p.Seconds = p.Duration.Seconds()
	return p, nil
}

// reps is how often a test is repeated before it is judged. Of a quick run
// the pairs of many hosts take one repetition: all of them matter more than
// how sure each number is, and what looks bad is measured again.
func (r *runner) reps(t test) int {
	p := r.o.Profile
	many := t.Scope == perfcheck.Pair && len(r.rounds(t)) > 2 && !p.RepsGiven
	switch {
	case t.once, many && p.Name == "quick":
		return 1
	case many && p.Name == Qualify:
		return min(p.Reps, 3)
	}
	return p.Reps
}
