// Package cloud holds the words for what a cloud does to machines and their
// volumes: snapshots, volumes, machines, addresses. It is a leaf: the drivers
// are in the folders below, and whoever uses one knows only the interfaces
// here. A driver implements those that its cloud has; what is missing is an
// error before anything is begun, never in the middle.
package cloud

import (
	"context"
	"io"
	"time"
)

// Kind of a snapshot.
type Kind string

// The kinds. A cloud may decide otherwise than it was asked: what came of it
// is in the Snapshot.
const (
	Auto        Kind = ""            // as the cloud decides
	Full        Kind = "full"        // everything that is in use
	Incremental Kind = "incremental" // what has changed since Parent
)

// State of what a cloud makes.
type State string

// The states.
const (
	Pending   State = "pending"   // being made; of a snapshot: its point in time may not be fixed yet
	Available State = "available" // done; of a volume: not attached
	InUse     State = "in-use"    // of a volume: attached; of a machine: running
	Failed    State = "failed"
	Gone      State = "gone" // deleted, or never there
)

// Unknown stands for a size that the cloud does not tell.
const Unknown int64 = -1

// Snapshot is a point in time of a volume.
type Snapshot struct {
	ID     string
	Volume string
	Parent string // of an incremental one; "" when there is none, or it is not told
	Kind   Kind   // what it became, Auto when the cloud does not tell
	State  State
	// Captured: its point in time is fixed, later writes are not in it. Where
	// a cloud does not tell this apart from Available it follows it.
	Captured bool
	Progress float64 // 0 to 1, or -1 when the cloud does not tell
	Size     int64   // bytes that it holds by itself, without its parents; Unknown when not told
	Total    int64   // bytes of the volume that it stands for; Unknown when not told
	Created  time.Time
	Problem  string // why it failed
}

// Volume is a disk.
type Volume struct {
	ID      string
	State   State
	Machine string // that it is attached to
	Device  string // what the machine may call it; the guest's own name can differ
	Size    int64  // bytes
	Problem string
}

// Machine is a virtual machine.
type Machine struct {
	ID      string
	State   State
	Address string // where SSH reaches it; "" until it is known
	Problem string
}

// CreateOptions say what snapshot is wanted.
type CreateOptions struct {
	Volumes []string // all at one point in time, where the cloud can
	Name    string
	Kind    Kind
	Parent  string // for Incremental where the driver, not the cloud, keeps the chain
}

// Snapshotter makes snapshots and volumes of them. Create returns when the
// cloud has accepted the wish; Snapshot tells how far it is.
type Snapshotter interface {
	CreateSnapshots(ctx context.Context, o CreateOptions) ([]Snapshot, error)
	Snapshot(ctx context.Context, id string) (Snapshot, error)
	// ChangedBytes is what differs between a snapshot and an earlier one of
	// the same volume, in the cloud's own blocks; Unknown when not told.
	ChangedBytes(ctx context.Context, id, earlier string) (int64, error)
	DeleteSnapshot(ctx context.Context, id string) error
	// RestoreSnapshot makes a new volume of a snapshot. The one it was taken
	// of is never touched.
	RestoreSnapshot(ctx context.Context, id, name string) (Volume, error)
	Volumes
}

// Volumes attaches volumes to machines. AttachVolume returns when the cloud has
// accepted the wish, DetachVolume when the volume is free. For a driver that works on a host's
// own filesystem the machine is that host, and the device a directory.
type Volumes interface {
	Volume(ctx context.Context, id string) (Volume, error)
	AttachVolume(ctx context.Context, volume, machine string) (Volume, error)
	DetachVolume(ctx context.Context, volume string) error
	DeleteVolume(ctx context.Context, id string) error
}

// Machines makes virtual machines and ends them.
type Machines interface {
	LaunchMachine(ctx context.Context, name string) (Machine, error)
	Machine(ctx context.Context, id string) (Machine, error)
	StopMachine(ctx context.Context, id string) error // hard, as a failure would
	DeleteMachine(ctx context.Context, id string) error
}

// Addresses moves virtual addresses.
type Addresses interface {
	// MoveAddress returns when the cloud has accepted the wish.
	MoveAddress(ctx context.Context, address, machine string) error
}

// Runner runs a command on the machine that a local driver works on: over
// SSH, or here. It returns standard output; an error holds what the command
// said on standard error.
type Runner func(ctx context.Context, argv []string, stdin io.Reader) ([]byte, error)
