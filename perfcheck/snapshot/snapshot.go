// Package snapshot measures what a snapshot of a volume takes and what it does
// to those who use the volume meanwhile: a probe writes (or reads) in an open
// loop before, during and after it, the same is done around nothing at all as
// a control, and what is restored is compared with what was there at the
// moment of the snapshot.
//
// Set is the side that touches the volume's files, on its machine; Run is the
// protocol, which asks a driver for snapshots and may be elsewhere: between
// the two is the interface Host.
package snapshot

import (
	"context"
	"time"

	"cw/perfcheck"
)

// Sizes of what is written.
const (
	// Block is the unit of the data set, and in which it is overwritten: a
	// page of Greenplum.
	Block = 32 << 10
	// ProbeBlock is what the probe writes at once: a page of PostgreSQL.
	ProbeBlock = 8 << 10
	// ReadBlock is what is read at once.
	ReadBlock = 1 << 20
	// ProbeFile is the size of the file that the probe writes to.
	ProbeFile = 64 << 20
)

// Modes of the probe.
const (
	Write = "write" // 8 KiB pwrite and fdatasync, as a database's log
	Read  = "read"  // sequential 1 MiB direct reads, as a scan
)

// Host is the machine on whose volume the probe runs.
type Host interface {
	// Open makes a folder in a directory; the volume's files will be in it.
	Open(ctx context.Context, dir, name string) (Opened, error)
	// Fill writes the data set and the probe's file; on hears how far it is.
	Fill(ctx context.Context, a FillArgs, on func(done, total int64)) error
	// Overwrite replaces some of the data set's blocks, no block twice.
	Overwrite(ctx context.Context, blocks int64, seed uint64) error
	// Capacity is what one reader gets in bytes per second.
	Capacity(ctx context.Context, d time.Duration) (float64, error)
	// Begin starts the probe. It returns when its warm-up is over.
	Begin(ctx context.Context, a ProbeArgs) error
	// Mark tells the probe that something happens.
	Mark(ctx context.Context, m Mark) error
	// End stops the probe.
	End(ctx context.Context) (ProbeResult, error)
	// FirstByte reads the first block of a copy of the volume.
	FirstByte(ctx context.Context, dir string) error
	// ReadAll reads the data set of a copy once.
	ReadAll(ctx context.Context, dir string) (ReadResult, error)
	// Verify compares a copy of the volume with what the moment of a
	// snapshot was.
	Verify(ctx context.Context, dir, moment string) (Verified, error)
	// Close removes the folder.
	Close(ctx context.Context) error
}

// Opened says where the files are.
type Opened struct {
	Folder string `json:"folder"` // made by Open
	Volume string `json:"volume"` // below it, made by the driver or by Fill
	// Relative is the volume's directory as seen from its mount point: where
	// to look in a disk that was restored.
	Relative string `json:"relative"`
	Mount    string `json:"mount"`
	Owner    string `json:"owner"` // UID:GID of the one who writes
	// Leftovers are folders of runs that were killed.
	Leftovers []string `json:"leftovers,omitempty"`
}

// FillArgs say what is written first.
type FillArgs struct {
	Size int64  `json:"size"` // of the data set
	Seed uint64 `json:"seed"`
}

// ProbeArgs say how the probe works.
type ProbeArgs struct {
	Mode   string        `json:"mode"`
	Rate   float64       `json:"rate"` // requests per second
	Warmup time.Duration `json:"warmup"`
}

// Marks, in the order in which they happen.
const (
	MarkTrigger  = "trigger"  // the snapshot is about to be asked for
	MarkCaptured = "captured" // its point in time is fixed
	MarkDone     = "done"     // the driver says that it is complete
)

// Mark is an event in the life of a snapshot.
type Mark struct {
	Kind   string `json:"kind"`
	Moment string `json:"moment,omitempty"` // the name under which Verify knows the snapshot
}

// ProbeResult is what the probe saw.
type ProbeResult struct {
	Mode   string  `json:"mode"`
	Rate   float64 `json:"rate"`   // that was wanted
	Window float64 `json:"window"` // seconds
	// Windows are consecutive, from the end of the warm-up.
	Windows []Window `json:"windows"`
	Trigger float64  `json:"trigger"` // seconds from the end of the warm-up
	Done    float64  `json:"done"`
	Length  float64  `json:"length"`
	// Response is counted from when a request should have begun, Service
	// from when it did: by phase.
	Response map[string]*perfcheck.Histogram `json:"response"`
	Service  map[string]*perfcheck.Histogram `json:"service"`
	// Gap is the longest time without a finished request after the trigger.
	Gap float64 `json:"gap"`
	// Written counts the distinct bytes that the probe changed since the
	// last moment that a snapshot was taken, at this one's trigger.
	Written int64            `json:"written"`
	Health  perfcheck.Health `json:"health"`
	Began   time.Time        `json:"began"`
}

// The phases of an experiment.
const (
	Before = "before"
	During = "during"
	After  = "after"
)

// Window is one interval of a probe.
type Window struct {
	Done int     `json:"n"` // requests
	P50  float64 `json:"p50,omitempty"`
	Max  float64 `json:"max,omitempty"` // response, seconds
}

// ReadResult is how long a copy took to be read.
type ReadResult struct {
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// Verified is what a copy turned out to be.
type Verified struct {
	Bytes    int64  `json:"bytes"`
	Hash     string `json:"hash"`     // SHA-256 of the data set as read
	Expected string `json:"expected"` // and as it was at the moment of the snapshot
	// Acked is the number of the last write of the probe that was
	// acknowledged before the trigger, Issued of the last that had begun
	// when the snapshot was captured; Last is the last that is in the copy.
	Acked  int64 `json:"acked"`
	Issued int64 `json:"issued"`
	Last   int64 `json:"last"`
	// Problem says what is wrong with the copy; "" when it is as it was.
	Problem string `json:"problem,omitempty"`
}
