package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cw/perfcheck"
	"cw/playground/lab"
	"cw/remote"
	"cw/remote/agent"
)

// TestMain makes the test program an agent, or a whole run that a test can
// kill, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		err := errors.Join(ServeAgent(ctx, os.Stdin, os.Stdout), agent.RemoveSelf())
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "control" {
		os.Exit(control(os.Args[2]))
	}
	if len(os.Args) > 2 && os.Args[1] == "snapshots" {
		os.Exit(snapshots(os.Args[2]))
	}
	os.Exit(lab.Main(m))
}

// site is a lab and the way to its hosts.
type site struct {
	*lab.Lab
	t *testing.T
}

func newSite(t *testing.T, n int) *site {
	t.Helper()
	return &site{lab.Up(t, n), t}
}

func (s *site) target(i int) remote.Target {
	h := s.Hosts[i-1]
	return remote.Target{Name: h.Name, Address: h.Addr, Port: h.Port, User: lab.User, IdentityFile: s.Key}
}

func newPool(t *testing.T) *remote.Pool {
	t.Helper()
	p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(t.TempDir(), "known_hosts")})
	t.Cleanup(p.Close)
	return p
}

func (s *site) machines() []Machine {
	p := newPool(s.t)
	var out []Machine
	for i := range s.Hosts {
		t := s.target(i + 1)
		out = append(out, Machine{Name: t.Name, Host: p.Host(t), Address: t.Address})
	}
	return out
}

// quietReporter keeps what it hears.
type quietReporter struct {
	t  testing.TB
	on func(Progress)

	mu       sync.Mutex
	warnings []string
	phases   []string
	progress []Progress
}

func (q *quietReporter) Phase(text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.phases = append(q.phases, text)
}

func (q *quietReporter) Progress(p Progress) {
	q.mu.Lock()
	q.progress = append(q.progress, p)
	q.mu.Unlock()
	if q.on != nil {
		q.on(p)
	}
}

func (q *quietReporter) Finished(*perfcheck.Test) {}

func (q *quietReporter) Warn(text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.warnings = append(q.warnings, text)
}

// short is a profile for tests: the quick one's tests, for a moment each.
func short() Profile {
	return Profile{Name: "quick", Timing: perfcheck.Timing{Warmup: 200 * time.Millisecond, Duration: time.Second}, Reps: 1, TimingGiven: true}
}

func (s *site) options(q *quietReporter, only ...string) Options {
	return Options{
		ID: "ptest", Areas: []perfcheck.Area{perfcheck.Net}, Profile: short(), Only: only, Machines: s.machines(), Seed: 1, Reporter: q,
	}
}

func find(t *testing.T, r *perfcheck.Report, id, where string) *perfcheck.Test {
	t.Helper()
	for i := range r.Tests {
		if r.Tests[i].ID == id && r.Tests[i].Where() == where {
			return &r.Tests[i]
		}
	}
	t.Fatalf("there is no %s of %s", id, where)
	return nil
}

func dump(t *testing.T, r *perfcheck.Report) {
	t.Helper()
	for i := range r.Tests {
		got := &r.Tests[i]
		t.Logf("%-18s %-12s %-8s %.3g %v %s", got.ID, got.Where(), got.Verdict, got.Metrics["throughput"].Value, got.Flags, got.Reason)
	}
}

