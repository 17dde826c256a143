package qingcloud

import (
	"context"
	"fmt"

	"cw/cloud"
	"cw/fault"
)

// volumeItem is one of DescribeVolumes.
type volumeItem struct {
	ID         text            `json:"volume_id"`
	Name       text            `json:"volume_name"`
	Status     text            `json:"status"`
	Transition text            `json:"transition_status"`
	Size       number          `json:"size"` // GB
	Instance   one[attachment] `json:"instance"`
	Instances  one[attachment] `json:"instances"`
}

type attachment struct {
	ID     text `json:"instance_id"`
	Device text `json:"device"`
}

// at is where the volume is attached.
func (v volumeItem) at() attachment {
	if v.Instance.V.ID != "" {
		return v.Instance.V
	}
	return v.Instances.V
}

// RestoreSnapshot implements cloud.Snapshotter.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	name = d.unique(name)
	var out struct {
		accepted
		Volume text `json:"volume_id"`
	}
	params := map[string]string{"snapshot": id, "volume_name": name}
	err := d.change(ctx, "CreateVolumeFromSnapshot", params, &out, func(ctx context.Context) (bool, error) {
		items, err := d.describeVolumes(ctx, map[string]string{"search_word": name})
		for _, v := range items {
			if string(v.Name) == name {
				out.Volume = v.ID
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		return cloud.Volume{}, fmt.Errorf("make a volume of snapshot %s: %w", id, err)
	}
	if out.Volume == "" {
		return cloud.Volume{}, fault.New(fault.Failed, "look for "+name+" in the console", "QingCloud: a volume of snapshot %s was accepted, but its id was not told", id)
	}
	d.remember(out.Job.first(), string(out.Volume))
	return cloud.Volume{ID: string(out.Volume), State: cloud.Pending}, nil
}

func (d *Driver) describeVolumes(ctx context.Context, params map[string]string) ([]volumeItem, error) {
	var out struct {
		Items []volumeItem `json:"volume_set"`
	}
	params["verbose"], params["limit"] = "1", "100"
	err := d.read(ctx, "DescribeVolumes", params, &out)
	return out.Items, err
}

// volume asks for one volume; ok is false when the API does not list it.
func (d *Driver) volume(ctx context.Context, id string) (v volumeItem, ok bool, err error) {
	items, err := d.describeVolumes(ctx, list(nil, "volumes", id))
	if isNotFound(err) {
		return v, false, nil
	}
	for _, v := range items {
		if string(v.ID) == id {
			return v, true, err
		}
	}
	return v, false, err
}

// Volume implements cloud.Volumes.
func (d *Driver) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	it, ok, err := d.volume(ctx, id)
	if err != nil {
		return cloud.Volume{}, err
	}
	v := cloud.Volume{ID: id, State: cloud.Gone, Size: cloud.Unknown}
	if ok {
		v = readVolume(it)
		if v.Size > 0 {
			d.mu.Lock()
			d.volumes[id] = v.Size
			d.mu.Unlock()
		}
	} else if d.jobOf(id) != "" {
		v.State = cloud.Pending // accepted, and not listed yet
	}
	// A job that failed leaves the volume as it was: only the job tells.
	if v.State == cloud.Pending || v.State == cloud.Available {
		if v.Problem, err = d.ended(ctx, id); v.Problem != "" {
			v.State = cloud.Failed
			d.forget(id)
		}
	}
	return v, err
}

// readVolume puts an item into cw's words.
func readVolume(it volumeItem) cloud.Volume {
	v := cloud.Volume{ID: string(it.ID), Size: cloud.Unknown}
	if it.Size.Set && it.Size.N > 0 {
		v.Size = it.Size.N * gigabyte
	}
	switch it.Status {
	case "pending":
		v.State = cloud.Pending
	case "available":
		v.State = cloud.Available
	case "in-use":
		v.State, v.Machine, v.Device = cloud.InUse, string(it.at().ID), string(it.at().Device)
	case "deleted", "ceased":
		v.State = cloud.Gone
	case "suspended":
		v.State, v.Problem = cloud.Failed, "it is suspended: the account has no funds"
	default:
		v.State, v.Problem = cloud.Failed, fmt.Sprintf("its status is %q", string(it.Status))
	}
	if it.Transition != "" && v.State != cloud.Failed && v.State != cloud.Gone {
		v.State = cloud.Pending // on its way into another state
	}
	return v
}

// AttachVolume implements cloud.Volumes: it returns when the API has accepted.
func (d *Driver) AttachVolume(ctx context.Context, volume, machine string) (cloud.Volume, error) {
	var out accepted
	params := list(map[string]string{"instance": machine}, "volumes", volume)
	err := d.change(ctx, "AttachVolumes", params, &out, func(ctx context.Context) (bool, error) {
		it, _, err := d.volume(ctx, volume)
		return it.Transition == "attaching" || it.Status == "in-use" && string(it.at().ID) == machine, err
	})
	if err != nil {
		return cloud.Volume{}, fmt.Errorf("attach volume %s to %s: %w", volume, machine, err)
	}
	d.remember(out.Job.first(), volume)
	return cloud.Volume{ID: volume, State: cloud.Pending, Machine: machine, Size: cloud.Unknown}, nil
}

// DetachVolume implements cloud.Volumes: it waits until the volume is free.
func (d *Driver) DetachVolume(ctx context.Context, volume string) error {
	it, ok, err := d.volume(ctx, volume)
	if err != nil || !ok || it.at().ID == "" {
		return err
	}
	var out accepted
	params := list(map[string]string{"instance": string(it.at().ID)}, "volumes", volume)
	err = d.change(ctx, "DetachVolumes", params, &out, func(ctx context.Context) (bool, error) {
		it, _, err := d.volume(ctx, volume)
		return it.Transition == "detaching" || it.Status == "available", err
	})
	if err == nil {
		d.forget(volume)
		err = d.await(ctx, out.Job.first())
	}
	// When the answer was lost there is no job to wait for.
	for err == nil && out.Job.first() == "" {
		if it, ok, err = d.volume(ctx, volume); err != nil || !ok || it.Status == "available" && it.Transition == "" {
			break
		}
		err = d.o.Sleep(ctx, poll)
	}
	if err != nil {
		return fmt.Errorf("detach volume %s: %w", volume, err)
	}
	return nil
}

// DeleteVolume implements cloud.Volumes.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error {
	var out accepted
	err := d.change(ctx, "DeleteVolumes", list(nil, "volumes", id), &out, func(ctx context.Context) (bool, error) {
		it, ok, err := d.volume(ctx, id)
		return err == nil && (!ok || it.Transition == "deleting" || it.Status == "deleted" || it.Status == "ceased"), err
	})
	if err != nil && !isNotFound(err) {
		return fmt.Errorf("delete volume %s: %w", id, err)
	}
	d.forget(id)
	return nil
}
