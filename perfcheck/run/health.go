package run

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/perfcheck"
)

// usage is a reading of the counters that tell how busy a machine is.
type usage struct {
	at                 time.Time
	total, idle, steal float64       // of /proc/stat, in ticks of all CPUs
	own                time.Duration // CPU time of this process
	pressure           time.Duration // in which some task waited for a CPU
}

// readUsage reads the counters; what a kernel does not have stays zero.
func readUsage() usage {
	u := usage{at: time.Now()}
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, word := range strings.Fields(strings.TrimPrefix(line, "cpu ")) {
		n, _ := strconv.ParseFloat(word, 64)
		if i < 8 { // guest times are in user's already
			u.total += n
		}
		switch i {
		case 3, 4: // idle and waiting for I/O
			u.idle += n
		case 7:
			u.steal += n
		}
	}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	psi, _ := os.ReadFile("/proc/pressure/cpu")
	if _, rest, ok := strings.Cut(string(psi), "some "); ok {
		if _, total, ok := strings.Cut(rest, "total="); ok {
			total, _, _ = strings.Cut(total, "\n")
			us, _ := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
			u.pressure = time.Duration(us) * time.Microsecond
		}
	}
	return u
}

// until is the state between two readings.
func (u usage) until(v usage) perfcheck.Health {
	var h perfcheck.Health
	if total := v.total - u.total; total > 0 {
		h.CPU = 1 - (v.idle-u.idle)/total
		h.Steal = (v.steal - u.steal) / total
	}
	if wall := v.at.Sub(u.at); wall > 0 {
		h.Own = float64(v.own-u.own) / float64(wall) / float64(runtime.NumCPU())
		h.Pressure = float64(v.pressure-u.pressure) / float64(wall)
	}
	return h
}

// watchHealth watches the machine over the measured phase of a job, which
// begins after the warm-up. The function it returns ends that.
func watchHealth(ctx context.Context, t perfcheck.Timing) func() perfcheck.Health {
	first := make(chan usage, 1)
	ctx, cancel := context.WithCancel(ctx)
	begin := t.Warmup
	if !t.Start.IsZero() {
		begin += time.Until(t.Start)
	}
	early := readUsage()
	go func() {
		timer := time.NewTimer(begin)
		defer timer.Stop()
		select {
		case <-timer.C:
			first <- readUsage()
		case <-ctx.Done():
			first <- early // it took less time than was said
		}
	}()
	return func() perfcheck.Health {
		cancel()
		return (<-first).until(readUsage())
	}
}

// Bounds of a healthy generator (reference: benchmarking, section 2).
const (
	ownLimit   = 0.85 // of all CPUs: the generator, not the thing measured, is the limit
	stealLimit = 0.05
	skewLimit  = 0.25 // seconds
	otherLimit = 0.20 // of all CPUs, by other programs while CPUs or memory are measured
)

// healthFlags are the flags that a measurement's health deserves. Memory and
// CPU tests are meant to use all of the machine.
func healthFlags(area perfcheck.Area, h perfcheck.Health) []string {
	var flags []string
	if h.Own > ownLimit && (area == perfcheck.Disk || area == perfcheck.Net) {
		flags = append(flags, perfcheck.FlagClientLimited)
	}
	if h.CPU-h.Own > otherLimit && (area == perfcheck.CPU || area == perfcheck.Memory) {
		flags = append(flags, perfcheck.FlagOtherLoad)
	}
	if h.Steal > stealLimit {
		flags = append(flags, perfcheck.FlagSteal)
	}
	if h.StartSkew > skewLimit {
		flags = append(flags, perfcheck.FlagStartSkew)
	}
	return flags
}

// worse keeps the worst of two states.
func worse(a, b perfcheck.Health) perfcheck.Health {
	return perfcheck.Health{
		CPU: max(a.CPU, b.CPU), Own: max(a.Own, b.Own), Steal: max(a.Steal, b.Steal),
		StartSkew: max(a.StartSkew, b.StartSkew), Pressure: max(a.Pressure, b.Pressure),
	}
}
