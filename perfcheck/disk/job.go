package disk

import (
	"slices"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// Kind is what a job does.
type Kind string

// The kinds.
const (
	Read       Kind = "read"       // sequential
	Write      Kind = "write"      // sequential
	RandRead   Kind = "randread"   //
	RandWrite  Kind = "randwrite"  //
	Mixed      Kind = "mixed"      // random, ReadShare of it reads
	Commit     Kind = "commit"     // small writes that are forced to the disk, as a database commits
	Scan       Kind = "scan"       // Depth sequential readers, each in a region of its own
	FirstWrite Kind = "firstwrite" // into a new file, then the same again over what is there
)

// Ways of forcing a commit to the disk.
const (
	Fsync       = "fsync"        // write, fsync
	Fdatasync   = "fdatasync"    // write, fdatasync
	Dsync       = "dsync"        // a file opened with O_DSYNC
	DirectDsync = "direct_dsync" // O_DIRECT and O_DSYNC
)

// Engines that run a job.
const (
	EngineNative = ""    // cw's own
	EngineFio    = "fio" // the installed fio, on the same files
)

// Job is one measurement: the same work in each directory of a set at the
// same time. Depth and Rate are per directory.
type Job struct {
	perfcheck.Timing
	Kind  Kind  `json:"kind"`
	Block int64 `json:"block"` // bytes of a request
	// Depth is how many requests are under way at once: the queue depth, and
	// for Commit and Scan the number of committers and readers.
	Depth int    `json:"depth"`
	Sync  string `json:"sync,omitempty"` // of Commit
	// Rate is the requests per second of an open loop: each is due at its
	// moment, whatever became of those before. 0 is a closed loop: the next
	// begins when one is done.
	Rate      float64 `json:"rate,omitempty"`
	ReadShare float64 `json:"read_share,omitempty"` // of Mixed, 0 to 1
	Engine    string  `json:"engine,omitempty"`
}

// maxDepth is beyond what any queue of a disk holds.
const maxDepth = 1024

// Validate says what is wrong with the job.
func (j Job) Validate() error {
	kinds := []Kind{Read, Write, RandRead, RandWrite, Mixed, Commit, Scan, FirstWrite}
	switch {
	case !slices.Contains(kinds, j.Kind):
		return fault.New(fault.Usage, "", "disk job: %q is no kind of work", j.Kind)
	case j.Block < 512 || j.Block > 64*mib || j.Block%512 != 0:
		return fault.New(fault.Usage, "", "disk job: a block of %d bytes: it has to be a multiple of 512, up to 64 MiB", j.Block)
	case j.Depth < 1 || j.Depth > maxDepth:
		return fault.New(fault.Usage, "", "disk job: a depth of %d: it has to be 1 to %d", j.Depth, maxDepth)
	case j.Duration <= 0 || j.Warmup < 0:
		return fault.New(fault.Usage, "", "disk job: no duration")
	case j.Kind == Commit && !slices.Contains([]string{Fsync, Fdatasync, Dsync, DirectDsync}, j.Sync):
		return fault.New(fault.Usage, "", "disk job: %q is no way to force a commit to the disk", j.Sync)
	case j.Rate < 0 || j.Rate > 1e6:
		return fault.New(fault.Usage, "", "disk job: a rate of %g per second", j.Rate)
	case j.Rate > 0 && (j.Kind == Scan || j.Kind == FirstWrite):
		return fault.New(fault.Usage, "", "disk job: %s has no rate", j.Kind)
	case j.ReadShare < 0 || j.ReadShare > 1:
		return fault.New(fault.Usage, "", "disk job: a read share of %g: it has to be 0 to 1", j.ReadShare)
	case j.Engine != EngineNative && j.Engine != EngineFio:
		return fault.New(fault.Usage, "--engine fio, or none", "disk job: there is no engine %q", j.Engine)
	}
	return nil
}

// primary is the metric that the series shows.
func (j Job) primary() (name, unit string) {
	switch {
	case j.Rate > 0, j.Kind == Commit:
		return "rate", perfcheck.PerSecond
	case j.Kind == RandRead, j.Kind == RandWrite, j.Kind == Mixed:
		return "iops", perfcheck.PerSecond
	}
	return "throughput", perfcheck.BytesPerSecond
}

// perSecond turns counts over a time into the value of a unit.
func perSecond(unit string, ops, bytes int64, d time.Duration) float64 {
	if unit == perfcheck.BytesPerSecond {
		return float64(bytes) / d.Seconds()
	}
	return float64(ops) / d.Seconds()
}
