package source

import (
	"slices"
	"strings"
	"time"
)

// advance turns the counters of two samples into a host's figures. prev is what
// was known of the host; its histories go on.
func advance(prev Host, cpus int, a, b sample, at time.Time) Host {
	h := prev
	h.SampledAt, h.Err = at, ""
	h.CPUs, h.Load1 = cpus, b.load1
	h.MemTotal, h.SwapTotal = b.mem["MemTotal"], b.mem["SwapTotal"]
	h.MemUsed = max(h.MemTotal-available(b.mem), 0)
	h.SwapUsed = max(h.SwapTotal-b.mem["SwapFree"], 0)
	if !b.noDF {
		h.Mounts = slices.Clone(b.mounts)
		slices.SortStableFunc(h.Mounts, func(x, y Mount) int {
			return int(y.Used*1000/max(y.Size, 1)) - int(x.Used*1000/max(x.Size, 1))
		})
	}
	seconds := b.uptime - a.uptime
	if a.uptime == 0 || seconds <= 0 { // the first one, or the host was started again
		return h
	}
	cpuShares(&h, a.cpu, b.cpu)
	diskRates(&h, a.disks, b.disks, seconds)
	netRates(&h, a.nics, b.nics, seconds)
	h.CPUHist = appendBounded(h.CPUHist, busy(h))
	h.MemHist = appendBounded(h.MemHist, memShare(h))
	h.DiskHist = appendBounded(h.DiskHist, h.ReadRate+h.WriteRate)
	h.NetHist = appendBounded(h.NetHist, h.RxRate+h.TxRate)
	return h
}

// busy is the share of time in which no CPU could do anything else.
func busy(h Host) float64 { return min(h.User+h.System+h.Steal, 1) }

func memShare(h Host) float64 {
	if h.MemTotal == 0 {
		return 0
	}
	return float64(h.MemUsed) / float64(h.MemTotal)
}

// available is MemAvailable, or what kernels before 3.14 have instead.
func available(mem map[string]int64) int64 {
	if v, ok := mem["MemAvailable"]; ok {
		return v
	}
	return mem["MemFree"] + mem["Buffers"] + mem["Cached"] + mem["SReclaimable"]
}

func cpuShares(h *Host, a, b [8]uint64) {
	var d [8]float64
	total := 0.0
	for i := range d {
		d[i] = delta(a[i], b[i])
		total += d[i]
	}
	if total == 0 {
		return
	}
	h.User, h.System = (d[0]+d[1])/total, (d[2]+d[5]+d[6])/total
	h.IOWait, h.Steal = d[4]/total, d[7]/total
}

// delta is how far a counter has gone on; one that went back was reset.
func delta(a, b uint64) float64 {
	if b < a {
		return 0
	}
	return float64(b - a)
}

const sector = 512

func diskRates(h *Host, a, b []diskCount, seconds float64) {
	before := make(map[string]diskCount, len(a))
	for _, d := range a {
		before[d.name] = d
	}
	names := make(map[string]bool, len(b))
	for _, d := range b {
		names[d.name] = true
	}
	h.Disks, h.ReadRate, h.WriteRate, h.DiskBusy = nil, 0, 0, 0
	var mapped []Disk // dm and md stand on other disks
	for _, d := range b {
		was, known := before[d.name]
		if !known || passing(d.name) || partition(d.name, names) || d.read+d.write == 0 {
			continue
		}
		disk := Disk{
			Name: d.name, ReadRate: delta(was.read, d.read) * sector / seconds, WriteRate: delta(was.write, d.write) * sector / seconds,
			Busy: min(delta(was.busy, d.busy)/1000/seconds, 1),
		}
		if strings.HasPrefix(d.name, "dm-") || strings.HasPrefix(d.name, "md") {
			mapped = append(mapped, disk)
			continue
		}
		h.Disks = append(h.Disks, disk)
	}
	counted := h.Disks
	if len(counted) == 0 {
		counted = mapped
	}
	for _, d := range counted {
		h.ReadRate += d.ReadRate
		h.WriteRate += d.WriteRate
		h.DiskBusy = max(h.DiskBusy, d.Busy)
	}
	h.Disks = append(h.Disks, mapped...)
}

// passing are block devices that are no disks.
func passing(name string) bool {
	for _, p := range []string{"loop", "ram", "zram", "sr", "fd"} {
		if rest, ok := strings.CutPrefix(name, p); ok && digits(rest) {
			return true
		}
	}
	return false
}

// partition says whether a device is part of another that is listed: sda1 of
// sda, nvme0n1p2 of nvme0n1.
func partition(name string, all map[string]bool) bool {
	base := strings.TrimRight(name, "0123456789")
	if base == name {
		return false
	}
	return all[base] || strings.HasSuffix(base, "p") && all[strings.TrimSuffix(base, "p")]
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func netRates(h *Host, a, b []nicCount, seconds float64) {
	before := make(map[string]nicCount, len(a))
	for _, n := range a {
		before[n.name] = n
	}
	h.NICs, h.RxRate, h.TxRate = nil, 0, 0
	physical := false
	for _, n := range b {
		physical = physical || n.name != "lo" && !virtual(n.name) && n.rx+n.tx > 0
	}
	for _, n := range b {
		was, known := before[n.name]
		if !known || n.name == "lo" || n.rx+n.tx == 0 {
			continue
		}
		nic := NIC{Name: n.name, RxRate: delta(was.rx, n.rx) / seconds, TxRate: delta(was.tx, n.tx) / seconds}
		h.NICs = append(h.NICs, nic)
		if !physical || !virtual(n.name) {
			h.RxRate += nic.RxRate
			h.TxRate += nic.TxRate
		}
	}
}

// virtual are interfaces whose packets are counted on another one, too.
func virtual(name string) bool {
	if strings.ContainsAny(name, ".@") { // VLANs
		return true
	}
	for _, p := range []string{"veth", "docker", "br-", "br", "virbr", "vnet", "cni", "cali", "flannel", "bond", "team", "tun", "tap", "wg", "ifb", "dummy"} {
		if rest, ok := strings.CutPrefix(name, p); ok && (p == "br-" || p == "veth" || p == "cali" || rest == "" || digits(rest)) {
			return true
		}
	}
	return false
}
