package snapshot

import (
	"context"
	"os/exec"
	"testing"
	"time"

	"cw/cloud"
	"cw/cloud/btrfs"
	"cw/cloud/xfs"
	"cw/perfcheck"
)

// TestReal takes snapshots of real filesystems. The oracle is what was written:
// the size of an incremental snapshot, and the content of what is restored.
func TestReal(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind   string
		driver func() cloud.Snapshotter
		sized  bool // it tells the size of a full one
	}{
		{"btrfs", func() cloud.Snapshotter { return btrfs.New(here) }, true},
		{"xfs", func() cloud.Snapshotter { return xfs.New(here) }, false},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			t.Parallel()
			dir := mountLoop(t, tc.kind, 1<<30)
			o := quick(t, dir)
			o.Driver = tc.driver()
			out, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			for id, err := range out.Failed {
				t.Errorf("%s: %v", id, err)
			}
			for id, problem := range out.Problems {
				t.Errorf("%s: %s", id, problem)
			}
			tests := map[string]perfcheck.Test{}
			for _, got := range Results([]*Outcome{out}, "here", nil) {
				tests[got.ID] = got
				t.Log(got.Line())
				if got.Verdict == perfcheck.Error || got.Verdict == perfcheck.Fail {
					t.Errorf("%s: %s: %s", got.ID, got.Verdict, got.Reason)
				}
			}
			if a := tests[TestIncremental].Metrics["amplification"].Value; a < 0.98 || a > 1.02 {
				t.Errorf("the incremental snapshot is %.4f of what was written", a)
			}
			if w := tests[TestIncremental].Metrics["written"].Value; w != float64(o.Change) {
				t.Errorf("%v bytes were overwritten, not %d", w, o.Change)
			}
			size := tests[TestFull].Metrics["size"].Value
			if all := float64(o.Size + ProbeFile); tc.sized && (size < all || size > 1.02*all) {
				t.Errorf("the full snapshot has %v bytes of %v", size, all)
			}
			if _, told := tests[TestFull].Metrics["size"]; told != tc.sized {
				t.Error("a size that nobody told")
			}
			for _, id := range []string{TestRestore, TestRestoreIncremental} {
				if v := tests[id].Metrics["verified"].Value; v != float64(o.Size+ProbeFile) {
					t.Errorf("%s: %v bytes were compared", id, v)
				}
			}
			empty(t, dir)
		})
	}
}

// freezing stops the filesystem for a while whenever a snapshot is taken.
type freezing struct {
	*btrfs.Driver
	at   string
	hold time.Duration
}

func (f *freezing) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	if err := exec.CommandContext(ctx, "fsfreeze", "-f", f.at).Run(); err != nil {
		return nil, err
	}
	time.Sleep(f.hold) // it is frozen for this long, whatever happens
	if err := exec.Command("fsfreeze", "-u", f.at).Run(); err != nil {
		return nil, err
	}
	return f.Driver.CreateSnapshots(ctx, o)
}

// TestStall: half a second in which nothing can be written shows as impact,
// and around no snapshot nothing does.
func TestStall(t *testing.T) {
	t.Parallel()
	dir := mountLoop(t, "btrfs", 1<<30)
	const tries = 4 // the control is of the machine as it is, which others use
	for try := 1; ; try++ {
		o := quick(t, dir)
		o.Driver = &freezing{btrfs.New(here), dir, 500 * time.Millisecond}
		out, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		i, control := out.Impacts[TestFullWrite], out.Impacts[TestControlWrite]
		if i.Stall < 0.4 || i.Gap < 0.4 || i.During.Max < 0.4 {
			t.Fatalf("a freeze of 0.5 s shows as %+v", i)
		}
		if Verdict(i, Impact{}) == "" {
			t.Fatalf("nothing is said of %+v", i)
		}
		// What a closed loop tells: nearly nothing.
		t.Logf("service p99 %.4f s, response p99 %.4f s, stall %.1f s, control: stall %.1f s, p99 +%.4f s", i.During.ServiceP99, i.During.P99, i.Stall, control.Stall, control.DeltaP99)
		if control.Stall < 0.3 && Verdict(control, Impact{}) == "" && Verdict(i, control) != "" {
			return
		}
		if try == tries {
			t.Fatalf("the control shows %+v", control)
		}
	}
}
