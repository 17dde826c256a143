package exec

import (
	"context"
	"fmt"
	"slices"

	"cw/cloud"
)

// The verbs of the program.
const (
	verbVerbs         = "verbs"
	verbCreate        = "create"
	verbStatus        = "status"
	verbChanged       = "changed"
	verbDelete        = "delete"
	verbRestore       = "restore"
	verbVolume        = "volume"
	verbAttach        = "attach"
	verbDetach        = "detach"
	verbDeleteVolume  = "delete-volume"
	verbLaunch        = "launch"
	verbMachine       = "machine"
	verbStop          = "stop"
	verbDeleteMachine = "delete-machine"
	verbMoveAddress   = "move-address"
)

// Groups of verbs, each what one of cloud's interfaces needs.
func snapshotVerbs() []string {
	return append([]string{verbCreate, verbStatus, verbDelete, verbRestore}, volumeVerbs()...)
}

func volumeVerbs() []string { return []string{verbVolume, verbAttach, verbDetach, verbDeleteVolume} }

func machineVerbs() []string { return []string{verbLaunch, verbMachine, verbStop, verbDeleteMachine} }

// Abilities says which of cloud's interfaces the program can stand for.
type Abilities struct{ Snapshots, Volumes, Machines, Addresses bool }

// Abilities asks the program for its verbs; one that does not tell has them
// all, as far as is known.
func (d *Driver) Abilities(ctx context.Context) (Abilities, error) {
	var out struct {
		Verbs []string `json:"verbs"`
	}
	err := d.ask(ctx, verbVerbs, struct{}{}, &out)
	if isExit(err, exitNoVerb) {
		return Abilities{true, true, true, true}, nil
	}
	if err != nil {
		return Abilities{}, err
	}
	has := func(verbs ...string) bool {
		return !slices.ContainsFunc(verbs, func(v string) bool { return !slices.Contains(out.Verbs, v) })
	}
	return Abilities{has(snapshotVerbs()...), has(volumeVerbs()...), has(machineVerbs()...), has(verbMoveAddress)}, nil
}

type idOnly struct {
	ID string `json:"id"`
}

// answered checks an answer that was read.
func answered[T any](d *Driver, verb string, read func() (T, error)) (T, error) {
	got, err := read()
	if err != nil {
		err = d.wrong(verb, err)
	}
	return got, err
}

// wrong is the error for an answer that cannot be.
func (d *Driver) wrong(verb string, err error) error {
	return &callError{program: d.o.Program, verb: verb, code: -1, err: fmt.Errorf("its answer: %w", err)}
}

// CreateSnapshots implements cloud.Snapshotter.
func (d *Driver) CreateSnapshots(ctx context.Context, o cloud.CreateOptions) ([]cloud.Snapshot, error) {
	in := struct {
		Volumes []string   `json:"volumes"`
		Name    string     `json:"name"`
		Kind    cloud.Kind `json:"kind"`
		Parent  string     `json:"parent"`
	}{o.Volumes, o.Name, o.Kind, o.Parent}
	var out struct {
		Snapshots []snapshot `json:"snapshots"`
	}
	if err := d.call(ctx, verbCreate, in, &out); err != nil {
		return nil, err
	}
	var made []cloud.Snapshot
	for _, s := range out.Snapshots {
		got, err := answered(d, verbCreate, s.read)
		if err != nil {
			return made, err
		}
		made = append(made, got)
	}
	if len(made) != len(o.Volumes) {
		return made, d.wrong(verbCreate, fmt.Errorf("%d snapshots of %d volumes", len(made), len(o.Volumes)))
	}
	return made, nil
}

// Snapshot implements cloud.Snapshotter.
func (d *Driver) Snapshot(ctx context.Context, id string) (cloud.Snapshot, error) {
	var out snapshot
	err := d.ask(ctx, verbStatus, idOnly{id}, &out)
	if isExit(err, exitGone) {
		return cloud.Snapshot{ID: id, State: cloud.Gone, Progress: -1, Size: cloud.Unknown, Total: cloud.Unknown}, nil
	}
	if err != nil {
		return cloud.Snapshot{}, err
	}
	return answered(d, verbStatus, out.read)
}

