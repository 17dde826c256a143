package run

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/db"
	"cw/perfcheck/disk"
	"cw/perfcheck/net"
	"cw/perfcheck/object"
)

// Options are what a run does.
type Options struct {
	ID       string
	Version  string // of cw
	Argv     []string
	Areas    []perfcheck.Area
	Profile  Profile
	Only     []string
	Skip     []string
	Machines []Machine
	Agent    FleetOptions

	Dirs []string // for disk tests, on every machine
	// FindDirs: without Dirs each machine's data disks are found where they are
	// mounted.
	FindDirs bool
	Disk     disk.PrepareOptions
	Clean    bool   // remove what earlier runs left
	Engine   string // "" is cw's own; fio, iperf3
	// Object is the store of object storage tests and the way to it; the run,
	// the host and what is put are filled in.
	Object *object.Settings
	// Database is what database tests read, and how to get in.
	Database *db.Target
	// Topology chooses the pairs of network tests; "" is every pair for
	// throughput, latency and path MTU, and neighbours for the rest.
	Topology net.Topology

	References []perfcheck.Reference
	Seed       uint64
	Journal    *Journal // nil keeps none
	Reporter   Reporter
	Log        *slog.Logger
}

// Reporter hears how a run goes. Its methods are called by one goroutine at a
// time.
type Reporter interface {
	// Phase says what is done that is not a test.
	Phase(text string)
	// Progress is called about once a second.
	Progress(p Progress)
	// Finished is called with each result.
	Finished(t *perfcheck.Test)
	// Warn is for what the person should know at once.
	Warn(text string)
}

// Progress is how far a run is.
type Progress struct {
	Test       string  `json:"test"`
	Done       int     `json:"done"` // tests
	Total      int     `json:"total"`
	Rep        int     `json:"rep"`
	Reps       int     `json:"reps"`
	Value      float64 `json:"value,omitempty"` // of the first metric, of one host or pair
	Unit       string  `json:"unit,omitempty"`
	Where      string  `json:"where,omitempty"`
	ETASeconds float64 `json:"eta_seconds"`
}

// rerun is how often a test that looks bad is measured again before it fails.
const rerun = 3

// runner is a run under way.
type runner struct {
	o      Options
	fleet  *Fleet
	tests  []test
	report *perfcheck.Report
	token  string
	clock  *clock

	portsMu sync.Mutex
	ports   map[*Member]int
}

// Run measures and judges. The report holds what was measured even when an
// error is returned: the context's, when it ends; that no machine could be
// reached; a directory that must not be tested.
func Run(ctx context.Context, o Options) (*perfcheck.Report, error) {
	r := &runner{o: o, ports: map[*Member]int{}, token: newToken()}
	r.report = &perfcheck.Report{
		APIVersion: "cw/v1", Kind: "PerfReport",
		Tool: perfcheck.Tool{Version: o.Version, Engine: perfcheck.EngineVersion},
		Run:  perfcheck.Run{ID: o.ID, Started: time.Now(), Profile: o.Profile.Name, Argv: o.Argv, Seed: o.Seed},
	}
	var err error
	if r.tests, err = o.tests(); err != nil {
		return r.report, err
	}
	err = r.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r.report.Run.Finished = time.Now()
	r.report.Run.Complete = err == nil
	r.report.Network = r.summary()
	r.report.Conclude(o.References)
	if err != nil && r.report.Verdict != perfcheck.Fail && r.report.Verdict != perfcheck.Error {
		// What was not measured may be what is bad.
		r.report.Verdict = perfcheck.Inconclusive
		r.report.Reason = strings.TrimSuffix(fmt.Sprintf("the run was cut off; %s", r.report.Reason), "; ")
	}
	return r.report, err
}

