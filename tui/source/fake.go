package source

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"cw/fault"
)

// FakeOptions size a made-up cluster.
type FakeOptions struct {
	Seed            uint64
	Hosts           int       // segment hosts, beside the coordinator and its standby
	SegmentsPerHost int       // primaries of each; every one has a mirror on the next host
	Loads           int       // the first ones run, the last one is done
	Sessions        int       // every seventh is idle, the fourth waits for the third
	Events          int       // that happened before the first snapshot
	Start           time.Time // of the first snapshot; a tick is a second
	Healthy         bool      // nothing is down and no host is stale
	// Every is how often Start sends; a second when zero.
	Every time.Duration
}

// Fake is a Source of a cluster that is not there. The same options and the
// same number of ticks give the same snapshots; what is done to it shows in
// the next ones.
type Fake struct {
	opts FakeOptions

	mu     sync.Mutex
	tick   int
	rnd    *rand.Rand
	nodes  []Node
	hosts  []Host
	loads  []Load
	sess   []Session
	events []Event
	nextID int64
}

// NewFake makes a cluster up.
func NewFake(opts FakeOptions) *Fake {
	f := &Fake{opts: opts, rnd: rand.New(rand.NewPCG(opts.Seed, 1)), nextID: 1} //nolint:gosec // made-up numbers, no secrets
	f.makeNodes()
	f.makeHosts()
	f.makeLoads()
	f.makeSessions()
	for i := range opts.Events {
		f.event(opts.Start.Add(-time.Duration(opts.Events-i)*47*time.Second), i)
	}
	return f
}

func (f *Fake) hostName(i int) string {
	switch i {
	case 0:
		return "cdw"
	case 1:
		return "scdw"
	}
	return fmt.Sprintf("sdw%02d", i-1)
}

func (f *Fake) makeNodes() {
	since := f.opts.Start.Add(-41 * 24 * time.Hour)
	lag := int64(0)
	f.nodes = append(f.nodes,
		Node{ID: "n1", Content: -1, DBID: 1, Role: "coordinator", PreferredRole: "coordinator", State: "up", Host: "cdw", Port: 5432, DataDir: "/data1/coordinator/gpseg-1", Since: since},
		Node{ID: "n2", Content: -1, DBID: 2, Role: "standby", PreferredRole: "standby", Mode: "streaming", State: "up", Host: "scdw", Port: 5432, DataDir: "/data1/standby/gpseg-1", LagBytes: &lag, Since: since})
	dbid := 3
	for h := range f.opts.Hosts {
		for s := range f.opts.SegmentsPerHost {
			content := h*f.opts.SegmentsPerHost + s
			down := !f.opts.Healthy && content == 1
			p := Node{
				ID: fmt.Sprintf("n%d", dbid), Content: content, DBID: dbid, Role: "primary", PreferredRole: "primary", Mode: "sync", State: "up",
				Host: f.hostName(2 + h), Port: 6000 + s, DataDir: fmt.Sprintf("/data%d/primary/gpseg%d", 1+s%2, content), Since: since,
			}
			m := Node{
				ID: fmt.Sprintf("n%d", dbid+1), Content: content, DBID: dbid + 1, Role: "mirror", PreferredRole: "mirror", Mode: "sync", State: "up",
				Host: f.hostName(2 + (h+1)%f.opts.Hosts), Port: 7000 + s, DataDir: fmt.Sprintf("/data%d/mirror/gpseg%d", 1+s%2, content), Since: since,
			}
			if down { // the primary failed, its mirror took over
				p.Role, p.State, p.Mode, p.Since, p.Detail = "mirror", "down", "not-sync", f.opts.Start.Add(-252*time.Second), "could not write to file: no space left on device"
				m.Role, m.Mode, m.Since = "primary", "not-sync", p.Since
			}
			if !f.opts.Healthy && content == 2 {
				n := int64(48 << 20)
				m.Mode, m.LagBytes = "not-sync", &n
				p.Mode = "not-sync"
			}
			f.nodes = append(f.nodes, p, m)
			dbid += 2
		}
	}
}

