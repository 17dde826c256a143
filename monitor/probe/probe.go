// Package probe says what is wrong with what was seen: functions from
// snapshots, samples, jobs and certificates to conditions. They ask nobody
// and remember nothing but what they are given.
//
// One cause is one condition. What is found on a host that is silent, or in a
// cluster whose leading node does not run, is told with the cause and is
// itself reported as not to be seen: an alert of it that fires already stays,
// and no further one begins.
package probe

import (
	"slices"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/tui/source"
)

// Rules gives a rule by name, as the configuration has it.
type Rules func(name string) (monitor.Rule, bool)

// judge says how bad a value is by a rule; "" when it is not.
func (r Rules) judge(name string, v float64) string {
	rule, _ := r(name)
	return rule.Judge(v)
}

// SnapshotRules are the rules that Snapshot looks for.
func SnapshotRules() []string {
	return []string{
		monitor.HostSilent, monitor.HostClock, monitor.DiskFull, monitor.NodeDown, monitor.NodeSync, monitor.NodeRole, monitor.NodeLag,
		monitor.ClusterDown, monitor.ClusterUnknown, monitor.DatabaseAccess,
	}
}

// answerTime is how long the database has to answer, and a little.
const answerTime = 5 * time.Second

// Snapshot finds what is wrong with a cluster, its nodes and its hosts. every
// is how often its database is asked.
func Snapshot(s *source.Snapshot, rules Rules, every time.Duration, now time.Time) (found []monitor.Condition, blind []monitor.Blind) {
	if s == nil {
		return nil, []monitor.Blind{{}}
	}
	l := newSight(s, rules, every+answerTime, now)
	if l.allSilent() {
		l.blind = []monitor.Blind{{}} // before it is known, too
		l.unknown()
		return l.found, l.blind
	}
	l.disks()
	l.clocks()
	l.hosts()
	l.cluster()
	l.nodes()
	return l.found, l.blind
}

// sight is one look at a snapshot.
type sight struct {
	s      *source.Snapshot
	name   string
	rules  Rules
	now    time.Time
	silent map[string]bool   // hosts
	full   map[string]string // by node: the mount point of its full disk
	whole  bool              // no node runs, and that is told
	answer bool              // the database answered just now
	lost   map[string]bool   // nodes without which the cluster does not work, and that do not run
	found  []monitor.Condition
	blind  []monitor.Blind
}

func newSight(s *source.Snapshot, rules Rules, fresh time.Duration, now time.Time) *sight {
	l := &sight{s: s, name: s.Cluster.Name, rules: rules, now: now, silent: map[string]bool{}, full: map[string]string{}}
	for _, h := range s.Hosts.Items {
		l.silent[h.Name] = h.Err != ""
	}
	l.answer = s.Cluster.Err == "" && !s.Cluster.CollectedAt.IsZero() && now.Sub(s.Cluster.CollectedAt) <= fresh
	l.lost = l.lostNodes()
	return l
}

func (l *sight) add(c monitor.Condition) {
	c.Cluster = l.name
	l.found = append(l.found, c)
}

// unseen notes rules that nobody could look at, of a host and an object.
func (l *sight) unseen(host, object string, rules ...string) {
	for _, r := range rules {
		l.blind = append(l.blind, monitor.Blind{Rule: r, Host: host, Object: object})
	}
}

// allSilent says whether no host answers: then it is one thing, and not as
// many as there are hosts.
func (l *sight) allSilent() bool {
	for _, h := range l.s.Hosts.Items {
		if h.Err == "" {
			return false
		}
	}
	return len(l.s.Hosts.Items) > 1 && !l.answer
}

// gone says whether a node certainly does not run, or its host is silent.
func (l *sight) gone(n source.Node) bool { return stopped(n) || l.silent[n.Host] && !l.vouched(n) }

// vouched says whether the database itself sees a node of a silent host.
func (l *sight) vouched(n source.Node) bool { return l.answer && n.State == cluster.NodeUp }

func stopped(n source.Node) bool {
	return n.State == cluster.NodeDown || n.State == cluster.NodeAbsent
}

// leads says whether clients connect to a node.
func (l *sight) leads(n source.Node) bool {
	if l.s.Cluster.Engine == cluster.Postgres {
		return n.PreferredRole == cluster.NodePrimary
	}
	return n.Role == cluster.NodeCoordinator
}

// lostNodes are those that together keep the cluster from working: the one
// that clients connect to, and all of a segment.
func (l *sight) lostNodes() map[string]bool {
	lost := map[string]bool{}
	contents := map[int][]source.Node{}
	for _, n := range l.s.Nodes.Items {
		if l.leads(n) && !l.answer && l.gone(n) {
			lost[n.ID] = true
		}
		// A Greenplum takes nobody in until the mirror of a lost primary acts.
		if n.Role == cluster.NodePrimary && n.Content >= 0 && l.s.Cluster.Err != "" && l.gone(n) {
			lost[n.ID] = true
		}
		if n.Content >= 0 && l.s.Cluster.Engine != cluster.Postgres {
			contents[n.Content] = append(contents[n.Content], n)
		}
	}
	for _, nodes := range contents {
		if slices.ContainsFunc(nodes, func(n source.Node) bool { return !l.gone(n) }) {
			continue
		}
		for _, n := range nodes {
			lost[n.ID] = true
		}
	}
	return lost
}
