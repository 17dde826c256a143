package hostprep

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// The severities of a Check.
const (
	Required = "required" // nothing is created while it fails
	Advised  = "advised"
)

// Check is one thing looked at on one host.
type Check struct {
	ID       string `json:"id"`
	Host     string `json:"host"`
	Severity string `json:"severity"`
	OK       bool   `json:"ok"`
	Expected string `json:"expected"`
	Observed string `json:"observed"`
	Remedy   string `json:"remedy,omitempty"` // of failed ones: the next thing to do
	// NotApplicable says why there was nothing to look at, as on kernels without
	// the feature; such a check is OK.
	NotApplicable string `json:"not_applicable,omitempty"`
	// Fix is the group of Repairs that makes a failed check pass; "" when cw
	// cannot, and only Remedy helps.
	Fix string `json:"fix,omitempty"`

	err  error // what failed, when that has a kind of its own
	want wants // what Fix sets
}

// Report is the result of all checks, by host in the order of the topology.
type Report struct {
	Checks []Check `json:"checks"`

	surveys []*survey // what Repairs are planned from
}

// Failed are the required checks that failed.
func (r Report) Failed() []Check {
	var out []Check
	for _, c := range r.Checks {
		if !c.OK && c.Severity == Required {
			out = append(out, c)
		}
	}
	return out
}

// Err is nil when every required check is ok. Its kind is Check, except when
// all failures are of one other kind, such as hosts that cannot be reached.
func (r Report) Err() error {
	failed := r.Failed()
	if len(failed) == 0 {
		return nil
	}
	lines := make([]string, 0, len(failed)+1)
	if len(failed) > 1 {
		lines = append(lines, fmt.Sprintf("%d required checks failed", len(failed)))
	}
	kind, hint := fault.Check, ""
	for i, c := range failed {
		lines = append(lines, c.String())
		k := fault.Check
		if c.err != nil && fault.KindOf(c.err) != fault.Failed {
			k = fault.KindOf(c.err)
		}
		if i == 0 {
			kind, hint = k, c.Remedy
		} else if k != kind {
			kind = fault.Check
		}
	}
	return fault.New(kind, hint, "%s", strings.Join(lines, "\n  "))
}

func (c Check) String() string {
	if c.err != nil && strings.HasPrefix(c.Observed, c.Host+": ") {
		return c.Observed
	}
	return fmt.Sprintf("%s: %s: %s (expected: %s)", c.Host, c.ID, c.Observed, c.Expected)
}

// FailedBy makes a check of an error.
func FailedBy(id, host, expected string, err error) Check {
	return Check{ID: id, Host: host, Severity: Required, Expected: expected, Observed: err.Error(), Remedy: fault.HintOf(err), err: err}
}

// one is a check function: a thing looked at on one host. A check without an
// ID is left out.
type one func(t *cluster.Topology, s *survey) Check

// Run makes all checks on all hosts, in parallel over hosts. uid is the
// cluster's, "" before the first create. more are an engine's own checks, made
// on hosts that can be reached.
func Run(ctx context.Context, f *Fleet, uid string, more ...func(ctx context.Context, host string) []Check) Report {
	surveys := f.surveys(ctx, uid)
	checks := []one{checkAccess, checkTwin, checkClock, checkIPC, checkMemory, checkLocale, checkDirs, checkSpace, checkPorts}
	if f.Topology.Engine.Kind != cluster.Postgres {
		computeNeeds(f.Topology, f.Layout, surveys)
		checks = append(checks, checkZones(f.Layout), checkEphemeral, checkSemaphores, checkMapped, checkFiles, checkInterconnect, checkNames)
	}
	perHost := make([][]Check, len(surveys))
	f.parallel(func(i int, h cluster.Host) {
		perHost[i] = surveys[i].checks(f.Topology, checks)
		if surveys[i].err != nil {
			return
		}
		perHost[i] = append(perHost[i], surveys[i].systemChecks(f.Topology, f.Layout)...)
		if f.Topology.Engine.Kind != cluster.Postgres {
			if c := f.checkGreenplum(ctx, surveys[i]); c.ID != "" {
				perHost[i] = append(perHost[i], c)
			}
		}
		for _, m := range more {
			perHost[i] = append(perHost[i], m(ctx, h.Name)...)
		}
	})
	for i, cs := range consistency(f.Topology, surveys) {
		perHost[i] = append(perHost[i], cs...)
	}
	r := Report{surveys: surveys}
	for _, cs := range perHost {
		r.Checks = append(r.Checks, cs...)
	}
	return r
}

// checks begin with the check whether the host can be reached and is the one
// it was; without that nothing else makes sense.
func (s *survey) checks(t *cluster.Topology, all []one) []Check {
	const expected = "login works and the machine is the one seen before"
	if s.err != nil {
		return []Check{FailedBy("ssh", s.host.Name, expected, s.err)}
	}
	os := s.facts.OSName
	if os == "" {
		os = s.facts.OS
	}
	out := []Check{{ID: "ssh", Host: s.host.Name, Severity: Required, OK: true, Expected: expected, Observed: fmt.Sprintf("%s, %s %s", s.facts.User, os, s.facts.Arch)}}
	for _, check := range all {
		if c := check(t, s); c.ID != "" {
			c.Host = s.host.Name
			out = append(out, c.settled())
		}
	}
	return out
}

// settled takes back what only a failed check needs.
func (c Check) settled() Check {
	if c.OK {
		c.Remedy, c.Fix, c.want = "", "", wants{}
	}
	return c
}

func checkAccess(t *cluster.Topology, s *survey) Check {
	owner, a := t.OSUser, s.access
	const id = "access"
	expected := "commands can run as " + owner
	if a.Err != nil {
		return FailedBy(id, s.host.Name, expected, a.Err)
	}
	c := Check{ID: id, Severity: Required, OK: true, Expected: expected, Observed: "yes, as " + a.SSHUser}
	switch {
	case !a.UserExists:
		c.Observed = "user " + owner + " will be created"
	case a.SSHUser != owner:
		c.Observed += " with sudo"
		if a.SSHUser == "root" {
			c.Observed = "yes, as root"
		}
	}
	return c
}