func (f *Fake) makeHosts() {
	for i := range f.opts.Hosts + 2 {
		f.hosts = append(f.hosts, Host{
			Name: f.hostName(i), Address: fmt.Sprintf("10.0.%d.%d", i/250, 10+i%250), CPUs: 32, MemTotal: 256 << 30, SwapTotal: 8 << 30,
			Disks:  []Disk{{Name: "nvme0n1"}, {Name: "nvme1n1"}},
			NICs:   []NIC{{Name: "eth0"}, {Name: "eth1"}},
			Mounts: []Mount{{Path: "/data1", Size: 4 << 40, Used: int64(float64(4<<40) * (0.41 + 0.5*f.rnd.Float64()))}, {Path: "/data2", Size: 4 << 40, Used: 1 << 40}},
		})
	}
	for i := range f.hosts {
		for t := -60; t < 0; t++ {
			f.sample(&f.hosts[i], i, t)
		}
	}
}

// wave is a smooth load between 0 and 1 with some noise on it.
func (f *Fake) wave(i, t int, period float64) float64 {
	v := 0.45 + 0.3*math.Sin(float64(t)/period+float64(i)*1.7) + 0.15*(f.rnd.Float64()-0.5)
	return min(0.99, max(0.01, v))
}

func (f *Fake) sample(h *Host, i, t int) {
	cpu := f.wave(i, t, 11)
	h.User, h.System, h.IOWait, h.Steal = cpu*0.7, cpu*0.2, cpu*0.08, cpu*0.02
	h.Load1 = cpu * float64(h.CPUs)
	mem := 0.35 + 0.3*f.wave(i, t, 97)
	h.MemUsed = int64(mem * float64(h.MemTotal))
	h.SwapUsed = int64(i%3) * 12 << 20
	h.DiskBusy = f.wave(i+3, t, 7)
	h.ReadRate, h.WriteRate = h.DiskBusy*900e6, h.DiskBusy*410e6
	h.RxRate, h.TxRate = f.wave(i+5, t, 13)*800e6, f.wave(i+6, t, 13)*300e6
	h.Disks = []Disk{{"nvme0n1", h.ReadRate * 0.6, h.WriteRate * 0.5, h.DiskBusy}, {"nvme1n1", h.ReadRate * 0.4, h.WriteRate * 0.5, h.DiskBusy * 0.8}}
	h.NICs = []NIC{{"eth0", h.RxRate * 0.9, h.TxRate * 0.9}, {"eth1", h.RxRate * 0.1, h.TxRate * 0.1}}
	h.CPUHist = appendHist(h.CPUHist, cpu)
	h.MemHist = appendHist(h.MemHist, mem)
	h.DiskHist = appendHist(h.DiskHist, h.ReadRate+h.WriteRate)
	h.NetHist = appendHist(h.NetHist, h.RxRate+h.TxRate)
	h.SampledAt = f.opts.Start.Add(time.Duration(t) * time.Second)
}

// appendHist makes a new slice, because the old one is in somebody's snapshot.
func appendHist(h []float64, v float64) []float64 {
	if len(h) >= 3600 {
		h = h[1:]
	}
	return append(slices.Clone(h), v)
}

func (f *Fake) makeLoads() {
	tables := []string{"public.lineitem", "public.orders", "sales.events_2026", "stage.客户订单", "public.customer"}
	for i := range f.opts.Loads {
		l := Load{
			ID: fmt.Sprintf("l%dq2mx%d", 1+i%9, i), Kind: "load", Spec: fmt.Sprintf("/etl/specs/table_%02d.yaml", i), Target: tables[i%len(tables)],
			State: "running", Phase: "copy", BytesTotal: int64(i+1) * 200e9, Rate: 180e6, StartedAt: f.opts.Start.Add(-time.Duration(10+i) * time.Minute),
		}
		l.Bytes = l.BytesTotal / int64(3+i%4)
		switch {
		case i == f.opts.Loads-1 && i > 0:
			l.State, l.Phase, l.Bytes, l.Rate, l.FinishedAt = "done", "", l.BytesTotal, 0, f.opts.Start.Add(-3*time.Minute)
		case i == 1:
			l.Limit = 200e6
		case i == 2:
			l.State, l.Rate = "paused", 0
		}
		l.Rows, l.Rejected = l.Bytes/120, int64(i%3)*4
		for t := -60; t < 0; t++ {
			l.RateHist = append(l.RateHist, float64(l.Rate)*(0.8+0.2*f.wave(i, t, 5)))
		}
		f.loads = append(f.loads, l)
	}
}

