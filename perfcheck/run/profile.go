package run

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/schema"
)

// Profile is how long and how often tests run.
type Profile struct {
	Name   string
	Timing perfcheck.Timing
	Reps   int
	// RepsGiven and TimingGiven: they were asked for, and are kept to.
	RepsGiven, TimingGiven bool
	// Idle is how long a throttled soak test rests before it is looked
	// whether the speed has come back; Retest is how long that looks.
	Idle, Retest time.Duration
	// BurstUnsafe: too short to see credits run out.
	BurstUnsafe bool
}

// Profiles are the names of the profiles.
func Profiles() []string { return []string{"quick", "standard", Qualify, "soak"} }

// ProfileOf returns a profile by its name.
func ProfileOf(name string) (Profile, error) {
	switch name {
	case "quick":
		return Profile{Name: name, Timing: perfcheck.Timing{Warmup: time.Second, Duration: 3 * time.Second}, Reps: 3, BurstUnsafe: true}, nil
	case "standard":
		return Profile{Name: name, Timing: perfcheck.Timing{Warmup: 3 * time.Second, Duration: 10 * time.Second}, Reps: 3, BurstUnsafe: true}, nil
	case Qualify:
		return Profile{Name: name, Timing: perfcheck.Timing{Warmup: 2 * time.Second, Duration: 6 * time.Second}, Reps: 5, BurstUnsafe: true}, nil
	case "soak":
		return Profile{
			Name: name, Timing: perfcheck.Timing{Warmup: 10 * time.Second, Duration: 10 * time.Minute}, Reps: 1,
			Idle: 10 * time.Minute, Retest: time.Minute,
		}, nil
	}
	hint := "choose one of " + strings.Join(Profiles(), ", ")
	if near := schema.Nearest(name, Profiles()); near != "" {
		hint = "did you mean " + near + "?"
	}
	return Profile{}, fault.New(fault.Usage, hint, "profile %q is not known", name)
}

// choose keeps the tests of a profile that only and skip leave. A pattern is
// an id, the beginning of some up to a dot, or has * in it; a test named in
// full by only is run whatever its profile.
func choose(tests []test, profile string, only, skip []string) ([]test, error) {
	var chosen []test
	used := map[string]bool{}
	ids := map[string]bool{}
	for _, t := range tests {
		ids[t.ID] = true
	}
	matches := func(pattern, id string) bool {
		return id == pattern || !ids[pattern] && matches(pattern, id)
	}
	for _, t := range tests {
		in := slices.Contains(t.Profiles, profile)
		if len(only) > 0 {
			in = false
			for _, p := range only {
				if matches(p, t.ID) {
					used[p] = true
					in = in || p == t.ID || strings.Contains(p, "*") || slices.Contains(t.Profiles, profile)
				}
			}
		}
		for _, p := range skip {
			if matches(p, t.ID) {
				used[p] = true
				in = false
			}
		}
		if in {
			chosen = append(chosen, t)
		}
	}
	for _, p := range append(append([]string{}, only...), skip...) {
		if !used[p] {
			var ids []string
			for _, t := range tests {
				ids = append(ids, t.ID)
			}
			return nil, fault.New(fault.Usage, nearest(p, ids), "no test is called %q", p)
		}
	}
	if len(chosen) == 0 {
		return nil, fault.New(fault.Usage, "cw perf list shows all tests and their profiles; a full id in --only runs a test of any profile", "profile %s has none of these tests", profile)
	}
	return chosen, nil
}

func nearest(p string, ids []string) string {
	if n := schema.Nearest(p, ids); n != "" {
		return fmt.Sprintf("did you mean %s? cw perf list shows all", n)
	}
	return "cw perf list shows all tests"
}

func matches(pattern, id string) bool {
	if strings.Contains(pattern, "*") {
		ok, _ := path.Match(pattern, id)
		return ok
	}
	return id == pattern || strings.HasPrefix(id, pattern+".")
}
