package cpu

import "testing"

// Whatever /proc/cpuinfo says, there is a processor.
func FuzzParseCPUInfo(f *testing.F) {
	f.Add("model name\t: X\nphysical id\t: 0\nflags\t: a hypervisor\n", "0-3,8")
	f.Add("CPU part: 0xd0c\n:\n", "3-0,,x-2")
	f.Add("", "0-99999999999999999999,9223372036854775807-1")
	f.Fuzz(func(t *testing.T, text, cpus string) {
		if got := parseCPUInfo(text); got.Sockets < 1 {
			t.Errorf("%q: %+v", text, got)
		}
		if n := countList(cpus); n < 0 {
			t.Errorf("%q: %d CPUs", cpus, n)
		}
	})
}
