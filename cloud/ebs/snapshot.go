package ebs

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"cw/cloud"
	"cw/fault"
)

// Snapshot implements cloud.Snapshotter.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	s := cloud.Snapshot{ID: id, State: cloud.Gone, Progress: -1, Size: cloud.Unknown, Total: cloud.Unknown}
	if d.known(id) {
		s.State = cloud.Pending
	}
	r, err := d.ec2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	if isGone(err) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("ask for snapshot %s: %w", id, explain(err))
	}
	for _, it := range r.Snapshots {
		if aws.ToString(it.SnapshotId) == id {
			d.forget(id)
			return d.snapshot(it), nil
		}
	}
	return s, nil
}

// snapshot puts an item into cw's words.
func (d *Driver) snapshot(it types.Snapshot) cloud.Snapshot {
	s := cloud.Snapshot{
		ID: aws.ToString(it.SnapshotId), Volume: aws.ToString(it.VolumeId), State: cloud.Pending, Captured: true,
		Progress: progress(aws.ToString(it.Progress)), Size: cloud.Unknown, Total: cloud.Unknown, Created: aws.ToTime(it.StartTime).UTC(),
	}
	d.mu.Lock()
	parent, known := d.chain[s.ID]
	d.mu.Unlock()
	if known {
		s.Parent, s.Kind = parent, cloud.Incremental
		if parent == "" {
			s.Kind = cloud.Full
		}
	}
	if it.VolumeSize != nil {
		s.Total = int64(*it.VolumeSize) << 30
	}
	switch it.State {
	case types.SnapshotStateCompleted:
		s.State, s.Progress = cloud.Available, 1
	case types.SnapshotStateError:
		s.State, s.Captured, s.Problem = cloud.Failed, false, aws.ToString(it.StateMessage)
		if s.Problem == "" {
			s.Problem = "EC2 gives no reason"
		}
	case types.SnapshotStatePending:
	case types.SnapshotStateRecoverable, types.SnapshotStateRecovering:
		s.State = cloud.Gone // in the bin
	}
	// The size that EC2 tells is that of everything the snapshot can restore:
	// of a full one that is what it holds by itself.
	if s.State == cloud.Available && s.Kind == cloud.Full && aws.ToInt64(it.FullSnapshotSizeInBytes) > 0 {
		s.Size = *it.FullSnapshotSizeInBytes
	}
	return s
}

// progress reads "80%".
func progress(text string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), "%"), 64)
	if err != nil || n < 0 || n > 100 {
		return -1
	}
	return n / 100
}

// ChangedBytes implements cloud.Snapshotter: the blocks that the later
// snapshot has and the earlier has not, or has otherwise.
func (d *Driver) ChangedBytes(ctx context.Context, id, earlier string) (int64, error) {
	if earlier == "" {
		return cloud.Unknown, nil
	}
	var blocks int64
	size := int64(0)
	in := &ebs.ListChangedBlocksInput{FirstSnapshotId: aws.String(earlier), SecondSnapshotId: aws.String(id), MaxResults: aws.Int32(10000)}
	seen := map[string]bool{}
	for {
		r, err := d.blocks.ListChangedBlocks(ctx, in)
		if err != nil {
			return cloud.Unknown, fmt.Errorf("what changed between %s and %s: %w", earlier, id, explain(err))
		}
		if n := int64(aws.ToInt32(r.BlockSize)); n > 0 {
			size = n
		}
		for _, b := range r.ChangedBlocks {
			if aws.ToString(b.SecondBlockToken) != "" {
				blocks++
			}
		}
		next := aws.ToString(r.NextToken)
		if next == "" {
			break
		}
		if seen[next] {
			return cloud.Unknown, fault.New(fault.Failed, "try again", "what changed between %s and %s: the list does not end", earlier, id)
		}
		seen[next] = true
		in.NextToken = aws.String(next)
	}
	if size == 0 && blocks > 0 {
		return cloud.Unknown, nil
	}
	return blocks * size, nil
}

// DeleteSnapshot implements cloud.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, id string) error {
	_, err := d.ec2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(id)})
	if err != nil && !isGone(err) {
		return fmt.Errorf("delete snapshot %s: %w", id, explain(err))
	}
	d.forget(id)
	return nil
}
