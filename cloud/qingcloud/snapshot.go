package qingcloud

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cw/cloud"
	"cw/fault"
)

// megabyte and gigabyte are the units of the API's sizes.
const (
	megabyte = 1 << 20
	gigabyte = 1 << 30
)

// selfParent is the parent of a full snapshot.
const selfParent = "self"

// snapshotItem is one of DescribeSnapshots.
type snapshotItem struct {
	ID         text   `json:"snapshot_id"`
	Name       text   `json:"snapshot_name"`
	Status     text   `json:"status"`
	Transition text   `json:"transition_status"`
	Type       number `json:"snapshot_type"` // 1 full, 0 incremental
	Taken      number `json:"is_taken"`
	Parent     text   `json:"parent_id"`
	Size       number `json:"size"`         // MB
	Virtual    number `json:"virtual_size"` // MB
	Created    moment `json:"create_time"`
	Time       moment `json:"snapshot_time"`
	Resource   one[struct {
		ID text `json:"resource_id"`
	}] `json:"resource"`
}

// CreateSnapshots implements cloud.Snapshotter. All volumes go into one call:
// only then they share their point in time. Kind Incremental cannot be asked
// for: the system decides, and the Snapshot says what came of it.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	if len(o.Volumes) == 0 {
		return nil, fault.New(fault.Usage, "name the volumes", "QingCloud: no volume to take a snapshot of")
	}
	name := d.unique(o.Name)
	full := "0"
	if o.Kind == cloud.Full {
		full = "1"
	}
	params := list(map[string]string{"snapshot_name": name, "is_full": full}, "resources", o.Volumes...)
	var out struct {
		accepted
		Snapshots texts `json:"snapshots"`
	}
	var found []snapshotItem
	looked := 0
	err := d.change(ctx, "CreateSnapshots", params, &out, func(ctx context.Context) (bool, error) {
		var err error
		found, err = d.snapshotsNamed(ctx, name)
		looked++
		// They may not show all at once; but what shows at the last look was
		// taken, and asking for all again would make it twice.
		return len(found) >= len(o.Volumes) || len(found) > 0 && looked%looks == 0, err
	})
	if err != nil {
		return nil, fmt.Errorf("take a snapshot of %s: %w", strings.Join(o.Volumes, ", "), err)
	}
	if len(found) == 0 {
		if found, err = d.describeSnapshots(ctx, list(nil, "snapshots", out.Snapshots...)); err != nil {
			return d.unseen(out.Snapshots, o.Volumes), err
		}
	}
	d.remember(out.Job.first(), out.Snapshots...)
	made := make([]cloud.Snapshot, 0, len(o.Volumes))
	var missing []string
	for i, v := range o.Volumes {
		at := slices.IndexFunc(found, func(s snapshotItem) bool { return string(s.Resource.V.ID) == v })
		switch {
		case at >= 0:
			made = append(made, d.snapshot(ctx, found[at]))
		case len(out.Snapshots) == len(o.Volumes):
			// Accepted but not listed yet: the ids come in the order of the
			// volumes.
			made = append(made, d.unseen(out.Snapshots[i:i+1], o.Volumes[i:i+1])...)
		default:
			missing = append(missing, v)
		}
	}
	if len(missing) > 0 {
		return made, fault.New(fault.Partial, "delete those that were made, or wait and look again",
			"QingCloud: snapshot %s: accepted for %d of %d volumes, not for %s", name, len(made), len(o.Volumes), strings.Join(missing, ", "))
	}
	return made, nil
}

// unseen are snapshots that are accepted and not listed yet.
func (d *Driver) unseen(ids, volumes []string) []cloud.Snapshot {
	var out []cloud.Snapshot
	for i, id := range ids {
		s := cloud.Snapshot{ID: id, State: cloud.Pending, Progress: -1, Size: cloud.Unknown, Total: cloud.Unknown}
		if i < len(volumes) {
			s.Volume = volumes[i]
		}
		out = append(out, s)
	}
	return out
}

// snapshotsNamed finds snapshots by their exact name.
func (d *Driver) snapshotsNamed(ctx context.Context, name string) ([]snapshotItem, error) {
	items, err := d.describeSnapshots(ctx, map[string]string{"search_word": name})
	return slices.DeleteFunc(items, func(s snapshotItem) bool { return string(s.Name) != name }), err
}

func (d *Driver) describeSnapshots(ctx context.Context, params map[string]string) ([]snapshotItem, error) {
	var out struct {
		Items []snapshotItem `json:"snapshot_set"`
	}
	params["verbose"], params["limit"] = "1", "100"
	err := d.read(ctx, "DescribeSnapshots", params, &out)
	return out.Items, err
}

