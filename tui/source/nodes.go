package source

import (
	"fmt"
	"slices"
	"time"

	"cw/cluster"
)

// statusFresh is how long what the hosts said of the nodes stands beside what
// the database says.
const statusFresh = 25 * time.Second

// sight is everything that nodes and cluster are judged by. It is guarded by
// Live.mu.
type sight struct {
	db         *dbView
	dbErr      string // why the database did not answer just now
	status     *cluster.Status
	statusAt   time.Time
	statusErr  string
	deaf       map[string][]int // by host: ports of nodes that nobody listens on
	hostsOwned bool             // the draft's hosts are in no snapshot yet
}

// dbView is what the database said of the cluster.
type dbView struct {
	at       time.Time
	version  string
	started  time.Time
	recovery bool
	senders  []sender
	segments []segment // greenplum
	down     map[int]time.Time
	noLag    bool // the role may not see replication
}

// sender is a row of pg_stat_replication.
type sender struct {
	name, state, addr string
	content           int // greenplum: -1 for the standby
	lag               *int64
	detail            string // the row for people
}

// segment is a row of gp_segment_configuration.
type segment struct {
	dbid, content         int
	role, preferred       string // p, m
	mode, status          string // s n, u d
	port                  int
	host, address, folder string
}

// rejudge makes the cluster's and the nodes' sections anew. The caller holds
// Live.mu.
func (l *Live) rejudge() {
	if l.plan.lay == nil {
		return
	}
	now := time.Now()
	info, nodes := judge(l.plan, l.seen, l.draft.Hosts.Items, now)
	info.Name = l.o.Cluster
	l.watch.since(nodes, l.draft.Nodes.Items, now)
	if !info.CollectedAt.IsZero() {
		l.watch.compare(&l.draft, info, nodes)
	}
	l.draft.Cluster = info
	if !slices.EqualFunc(nodes, l.draft.Nodes.Items, sameNode) {
		l.draft.Nodes.Items = nodes
	}
	l.draft.Nodes.Section = info.Section
	l.dirty = true
}

func sameNode(a, b Node) bool {
	lagA, lagB := a.LagBytes, b.LagBytes
	a.LagBytes, b.LagBytes = nil, nil
	return a == b && (lagA == nil) == (lagB == nil) && (lagA == nil || *lagA == *lagB)
}

// judge decides what state the cluster and its nodes are in: by what the
// database says, and where that does not tell, by what the hosts said.
func judge(p clusterPlan, s sight, hosts []Host, now time.Time) (ClusterInfo, []Node) {
	info := ClusterInfo{Engine: p.top.Engine.Kind, Version: p.lay.Version, State: cluster.Unknown}
	status := s.status
	if status != nil && s.db != nil && now.Sub(s.statusAt) > statusFresh {
		status = nil
	}
	if status != nil {
		info.CollectedAt, info.Version = s.statusAt, status.Engine.Version
	}
	if s.db != nil {
		info.CollectedAt, info.StartedAt = s.db.at, s.db.started
		if s.db.version != "" {
			info.Version = s.db.version
		}
	}
	silent := map[string]string{}
	for _, h := range hosts {
		if h.Err != "" {
			silent[h.Name] = h.Err
		}
	}
	j := judgement{p: p, s: s, status: status, silent: silent}
	nodes := make([]Node, 0, len(p.lay.Nodes))
	for _, n := range p.lay.Nodes {
		nodes = append(nodes, j.node(n))
	}
	nodes = append(nodes, j.strangers()...)
	info.State, info.Problems = j.verdict(nodes)
	if s.db == nil {
		info.Err = s.dbErr
		if info.Err != "" && s.statusErr != "" {
			info.Err += "; " + s.statusErr
		}
	}
	return info, nodes
}

// judgement is one look at all that is known.
type judgement struct {
	p      clusterPlan
	s      sight
	status *cluster.Status
	silent map[string]string // hosts that do not answer, and why
}

