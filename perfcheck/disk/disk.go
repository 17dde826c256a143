// Package disk measures disks as a database uses them: through direct I/O, on
// a file that was written in full beforehand, with latencies that know when a
// request was due. It refuses what would be measured wrongly (memory in place
// of a disk, a mount that is missing, the root disk) and leaves nothing
// behind. It is an engine of cw perf: it knows neither hosts nor the store.
//
// The order of a run: Inspect tells what a directory lies on, Prepare makes
// and fills a private folder in each, Set.Run runs one Job on all of them
// together, Set.Close takes the folders away. Leftovers finds those of a run
// that was killed.
package disk

import (
	"time"

	"cw/perfcheck"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Limits of waiting that are no part of a measurement.
const (
	cancelGrace = 800 * time.Millisecond // for requests under way, once the context is over
	drainLimit  = 60 * time.Second       // for requests under way at the end: longer is a disk that has died
	closeGrace  = 60 * time.Second       // for removing the files
)

// StallAfter is how long nothing may complete until it counts as a stall.
const StallAfter = 200 * time.Millisecond

// Profiles of cw perf.
const (
	quick    = "quick"
	standard = "standard"
	soak     = "soak"
)

// DefaultSize is how much is written into each directory when nobody says.
// quick must be through, prefill included, within five minutes on a disk of
// 100 MB/s; the reference asks for 32 GiB or a tenth of the disk, which only
// soak has the time for: the others carry perfcheck.FlagSmallFile.
func DefaultSize(profile string) int64 {
	switch profile {
	case standard:
		return 8 * gib
	case soak:
		return 32 * gib
	}
	return 2 * gib
}

// addFlag adds a flag once.
func addFlag(m *perfcheck.Measurement, flag string) {
	for _, f := range m.Flags {
		if f == flag {
			return
		}
	}
	m.Flags = append(m.Flags, flag)
}
