package qingcloud

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cw/cloud"
	"cw/fault"
)

// until asks until a state comes, a bounded number of times.
func until[T any](t *testing.T, ask func(context.Context) (T, error), good func(T) bool) T {
	t.Helper()
	var got T
	for range 20 {
		var err error
		if got, err = ask(t.Context()); err != nil {
			t.Fatal(err)
		}
		if good(got) {
			return got
		}
	}
	t.Fatalf("never came: %+v", got)
	return got
}

func TestWholeLife(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx := t.Context()
	f.slow = 4
	made, err := f.d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-a"}, Name: "x", Kind: cloud.Full})
	if err != nil || len(made) != 1 || made[0].State != cloud.Pending || made[0].Captured {
		t.Fatalf("%+v %v", made, err)
	}
	s := until(t, func(ctx context.Context) (cloud.Snapshot, error) { return f.d.Snapshot(ctx, made[0].ID) }, func(s cloud.Snapshot) bool { return s.State == cloud.Available })
	if s.Kind != cloud.Full || s.Parent != "" || s.Size != 64<<20 || s.Total != 10<<30 || !s.Captured {
		t.Errorf("%+v", s)
	}
	v, err := f.d.RestoreSnapshot(ctx, s.ID, "back")
	if err != nil {
		t.Fatal(err)
	}
	volume := func(ctx context.Context) (cloud.Volume, error) { return f.d.Volume(ctx, v.ID) }
	until(t, volume, func(v cloud.Volume) bool { return v.State == cloud.Available })
	m, err := f.d.LaunchMachine(ctx, "new")
	if err != nil {
		t.Fatal(err)
	}
	got := until(t, func(ctx context.Context) (cloud.Machine, error) { return f.d.Machine(ctx, m.ID) }, func(m cloud.Machine) bool { return m.State == cloud.InUse })
	if got.Address != "192.0.2.7" {
		t.Errorf("%+v", got)
	}
	if _, err := f.d.AttachVolume(ctx, v.ID, m.ID); err != nil {
		t.Fatal(err)
	}
	at := until(t, volume, func(v cloud.Volume) bool { return v.State == cloud.InUse })
	if at.Machine != m.ID || at.Device != "/dev/vdc" {
		t.Errorf("%+v", at)
	}
	if err := errors.Join(f.d.DetachVolume(ctx, v.ID), f.d.DeleteVolume(ctx, v.ID), f.d.StopMachine(ctx, m.ID), f.d.DeleteMachine(ctx, m.ID), f.d.DeleteSnapshot(ctx, s.ID)); err != nil {
		t.Fatal(err)
	}
	if len(f.vols) != 2 || len(f.machines)+len(f.snaps) != 0 {
		t.Errorf("left: %v %v %v", f.vols, f.machines, f.snaps)
	}
	if got, err := f.d.Volume(ctx, v.ID); err != nil || got.State != cloud.Gone {
		t.Errorf("%+v %v", got, err)
	}
}

// Whatever happens to the answer, a create is done once.
func TestCreatesAreDoneOnce(t *testing.T) {
	t.Parallel()
	creates := map[string]func(context.Context, *fake) (string, error){
		"CreateSnapshots": func(ctx context.Context, f *fake) (string, error) {
			s, err := f.d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-a", "vol-b"}, Name: "x"})
			if err != nil || len(s) != 2 || s[0].Volume != "vol-a" || s[1].Volume != "vol-b" {
				return "", errors.Join(err, errors.New("not both"))
			}
			return s[0].ID, nil
		},
		"CreateVolumeFromSnapshot": func(ctx context.Context, f *fake) (string, error) {
			f.snaps["ss-1"] = map[string]any{"snapshot_id": "ss-1", "snapshot_name": "one"}
			v, err := f.d.RestoreSnapshot(ctx, "ss-1", "x")
			return v.ID, err
		},
		"RunInstances": func(ctx context.Context, f *fake) (string, error) {
			m, err := f.d.LaunchMachine(ctx, "x")
			return m.ID, err
		},
	}
	for action, create := range creates {
		for _, faults := range [][]fakeFault{
			{refuse500}, {after500}, {cutBefore}, {cutAfter}, {halfAfter}, {htmlAfter}, {busy, busy}, {internal}, {limited, refuse500, cutAfter},
		} {
			for _, hide := range []int{0, 1} {
				f := newFake(t)
				f.faults[action], f.hide = faults, hide
				id, err := create(t.Context(), f)
				if err != nil || id == "" {
					t.Errorf("%s after %v, %d hidden: %q %v", action, faults, hide, id, err)
				}
				if f.done[action] != 1 {
					t.Errorf("%s after %v, %d hidden: done %d times", action, faults, hide, f.done[action])
				}
			}
		}
	}
}

func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.faults["DescribeVolumes"] = []fakeFault{refuse500, cutBefore, htmlAfter, busy, limited}
	if v, err := f.d.Volume(t.Context(), "vol-a"); err != nil || v.State != cloud.Available {
		t.Errorf("%+v %v", v, err)
	}
	f.faults["DescribeVolumes"] = []fakeFault{refuse500, refuse500, refuse500, refuse500, refuse500, refuse500, refuse500}
	if _, err := f.d.Volume(t.Context(), "vol-a"); fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "500") {
		t.Errorf("%v", err)
	}
	if n := f.calls["DescribeVolumes"]; n != 6+tries {
		t.Errorf("asked %d times", n)
	}
}

