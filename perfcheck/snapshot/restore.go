package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"cw/cloud"
	"cw/fault"
	"cw/perfcheck"
)

// restore makes a volume of a snapshot and reads it.
func (r *runner) restore(ctx context.Context, test string, s *cloud.Snapshot, moment string) {
	r.o.Phase("restoring the " + moment + " snapshot")
	m, problem, err := r.restored(ctx, s, moment)
	if err != nil {
		r.fail(err, test)
		return
	}
	r.out.Measured[test] = m
	if problem != "" {
		r.out.Problems[test] = problem
	}
}

func (r *runner) restored(ctx context.Context, s *cloud.Snapshot, moment string) (m perfcheck.Measurement, problem string, err error) {
	r.serial++
	name := fmt.Sprintf("cw-perf-%s-%d", r.o.Name, r.serial)
	limit, cancel := context.WithTimeoutCause(ctx, r.o.Timeout, fault.New(fault.Unreachable, "--timeout gives it longer", "the driver has not restored a snapshot within %s", r.o.Timeout))
	defer cancel()
	if p, ok := r.o.Driver.(namer); ok {
		if err := r.keep(MadeVolume, p.SnapshotID(r.volume, name)); err != nil {
			return m, "", err
		}
	}
	began := time.Now()
	v, err := r.o.Driver.RestoreSnapshot(limit, s.ID, name)
	if v.ID != "" {
		err = errors.Join(err, r.keep(MadeVolume, v.ID))
	}
	if err == nil {
		v, err = r.volumeReady(limit, v)
	}
	created := time.Since(began)
	if err != nil {
		return m, "", cause(limit, err)
	}
	defer func() {
		if err == nil || ctx.Err() == nil {
			_ = r.remove(ctx, MadeVolume, v.ID) // at the latest, the end does it
		}
	}()
	dir, unmount, err := r.attach(limit, v)
	if err != nil {
		return m, "", cause(limit, err)
	}
	defer unmount()
	attached := time.Since(began)
	if err := r.o.Host.FirstByte(ctx, dir); err != nil {
		return m, "", err
	}
	first := time.Since(began)
	read, err := r.o.Host.ReadAll(ctx, dir)
	if err != nil {
		return m, "", err
	}
	complete := time.Since(began)
	if read.Bytes == 0 || read.Seconds <= 0 {
		return m, "", errors.New("nothing could be read of the restored volume")
	}
	r.o.Phase("comparing what was restored with the moment of the snapshot")
	verified, err := r.o.Host.Verify(ctx, dir, moment)
	if err != nil {
		return m, "", err
	}
	m = perfcheck.Measurement{Began: began, Values: map[string]float64{
		"created": created.Seconds(), "attached": attached.Seconds(), "first_byte": first.Seconds(), "complete": complete.Seconds(),
		"read": float64(read.Bytes) / read.Seconds, "verified": float64(verified.Bytes),
	}, Events: []perfcheck.Event{{Kind: "verified", Text: fmt.Sprintf("SHA-256 of the data set %s, at the moment of the snapshot %s; the probe's last write in it is %d, of %d acknowledged before and %d begun",
		verified.Hash, verified.Expected, verified.Last, verified.Acked, verified.Issued)}}}
	return m, verified.Problem, nil
}

// volumeReady waits until a volume can be attached.
func (r *runner) volumeReady(ctx context.Context, v cloud.Volume) (cloud.Volume, error) {
	for v.State == cloud.Pending {
		if err := perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Poll)); err != nil {
			return v, err
		}
		next, err := r.o.Driver.Volume(ctx, v.ID)
		if err != nil {
			return v, err
		}
		v = next
	}
	if v.State == cloud.Failed || v.State == cloud.Gone {
		return v, fmt.Errorf("the restored volume %s is %s: %s", v.ID, v.State, orNothing(v.Problem))
	}
	return v, nil
}

// attach brings a volume to the machine and tells where its files are.
func (r *runner) attach(ctx context.Context, v cloud.Volume) (dir string, undo func(), err error) {
	got, err := r.o.Driver.AttachVolume(ctx, v.ID, r.o.Machine)
	if err != nil {
		return "", nil, err
	}
	detach := func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err := r.o.Driver.DetachVolume(clean, v.ID)
		for err == nil { // a volume that is still being detached cannot be deleted
			var now cloud.Volume
			if now, err = r.o.Driver.Volume(clean, v.ID); err != nil || now.State == cloud.Available || now.State == cloud.Gone || now.State == cloud.Failed {
				break
			}
			err = perfcheck.WaitUntil(clean, time.Now().Add(r.o.Poll))
		}
		if err != nil {
			r.o.Warn(err.Error())
		}
	}
	for got.State == cloud.Pending || got.State == cloud.Available {
		err := perfcheck.WaitUntil(ctx, time.Now().Add(r.o.Poll))
		if err == nil {
			got, err = r.o.Driver.Volume(ctx, v.ID)
		}
		if err != nil {
			detach()
			return "", nil, err
		}
	}
	if got.State != cloud.InUse {
		detach()
		return "", nil, fmt.Errorf("the restored volume %s is %s and not attached: %s", v.ID, got.State, orNothing(got.Problem))
	}
	if _, ok := r.o.Driver.(Maker); ok {
		return got.Device, detach, nil // the volume itself
	}
	if r.o.Mount == nil {
		return path.Join(got.Device, r.opened.Relative), detach, nil
	}
	at, err := r.o.Mount(ctx, got)
	if err != nil {
		detach()
		return "", nil, err
	}
	return path.Join(at, r.opened.Relative), func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := r.o.Unmount(clean, at); err != nil {
			r.o.Warn(err.Error())
		}
		detach()
	}, nil
}
