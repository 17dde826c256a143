package probe

import (
	"fmt"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/schema"
	"cw/state"
	"cw/tui/source"
)

// cluster is what concerns all of it, and is not explained by a host or node.
func (l *sight) cluster() {
	down := 0
	for _, n := range l.s.Nodes.Items {
		if stopped(n) && !l.silent[n.Host] {
			down++
		}
	}
	if total := len(l.s.Nodes.Items); total > 1 && down == total {
		l.add(monitor.Condition{
			Rule: monitor.ClusterDown, Severity: state.Critical, Message: fmt.Sprintf("cluster %s is down: none of its %d nodes runs", l.name, total), Remedy: "cw cluster start " + l.name,
		})
		l.unseen("", "", monitor.NodeDown, monitor.DatabaseAccess)
		l.whole = true
		return
	}
	if !l.answer {
		l.unseen("", "", monitor.ClusterDown)
	}
	if l.s.Cluster.Err == "" {
		if !l.answer { // not yet asked, or being asked for long
			l.unseen("", "", monitor.DatabaseAccess)
		}
		return
	}
	if len(l.lost) > 0 { // it is told with those
		l.unseen("", "", monitor.DatabaseAccess)
		return
	}
	lead := source.Node{State: cluster.NodeUnknown}
	for _, n := range l.s.Nodes.Items {
		if l.leads(n) {
			lead = n
		}
	}
	switch {
	case lead.State == cluster.NodeUp:
		l.add(monitor.Condition{
			Rule: monitor.DatabaseAccess, Severity: l.severity(monitor.DatabaseAccess),
			Message: fmt.Sprintf("the database of cluster %s cannot be reached, although %s %s runs: %s", l.name, lead.Role, lead.ID, l.s.Cluster.Err), Remedy: "cw cluster status " + l.name,
		})
	case l.s.Cluster.State == cluster.Down:
		l.add(monitor.Condition{
			Rule: monitor.ClusterDown, Severity: state.Critical, Message: fmt.Sprintf("cluster %s is down: %s", l.name, l.s.Cluster.Err), Remedy: "cw cluster status " + l.name,
		})
		l.unseen("", "", monitor.DatabaseAccess)
	default:
		l.unseen("", "", monitor.DatabaseAccess)
	}
}

func (l *sight) nodes() {
	if len(l.s.Nodes.Items) == 0 || l.s.Nodes.CollectedAt.IsZero() {
		l.unseen("", "", monitor.NodeDown, monitor.NodeSync, monitor.NodeRole, monitor.NodeLag)
		return
	}
	for _, n := range l.s.Nodes.Items {
		switch {
		case l.silent[n.Host] && !l.vouched(n): // told with the host
		case stopped(n):
			l.stoppedNode(n)
		case n.State != cluster.NodeUp:
			l.unseen(n.Host, n.ID, monitor.NodeDown, monitor.NodeSync, monitor.NodeRole, monitor.NodeLag)
		default:
			l.runningNode(n)
		}
	}
}

// justLeft is how long ago a node may have left its primary to be taken for
// down since then. One that was out of sight for longer, as on a host that is
// started again, is down since it was seen to be.
const justLeft = 10 * time.Second

func (l *sight) stoppedNode(n source.Node) {
	l.unseen(n.Host, n.ID, monitor.NodeSync, monitor.NodeRole, monitor.NodeLag)
	if l.whole {
		return
	}
	if l.full[n.ID] != "" { // told with the disk
		l.unseen(n.Host, n.ID, monitor.NodeDown)
		return
	}
	c := monitor.Condition{Rule: monitor.NodeDown, Severity: l.severity(monitor.NodeDown), Host: n.Host, Object: n.ID, Remedy: "cw cluster recover " + l.name}
	if l.now.Sub(n.Since) < justLeft {
		c.Since = n.Since
	}
	c.Message = fmt.Sprintf("%s is %s", what(n), n.State)
	if n.Detail != "" {
		c.Message += ": " + n.Detail
	}
	if l.lost[n.ID] {
		c.Severity, c.Message = state.Critical, c.Message+l.because()
		c.Remedy = fmt.Sprintf("cw cluster start %s, or let another one take over: cw cluster promote %s", l.name, l.name)
		if n.Content >= 0 && l.s.Cluster.Engine != cluster.Postgres {
			c.Remedy = "cw cluster recover " + l.name
		}
	}
	l.add(c)
}

