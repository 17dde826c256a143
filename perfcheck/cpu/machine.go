package cpu

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// ticks are counters of /proc/stat.
type ticks struct{ total, steal float64 }

func readTicks() ticks {
	var t ticks
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, word := range strings.Fields(strings.TrimPrefix(line, "cpu ")) {
		n, _ := strconv.ParseFloat(word, 64)
		if i < 8 { // guest times are in user's already
			t.total += n
		}
		if i == 7 {
			t.steal = n
		}
	}
	return t
}

// stealUntil is the share of CPU time that the hypervisor took between two
// readings.
func (t ticks) stealUntil(u ticks) float64 {
	if u.total <= t.total {
		return 0
	}
	return max(0, (u.steal-t.steal)/(u.total-t.total))
}

// Facts describe the machine's processors.
type Facts struct {
	Model          string `json:"model"`
	Architecture   string `json:"architecture"`
	CPUs           int    `json:"cpus"`    // that programs may use
	Sockets        int    `json:"sockets"` //
	ThreadsPerCore int    `json:"threads_per_core"`
	Nodes          int    `json:"nodes"`          // of memory (NUMA)
	Cache          string `json:"cache"`          // of one last-level cache, as the kernel says
	MHz            string `json:"mhz,omitempty"`  // nominal or current, as the kernel says
	Virtualisation string `json:"virtualisation"` // none, kvm, xen, …, or a container's
	ClockSource    string `json:"clock_source"`
	Governor       string `json:"governor,omitempty"`
	Kernel         string `json:"kernel"`
}

// Describe tells what the machine has. What the kernel does not say is empty.
func Describe() Facts {
	info, _ := os.ReadFile("/proc/cpuinfo")
	f := parseCPUInfo(string(info))
	f.Architecture, f.CPUs = runtime.GOARCH, runtime.NumCPU()
	nodes, _ := filepath.Glob("/sys/devices/system/node/node[0-9]*")
	f.Nodes = max(len(nodes), 1)
	if siblings := word("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"); siblings != "" {
		f.ThreadsPerCore = countList(siblings)
	}
	caches, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index[0-9]*/size")
	if len(caches) > 0 {
		f.Cache = word(caches[len(caches)-1])
	}
	f.Virtualisation = virtualisation(f.Virtualisation == "hypervisor")
	f.ClockSource = word("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	f.Governor = word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	f.Kernel = word("/proc/sys/kernel/osrelease")
	return f
}

// parseCPUInfo reads /proc/cpuinfo. A machine whose processor has the flag
// hypervisor is a virtual one.
func parseCPUInfo(text string) Facts {
	var f Facts
	sockets := map[string]bool{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "model name", "Processor", "cpu model":
			f.Model = value
		case "CPU part":
			if f.Model == "" {
				f.Model = "ARM part " + value
			}
		case "cpu MHz":
			f.MHz = value
		case "physical id":
			sockets[value] = true
		case "flags":
			if strings.Contains(" "+value+" ", " hypervisor ") {
				f.Virtualisation = "hypervisor"
			}
		}
	}
	f.Sockets = max(len(sockets), 1)
	return f
}

// virtualisation finds out what kind of virtual machine this is.
func virtualisation(hypervisor bool) string {
	if word("/sys/hypervisor/type") != "" {
		return word("/sys/hypervisor/type")
	}
	vendor := strings.ToLower(word("/sys/class/dmi/id/sys_vendor") + " " + word("/sys/class/dmi/id/product_name"))
	for _, v := range [][2]string{{"qemu", "kvm"}, {"kvm", "kvm"}, {"amazon", "amazon"}, {"google", "google"}, {"microsoft", "microsoft"}, {"vmware", "vmware"}, {"virtualbox", "oracle"}, {"xen", "xen"}, {"alibaba", "kvm"}, {"openstack", "kvm"}, {"bochs", "kvm"}} {
		if strings.Contains(vendor, v[0]) {
			return v[1]
		}
	}
	if hypervisor {
		return "unknown hypervisor"
	}
	return "none"
}

// countList counts the CPUs of a list as 0-3,8.
func countList(text string) int {
	n := 0
	for part := range strings.SplitSeq(text, ",") {
		from, to, _ := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		b, err := strconv.Atoi(to)
		if err != nil || b < a {
			b = a
		}
		n += b - a + 1
	}
	return n
}

func word(file string) string {
	data, _ := os.ReadFile(file)
	return strings.TrimSpace(string(data))
}
