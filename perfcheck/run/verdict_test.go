package run

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"cw/perfcheck"
)

// rounds is how often the verdicts are tried: once, or CW_ROUNDS times.
func rounds(t *testing.T) int {
	t.Helper()
	n := 1
	if s := os.Getenv("CW_ROUNDS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestVerdictsOnALinkOfKnownSpeed measures a link whose speed the kernel
// sets: the same as its baseline passes, 30 % less fails, four times as much
// is too good to be true.
func TestVerdictsOnALinkOfKnownSpeed(t *testing.T) {
	s := newSite(t, 2)
	machines := s.machines()
	measure := func(mbit int, refs ...perfcheck.Reference) *perfcheck.Report {
		t.Helper()
		s.Cap(1, 0, strconv.Itoa(mbit)+"mbit")
		s.Cap(2, 0, strconv.Itoa(mbit)+"mbit")
		q := &quietReporter{t: t}
		o := Options{
			ID: strconv.Itoa(int(time.Now().UnixNano())), Areas: []perfcheck.Area{perfcheck.Net}, Profile: short(), Only: []string{"net.tcp.s1"}, Machines: machines, Seed: 1, Reporter: q, References: refs,
		}
		o.Profile.Reps = 3
		o.Profile.Timing.Duration = 300 * time.Millisecond
		report, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	base, _, err := perfcheck.NewBaseline("lab", "", time.Now(), []*perfcheck.Report{measure(200), measure(200), measure(200)})
	if err != nil {
		t.Fatal(err)
	}
	for range rounds(t) {
		for _, c := range []struct {
			mbit    int
			verdict perfcheck.Verdict
			flag    string
		}{{200, perfcheck.Pass, ""}, {140, perfcheck.Fail, ""}, {800, perfcheck.Error, perfcheck.FlagCachedSuspect}} {
			report := measure(c.mbit, base.Reference())
			for i := range report.Tests {
				got := &report.Tests[i]
				if got.Verdict != c.verdict || c.flag != "" && !slices.Contains(got.Flags, c.flag) {
					t.Errorf("%d Mbit/s against 200: %s is %s (%s), flags %v, %.3g B/s", c.mbit, got.Where(), got.Verdict, got.Reason, got.Flags, got.Metrics["throughput"].Value)
				}
				if got.Baseline == nil || got.Baseline.ID != "lab" {
					t.Errorf("%d Mbit/s: the baseline is not said: %+v", c.mbit, got.Baseline)
				}
			}
		}
	}
}

// TestCreditsThatRunOutAndComeBack is a link that carries more until its
// bucket is empty, and that refills while nobody sends.
func TestCreditsThatRunOutAndComeBack(t *testing.T) {
	s := newSite(t, 2)
	for _, i := range []int{1, 2} {
		s.Run(i, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", "40mbit", "burst", "50mb", "latency", "50ms", "peakrate", "200mbit", "mtu", "70000")
	}
	o := s.options(&quietReporter{t: t}, "net.tcp.s1")
	o.Topology = "serial"
	o.Profile = Profile{
		Name: "quick", Timing: perfcheck.Timing{Duration: 10 * time.Second}, Reps: 1, RepsGiven: true,
		Idle: 5 * time.Second, Retest: 3 * time.Second,
	}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := find(t, report, "net.tcp.s1", "db1 -> db2")
	throttle := throttleOf(got)
	if throttle == nil {
		t.Fatalf("no throttle is found in %v", got.Series)
	}
	// 50 MB, which 20 of 25 MB/s are taken from: about 2.5 s.
	if throttle.At < 1 || throttle.At > 5 || throttle.After > 6e6 || throttle.Before < 15e6 {
		t.Errorf("throttle %+v of %v", throttle, got.Series)
	}
	recovered := slices.IndexFunc(got.Events, func(e perfcheck.Event) bool { return e.Kind == perfcheck.EventRecovery && e.Before == throttle.After })
	if recovered < 0 || got.Events[recovered].After < 0.5*throttle.Before {
		t.Errorf("events: %+v", got.Events)
	}
}