// nothingLeft waits until no agent and no folder of one is on any host.
func (s *site) nothingLeft() {
	s.t.Helper()
	for i := 1; i <= len(s.Hosts); i++ {
		deadline := time.Now().Add(45 * time.Second)
		for {
			out, err := s.Try(i, "sh", "-c", `ls -d /tmp/cw-agent.* 2>/dev/null; for p in /proc/[0-9]*/exe; do readlink $p; done | grep cw-agent; true`)
			if err != nil || strings.TrimSpace(out) == "" {
				break
			}
			if time.Now().After(deadline) {
				s.t.Errorf("left on %s:\n%s", s.Hosts[i-1].Name, out)
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
}

func TestExactlyTheCappedPairIsSlow(t *testing.T) {
	for _, n := range []int{4, 5} { // even and odd
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := newSite(t, n)
			for i := 1; i <= n; i++ {
				s.Cap(i, 0, "300mbit")
			}
			s.Cap(2, 3, "60mbit")
			s.Cap(3, 2, "60mbit")
			report, err := Run(t.Context(), s.options(&quietReporter{t: t}, "net.tcp.s1"))
			if err != nil {
				t.Fatal(err)
			}
			slow := map[string]bool{}
			for i := range report.Tests {
				if v := report.Tests[i].Verdict; v == perfcheck.Fail || v == perfcheck.Warn {
					slow[report.Tests[i].Where()] = true
				}
			}
			if len(report.Tests) != n*(n-1) || len(slow) != 2 || !slow["db2 -> db3"] || !slow["db3 -> db2"] || report.Verdict != perfcheck.Fail {
				dump(t, report)
				t.Errorf("%d results, slow: %v, verdict %s", len(report.Tests), slow, report.Verdict)
			}
			if got := find(t, report, "net.tcp.s1", "db2 -> db3").Metrics["throughput"].Value; got < 5.5e6 || got > 7.7e6 {
				t.Errorf("60 Mbit/s measured as %.3g B/s", got)
			}
			s.nothingLeft()
		})
	}
}

func TestAHostThatDiesMidRun(t *testing.T) {
	s := newSite(t, 4)
	for i := 1; i <= 4; i++ {
		s.Cap(i, 0, "300mbit")
	}
	q := &quietReporter{t: t}
	var once sync.Once
	q.on = func(p Progress) {
		if p.Test == "net.tcp.s1" && p.Value > 0 {
			once.Do(func() { s.Off(4) })
		}
	}
	o := s.options(q, "net.tcp.s1")
	o.Profile.Timing.Duration = 2 * time.Second
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	lost, good := 0, 0
	for i := range report.Tests {
		got := &report.Tests[i]
		with4 := strings.Contains(got.Where(), "db4")
		switch {
		case got.Verdict == perfcheck.Error && with4:
			lost++
			if !strings.Contains(got.Reason, "db4") {
				t.Errorf("%s: the reason does not name the host: %s", got.Where(), got.Reason)
			}
		case got.Verdict == perfcheck.Pass && !with4:
			good++
		}
	}
	// A round may have been over when the host died.
	if good != 6 || lost < 4 || len(report.Tests) != 12 {
		dump(t, report)
		t.Errorf("%d good, %d lost of %d", good, lost, len(report.Tests))
	}
	if err := report.Outcome(perfcheck.FailOnFail); err == nil {
		t.Error("the run is called good")
	}
	dead := ""
	for _, h := range report.Hosts {
		if h.Name == "db4" {
			dead = h.Error
		}
	}
	if dead == "" {
		t.Errorf("the report does not say that db4 is lost: %+v", report.Hosts)
	}
	s.nothingLeft()
}

// controlSpec is what a run that is to be killed works on.
type controlSpec struct {
	Targets []remote.Target
	Known   string
	Dirs    []string
	Area    perfcheck.Area
	Only    []string
	Started string // made when something is measured
	Journal string
	Timing  perfcheck.Timing
	Temp    string // where an agent on this machine has its folder
}

// control is a run in a process of its own.
func control(file string) int {
	data, err := os.ReadFile(file)
	var c controlSpec
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p := remote.NewPool(remote.Options{KnownHosts: c.Known})
	machines := []Machine{{Name: "here"}}
	if len(c.Targets) > 0 {
		machines = nil
		for _, t := range c.Targets {
			machines = append(machines, Machine{Name: t.Name, Host: p.Host(t), Address: t.Address})
		}
	}
	q := &quietReporter{on: func(p Progress) {
		if p.Value > 0 {
			_ = os.WriteFile(c.Started, nil, 0o600)
		}
	}}
	o := Options{ID: "pkill", Areas: []perfcheck.Area{c.Area}, Profile: short(), Only: c.Only, Machines: machines, Dirs: c.Dirs, Seed: 1, Reporter: q}
	o.Disk.Size, o.Disk.AllowRootDisk = 64<<20, true
	o.Profile.Timing = c.Timing
	if o.Journal, err = OpenJournal(c.Journal); err == nil {
		_, err = Run(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startControl runs a spec in a process and waits until it measures.
func startControl(t *testing.T, c controlSpec) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	c.Known, c.Started = filepath.Join(dir, "known_hosts"), filepath.Join(dir, "started")
	if c.Temp == "" {
		c.Temp = os.TempDir()
	}
	if c.Journal == "" {
		c.Journal = filepath.Join(dir, "run")
	}
	file := filepath.Join(dir, "spec.json")
	data, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "control", file)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+c.Temp)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	deadline := time.Now().Add(90 * time.Second)
	for {
		if _, err := os.Stat(c.Started); err == nil {
			return cmd
		}
		if time.Now().After(deadline) {
			t.Fatal("it measures nothing")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestKillingTheControlSideLeavesNothingOnHosts(t *testing.T) {
	s := newSite(t, 2)
	cmd := startControl(t, controlSpec{
		Targets: []remote.Target{s.target(1), s.target(2)}, Area: perfcheck.Net, Only: []string{"net.tcp.s1"},
		Timing: perfcheck.Timing{Duration: 5 * time.Minute},
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	s.nothingLeft()
}