// ChangedBytes implements cloud.Snapshotter; a program without the verb does
// not tell.
func (d *Driver) ChangedBytes(ctx context.Context, id, earlier string) (int64, error) {
	var out struct {
		Bytes *int64 `json:"bytes"`
	}
	err := d.ask(ctx, verbChanged, struct {
		ID      string `json:"id"`
		Earlier string `json:"earlier"`
	}{id, earlier}, &out)
	if isExit(err, exitNoVerb) {
		return cloud.Unknown, nil
	}
	return size(out.Bytes), err
}

// DeleteSnapshot implements cloud.Snapshotter.
func (d *Driver) DeleteSnapshot(ctx context.Context, id string) error {
	return d.remove(ctx, verbDelete, idOnly{id})
}

// remove is a call after which something is not there: whether it was before
// does not matter.
func (d *Driver) remove(ctx context.Context, verb string, in any) error {
	if err := d.ask(ctx, verb, in, nil); !isExit(err, exitGone) {
		return err
	}
	return nil
}

// RestoreSnapshot implements cloud.Snapshotter.
func (d *Driver) RestoreSnapshot(ctx context.Context, id, name string) (cloud.Volume, error) {
	var out volume
	if err := d.call(ctx, verbRestore, struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}{id, name}, &out); err != nil {
		return cloud.Volume{}, err
	}
	return answered(d, verbRestore, out.read)
}

// Volume implements cloud.Volumes.
func (d *Driver) Volume(ctx context.Context, id string) (cloud.Volume, error) {
	var out volume
	err := d.ask(ctx, verbVolume, idOnly{id}, &out)
	if isExit(err, exitGone) {
		return cloud.Volume{ID: id, State: cloud.Gone, Size: cloud.Unknown}, nil
	}
	if err != nil {
		return cloud.Volume{}, err
	}
	return answered(d, verbVolume, out.read)
}

// AttachVolume implements cloud.Volumes.
func (d *Driver) AttachVolume(ctx context.Context, vol, to string) (cloud.Volume, error) {
	var out volume
	if err := d.call(ctx, verbAttach, struct {
		Volume  string `json:"volume"`
		Machine string `json:"machine"`
	}{vol, to}, &out); err != nil {
		return cloud.Volume{}, err
	}
	return answered(d, verbAttach, out.read)
}

// DetachVolume implements cloud.Volumes.
func (d *Driver) DetachVolume(ctx context.Context, vol string) error {
	return d.remove(ctx, verbDetach, struct {
		Volume string `json:"volume"`
	}{vol})
}

// DeleteVolume implements cloud.Volumes.
func (d *Driver) DeleteVolume(ctx context.Context, id string) error {
	return d.remove(ctx, verbDeleteVolume, idOnly{id})
}

// LaunchMachine implements cloud.Machines.
func (d *Driver) LaunchMachine(ctx context.Context, name string) (cloud.Machine, error) {
	var out machine
	if err := d.call(ctx, verbLaunch, struct {
		Name string `json:"name"`
	}{name}, &out); err != nil {
		return cloud.Machine{}, err
	}
	return answered(d, verbLaunch, out.read)
}

// Machine implements cloud.Machines.
func (d *Driver) Machine(ctx context.Context, id string) (cloud.Machine, error) {
	var out machine
	err := d.ask(ctx, verbMachine, idOnly{id}, &out)
	if isExit(err, exitGone) {
		return cloud.Machine{ID: id, State: cloud.Gone}, nil
	}
	if err != nil {
		return cloud.Machine{}, err
	}
	return answered(d, verbMachine, out.read)
}

// StopMachine implements cloud.Machines.
func (d *Driver) StopMachine(ctx context.Context, id string) error {
	return d.ask(ctx, verbStop, idOnly{id}, nil)
}

// DeleteMachine implements cloud.Machines.
func (d *Driver) DeleteMachine(ctx context.Context, id string) error {
	return d.remove(ctx, verbDeleteMachine, idOnly{id})
}

// MoveAddress implements cloud.Addresses.
func (d *Driver) MoveAddress(ctx context.Context, address, to string) error {
	return d.ask(ctx, verbMoveAddress, struct {
		Address string `json:"address"`
		Machine string `json:"machine"`
	}{address, to}, nil)
}
