package fake

import (
	"context"
	"fmt"

	"cw/cloud"
)

// CreateSnapshots implements cloud.Snapshotter.
func (c *Cloud) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var made []cloud.Snapshot
	for _, v := range o.Volumes {
		vol := c.volumes[v]
		if vol == nil {
			return made, fmt.Errorf("fake cloud: snapshot of volume %s: %w", v, errGone)
		}
		done, broken, err := c.begin(ctx, Create, v)
		if err != nil {
			return made, err
		}
		s := &snapshot{done: done, broken: broken, captured: c.o.Now().Add(c.o.Delays[Capture])}
		s.Snapshot = cloud.Snapshot{ID: c.id("snap"), Volume: v, Parent: o.Parent, Kind: o.Kind, State: cloud.Pending, Size: cloud.Unknown, Total: vol.Size, Created: c.o.Now()}
		if s.Kind == cloud.Auto {
			s.Kind = cloud.Full
		}
		c.snapshots[s.ID] = s
		made = append(made, s.Snapshot)
	}
	return made, nil
}

// Snapshot implements cloud.Snapshotter.
func (c *Cloud) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshots[id]
	if s == nil {
		return cloud.Snapshot{ID: id, State: cloud.Gone, Size: cloud.Unknown, Total: cloud.Unknown}, nil
	}
	if s.State == cloud.Pending {
		s.Captured = c.over(s.captured)
		if c.over(s.done) {
			s.Captured, s.State, s.Progress, s.Size = true, cloud.Available, 1, s.Total
			if s.broken != "" {
				s.State, s.Problem, s.Progress, s.Size = cloud.Failed, s.broken, 0, cloud.Unknown
			}
		}
	}
	return s.Snapshot, context.Cause(ctx)
}

// ChangedBytes implements cloud.Snapshotter: it is not told.
func (c *Cloud) ChangedBytes(context.Context, string, string) (int64, error) {
	return cloud.Unknown, nil
}

// DeleteSnapshot implements cloud.Snapshotter.
func (c *Cloud) DeleteSnapshot(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, err := c.begin(ctx, Delete, id)
	if err == nil {
		delete(c.snapshots, id)
	}
	return err
}

// RestoreSnapshot implements cloud.Snapshotter.
func (c *Cloud) RestoreSnapshot(ctx context.Context, id, _ string) (cloud.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.snapshots[id]
	if s == nil {
		return cloud.Volume{}, fmt.Errorf("fake cloud: snapshot %s: %w", id, errGone)
	}
	done, broken, err := c.begin(ctx, Restore, id)
	if err != nil {
		return cloud.Volume{}, err
	}
	v := &volume{Volume: cloud.Volume{ID: c.id("vol"), State: cloud.Pending, Size: s.Total}, from: id, done: done, broken: broken}
	c.volumes[v.ID] = v
	return v.Volume, nil
}

// Volume implements cloud.Volumes.
func (c *Cloud) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.volumes[id]
	if v == nil {
		return cloud.Volume{ID: id, State: cloud.Gone, Size: cloud.Unknown}, nil
	}
	if v.State != cloud.Pending || !c.over(v.done) {
		return v.Volume, context.Cause(ctx)
	}
	if v.broken != "" {
		v.State, v.Problem = cloud.Failed, v.broken
		return v.Volume, nil
	}
	var err error
	switch v.to {
	case "":
		v.State = cloud.Available
		if s := c.snapshots[v.from]; s != nil && c.o.OnRestore != nil {
			err = c.o.OnRestore(ctx, s.Snapshot, v.Volume)
		}
	case "-":
		v.State, v.Machine, v.Device, v.to = cloud.Available, "", "", ""
		v.from = ""
	default:
		v.State, v.Machine, v.Device = cloud.InUse, v.to, "/dev/vdc"
		if c.o.OnAttach != nil {
			m := cloud.Machine{ID: v.to}
			if known := c.machines[v.to]; known != nil {
				m = known.Machine
			}
			v.Device, err = c.o.OnAttach(ctx, v.Volume, m)
		}
	}
	if err != nil {
		v.State, v.Problem = cloud.Failed, err.Error()
	}
	return v.Volume, nil
}

