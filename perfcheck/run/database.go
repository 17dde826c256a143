package run

import (
	"context"

	"cw/perfcheck"
	"cw/perfcheck/db"
)

// databaseTests are the tests of reading from a database.
func databaseTests() []test {
	var tests []test
	for _, t := range db.Tests() {
		if t.Knee {
			tests = append(tests, test{Definition: t.Definition, derive: kneeOf(t.Sweep, perfcheck.PerDoubling(kneeShare))})
			continue
		}
		entry := test{Definition: t.Definition, MinDuration: t.MinDuration, job: func(_ context.Context, r *runner, _ seat, timing perfcheck.Timing) (any, error) {
			j := t.Job
			j.Timing, j.Target = timing, *r.o.Database
			return j, nil
		}}
		tests = append(tests, entry)
		if sharedBackend(t.ID) {
			tests = append(tests, alone(entry))
		}
	}
	return tests
}

// read is what a database test reads, for people: no secret is in it.
func read(t *db.Target) string {
	switch {
	case t.Query != "":
		return "query"
	case t.Table != "":
		return t.Table
	}
	return "made up"
}
