package metrics

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/state"
	"cw/tui/source"
)

// staleAfter is when the numbers of a host are too old to be shown as its own.
const staleAfter = 30 * time.Second

// page collects the families of one scrape, in the order in which they are
// shown.
type page struct {
	now time.Time
	all []*family
}

func (p *page) metric(kind, name, help string, labels ...string) *family {
	f := &family{name: name, kind: kind, help: help, labels: labels}
	p.all = append(p.all, f)
	return f
}

func (p *page) gauge(name, help string, labels ...string) *family {
	return p.metric(gauge, name, help, labels...)
}

func (p *page) counter(name, help string, labels ...string) *family {
	return p.metric(counter, name, help, labels...)
}

// families are all metrics of a view.
func families(v View, now, started time.Time) []*family {
	p := &page{now: now}
	p.monitor(v)
	p.clusters(v.Clusters)
	p.nodes(v.Clusters)
	p.hosts(v.Clusters)
	p.sessions(v.Clusters)
	p.jobs(v.Jobs)
	p.process(started)
	return p.all
}

func (p *page) monitor(v View) {
	p.gauge("cw_monitor_leading", "Whether this monitor acts (1) or stands by (0).").flag(v.Leading)
	p.gauge("cw_monitor_role_age_seconds", "For how long it does so.").addIf(!v.Since.IsZero(), p.now.Sub(v.Since).Seconds())
	p.gauge("cw_monitor_store_up", "Whether the store can be used.").flag(v.StoreErr == "")
	p.gauge("cw_monitor_probe_age_seconds", "How long ago the clusters were looked at; only of the one that acts.").addIf(v.Leading && !v.LookedAt.IsZero(), p.now.Sub(v.LookedAt).Seconds())
	p.gauge("cw_monitor_clusters", "Clusters that are watched.").addIf(v.Leading, float64(len(v.Clusters)))
	firing := p.gauge("cw_alerts_firing", "Alerts that fire.", "rule", "severity", "cluster")
	type key struct{ rule, severity, cluster string }
	count := map[key]int{}
	for _, a := range v.Alerts {
		count[key{a.Rule, a.Severity, a.Cluster}]++
	}
	for k, n := range count {
		firing.add(float64(n), k.rule, k.severity, k.cluster)
	}
	slices.SortFunc(firing.series, func(a, b series) int { return slices.Compare(a.values, b.values) })
	notices := p.counter("cw_notices_total", "Tries to tell a receiver, by how they ended.", "receiver", "result")
	for _, n := range v.Notices {
		notices.add(float64(n.N), n.Receiver, n.Result)
	}
}

// clusterStates are those of cluster.Status.
var clusterStates = []string{"up", "degraded", "down", "unknown"} //nolint:gochecknoglobals // constant table

func (p *page) clusters(all []*source.Snapshot) {
	up := p.gauge("cw_cluster_up", "Whether a cluster answers, in full health or not.", "cluster", "engine")
	states := p.gauge("cw_cluster_state", "The state of a cluster: 1 for the one it is in.", "cluster", "state")
	began := p.gauge("cw_cluster_start_time_seconds", "When its database was started, since 1970.", "cluster")
	for _, s := range all {
		c := s.Cluster
		up.flag(c.State == "up" || c.State == "degraded", c.Name, c.Engine)
		for _, st := range clusterStates {
			states.flag(st == c.State, c.Name, st)
		}
		began.addIf(!c.StartedAt.IsZero(), float64(c.StartedAt.Unix()), c.Name)
	}
}

func (p *page) nodes(all []*source.Snapshot) {
	up := p.gauge("cw_node_up", "Whether a node runs.", "cluster", "node", "host", "role")
	preferred := p.gauge("cw_node_in_preferred_role", "Whether a node has the role that it should have.", "cluster", "node", "host")
	sync := p.gauge("cw_node_in_sync", "Whether a standby or mirror follows its primary.", "cluster", "node", "host")
	lag := p.gauge("cw_replication_lag_bytes", "How much of the log a standby or mirror has not yet.", "cluster", "node", "host")
	for _, s := range all {
		name := s.Cluster.Name
		for _, n := range s.Nodes.Items {
			up.flag(n.State == "up", name, n.ID, n.Host, n.Role)
			preferred.addIf(n.PreferredRole != "" && n.Role == n.PreferredRole, 1, name, n.ID, n.Host)
			preferred.addIf(n.PreferredRole != "" && n.Role != n.PreferredRole, 0, name, n.ID, n.Host)
			follows := slices.Contains([]string{"sync", "streaming"}, n.Mode)
			if slices.Contains([]string{"standby", "mirror", "replica"}, n.Role) {
				sync.flag(follows && n.State == "up", name, n.ID, n.Host)
			}
			if n.LagBytes != nil {
				lag.add(float64(*n.LagBytes), name, n.ID, n.Host)
			}
		}
	}
}

