package memory

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	linux "cw/perfcheck/kernel"
)

const hugePage = 2 << 20

// lastLevelCache is the size of all last-level caches of the machine, as it
// says itself: in a virtual machine that may be the host's. 32 MiB when it
// says nothing.
func lastLevelCache() int64 {
	level := 0
	caches := map[string]int64{} // by who shares them
	dirs, _ := filepath.Glob("/sys/devices/system/cpu/cpu[0-9]*/cache/index[0-9]*")
	for _, dir := range dirs {
		l, err := strconv.Atoi(word(filepath.Join(dir, "level")))
		if err != nil || word(filepath.Join(dir, "type")) == "Instruction" || l < level {
			continue
		}
		if l > level {
			level = l
			clear(caches)
		}
		caches[word(filepath.Join(dir, "shared_cpu_list"))] = cacheSize(word(filepath.Join(dir, "size")))
	}
	var sum int64
	for _, size := range caches {
		sum += size
	}
	if sum == 0 {
		return 32 << 20
	}
	return sum
}

// cacheSize reads 32768K or 32M.
func cacheSize(text string) int64 {
	shift := 0
	switch {
	case strings.HasSuffix(text, "K"):
		shift = 10
	case strings.HasSuffix(text, "M"):
		shift = 20
	}
	n, err := strconv.ParseInt(strings.TrimRight(text, "KM"), 10, 64)
	if err != nil {
		return 0
	}
	return n << shift
}

func word(file string) string {
	data, _ := os.ReadFile(file)
	return strings.TrimSpace(string(data))
}

// meminfo is one line of /proc/meminfo in bytes, 0 when there is none.
func meminfo(name string) int64 {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// memoryFree is what a program may still have: the machine's, or its control
// group's when that is less.
func memoryFree() int64 {
	free := meminfo("MemAvailable")
	for _, g := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
	} {
		limit, err := strconv.ParseInt(word(g[0]), 10, 64)
		used, err2 := strconv.ParseInt(word(g[1]), 10, 64)
		if err == nil && err2 == nil {
			free = min(free, limit-used)
		}
	}
	return free
}

// memoryToKeep is what is left to the others: a fifth of the machine.
func memoryToKeep() int64 { return meminfo("MemTotal") / 5 }

// Facts describe the machine's memory.
type Facts struct {
	Total     int64 `json:"total"`     // bytes
	Available int64 `json:"available"` // bytes
	Cache     int64 `json:"cache"`     // bytes of all last-level caches
	Nodes     int   `json:"nodes"`     // of memory (NUMA)
	HugePages bool  `json:"huge_pages"`
	Swap      int64 `json:"swap"` // bytes
}

// Describe tells what the machine has.
func Describe() Facts {
	return Facts{
		Total: meminfo("MemTotal"), Available: memoryFree(), Cache: lastLevelCache(), Nodes: nodes(), Swap: meminfo("SwapTotal"),
		HugePages: strings.Contains(word("/sys/kernel/mm/transparent_hugepage/enabled"), "[always]") || strings.Contains(word("/sys/kernel/mm/transparent_hugepage/enabled"), "[madvise]"),
	}
}

func nodes() int {
	dirs, _ := filepath.Glob("/sys/devices/system/node/node[0-9]*")
	return max(len(dirs), 1)
}

// bind ties the calling goroutine to a thread, and on machines with several
// memory nodes the thread to a CPU, so that it stays near its memory. The
// goroutine must end without letting go of the thread, which then ends with it.
func bind(index, of int) {
	runtime.LockOSThread()
	if of == 1 || nodes() == 1 {
		return
	}
	linux.Pin(index, of)
}