// node is one instance of the layout.
func (j judgement) node(n cluster.Node) Node {
	out := Node{ID: n.Name(), Content: n.Content, Role: n.Role, PreferredRole: n.PreferredRole, State: cluster.NodeUnknown, Host: n.Host, Port: n.Port, DataDir: n.DataDir}
	if j.status != nil {
		for _, ns := range j.status.Nodes {
			if ns.ID == out.ID {
				out.Role, out.Mode, out.State, out.LagBytes, out.Detail = ns.Role, ns.Mode, ns.State, ns.LagBytes, ns.Detail
				if ns.DownSince != nil {
					out.Since = *ns.DownSince
				}
			}
		}
	}
	if why := j.silent[n.Host]; why != "" && out.State != cluster.NodeDown {
		out.State, out.Detail = cluster.NodeUnknown, "host does not answer: "+why
	}
	if j.s.db == nil {
		return out
	}
	if len(j.s.db.segments) > 0 {
		return j.segmentNode(n, out)
	}
	return j.postgresNode(n, out)
}

func (j judgement) postgresNode(n cluster.Node, out Node) Node {
	if n.ID == j.p.lay.Primary().ID {
		out.State, out.Detail, out.Role = cluster.NodeUp, "", cluster.NodePrimary
		if j.s.db.recovery {
			out.Role = cluster.NodeStandby
		}
		return out
	}
	if j.s.db.noLag {
		return out
	}
	snd, ok := j.sender(n)
	switch {
	case !ok:
		if out.Mode = cluster.ModeDetached; j.status == nil && out.Detail == "" {
			out.Detail = "does not stream from the primary"
		}
	case j.silent[n.Host] != "": // the row of a dead standby lives on for wal_sender_timeout
		out.Mode, out.LagBytes = snd.state, snd.lag
	default:
		out.State, out.Role, out.Mode, out.LagBytes, out.Detail = cluster.NodeUp, cluster.NodeStandby, snd.state, snd.lag, ""
	}
	return out
}

// sender finds the row of a standby: by the name cw gives it, or, of one that
// was adopted, by its host's address.
func (j judgement) sender(n cluster.Node) (sender, bool) {
	for _, s := range j.s.db.senders {
		if s.name == n.Name() {
			return s, true
		}
	}
	h, _ := j.p.top.Host(n.Host)
	for _, s := range j.s.db.senders {
		if n.Socket != "" && s.addr != "" && (s.addr == h.Address || slices.Contains(h.Interconnect, s.addr)) {
			return s, true
		}
	}
	return sender{}, false
}

// vouched says whether the database itself knows how every node is.
func (j judgement) vouched(nodes []Node) bool {
	if j.s.db == nil || j.s.db.noLag && len(j.s.db.segments) == 0 || j.s.db.recovery {
		return false
	}
	for _, n := range nodes {
		if n.State != cluster.NodeUp || n.Mode == cluster.ModeDetached || len(j.s.db.segments) > 0 && j.deaf(n.Host, n.Port) {
			return false
		}
	}
	return true
}

// deaf says whether nobody listens on a port of a host that answers.
func (j judgement) deaf(host string, port int) bool {
	return j.silent[host] == "" && slices.Contains(j.s.deaf[host], port)
}

func (j judgement) segmentNode(n cluster.Node, out Node) Node {
	for _, g := range j.s.db.segments {
		if g.content == n.Content && g.port == n.Port && g.folder == n.DataDir {
			return j.ofSegment(g, out)
		}
	}
	out.Detail = "not in the catalogue"
	return out
}