func (p *page) hosts(all []*source.Snapshot) {
	up := p.gauge("cw_host_up", "Whether a host answers.", "cluster", "host")
	type column struct {
		f  *family
		of func(h source.Host) float64
	}
	plain := []column{
		{p.gauge("cw_host_cpus", "Processors.", "cluster", "host"), func(h source.Host) float64 { return float64(h.CPUs) }},
		{p.gauge("cw_host_load1", "Load average of the last minute.", "cluster", "host"), func(h source.Host) float64 { return h.Load1 }},
		{p.gauge("cw_host_memory_size_bytes", "Memory.", "cluster", "host"), func(h source.Host) float64 { return float64(h.MemTotal) }},
		{p.gauge("cw_host_memory_used_bytes", "Memory in use, without caches.", "cluster", "host"), func(h source.Host) float64 { return float64(h.MemUsed) }},
		{p.gauge("cw_host_swap_used_bytes", "Swap in use.", "cluster", "host"), func(h source.Host) float64 { return float64(h.SwapUsed) }},
		{p.gauge("cw_host_disk_read_bytes_per_second", "Reads of all disks.", "cluster", "host"), func(h source.Host) float64 { return h.ReadRate }},
		{p.gauge("cw_host_disk_write_bytes_per_second", "Writes of all disks.", "cluster", "host"), func(h source.Host) float64 { return h.WriteRate }},
		{p.gauge("cw_host_disk_busy_ratio", "How busy the busiest disk is.", "cluster", "host"), func(h source.Host) float64 { return h.DiskBusy }},
		{p.gauge("cw_host_network_receive_bytes_per_second", "What comes in.", "cluster", "host"), func(h source.Host) float64 { return h.RxRate }},
		{p.gauge("cw_host_network_transmit_bytes_per_second", "What goes out.", "cluster", "host"), func(h source.Host) float64 { return h.TxRate }},
	}
	cpu := p.gauge("cw_host_cpu_ratio", "Share of all processors' time, by what it is spent on.", "cluster", "host", "mode")
	size := p.gauge("cw_disk_size_bytes", "Size of a file system with a data directory.", "cluster", "host", "mount")
	used := p.gauge("cw_disk_used_bytes", "Use of a file system with a data directory.", "cluster", "host", "mount")
	for _, s := range all {
		name := s.Cluster.Name
		for _, h := range s.Hosts.Items {
			fresh := !h.SampledAt.IsZero() && p.now.Sub(h.SampledAt) < staleAfter
			up.flag(fresh && h.Err == "", name, h.Name)
			if !fresh {
				continue
			}
			for _, c := range plain {
				c.f.add(c.of(h), name, h.Name)
			}
			cpu.add(h.User, name, h.Name, "user")
			cpu.add(h.System, name, h.Name, "system")
			cpu.add(h.IOWait, name, h.Name, "iowait")
			cpu.add(h.Steal, name, h.Name, "steal")
			for _, m := range h.Mounts {
				size.add(float64(m.Size), name, h.Name, m.Path)
				used.add(float64(m.Used), name, h.Name, m.Path)
			}
		}
	}
}

func (p *page) sessions(all []*source.Snapshot) {
	count := p.gauge("cw_sessions", "Clients of the database, by state.", "cluster", "state")
	waiting := p.gauge("cw_sessions_blocked", "Clients that wait for another one.", "cluster")
	oldest := p.gauge("cw_oldest_transaction_age_seconds", "How long the oldest transaction of a client has been open.", "cluster")
	for _, s := range all {
		if s.Sessions.CollectedAt.IsZero() || p.now.Sub(s.Sessions.CollectedAt) > staleAfter {
			continue
		}
		by, blocked, age := map[string]int{"active": 0, "idle": 0, "idle in transaction": 0}, 0, time.Duration(0)
		for _, c := range s.Sessions.Items {
			by[c.State]++
			if len(c.BlockedBy) > 0 {
				blocked++
			}
			if !c.XactStart.IsZero() {
				age = max(age, p.now.Sub(c.XactStart))
			}
		}
		for _, st := range sortedStates(by) {
			count.add(float64(by[st]), s.Cluster.Name, st)
		}
		waiting.add(float64(blocked), s.Cluster.Name)
		oldest.add(age.Seconds(), s.Cluster.Name)
	}
}

func sortedStates(by map[string]int) []string {
	var out []string
	for st := range by {
		out = append(out, st)
	}
	slices.Sort(out)
	return out
}

func (p *page) jobs(all []state.Job) {
	info := p.gauge("cw_load_info", "A load or unload that runs or ended within a day; always 1.", "job", "kind", "target", "state")
	bytes := p.counter("cw_load_bytes_total", "Bytes read from the source.", "job")
	rows := p.counter("cw_load_rows_total", "Rows loaded or unloaded.", "job")
	rejected := p.counter("cw_load_rejected_rows_total", "Rows that were rejected.", "job")
	size := p.gauge("cw_load_size_bytes", "Bytes there are to read, as far as known.", "job")
	rate := p.gauge("cw_load_rate_bytes_per_second", "Speed of a load that runs.", "job")
	limit := p.gauge("cw_load_limit_bytes_per_second", "Speed limit of a load that runs and has one.", "job")
	for _, j := range all {
		info.add(1, j.ID, j.Kind, j.Target, j.State)
		bytes.add(float64(j.Bytes), j.ID)
		rows.add(float64(j.Rows), j.ID)
		rejected.add(float64(j.Rejected), j.ID)
		size.addIf(j.BytesTotal > 0, float64(j.BytesTotal), j.ID)
		rate.addIf(j.Active(), float64(j.Rate), j.ID)
		limit.addIf(j.Active() && j.Limit > 0, float64(j.Limit), j.ID)
	}
}

// process is this process itself, under the names that all exporters use.
func (p *page) process(started time.Time) {
	p.gauge("process_start_time_seconds", "When the process began, since 1970.").add(float64(started.Unix()))
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err == nil {
		seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
		p.counter("process_cpu_seconds_total", "Processor time used.").add(seconds(use.Utime) + seconds(use.Stime))
	}
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(data)); len(fields) > 1 {
			if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				p.gauge("process_resident_memory_bytes", "Memory of the process.").add(float64(pages) * float64(os.Getpagesize()))
			}
		}
	}
	p.gauge("go_goroutines", "Goroutines of the process.").add(float64(runtime.NumGoroutine()))
}