// Snapshot implements cloud.Snapshotter.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	items, err := d.describeSnapshots(ctx, list(nil, "snapshots", id))
	if err != nil && !isNotFound(err) {
		return cloud.Snapshot{}, err
	}
	for _, it := range items {
		if string(it.ID) != id {
			continue
		}
		s := d.snapshot(ctx, it)
		if s.State == cloud.Pending {
			if s.Problem, err = d.ended(ctx, id); s.Problem != "" {
				s.State, s.Problem = cloud.Failed, s.Problem+d.outcome(ctx, id)
			}
		}
		return s, err
	}
	s := d.unseen([]string{id}, nil)[0]
	if d.jobOf(id) == "" {
		s.State = cloud.Gone
		return s, nil
	}
	if s.Problem, err = d.ended(ctx, id); s.Problem != "" {
		s.State = cloud.Failed
	}
	return s, err
}

// outcome says which snapshots of a job that failed in part were made: its
// job tells only that some were not.
func (d *Driver) outcome(ctx context.Context, id string) string {
	ids := d.siblings(id)
	if len(ids) < 2 {
		return ""
	}
	items, err := d.describeSnapshots(ctx, list(nil, "snapshots", ids...))
	if err != nil {
		return ""
	}
	var made, failed []string
	for _, other := range ids {
		ok := slices.ContainsFunc(items, func(s snapshotItem) bool { return string(s.ID) == other && s.Status == "available" })
		if ok {
			made = append(made, other)
		} else {
			failed = append(failed, other)
		}
	}
	text := "; failed: " + strings.Join(failed, ", ")
	if len(made) > 0 {
		text += "; made: " + strings.Join(made, ", ")
	}
	return text
}

// snapshot puts an item into cw's words.
func (d *Driver) snapshot(ctx context.Context, it snapshotItem) cloud.Snapshot {
	s := cloud.Snapshot{
		ID: string(it.ID), Volume: string(it.Resource.V.ID), Parent: string(it.Parent), Progress: -1,
		Size: cloud.Unknown, Total: cloud.Unknown, Created: it.Created.Time,
	}
	if s.Parent == selfParent || s.Parent == s.ID {
		s.Parent = ""
	}
	if it.Type.Set {
		s.Kind = cloud.Incremental
		if it.Type.N == 1 {
			s.Kind = cloud.Full
		}
	}
	switch it.Status {
	case "pending":
		s.State = cloud.Pending
	case "available":
		s.State, s.Progress = cloud.Available, 1
	case "deleted", "ceased":
		s.State = cloud.Gone
	case "suspended":
		s.State, s.Problem = cloud.Failed, "it is suspended: the account has no funds"
	default:
		s.State, s.Problem = cloud.Failed, fmt.Sprintf("its status is %q", string(it.Status))
	}
	s.Captured = s.State == cloud.Available || it.Taken.N == 1
	s.Total = d.volumeSize(ctx, s.Volume)
	// A size is only true once the upload is done. In the documentation's own
	// samples it is a thousand times what the volume can hold: that is not
	// believed.
	if s.State == cloud.Available && it.Size.Set && it.Size.N > 0 {
		if size := it.Size.N * megabyte; s.Total < 0 || size <= s.Total+s.Total/10+gigabyte {
			s.Size = size
		}
	}
	return s
}

// volumeSize is the size of the volume of a snapshot, Unknown when it is gone.
func (d *Driver) volumeSize(ctx context.Context, id string) int64 {
	d.mu.Lock()
	size, ok := d.volumes[id]
	d.mu.Unlock()
	if ok || !strings.HasPrefix(id, "vo") { // an instance has no size of its own
		if !ok {
			return cloud.Unknown
		}
		return size
	}
	v, err := d.Volume(ctx, id)
	if err != nil || v.State == cloud.Gone {
		return cloud.Unknown
	}
	return v.Size
}

// ChangedBytes implements cloud.Snapshotter: known only of a snapshot and its
// own parent, by what it takes.
func (d *Driver) ChangedBytes(ctx context.Context, id, earlier string) (int64, error) {
	s, err := d.Snapshot(ctx, id)
	if err != nil || s.Parent != earlier || earlier == "" {
		return cloud.Unknown, err
	}
	return s.Size, nil
}

// DeleteSnapshot implements cloud.Snapshotter. Deleting a full one deletes
// the chain that builds on it: that is how the API is.
func (d *Driver) DeleteSnapshot(ctx context.Context, id string) error {
	var out accepted
	err := d.change(ctx, "DeleteSnapshots", list(nil, "snapshots", id), &out, func(ctx context.Context) (bool, error) {
		items, err := d.describeSnapshots(ctx, list(nil, "snapshots", id))
		for _, it := range items {
			if string(it.ID) == id && it.Transition != "deleting" && (it.Status == "available" || it.Status == "pending") {
				return false, err
			}
		}
		return err == nil, err
	})
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete snapshot %s: %w", id, err)
	}
	d.forget(id)
	return nil
}