// ofSegment fills a node from its row of the catalogue. Mode of the
// coordinator's rows says nothing: the standby's is that of its sender.
func (j judgement) ofSegment(g segment, out Node) Node {
	host, looked, why := out.Host, out.State, out.Detail
	out.DBID, out.Detail = g.dbid, ""
	out.State = map[string]string{"u": cluster.NodeUp, "d": cluster.NodeDown}[g.status]
	if out.State == cluster.NodeDown {
		out.Since = j.s.db.down[g.dbid]
	} else if why := j.silent[host]; why != "" {
		out.State, out.Detail = cluster.NodeUnknown, "host does not answer: "+why
	} else if j.deaf(host, out.Port) && looked == cluster.NodeDown { // which the catalogue will have later
		out.State = cluster.NodeDown
	}
	if out.State == cluster.NodeDown && g.status == "u" {
		out.Detail = why
	}
	roles := map[string]string{"p": cluster.NodePrimary, "m": cluster.NodeMirror}
	if g.content < 0 {
		roles = map[string]string{"p": cluster.NodeCoordinator, "m": cluster.NodeStandby}
	}
	out.Role, out.PreferredRole, out.Mode = roles[g.role], roles[g.preferred], ""
	switch {
	case g.content < 0 && g.role == "p":
	case g.content < 0:
		if !j.s.db.noLag {
			out.Mode = cluster.ModeDetached
		}
	case j.mirrored(g):
		out.Mode = map[string]string{"s": cluster.ModeSync, "n": cluster.ModeNotSync}[g.mode]
	}
	if g.role == "m" {
		for _, s := range j.s.db.senders {
			if s.content == g.content {
				out.LagBytes = s.lag
				if g.content < 0 {
					out.Mode = s.state
				}
			}
		}
	}
	return out
}

func (j judgement) mirrored(g segment) bool {
	return slices.ContainsFunc(j.s.db.segments, func(o segment) bool { return o.content == g.content && o.dbid != g.dbid })
}

// strangers are instances of the catalogue that the layout does not have.
func (j judgement) strangers() []Node {
	if j.s.db == nil {
		return nil
	}
	var out []Node
	for _, g := range j.s.db.segments {
		if slices.ContainsFunc(j.p.lay.Nodes, func(n cluster.Node) bool { return g.content == n.Content && g.port == n.Port && g.folder == n.DataDir }) {
			continue
		}
		out = append(out, j.ofSegment(g, Node{ID: fmt.Sprintf("dbid%d", g.dbid), Content: g.content, Host: g.host, Port: g.port, DataDir: g.folder}))
	}
	return out
}

// verdict is the cluster's state and what keeps it from being up. While the
// database does not answer it is that of the hosts.
func (j judgement) verdict(nodes []Node) (string, []string) {
	if j.s.db == nil {
		if j.status == nil {
			return cluster.Unknown, nil
		}
		return j.status.State, j.status.Problems
	}
	var problems []string
	for _, n := range nodes {
		if text := problemOf(n); text != "" {
			problems = append(problems, text)
		}
	}
	if j.status != nil && !j.vouched(nodes) {
		for _, p := range j.status.Problems { // it may know more
			if len(problems) == 0 {
				problems = append(problems, p)
			}
		}
	}
	if len(problems) == 0 {
		return cluster.Up, nil
	}
	return cluster.Degraded, problems
}

// problemOf says in one sentence what is wrong with a node; "" for nothing.
func problemOf(n Node) string {
	what := fmt.Sprintf("%s %s on %s", n.Role, n.ID, n.Host)
	switch {
	case n.State == cluster.NodeUnknown && n.Detail != "":
		return what + ": " + n.Detail
	case n.State == cluster.NodeUnknown:
		return "" // not known yet
	case n.State != cluster.NodeUp && n.Detail != "":
		return fmt.Sprintf("%s is %s: %s", what, n.State, n.Detail)
	case n.State != cluster.NodeUp:
		return fmt.Sprintf("%s is %s", what, n.State)
	case n.Role != n.PreferredRole:
		return fmt.Sprintf("%s should be %s", what, n.PreferredRole)
	case n.Mode == cluster.ModeNotSync && n.Role == cluster.NodePrimary:
		return "" // its mirror says so
	case n.Mode == cluster.ModeNotSync:
		return what + " is not in sync"
	case n.Mode == cluster.ModeDetached:
		return what + " does not stream"
	case n.Detail != "":
		return what + ": " + n.Detail
	}
	return ""
}