func (r *runner) run(ctx context.Context) error {
	r.o.Reporter.Phase("starting cw on " + countOf(len(r.o.Machines), "machine"))
	// What lies in a store does not go with the agents: they outlive an
	// interruption for as long as removing it takes.
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	ends := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	defer ends()
	fleet, err := StartFleet(life, r.o.Machines, r.o.Agent)
	if err != nil {
		return err
	}
	r.fleet = fleet
	defer fleet.Close(ctx)
	defer r.hosts()
	for _, m := range fleet.Members() {
		if err := m.Err(); err != nil {
			r.o.Reporter.Warn(err.Error())
		}
		r.cleanAgents(ctx, m)
	}
	if len(fleet.Up()) == 0 {
		first := fleet.Members()[0].Err()
		return fault.Wrap(fault.KindOf(first), fault.HintOf(first), first)
	}
	if anyDisk(r.tests) {
		if err := r.look(ctx); err != nil {
			return err
		}
	}
	r.clock = newClock(r)
	done := r.o.Journal.Done()
	prepared, objects := false, false
	for i, t := range r.tests {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.clock.at(i, t)
		if tests := done[t.ID]; len(tests) > 0 {
			r.report.Tests = append(r.report.Tests, tests...)
			continue
		}
		if t.Area == perfcheck.Disk && !prepared {
			prepared = true
			if err := r.prepare(ctx); err != nil {
				return err
			}
		}
		if t.Area == perfcheck.Object && !objects {
			objects = true
			ends()
			defer r.releaseObjects(ctx)
			if err := r.prepareObjects(ctx); err != nil {
				return err
			}
		}
		if t.Area != perfcheck.Disk && prepared && !anyDisk(r.tests[i:]) {
			prepared = false
			r.release(ctx)
		}
		tests := r.test(ctx, t)
		contend(tests, r.report.Tests)
		if ctx.Err() != nil {
			return context.Cause(ctx) // half a test is no test
		}
		r.report.Tests = append(r.report.Tests, tests...)
		if err := r.o.Journal.Add(t.ID, tests); err != nil {
			return err
		}
		for j := range tests {
			r.o.Reporter.Finished(&tests[j])
		}
	}
	return nil
}

func anyDisk(tests []test) bool { return anyOf(perfcheck.Disk, tests) }

func anyOf(area perfcheck.Area, tests []test) bool {
	return slices.ContainsFunc(tests, func(t test) bool { return t.Area == area })
}

// leftover names what an earlier run left on a machine, or removes it.
func (r *runner) leftover(m *Member, dir, of string) {
	if !r.o.Clean {
		r.o.Reporter.Warn(m.Name + ": " + dir + " is left of " + of + "; --clean removes it")
	}
}

// cleanAgents names the folders of earlier agents, or removes them.
func (r *runner) cleanAgents(ctx context.Context, m *Member) {
	if len(m.Hello.Leftovers) == 0 {
		return
	}
	for _, dir := range m.Hello.Leftovers {
		r.leftover(m, dir, "an agent that was killed")
	}
	if r.o.Clean {
		if err := m.a.Call(ctx, opClean, nil, nil); err != nil {
			r.o.Reporter.Warn(err.Error())
		}
	}
}

// tests are those that the options choose.
func (o Options) tests() ([]test, error) {
	all := catalogue(o.Areas)
	if len(o.Machines) < 2 { // alone and together are the same
		all = slices.DeleteFunc(all, func(t test) bool { return isAlone(t.ID) })
	}
	tests, err := choose(all, o.Profile.Name, o.Only, o.Skip)
	switch {
	case err != nil:
	case anyDisk(tests) && len(o.Dirs) == 0 && !o.FindDirs:
		err = fault.New(fault.Usage, "add --dir DIR, a directory on the disk to test; repeat it for each disk", "which disk to test was not said")
	case anyOf(perfcheck.Object, tests) && o.Object == nil:
		err = fault.New(fault.Usage, "add --url s3://bucket/prefix", "which store to measure was not said")
	case anyOf(perfcheck.DB, tests) && o.Database == nil:
		err = fault.New(fault.Usage, "add --dsn-file FILE or --db-cluster NAME", "which database to read from was not said")
	case len(o.Machines) < 2 && !slices.ContainsFunc(tests, func(t test) bool { return t.Scope != perfcheck.Pair }):
		// Among others they are skipped; alone there would be nothing to judge.
		err = fault.New(fault.Usage, "name two or more: --host HOST,HOST, -f FILE or --cluster NAME", "a network test takes two hosts, there is %d", len(o.Machines))
	}
	for i, t := range tests {
		if t.Area == perfcheck.DB && o.Database != nil && t.derive == nil {
			tests[i] = withParam(t, "read", read(o.Database))
		}
		if t.Area == perfcheck.Object && o.Object != nil {
			tests[i] = withParam(t, "store", cmp.Or(o.Object.Access.Endpoint, strings.TrimSpace("amazon "+o.Object.Access.Region))) // numbers of another are not compared
		}
	}
	return tests, err
}

// hosts fills in the report's machines.
func (r *runner) hosts() {
	for _, m := range r.fleet.Members() {
		h := perfcheck.Host{Name: m.Name, Inventory: m.Hello.Inventory}
		if err := m.Err(); err != nil {
			h.Error = err.Error()
		}
		for i := range r.report.Tests {
			t := &r.report.Tests[i]
			if t.Health != nil && (t.Host == m.Name || t.Pair != nil && t.Pair.From == m.Name) {
				h.Health = worse(h.Health, *t.Health)
			}
		}
		r.report.Hosts = append(r.report.Hosts, h)
	}
}

func newToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
