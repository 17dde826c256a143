package replace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cw/cloud"
	"cw/fault"
)

// lastWord is how long a create that was asked for may still answer after the
// run was stopped: without its id what it made could not be removed.
const lastWord = 2 * time.Minute

// launch asks for the machine.
func (r *replacement) launch(ctx context.Context) error {
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	m, err := r.o.Machines.LaunchMachine(keep, r.o.Name)
	r.mu.Lock()
	r.machine = m
	r.mu.Unlock()
	return err
}

// running asks for the machine until it runs and has an address.
func (r *replacement) running(ctx context.Context) (bool, error) {
	m, err := r.o.Machines.Machine(ctx, r.machine.ID)
	if err != nil {
		return false, err
	}
	if m.State == cloud.Failed || m.State == cloud.Gone {
		return false, fault.New(fault.Failed, "look at it in the cloud's console", "machine %s is %s: %s", m.ID, m.State, reason(m.Problem))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.machine = m
	return m.State == cloud.InUse && m.Address != "", nil
}

func reason(problem string) string {
	if problem == "" {
		return "the cloud gives no reason"
	}
	return problem
}

// command runs the first command.
func (r *replacement) command(began time.Time) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		err := r.o.Site.Command(ctx, r.machine)
		if fault.KindOf(err) == fault.Auth && time.Since(began) > r.o.Patience {
			return false, err
		}
		return err == nil, nil
	}
}

// restore makes the volume and waits for it.
func (r *replacement) restore(ctx context.Context) error {
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	v, err := r.o.Snapshots.RestoreSnapshot(keep, r.o.Snapshot, r.o.Name)
	r.mu.Lock()
	r.volume = v
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.poll(ctx, r.volumeIs(cloud.Available))
}

// attach attaches the volume and waits for it.
func (r *replacement) attach(ctx context.Context) error {
	if _, err := r.o.Snapshots.AttachVolume(ctx, r.volume.ID, r.machine.ID); err != nil {
		return err
	}
	return r.poll(ctx, r.volumeIs(cloud.InUse))
}

// volumeIs asks for the volume until it has a state.
func (r *replacement) volumeIs(want cloud.State) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		v, err := r.o.Snapshots.Volume(ctx, r.volume.ID)
		if err != nil {
			return false, err
		}
		if v.State == cloud.Failed || v.State == cloud.Gone {
			return false, fault.New(fault.Failed, "look at it in the cloud's console", "volume %s is %s: %s", v.ID, v.State, reason(v.Problem))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.volume = v
		return v.State == want, nil
	}
}

// TidyUp removes what a replacement made. It tries everything, says what is
// left, and does not stop for the person's wish to stop: ctx is not theirs.
func TidyUp(ctx context.Context, o Options, made Made) error {
	var errs []error
	if made.Machine.ID != "" {
		o.Site.Close(ctx, made.Machine)
		// A machine that is only just being made is often not to be deleted yet.
		if err := insist(ctx, o, func() error { return o.Machines.DeleteMachine(ctx, made.Machine.ID) }); err != nil {
			errs = append(errs, fmt.Errorf("machine %s is left: %w", made.Machine.ID, err))
		}
	}
	if made.Volume.ID != "" {
		// The volume comes free some time after its machine has gone.
		if err := insist(ctx, o, func() error {
			if err := o.Snapshots.DetachVolume(ctx, made.Volume.ID); err != nil {
				return err
			}
			return o.Snapshots.DeleteVolume(ctx, made.Volume.ID)
		}); err != nil {
			errs = append(errs, fmt.Errorf("volume %s is left: %w", made.Volume.ID, err))
		}
	}
	return errors.Join(errs...)
}

// insists is how often something is deleted that will not go at once.
const insists = 120

// insist does something until it succeeds, a bounded number of times.
func insist(ctx context.Context, o Options, fn func() error) (err error) {
	for range insists {
		if err = fn(); err == nil || ctx.Err() != nil {
			return err
		}
		t := time.NewTimer(min(2*o.Poll, time.Second))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
	return err
}