func TestPartialFailureNamesBoth(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.fail["vol-b"] = "yes"
	made, err := f.d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"vol-a", "vol-b"}})
	if err != nil {
		t.Fatal(err)
	}
	bad := until(t, func(ctx context.Context) (cloud.Snapshot, error) { return f.d.Snapshot(ctx, made[1].ID) }, func(s cloud.Snapshot) bool { return s.State == cloud.Failed })
	for _, want := range []string{"done with failure", "failed: " + made[1].ID, "made: " + made[0].ID} {
		if !strings.Contains(bad.Problem, want) {
			t.Errorf("%q lacks %q", bad.Problem, want)
		}
	}
	if good, err := f.d.Snapshot(t.Context(), made[0].ID); err != nil || good.State != cloud.Available {
		t.Errorf("%+v %v", good, err)
	}
}

func TestFailedJobs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx := t.Context()
	f.fail["vol-a"] = "yes"
	made, err := f.d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"vol-a"}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, func(ctx context.Context) (cloud.Snapshot, error) { return f.d.Snapshot(ctx, made[0].ID) }, func(s cloud.Snapshot) bool { return s.State == cloud.Failed && s.Problem != "" })
	if _, err := f.d.AttachVolume(ctx, "vol-a", "i-1"); err != nil {
		t.Fatal(err)
	}
	v := until(t, func(ctx context.Context) (cloud.Volume, error) { return f.d.Volume(ctx, "vol-a") }, func(v cloud.Volume) bool { return v.State == cloud.Failed })
	if !strings.Contains(v.Problem, `"failed"`) {
		t.Errorf("%q", v.Problem)
	}
	f.vols["vol-a"]["status"], f.vols["vol-a"]["instances"] = "in-use", map[string]any{"instance_id": "i-1"}
	if err := f.d.DetachVolume(ctx, "vol-a"); err == nil || !strings.Contains(err.Error(), "vol-a") {
		t.Errorf("%v", err)
	}
}

func TestMoveAddress(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.eips["eip-1"] = map[string]any{"eip_id": "eip-1", "eip_addr": "198.51.100.9", "resource": map[string]any{"resource_id": "i-1"}}
	f.faults["AssociateEip"] = []fakeFault{cutAfter}
	if err := f.d.MoveAddress(t.Context(), "198.51.100.9", "i-2"); err != nil {
		t.Fatal(err)
	}
	if at := f.eips["eip-1"]["resource"].(map[string]any)["resource_id"]; at != "i-2" || f.done["AssociateEip"] != 1 {
		t.Errorf("at %v", at)
	}
	if err := f.d.MoveAddress(t.Context(), "192.168.0.9", "i-2"); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "keepalived") {
		t.Errorf("%v", err)
	}
}

// A detach whose answer was lost is waited for all the same.
func TestDetachWithoutItsJob(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.vols["vol-a"]["status"], f.vols["vol-a"]["instances"] = "in-use", []any{map[string]any{"instance_id": "i-1"}}
	f.faults["DetachVolumes"] = []fakeFault{cutAfter}
	asked := 0
	f.d.o.Sleep = func(ctx context.Context, _ time.Duration) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if asked++; asked == 5 { // nobody asks for its job: it ends by itself
			for _, j := range f.jobs {
				j.end(true)
			}
		}
		return context.Cause(ctx)
	}
	if err := f.d.DetachVolume(t.Context(), "vol-a"); err != nil || f.done["DetachVolumes"] != 1 {
		t.Fatalf("%v, done %v", err, f.done)
	}
	if f.vols["vol-a"]["status"] != "available" {
		t.Errorf("%v", f.vols["vol-a"])
	}
}

// A NIC is found by its private address, also on the second page, and moved
// once whatever becomes of the answers.
func TestMoveNIC(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for i := range 150 {
		f.nics = append(f.nics, map[string]any{"nic_id": fmt.Sprintf("52:54:00:00:00:%02x", i), "private_ip": fmt.Sprintf("192.168.0.%d", i+1), "instance_id": "i-1"})
	}
	f.faults["DetachNics"], f.faults["AttachNics"] = []fakeFault{after500}, []fakeFault{refuse500, cutAfter}
	if err := f.d.MoveAddress(t.Context(), "192.168.0.140", "i-2"); err != nil {
		t.Fatal(err)
	}
	if at := f.nics[139]["instance_id"]; at != "i-2" || f.done["DetachNics"] != 1 || f.done["AttachNics"] != 1 {
		t.Errorf("at %v, done %v", at, f.done)
	}
	if err := f.d.MoveAddress(t.Context(), "192.168.0.140", "i-2"); err != nil || f.done["AttachNics"] != 1 {
		t.Errorf("%v, done %v", err, f.done)
	}
}

func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.slow = 1 << 30
	f.vols["vol-a"]["status"], f.vols["vol-a"]["instances"] = "in-use", map[string]any{"instance_id": "i-1"}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the person stopped it")
	f.d.o.Sleep = func(ctx context.Context, _ time.Duration) error { cancel(stop); return context.Cause(ctx) }
	if err := f.d.DetachVolume(ctx, "vol-a"); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	t.Parallel()
	k := Keys{"a", "b"}
	for name, o := range map[string]Options{
		"no zone": {Keys: k}, "no keys": {Zone: "z"}, "no address": {Zone: "z", Keys: k, Endpoint: "api"},
		"not encrypted": {Zone: "z", Keys: k, Endpoint: "http://api.qingcloud.com/iaas/"},
	} {
		if _, err := New(o); fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := New(Options{Zone: "z", Keys: k})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.LaunchMachine(t.Context(), "x"); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
}