func (f *Fake) makeSessions() {
	queries := []string{
		"select l_returnflag, sum(l_quantity) from lineitem group by 1",
		"insert into orders select * from ext_orders",
		"update customer set c_acctbal = c_acctbal * 1.1 where c_custkey = 42",
		"update customer set c_acctbal = 0 where c_custkey = 42",
		"select '\x1b[31mred\x1b[0m', E'tab\there', '数据仓库', 'naïve'\n  from generate_series(1, 100)",
		"vacuum analyze lineitem",
	}
	for i := range f.opts.Sessions {
		s := Session{
			PID: 20000 + i, SessID: 900 + i, User: []string{"gpadmin", "etl", "report"}[i%3], Database: "warehouse", App: []string{"psql", "dbeaver", "cw load"}[i%3],
			Client: fmt.Sprintf("10.0.9.%d", i%250), ResGroup: []string{"admin_group", "etl", "default_group"}[i%3], State: "active", Query: queries[i%len(queries)],
			Backend: f.opts.Start.Add(-time.Duration(3+i%90) * time.Minute),
		}
		s.Start = f.opts.Start.Add(-time.Duration(1+i*7%600) * time.Second)
		s.XactStart = s.Start.Add(-time.Second)
		if i%7 == 6 {
			s.State, s.XactStart = "idle", time.Time{}
		}
		if i == 3 {
			s.Wait, s.BlockedBy = "Lock: transactionid", []int{20002}
		}
		f.sess = append(f.sess, s)
	}
}

func (f *Fake) event(at time.Time, i int) {
	kinds := []Event{
		{Kind: "load-started", Severity: "info", Job: "l1q2mx0", Message: "load of public.lineitem started"},
		{Kind: "state-changed", Severity: "critical", Host: "sdw01", Message: "content 1: primary on sdw01:6001 is down, mirror on sdw02:7001 acts as primary"},
		{Kind: "limit-changed", Severity: "info", Job: "l2q2mx1", Message: "limit 200MB/s, was none"},
		{Kind: "fault", Severity: "warning", Host: "sdw02", Message: "/data1 is 91 % full"},
		{Kind: "load-progress", Severity: "info", Job: "l1q2mx0", Message: "50 %, 1.2 GB/s"},
	}
	e := kinds[i%len(kinds)]
	e.ID, e.At, e.Cluster = f.nextID, at, "prod-dw"
	f.nextID++
	f.events = append(slices.Clip(f.events), e)
	if len(f.events) > 200000 {
		f.events = f.events[1:]
	}
}

// Next advances the cluster by a second and returns what it looks like.
func (f *Fake) Next() *Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.opts.Start.Add(time.Duration(f.tick) * time.Second)
	hosts := slices.Clone(f.hosts)
	for i := range hosts {
		if !f.opts.Healthy && i == 3 && f.tick > 0 { // sdw02 does not answer
			hosts[i].Err = "ssh timeout 3s"
			continue
		}
		f.sample(&hosts[i], i, f.tick)
	}
	f.hosts = hosts
	loads := slices.Clone(f.loads)
	for i := range loads {
		f.stepLoad(&loads[i], i)
	}
	f.loads = loads
	if f.tick > 0 && f.tick%5 == 0 {
		f.event(now, f.tick/5)
	}
	f.tick++
	s := &Snapshot{At: now}
	sec := Section{CollectedAt: now}
	s.Cluster = ClusterInfo{Section: sec, Name: "prod-dw", Engine: "greenplum", Version: "6.24.3", StartedAt: f.opts.Start.Add(-41 * 24 * time.Hour), State: "up"}
	if !f.opts.Healthy && f.opts.Hosts > 0 {
		s.Cluster.State = "degraded"
		s.Cluster.Problems = []string{
			"content 1: primary on sdw01:6001 is down since 4m12s: cw cluster recover prod-dw",
			"sdw02: no answer over SSH",
		}
	}
	s.Nodes = Nodes{Section: sec, Items: f.nodes}
	s.Hosts = Hosts{Section: sec, Items: f.hosts}
	s.Loads = Loads{Section: sec, Items: f.loads}
	s.Sessions = Sessions{Section: sec, Items: f.sess}
	s.Events = Events{Section: sec, Items: f.events}
	return s
}

func (f *Fake) stepLoad(l *Load, i int) {
	if l.State != "running" {
		return
	}
	rate := 180e6 * (0.8 + 0.4*f.wave(i, f.tick, 5))
	if l.Limit > 0 {
		rate = min(rate, float64(l.Limit))
	}
	l.Rate = int64(rate)
	l.Bytes = min(l.BytesTotal, l.Bytes+l.Rate)
	l.Rows = l.Bytes / 120
	l.ETA = (l.BytesTotal - l.Bytes) / max(1, l.Rate)
	l.RateHist = appendHist(l.RateHist, rate)
}

