package commands

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster/redistribute"
	"cw/fault"
)

func redistributeFlags(t *testing.T, base redistribute.Options, args ...string) (redistribute.Options, error) {
	t.Helper()
	var o redistributeOptions
	c := &cobra.Command{}
	o.addFlags(c)
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return o.options(c, base, time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC))
}

func TestRedistributeFlagsGiven(t *testing.T) {
	t.Parallel()
	var o redistributeOptions
	c := &cobra.Command{}
	o.addFlags(c)
	c.Flags().Bool("yes", false, "")
	if err := c.ParseFlags([]string{"--yes", "--parallel", "1", "--analyze"}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(o.given(c), " "); got != "--analyze --parallel" {
		t.Errorf("given: %s", got)
	}
}

func TestRedistributeFlags(t *testing.T) {
	t.Parallel()
	base := redistribute.Options{Target: 4, Parallel: 3, Order: redistribute.Largest, Attempts: 9}
	got, err := redistributeFlags(t, base)
	if err != nil || got.Parallel != 3 || got.Order != redistribute.Largest || got.Attempts != 9 || got.LockTimeout != 0 {
		t.Errorf("what was not given has changed: %+v %v", got, err)
	}
	got, err = redistributeFlags(t, base, "--parallel", "2", "--window", "22:00-06:00,12:00-13:00", "--until", "06:30", "--max-busy", "80", "--max-lag", "256MiB",
		"--first", "public.a,sales.*", "--lock-timeout", "2s", "--analyze", "--order", "smallest")
	if err != nil || got.Parallel != 2 || len(got.Windows) != 2 || got.Windows[1].To != "13:00" || !got.Until.Equal(time.Date(2026, 12, 2, 6, 30, 0, 0, time.UTC)) ||
		got.MaxBusy != 0.8 || got.MaxLag != 256<<20 || len(got.First) != 2 || got.LockTimeout != 2*time.Second || !got.Analyze || got.Order != redistribute.Smallest {
		t.Errorf("%+v %v", got, err)
	}
	for _, args := range []string{"--parallel 0", "--parallel 97", "--attempts 0", "--window 22:00", "--window 25:00-26:00", "--until soon", "--max-busy 101", "--max-lag much", "--order random", "--table a[", "--lock-timeout 0s", "--free-factor -1"} {
		if got, err := redistributeFlags(t, base, strings.Fields(args)...); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %+v %v", args, got, err)
		}
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 23, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"23:30": now.Add(30 * time.Minute), "23:00": now.Add(24 * time.Hour), "4h": now.Add(4 * time.Hour), "2026-12-24T06:00:00Z": time.Date(2026, 12, 24, 6, 0, 0, 0, time.UTC),
	} {
		if got, err := parseUntil(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, not %v: %v", text, got, want, err)
		}
	}
}

func TestRedistributeLine(t *testing.T) {
	t.Parallel()
	p := redistribute.Progress{Tables: 9, Moved: 4, Bytes: 10e9, MovedBytes: 4e9, Rate: 1e8, ETA: 60, Parallel: 1, Why: "a mirror is behind", Moving: []redistribute.Table{{Name: "a.b"}, {Name: "a.c"}, {Name: "a.d"}}}
	line := redistributeLine(p)
	for _, want := range []string{"4 of 9 tables", "1m0s left", "1 at a time: a mirror is behind", "a.b, a.c, and 1 more"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}
