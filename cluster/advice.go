package cluster

import "fmt"

// Next is what to do about a cluster that is not well, with the exact
// command; "" when it is well or only a person can tell.
func (s Status) Next() string {
	if s.State == Up || len(s.Nodes) == 0 {
		return ""
	}
	entry, others := s.entry()
	standby := false // one that could take over
	for _, n := range others {
		standby = standby || n.Content < 0 && n.State == NodeUp
	}
	switch entry.State {
	case NodeUnknown:
		if standby {
			return fmt.Sprintf("bring host %s back; if it is off for good: cw cluster promote %s --force", entry.Host, s.Name)
		}
		return fmt.Sprintf("bring host %s back, then: cw cluster start %s", entry.Host, s.Name)
	case NodeAbsent:
		if standby {
			return "cw cluster promote " + s.Name
		}
		return ""
	case NodeDown:
		if standby {
			return fmt.Sprintf("cw cluster start %s; if %s does not come up: cw cluster promote %s", s.Name, entry.ID, s.Name)
		}
		return "cw cluster start " + s.Name
	}
	if entry.Role != entry.PreferredRole {
		return ""
	}
	return s.nextOfOthers(others)
}

// entry is the node that clients connect to, and all others.
func (s Status) entry() (NodeStatus, []NodeStatus) {
	for i, n := range s.Nodes {
		if n.Content < 0 && (n.PreferredRole == NodePrimary || n.PreferredRole == NodeCoordinator) {
			return n, append(append([]NodeStatus(nil), s.Nodes[:i]...), s.Nodes[i+1:]...)
		}
	}
	return s.Nodes[0], s.Nodes[1:]
}

// nextOfOthers is Next when the node that clients connect to is well.
func (s Status) nextOfOthers(others []NodeStatus) string {
	recover, swapped, gone := false, false, ""
	for _, n := range others {
		switch {
		case n.State == NodeUnknown:
			gone = n.Host
		case n.Content < 0 && n.Role != n.PreferredRole:
			return fmt.Sprintf("cw cluster recover %s --host %s: %s follows again, what was written on it alone is lost", s.Name, n.Host, n.ID)
		case n.State != NodeUp || n.Mode == ModeDetached || n.Mode == ModeNotSync:
			recover = true
		}
		swapped = swapped || n.Content >= 0 && n.Role != n.PreferredRole
	}
	next := "cw cluster recover " + s.Name
	if swapped {
		next += " --rebalance"
	}
	switch {
	case gone != "" && !recover && !swapped:
		return fmt.Sprintf("when host %s is back: %s", gone, next)
	case recover || swapped:
		return next
	}
	return ""
}