// Start sends a snapshot at once and then one a tick.
func (f *Fake) Start(ctx context.Context) (<-chan *Snapshot, error) {
	every := f.opts.Every
	if every <= 0 {
		every = time.Second
	}
	ch := make(chan *Snapshot, 1)
	go func() {
		defer close(ch)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case ch <- f.Next():
			case <-ctx.Done():
				return
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, nil
}

// Do changes the made-up cluster.
func (f *Fake) Do(ctx context.Context, a Action) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch a.Kind {
	case SetLimit, PauseLoad, ContinueLoad, CancelLoad:
		return f.doLoad(a)
	case CancelSession, TerminateSession:
		return f.doSession(a)
	case Recover, Rebalance:
		if a.DryRun {
			return "n5 on sdw01:6001: start incrementally from n6\nn5: wait until it is in sync", nil
		}
		f.nodes = slices.Clone(f.nodes)
		for i := range f.nodes {
			n := &f.nodes[i]
			n.State, n.Role, n.Detail = "up", n.PreferredRole, ""
			if n.Content >= 0 {
				n.Mode = "sync"
			}
		}
		f.opts.Healthy = true
		return string(a.Kind) + " of " + a.Cluster + " done", nil
	}
	return "", nil
}

func (f *Fake) doLoad(a Action) (string, error) {
	i := slices.IndexFunc(f.loads, func(l Load) bool { return l.ID == a.Load })
	if i < 0 {
		return "", fault.New(fault.Failed, "cw load list", "%s load %s: no such job", a.Kind, a.Load)
	}
	f.loads = slices.Clone(f.loads)
	l := &f.loads[i]
	switch a.Kind {
	case SetLimit:
		l.Limit = a.Limit
	case PauseLoad:
		l.State, l.Rate = "paused", 0
	case ContinueLoad:
		l.State = "running"
	case CancelLoad:
		l.State, l.Rate = "cancelled", 0
	}
	return "", nil
}

func (f *Fake) doSession(a Action) (string, error) {
	i := slices.IndexFunc(f.sess, func(s Session) bool { return s.PID == a.PID && s.Backend.Equal(a.BackendStart) })
	if i < 0 {
		return "", fault.New(fault.Failed, "", "%s %d: it has ended", a.Kind, a.PID)
	}
	f.sess = slices.Clone(f.sess)
	if a.Kind == TerminateSession {
		f.sess = slices.Delete(f.sess, i, i+1)
	} else {
		f.sess[i].State, f.sess[i].Wait, f.sess[i].BlockedBy = "idle", "", nil
	}
	for j := range f.sess {
		f.sess[j].BlockedBy = slices.DeleteFunc(slices.Clone(f.sess[j].BlockedBy), func(p int) bool { return p == a.PID })
		if len(f.sess[j].BlockedBy) == 0 {
			f.sess[j].Wait = ""
		}
	}
	return "", nil
}

// Detail makes up what a page shows.
func (f *Fake) Detail(ctx context.Context, d DetailRequest) (Detail, error) {
	if err := ctx.Err(); err != nil {
		return Detail{}, err
	}
	log := []string{
		`2026-11-20 08:00:01 UTC,LOG,"checkpoint starting: time"`,
		`2026-11-20 08:00:07 UTC,LOG,"checkpoint complete: wrote 4711 buffers"`,
		`2026-11-20 08:01:12 UTC,ERROR,"could not write to file: no space left on device"`,
	}
	switch {
	case d.LogTail != "":
		return Detail{Title: "log of " + d.LogTail, Sections: []DetailSection{{Lines: log}}}, nil
	case d.Node != "":
		return Detail{Title: d.Node, Sections: []DetailSection{{"Replication", []string{"state streaming, sent 2/4F000060, replayed 2/4F000000"}}, {"Log", log}}}, nil
	case d.PID != 0:
		return Detail{Title: fmt.Sprintf("session %d", d.PID), Sections: []DetailSection{
			{"Locks", []string{"RowExclusiveLock on public.customer, granted", "ShareLock on transactionid 4711, granted"}},
			{"Progress", []string{"COPY: 41 % of 20GB"}},
		}}, nil
	case d.Load != "":
		return Detail{Title: "load " + d.Load, Sections: []DetailSection{{"Rejected rows", []string{`part-0007.csv:1234: invalid input syntax for integer: "x"`}}}}, nil
	}
	return Detail{}, fault.New(fault.Failed, "", "nothing asked for")
}