func (l *sight) runningNode(n source.Node) {
	follows := !l.leads(n) && n.Role != cluster.NodePrimary && n.Role != cluster.NodeCoordinator
	switch {
	case follows && (n.Mode == cluster.ModeDetached || n.Mode == cluster.ModeNotSync):
		if l.leaderGone(n) {
			l.unseen(n.Host, n.ID, monitor.NodeSync)
			break
		}
		l.add(monitor.Condition{
			Rule: monitor.NodeSync, Severity: l.severity(monitor.NodeSync), Host: n.Host, Object: n.ID,
			Message: fmt.Sprintf("%s runs, and does not follow its primary (%s)", what(n), n.Mode), Remedy: "cw cluster recover " + l.name,
		})
	case follows && n.Mode == "":
		l.unseen(n.Host, n.ID, monitor.NodeSync)
	}
	switch {
	case n.Role == n.PreferredRole:
	case l.partnerGone(n):
		l.unseen(n.Host, n.ID, monitor.NodeRole)
	default:
		l.otherRole(n)
	}
	if !follows {
		return
	}
	if n.LagBytes == nil {
		l.unseen(n.Host, n.ID, monitor.NodeLag)
	} else if severity := l.rules.judge(monitor.NodeLag, float64(*n.LagBytes)); severity != "" {
		l.add(monitor.Condition{
			Rule: monitor.NodeLag, Severity: severity, Host: n.Host, Object: n.ID,
			Message: fmt.Sprintf("%s is %s behind its primary", what(n), schema.FormatSize(*n.LagBytes)), Remedy: "look at its disk and network: cw top " + l.name,
		})
	}
}

// otherRole is about a node that acts for another one. Two that take writes
// lose those of one.
func (l *sight) otherRole(n source.Node) {
	c := monitor.Condition{
		Rule: monitor.NodeRole, Severity: l.severity(monitor.NodeRole), Host: n.Host, Object: n.ID,
		Message: fmt.Sprintf("%s acts as %s and should be %s", what(n), n.Role, n.PreferredRole), Remedy: fmt.Sprintf("cw cluster recover %s --rebalance, in a quiet hour", l.name),
	}
	if l.s.Cluster.Engine == cluster.Postgres {
		c.Remedy = "cw cluster status " + l.name
		switch n.Role {
		case cluster.NodeStandby:
			c.Severity, c.Message = state.Critical, c.Message+": the cluster takes no writes"
		case cluster.NodePrimary:
			c.Severity = state.Critical
			c.Message = fmt.Sprintf("%s acts as a second primary: both take writes, and those of one will be lost", what(n))
		}
	}
	l.add(c)
}

// leaderGone says whether the node that another one follows does not run:
// that is what is told.
func (l *sight) leaderGone(of source.Node) bool {
	for _, n := range l.s.Nodes.Items {
		if n.ID != of.ID && n.Content == of.Content && l.gone(n) && (l.leads(n) || n.PreferredRole == cluster.NodePrimary) {
			return true
		}
	}
	return false
}

// partnerGone says whether one of a segment's other nodes does not run: then
// somebody has to act for it.
func (l *sight) partnerGone(of source.Node) bool {
	for _, n := range l.s.Nodes.Items {
		if n.ID != of.ID && n.Content == of.Content && l.gone(n) {
			return true
		}
	}
	return false
}

func what(n source.Node) string {
	text := fmt.Sprintf("%s %s on %s", n.PreferredRole, n.ID, n.Host)
	if n.Content >= 0 && n.DBID > 0 {
		text = fmt.Sprintf("%s %s (content %d) on %s", n.PreferredRole, n.ID, n.Content, n.Host)
	}
	return text
}
