package run

import (
	"slices"
	"strings"

	"cw/perfcheck"
)

// aloneSuffix ends the ids of tests that measure one machine while the others
// are idle.
const aloneSuffix = ".alone"

// contention is what a machine keeps of its speed when all are at it: 1 when
// they do not disturb each other, 1/n when n share one backend.
const contention = "contention"

// sharedBackend are the disk tests that are run on one machine after another
// as well, to see whether the machines share what they measure.
func sharedBackend(id string) bool {
	return slices.Contains([]string{"disk.read.1m.qd16", "disk.write.1m.qd16", "disk.randread.8k.qd32", "object.get.c16", "object.put.16m.c16", "db.read.c4"}, id)
}

// alone is a test on one machine after another.
func alone(t test) test {
	t.ID += aloneSuffix
	t.Title += ", one host alone"
	t.Scope = perfcheck.Alone
	t.Profiles = slices.DeleteFunc(slices.Clone(t.Profiles), func(p string) bool { return p == "soak" })
	return t
}

// contend adds to a test of machines alone what each keeps of it when all
// are at it, from the same test's results together. How much is no fault of a
// machine, so it is said and not judged.
func contend(tests []perfcheck.Test, before []perfcheck.Test) {
	for i := range tests {
		for j := range before {
			together := &before[j]
			if together.ID+aloneSuffix != tests[i].ID || together.Host != tests[i].Host {
				continue
			}
			for _, name := range []string{"throughput", "iops"} {
				a, ok := tests[i].Metrics[name]
				b, both := together.Metrics[name]
				if ok && both && a.Value > 0 {
					ratio := b.Value / a.Value
					tests[i].Metrics[contention] = perfcheck.Metric{Value: ratio, Unit: perfcheck.Ratio, Better: perfcheck.Higher, N: 1, Median: ratio, Reps: []float64{ratio}}
					break
				}
			}
		}
	}
}

func isAlone(id string) bool { return strings.HasSuffix(id, aloneSuffix) }
