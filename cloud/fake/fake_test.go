package fake

import (
	"errors"
	"testing"
	"time"

	"cw/cloud"
)

func TestDelaysRefusalsAndBreaks(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	no := errors.New("no quota")
	c := New(Options{
		Delays: map[Op]time.Duration{Create: 10 * time.Second, Capture: 2 * time.Second, Launch: 5 * time.Second},
		Refuse: map[Op][]error{Launch: {no}}, Break: map[Op][]string{Attach: {"no slot"}},
		Now: func() time.Time { return now },
	})
	ctx := t.Context()
	c.AddVolume("v", "", "", 100)
	s, err := c.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"v"}})
	if err != nil || s[0].State != cloud.Pending {
		t.Fatal(s, err)
	}
	for _, step := range []struct {
		after    time.Duration
		captured bool
		state    cloud.State
	}{{0, false, cloud.Pending}, {2 * time.Second, true, cloud.Pending}, {8 * time.Second, true, cloud.Available}} {
		now = now.Add(step.after)
		if got, err := c.Snapshot(ctx, s[0].ID); err != nil || got.Captured != step.captured || got.State != step.state {
			t.Errorf("after %s: %+v %v", step.after, got, err)
		}
	}
	if _, err := c.LaunchMachine(ctx, "n"); !errors.Is(err, no) {
		t.Errorf("%v", err)
	}
	m, err := c.LaunchMachine(ctx, "n")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Machine(ctx, m.ID); got.State != cloud.Pending {
		t.Errorf("%+v", got)
	}
	now = now.Add(5 * time.Second)
	if got, _ := c.Machine(ctx, m.ID); got.State != cloud.InUse || got.Address == "" {
		t.Errorf("%+v", got)
	}
	v, err := c.RestoreSnapshot(ctx, s[0].ID, "x")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Volume(ctx, v.ID); got.State != cloud.Available || got.Size != 100 {
		t.Errorf("%+v", got)
	}
	if _, err := c.AttachVolume(ctx, v.ID, m.ID); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Volume(ctx, v.ID); got.State != cloud.Failed || got.Problem != "no slot" {
		t.Errorf("%+v", got)
	}
	if err := errors.Join(c.DetachVolume(ctx, v.ID), c.DeleteVolume(ctx, v.ID), c.DeleteVolume(ctx, "v"), c.DeleteMachine(ctx, m.ID), c.DeleteSnapshot(ctx, s[0].ID)); err != nil {
		t.Fatal(err)
	}
	if left := c.Left(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
