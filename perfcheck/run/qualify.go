package run

import (
	"slices"
	"time"

	"cw/perfcheck"
)

// Qualify is the profile of a job that decides whether a type of VM is fit: a
// test for each question that a database vendor asks, often enough repeated to
// be judged, and the sustained tests, which credits do not survive. Four hosts
// take about three quarters of an hour.
const Qualify = "qualify"

// qualifying are the tests of the profile.
func qualifying(id string) bool {
	return slices.Contains([]string{
		"cpu.int.t1", "cpu.int.all", "cpu.crc.all",
		"memory.triad.t1", "memory.triad.all",
		"disk.read.1m.qd16", "disk.read.1m.qd16.alone", "disk.write.1m.qd16",
		"disk.scan.k1", "disk.scan.k2", "disk.scan.k4", "disk.scan.k8",
		"disk.randread.8k.qd1", "disk.randread.8k.qd32", "disk.randwrite.8k.qd32", "disk.mixed.8k.qd32",
		"disk.fdatasync.8k", "disk.fdatasync.8k.c16", "disk.fdatasync.8k.rate200", "disk.firstwrite.1m",
		"net.pmtu", "net.tcp.s1", "net.tcp.s4", "net.tcp.s16", "net.udp.8192.p50", "net.rr", "net.crr", "net.pps", "net.nics",
	}, id)
}

// sustainedSuffix ends the ids of tests that last long enough to see credits
// run out.
const sustainedSuffix = ".sustained"

// sustainedFor is how long: general-purpose disks with the smallest of the
// usual buckets empty them in about half an hour at full load, networks and
// disks that burst for moments in seconds to minutes (benchmarks of Q13). The
// soak profile is for the rest.
const sustainedFor = 5 * time.Minute

// sustainable are the tests that are also run sustained.
func sustainable(id string) bool {
	return slices.Contains([]string{"disk.read.1m.qd16", "disk.randwrite.8k.qd32", "net.tcp.s4"}, id)
}

// sustained is a test once, for minutes.
func sustained(t test) test {
	t.ID += sustainedSuffix
	t.Title += ", sustained"
	t.Profiles = []string{Qualify}
	t.once, t.everyPair = true, false
	return t
}

// qualified adds the profile to its tests, and the sustained ones after all
// others of their area: they may leave a disk or a link without credits.
func qualified(tests []test) []test {
	var out, long []test
	flush := func() { out, long = append(out, long...), nil }
	area := perfcheck.Area("")
	for _, t := range tests {
		if t.Area != area {
			flush()
			area = t.Area
		}
		if qualifying(t.ID) {
			t.Profiles = append(slices.Clone(t.Profiles), Qualify)
		}
		if out = append(out, t); sustainable(t.ID) {
			long = append(long, sustained(t))
		}
	}
	flush()
	return out
}
