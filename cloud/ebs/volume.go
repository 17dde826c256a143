package ebs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cw/cloud"
	"cw/fault"
)

// RestoreSnapshot implements cloud.Snapshotter.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	if d.o.Zone == "" {
		return cloud.Volume{}, fault.New(fault.Usage, "--driver-option zone="+d.o.Region+"a", "EC2: to make a volume its availability zone has to be known")
	}
	token := d.token()
	in := &ec2.CreateVolumeInput{
		AvailabilityZone: aws.String(d.o.Zone), SnapshotId: aws.String(id), VolumeType: types.VolumeType(d.o.VolumeType),
		ClientToken: aws.String(token), TagSpecifications: tags(types.ResourceTypeVolume, name, token),
	}
	var r *ec2.CreateVolumeOutput
	err := d.again(ctx, func() (err error) {
		r, err = d.ec2.CreateVolume(ctx, in)
		return err
	})
	if err != nil {
		return cloud.Volume{}, fmt.Errorf("make a volume of snapshot %s: %w", id, explain(err))
	}
	v := readVolume(types.Volume{VolumeId: r.VolumeId, State: r.State, Size: r.Size})
	d.remember(v.ID)
	return v, nil
}

// Volume implements cloud.Volumes.
func (d *Driver) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	v := cloud.Volume{ID: id, State: cloud.Gone, Size: cloud.Unknown}
	if d.known(id) {
		v.State = cloud.Pending
	}
	r, err := d.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
	if isGone(err) {
		return v, nil
	}
	if err != nil {
		return v, fmt.Errorf("ask for volume %s: %w", id, explain(err))
	}
	for _, it := range r.Volumes {
		if aws.ToString(it.VolumeId) == id {
			d.forget(id)
			return readVolume(it), nil
		}
	}
	return v, nil
}

// readVolume puts an item into cw's words.
func readVolume(it types.Volume) cloud.Volume {
	v := cloud.Volume{ID: aws.ToString(it.VolumeId), State: cloud.Pending, Size: cloud.Unknown}
	if it.Size != nil {
		v.Size = int64(*it.Size) << 30
	}
	switch it.State {
	case types.VolumeStateAvailable:
		v.State = cloud.Available
	case types.VolumeStateInUse:
		// It is in use from the moment that attaching begins.
		for _, a := range it.Attachments {
			v.Machine, v.Device = aws.ToString(a.InstanceId), aws.ToString(a.Device)
			if a.State == types.VolumeAttachmentStateAttached || a.State == types.VolumeAttachmentStateBusy {
				v.State = cloud.InUse
			}
		}
	case types.VolumeStateDeleting, types.VolumeStateDeleted:
		v.State = cloud.Gone
	case types.VolumeStateError:
		v.State, v.Problem = cloud.Failed, "EC2 could not make it of its snapshot"
	case types.VolumeStateCreating:
	}
	return v
}

// AttachVolume implements cloud.Volumes. The device name is the first that is
// free; a guest with NVMe disks calls it otherwise.
func (d *Driver) AttachVolume(ctx context.Context, volume, machine string) (cloud.Volume, error) {
	fail := func(err error) (cloud.Volume, error) {
		return cloud.Volume{}, fmt.Errorf("attach volume %s to %s: %w", volume, machine, explain(err))
	}
	in, err := d.instance(ctx, machine)
	if err != nil {
		return fail(err)
	}
	used := ""
	for _, m := range in.BlockDeviceMappings {
		if name := aws.ToString(m.DeviceName); name != "" {
			used += name[len(name)-1:]
		}
	}
	const letters = "fghijklmnop"
	i := strings.IndexFunc(letters, func(r rune) bool { return !strings.ContainsRune(used, r) })
	if i < 0 {
		return fail(fault.New(fault.Failed, "detach one", "no device name from /dev/sdf to /dev/sdp is free"))
	}
	device := "/dev/sd" + letters[i:i+1]
	_, err = d.ec2.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: aws.String(volume), InstanceId: aws.String(machine), Device: aws.String(device)})
	if code(err) == "VolumeInUse" { // a repeat of what was done, or another's
		if v, verr := d.Volume(ctx, volume); verr == nil && v.Machine == machine {
			return v, nil
		}
	}
	if err != nil {
		return fail(err)
	}
	return cloud.Volume{ID: volume, State: cloud.Pending, Machine: machine, Device: device, Size: cloud.Unknown}, nil
}

// DetachVolume implements cloud.Volumes: it waits until the volume is free.
func (d *Driver) DetachVolume(ctx context.Context, volume string) error {
	_, err := d.ec2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: aws.String(volume)})
	if isGone(err) {
		return nil
	}
	if code(err) == "IncorrectState" {
		err = nil // it is free, or on its way: this may be a repeat of what was done
	}
	for err == nil {
		var v cloud.Volume
		if v, err = d.Volume(ctx, volume); err != nil || v.State == cloud.Available || v.State == cloud.Gone {
			break
		}
		err = d.sleep(ctx, time.Second)
	}
	if err != nil {
		return fmt.Errorf("detach volume %s: %w", volume, explain(err))
	}
	return nil
}

// DeleteVolume implements cloud.Volumes.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error {
	_, err := d.ec2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(id)})
	if err != nil && !isGone(err) {
		return fmt.Errorf("delete volume %s: %w", id, explain(err))
	}
	d.forget(id)
	return nil
}
