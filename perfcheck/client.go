package perfcheck

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CPUUse is a reading of this process's CPU time.
type CPUUse struct {
	at   time.Time
	used time.Duration
}

// ReadCPU reads it.
func ReadCPU() CPUUse {
	c := CPUUse{at: time.Now()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		c.used = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return c
}

// Share is the part of all CPUs that was used since.
func (c CPUUse) Share() float64 {
	now := ReadCPU()
	wall := now.at.Sub(c.at)
	if wall <= 0 {
		return 0
	}
	return float64(now.used-c.used) / float64(wall) / float64(runtime.NumCPU())
}

// What of a resource in use makes it the limit.
const (
	cpuLimit = 0.85
	nicLimit = 0.90
)

// MarkClientLimit flags a measurement that the measuring machine limited, and
// says by which resource: the CPUs of which the program used a share, or the
// network interface of its local address.
func (m *Measurement) MarkClientLimit(cpu, throughput float64, local net.IP) {
	nic, line := lineOf(local)
	if what := clientLimit(cpu, throughput, nic, line); what != "" {
		m.Flags = append(m.Flags, FlagClientLimited)
		m.Events = append(m.Events, Event{Kind: FlagClientLimited, Text: what})
	}
}

// clientLimit says which resource of this machine was the limit; "" for none.
func clientLimit(cpu, throughput float64, nic string, line float64) string {
	switch {
	case cpu > cpuLimit:
		return fmt.Sprintf("CPU: %.0f %% of %d in use by the measuring program, TLS and comparing included", 100*cpu, runtime.NumCPU())
	case line > 0 && throughput > nicLimit*line:
		return fmt.Sprintf("network interface %s: %s of its %s", nic, FormatValue(throughput, BytesPerSecond), FormatValue(line, BytesPerSecond))
	}
	return ""
}

// lineOf is the interface that has an address, and what it carries in bytes
// per second; 0 when it does not say, as most virtual ones.
func lineOf(ip net.IP) (name string, rate float64) {
	if ip == nil || ip.IsLoopback() {
		return "", 0
	}
	nics, _ := net.Interfaces()
	for _, nic := range nics {
		addresses, _ := nic.Addrs()
		for _, a := range addresses {
			if n, ok := a.(*net.IPNet); !ok || !n.IP.Equal(ip) {
				continue
			}
			text, _ := os.ReadFile(filepath.Join("/sys/class/net", nic.Name, "speed"))
			if mbit, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err == nil && mbit > 0 {
				return nic.Name, mbit * 1e6 / 8
			}
			return nic.Name, 0
		}
	}
	return "", 0
}
