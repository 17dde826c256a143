package ebs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"cw/cloud"
	"cw/fault"
)

// CreateSnapshots implements cloud.Snapshotter. Several volumes have to be
// attached to one instance: that is how EC2 fixes them at one moment. What
// kind it becomes is not to choose: the first of a volume is full.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	if len(o.Volumes) == 0 {
		return nil, fault.New(fault.Usage, "name the volumes", "EC2: no volume to take a snapshot of")
	}
	made, err := d.createSnapshots(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of %s: %w", strings.Join(o.Volumes, ", "), explain(err))
	}
	var out []cloud.Snapshot
	var missing []string
	for _, v := range o.Volumes {
		i := slices.IndexFunc(made, func(s types.Snapshot) bool { return aws.ToString(s.VolumeId) == v })
		if i < 0 {
			missing = append(missing, v)
			continue
		}
		d.remember(aws.ToString(made[i].SnapshotId))
		if err := d.link(ctx, v, aws.ToString(made[i].SnapshotId)); err != nil {
			return out, err
		}
		out = append(out, d.snapshot(made[i]))
	}
	if len(missing) > 0 {
		return out, fault.New(fault.Partial, "delete those that were made", "EC2: snapshots of %d of %d volumes were accepted, not of %s", len(out), len(o.Volumes), strings.Join(missing, ", "))
	}
	return out, nil
}

// createSnapshots asks for them once.
func (d *Driver) createSnapshots(ctx context.Context, o cloud.CreateOptions) ([]types.Snapshot, error) {
	token := d.token()
	ask := func(ctx context.Context) ([]types.Snapshot, error) {
		r, err := d.ec2.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: aws.String(o.Volumes[0]), TagSpecifications: tags(types.ResourceTypeSnapshot, o.Name, token)}, once)
		if err != nil {
			return nil, err
		}
		return []types.Snapshot{{SnapshotId: r.SnapshotId, VolumeId: r.VolumeId, State: r.State, Progress: r.Progress, StartTime: r.StartTime, VolumeSize: r.VolumeSize}}, nil
	}
	if len(o.Volumes) > 1 {
		spec, err := d.group(ctx, o.Volumes)
		if err != nil {
			return nil, err
		}
		ask = func(ctx context.Context) ([]types.Snapshot, error) {
			r, err := d.ec2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{InstanceSpecification: spec, TagSpecifications: tags(types.ResourceTypeSnapshot, o.Name, token)}, once)
			if err != nil {
				return nil, err
			}
			var made []types.Snapshot
			for _, s := range r.Snapshots {
				made = append(made, types.Snapshot{SnapshotId: s.SnapshotId, VolumeId: s.VolumeId, State: s.State, Progress: s.Progress, StartTime: s.StartTime, VolumeSize: s.VolumeSize})
			}
			return made, nil
		}
	}
	for try := 0; ; try++ {
		made, err := ask(ctx)
		if err == nil || ctx.Err() != nil || try+1 >= tries || !temporary(err) {
			return made, err
		}
		if serr := d.sleep(ctx, backoff(try)); serr != nil {
			return nil, serr
		}
		if isThrottle(err) || isDial(err) {
			continue // it was not taken
		}
		found, lerr := d.findTagged(ctx, token, len(o.Volumes))
		if lerr != nil {
			return nil, fmt.Errorf("%w; whether it was made is not known: %w", err, lerr)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
}

// once keeps the SDK from repeating a call.
func once(o *ec2.Options) { o.Retryer = aws.NopRetryer{} }

// temporary tells an error that may not come again.
func temporary(err error) bool {
	var cut *smithyhttp.RequestSendError
	var garbled *smithy.DeserializationError
	return errors.As(err, &cut) || errors.As(err, &garbled) || isThrottle(err) || retry.NewStandard().IsErrorRetryable(err)
}

func isThrottle(err error) bool {
	c := code(err)
	return c == "RequestLimitExceeded" || strings.Contains(c, "Throttl") || c == "SnapshotCreationPerVolumeRateExceeded"
}

// isDial tells a connection that never came about.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// findTagged looks for what a call with a lost answer made, three times:
// it may take a moment to be listed.
func (d *Driver) findTagged(ctx context.Context, token string, want int) (found []types.Snapshot, err error) {
	for look := range 3 {
		if err := d.sleep(ctx, backoff(look)); err != nil {
			return nil, err
		}
		r, err := d.ec2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{Filters: []types.Filter{{Name: aws.String("tag:" + requestTag), Values: []string{token}}}})
		if err != nil {
			return nil, err
		}
		if found = r.Snapshots; len(found) >= want {
			break
		}
	}
	return found, nil
}

// group is the instance that all volumes are attached to, without its others.
func (d *Driver) group(ctx context.Context, volumes []string) (*types.InstanceSpecification, error) {
	r, err := d.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: volumes})
	if err != nil {
		return nil, err
	}
	instance := ""
	for _, v := range r.Volumes {
		at := ""
		if len(v.Attachments) > 0 {
			at = aws.ToString(v.Attachments[0].InstanceId)
		}
		if at == "" || instance != "" && at != instance {
			return nil, fault.New(fault.Usage, "take them one by one, or attach them to the same instance", "EC2 fixes several volumes at one moment only on one instance: %s is at %q", aws.ToString(v.VolumeId), at)
		}
		instance = at
	}
	in, err := d.instance(ctx, instance)
	if err != nil {
		return nil, err
	}
	spec := &types.InstanceSpecification{InstanceId: aws.String(instance), ExcludeBootVolume: aws.Bool(true)}
	for _, m := range in.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		id, boot := aws.ToString(m.Ebs.VolumeId), aws.ToString(m.DeviceName) == aws.ToString(in.RootDeviceName)
		switch wanted := slices.Contains(volumes, id); {
		case wanted && boot:
			spec.ExcludeBootVolume = aws.Bool(false)
		case !wanted && !boot:
			spec.ExcludeDataVolumeIds = append(spec.ExcludeDataVolumeIds, id)
		}
	}
	return spec, nil
}

// link finds which snapshot a new one builds on: the newest complete one of
// its volume.
func (d *Driver) link(ctx context.Context, volume, id string) error {
	parent, at := "", int64(0)
	in := &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("volume-id"), Values: []string{volume}}},
	}
	for {
		page, err := d.ec2.DescribeSnapshots(ctx, in)
		if err != nil {
			return fmt.Errorf("list the snapshots of %s: %w", volume, explain(err))
		}
		for _, s := range page.Snapshots {
			if t := aws.ToTime(s.StartTime).UnixNano(); aws.ToString(s.SnapshotId) != id && s.State == types.SnapshotStateCompleted && t >= at {
				parent, at = aws.ToString(s.SnapshotId), t
			}
		}
		if next := aws.ToString(page.NextToken); next == "" || next == aws.ToString(in.NextToken) {
			break
		}
		in.NextToken = page.NextToken
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.chain[id] = parent
	return nil
}
