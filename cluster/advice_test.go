package cluster

import "testing"

func TestNext(t *testing.T) {
	t.Parallel()
	node := func(id string, content int, role, preferred, state, mode string) NodeStatus {
		return NodeStatus{ID: id, Content: content, Role: role, PreferredRole: preferred, Host: "h" + id[1:], State: state, Mode: mode}
	}
	primary := node("n1", -1, NodePrimary, NodePrimary, NodeUp, "")
	standby := node("n2", -1, NodeStandby, NodeStandby, NodeUp, ModeStreaming)
	in := func(n NodeStatus, state string) NodeStatus { n.State, n.Mode = state, ""; return n }
	seg := node("n3", 0, NodePrimary, NodePrimary, NodeUp, ModeSync)
	mirror := node("n4", 0, NodeMirror, NodeMirror, NodeUp, ModeSync)
	for name, c := range map[string]struct {
		state string
		nodes []NodeStatus
		want  string
	}{
		"well":                       {Up, []NodeStatus{primary, standby}, ""},
		"nobody":                     {Unknown, nil, ""},
		"stopped":                    {Down, []NodeStatus{in(primary, NodeDown), in(standby, NodeDown)}, "cw cluster start lab"},
		"primary fell":               {Degraded, []NodeStatus{in(primary, NodeDown), standby}, "cw cluster start lab; if n1 does not come up: cw cluster promote lab"},
		"primary is gone":            {Degraded, []NodeStatus{standby, in(primary, NodeAbsent)}, "cw cluster promote lab"},
		"primary's host":             {Degraded, []NodeStatus{in(primary, NodeUnknown), standby}, "bring host h1 back; if it is off for good: cw cluster promote lab --force"},
		"all hosts":                  {Unknown, []NodeStatus{in(primary, NodeUnknown), in(standby, NodeUnknown)}, "bring host h1 back, then: cw cluster start lab"},
		"standby fell":               {Degraded, []NodeStatus{primary, in(standby, NodeDown)}, "cw cluster recover lab"},
		"standby has no folder":      {Degraded, []NodeStatus{primary, in(standby, NodeAbsent)}, "cw cluster recover lab"},
		"standby's host":             {Degraded, []NodeStatus{primary, in(standby, NodeUnknown)}, "when host h2 is back: cw cluster recover lab"},
		"standby does not stream":    {Degraded, []NodeStatus{primary, node("n2", -1, NodeStandby, NodeStandby, NodeUp, ModeDetached)}, "cw cluster recover lab"},
		"two primaries":              {Degraded, []NodeStatus{primary, node("n2", -1, NodePrimary, NodeStandby, NodeUp, "")}, "cw cluster recover lab --host h2: n2 follows again, what was written on it alone is lost"},
		"disk full, say":             {Degraded, []NodeStatus{primary, standby}, ""},
		"mirror fell":                {Degraded, []NodeStatus{primary, seg, in(mirror, NodeDown)}, "cw cluster recover lab"},
		"mirror took over":           {Degraded, []NodeStatus{primary, node("n3", 0, NodeMirror, NodePrimary, NodeDown, ModeNotSync), node("n4", 0, NodePrimary, NodeMirror, NodeUp, ModeNotSync)}, "cw cluster recover lab --rebalance"},
		"mirror took over, repaired": {Degraded, []NodeStatus{primary, node("n3", 0, NodeMirror, NodePrimary, NodeUp, ModeSync), node("n4", 0, NodePrimary, NodeMirror, NodeUp, ModeSync)}, "cw cluster recover lab --rebalance"},
	} {
		s := Status{Name: "lab", State: c.state, Nodes: c.nodes}
		if got := s.Next(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
