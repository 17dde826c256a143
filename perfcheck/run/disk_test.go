package run

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// here are the options of a run on this machine's disk.
func here(t *testing.T, q *quietReporter, only ...string) Options {
	t.Helper()
	o := Options{
		ID: "ptest", Areas: []perfcheck.Area{perfcheck.Disk}, Profile: short(), Only: only,
		Machines: []Machine{{Name: "here"}}, Dirs: []string{t.TempDir()}, Seed: 1, Reporter: q,
	}
	o.Disk.Size, o.Disk.AllowRootDisk = 64<<20, true
	return o
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestDisksOfThisMachine(t *testing.T) {
	t.Parallel()
	q := &quietReporter{t: t}
	o := here(t, q, "disk.read.1m.qd16", "disk.fdatasync.8k")
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Skipf("no disk test here: %v", err)
	}
	if len(report.Tests) != 2 {
		dump(t, report)
		t.Fatalf("%d results", len(report.Tests))
	}
	for i := range report.Tests {
		got := &report.Tests[i]
		if got.Host != "here" || got.Verdict == perfcheck.Error || got.Health == nil || len(got.Metrics) == 0 {
			t.Errorf("%+v", got)
		}
	}
	if left := entries(t, o.Dirs[0]); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	if len(q.progress) == 0 || q.progress[0].Total != 2 {
		t.Errorf("progress: %+v", q.progress)
	}
}

func TestRefusalsEndTheRun(t *testing.T) {
	t.Parallel()
	o := here(t, &quietReporter{t: t}, "disk.read.1m.qd16")
	o.Dirs = []string{filepath.Join(o.Dirs[0], "not-mounted")}
	_, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "not-mounted") || fault.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
	if _, serr := os.Stat(o.Dirs[0]); serr == nil {
		t.Error("the directory was made, and with it the root disk measured")
	}
}

func TestInterruptedInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"starting", "filling", "measuring"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			q := &stopper{quietReporter: quietReporter{t: t}, at: phase, stop: cancel}
			o := here(t, &q.quietReporter, "disk.read.1m.qd16")
			o.Reporter = q
			o.Profile.Timing.Duration = time.Minute
			began := time.Now()
			report, err := Run(ctx, o)
			if err == nil {
				t.Fatal("it was not interrupted")
			}
			if report.Verdict != perfcheck.Inconclusive || report.Run.Complete || !strings.Contains(report.Reason, "cut off") {
				t.Errorf("verdict %s, complete %v: %s", report.Verdict, report.Run.Complete, report.Reason)
			}
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("it took %s to end", took)
			}
			if left := entries(t, o.Dirs[0]); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// stopper interrupts a run in a phase.
type stopper struct {
	quietReporter
	at   string
	stop func()
}

func (s *stopper) Phase(text string) {
	if strings.HasPrefix(text, s.at) {
		s.stop()
	}
}

func (s *stopper) Progress(p Progress) {
	if s.at == "measuring" && p.Value > 0 {
		s.stop()
	}
}

func TestKilledAndResumed(t *testing.T) {
	t.Parallel()
	dir, temp, journal := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "run")
	cmd := startControl(t, controlSpec{
		Dirs: []string{dir}, Area: perfcheck.Disk, Only: []string{"disk.read.1m.qd16", "disk.fdatasync.8k"}, Journal: journal, Temp: temp,
		Timing: perfcheck.Timing{Duration: 2 * time.Second},
	})
	// It measures the first of two; the journal grows when that is done.
	deadline := time.Now().Add(time.Minute)
	for {
		if data, _ := os.ReadFile(filepath.Join(journal, journalFile)); len(data) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the journal stays empty")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(40 * time.Second); len(entries(t, dir))+len(entries(t, temp)) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %q, %q", entries(t, dir), entries(t, temp))
		}
	}
	q := &quietReporter{t: t}
	o := here(t, q, "disk.read.1m.qd16", "disk.fdatasync.8k")
	var err error
	if o.Journal, err = OpenJournal(journal); err != nil {
		t.Fatal(err)
	}
	done := len(o.Journal.Done())
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if done == 0 || len(report.Tests) != 2 || report.Tests[0].ID == report.Tests[1].ID {
		dump(t, report)
		t.Errorf("%d done before, %d results", done, len(report.Tests))
	}
	for _, p := range q.progress {
		if done == 1 && p.Test == "disk.read.1m.qd16" && p.Value > 0 {
			t.Error("what was done is measured again")
		}
	}
}

func TestAHalfLineOfTheJournalIsNoResult(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	good := []perfcheck.Test{{ID: "a", Verdict: perfcheck.Pass}}
	if err := j.Add("a", good); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"b","tests":[{"id":"b"`); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if err := j.Add("c", []perfcheck.Test{{ID: "c", Verdict: perfcheck.Error}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Add("d", good); err != nil {
		t.Fatal(err)
	}
	again, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	done := again.Done()
	if len(done) != 2 || done["a"] == nil || done["d"] == nil {
		t.Errorf("done: %v", done)
	}
}

// What cannot be tested is said before the other tests take their time.
func TestDirectoriesAreLookedAtFirst(t *testing.T) {
	t.Parallel()
	o := here(t, &quietReporter{t: t}, "cpu.int.t1", "disk.fdatasync.8k")
	o.Areas, o.Dirs = []perfcheck.Area{perfcheck.CPU, perfcheck.Disk}, []string{"/nowhere/at/all"}
	report, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") || len(report.Tests) != 0 {
		t.Errorf("%v, %d tests", err, len(report.Tests))
	}
}