// AttachVolume implements cloud.Volumes.
func (c *Cloud) AttachVolume(ctx context.Context, id, to string) (cloud.Volume, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, m := c.volumes[id], c.machines[to]
	if v == nil || m == nil {
		return cloud.Volume{}, fmt.Errorf("fake cloud: attach %s to %s: %w", id, to, errGone)
	}
	if v.State != cloud.Available {
		return cloud.Volume{}, fmt.Errorf("fake cloud: attach %s to %s: it is %s", id, to, v.State)
	}
	done, broken, err := c.begin(ctx, Attach, id)
	if err != nil {
		return cloud.Volume{}, err
	}
	v.State, v.to, v.done, v.broken = cloud.Pending, to, done, broken
	return v.Volume, nil
}

// DetachVolume implements cloud.Volumes; it is done at once.
func (c *Cloud) DetachVolume(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.volumes[id]
	if v == nil || v.to == "" && v.Machine == "" {
		return nil
	}
	if _, _, err := c.begin(ctx, Detach, id); err != nil {
		return err
	}
	if c.o.OnDetach != nil {
		if err := c.o.OnDetach(ctx, v.Volume); err != nil {
			return err
		}
	}
	v.State, v.Machine, v.Device, v.to, v.from = cloud.Available, "", "", "", ""
	return nil
}

// DeleteVolume implements cloud.Volumes.
func (c *Cloud) DeleteVolume(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.volumes[id]
	if v == nil {
		return nil
	}
	if _, _, err := c.begin(ctx, DeleteVolume, id); err != nil {
		return err
	}
	if v.State == cloud.InUse {
		return fmt.Errorf("fake cloud: delete volume %s: it is attached to %s", id, v.Machine)
	}
	delete(c.volumes, id)
	if c.o.OnDeleteVolume != nil {
		return c.o.OnDeleteVolume(ctx, v.Volume)
	}
	return nil
}

// LaunchMachine implements cloud.Machines.
func (c *Cloud) LaunchMachine(ctx context.Context, name string) (cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	done, broken, err := c.begin(ctx, Launch, name)
	if err != nil {
		return cloud.Machine{}, err
	}
	m := &machine{Machine: cloud.Machine{ID: c.id("vm"), State: cloud.Pending}, done: done, broken: broken}
	c.machines[m.ID] = m
	return m.Machine, nil
}

// Machine implements cloud.Machines.
func (c *Cloud) Machine(ctx context.Context, id string) (cloud.Machine, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		return cloud.Machine{ID: id, State: cloud.Gone}, nil
	}
	if m.State != cloud.Pending || !c.over(m.done) {
		return m.Machine, context.Cause(ctx)
	}
	m.State, m.Address = cloud.InUse, "192.0.2.1"
	if m.broken != "" {
		m.State, m.Problem, m.Address = cloud.Failed, m.broken, ""
	} else if c.o.OnLaunch != nil {
		var err error
		if m.Address, err = c.o.OnLaunch(ctx, m.Machine); err != nil {
			m.State, m.Problem = cloud.Failed, err.Error()
		}
	}
	return m.Machine, nil
}

// StopMachine implements cloud.Machines.
func (c *Cloud) StopMachine(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		return fmt.Errorf("fake cloud: stop %s: %w", id, errGone)
	}
	if _, _, err := c.begin(ctx, Stop, id); err != nil {
		return err
	}
	m.State = cloud.Available
	if c.o.OnStop != nil {
		return c.o.OnStop(ctx, m.Machine)
	}
	return nil
}

// DeleteMachine implements cloud.Machines.
func (c *Cloud) DeleteMachine(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.machines[id]
	if m == nil {
		return nil
	}
	if _, _, err := c.begin(ctx, DeleteMachine, id); err != nil {
		return err
	}
	delete(c.machines, id)
	for _, v := range c.volumes {
		if v.Machine == id || v.to == id {
			v.State, v.Machine, v.Device, v.to, v.from = cloud.Available, "", "", "", ""
		}
	}
	if c.o.OnDeleteMachine != nil {
		return c.o.OnDeleteMachine(ctx, m.Machine)
	}
	return nil
}

// MoveAddress implements cloud.Addresses.
func (c *Cloud) MoveAddress(ctx context.Context, address, to string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, err := c.begin(ctx, Move, address); err != nil {
		return err
	}
	c.addresses[address] = to
	if c.o.OnMove != nil {
		return c.o.OnMove(ctx, address, to)
	}
	return nil
}
