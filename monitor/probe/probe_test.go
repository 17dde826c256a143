package probe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/tui/source"
)

var now = time.Unix(1_800_000_000, 0)

// rules are the built-in ones.
var rules Rules = monitor.Config{}.Rule

// postgres is a well cluster of a primary and two standbys.
func postgres() *source.Snapshot {
	s := &source.Snapshot{At: now}
	s.Cluster = source.ClusterInfo{Section: source.Section{CollectedAt: now.Add(-time.Second)}, Name: "dw", Engine: cluster.Postgres, State: cluster.Up}
	s.Nodes.CollectedAt = s.Cluster.CollectedAt
	for i := 1; i <= 3; i++ {
		offset, lag := 0.0, int64(0)
		host := fmt.Sprint("db", i)
		s.Hosts.Items = append(s.Hosts.Items, source.Host{Name: host, SampledAt: now.Add(-time.Second), ClockOffset: &offset, Mounts: []source.Mount{{Path: "/data", Size: 1000, Used: 500}, {Path: "/", Size: 1000, Used: 100}}})
		n := source.Node{ID: fmt.Sprint("n", i), Content: -1, Role: cluster.NodeStandby, PreferredRole: cluster.NodeStandby, Mode: cluster.ModeStreaming, State: cluster.NodeUp, Host: host, DataDir: "/data/pg/n", LagBytes: &lag}
		if i == 1 {
			n.Role, n.PreferredRole, n.Mode, n.LagBytes = cluster.NodePrimary, cluster.NodePrimary, "", nil
		}
		s.Nodes.Items = append(s.Nodes.Items, n)
	}
	return s
}

// greenplum is a well cluster of a coordinator and two hosts with a primary
// and a mirror each.
func greenplum() *source.Snapshot {
	s := postgres()
	s.Cluster.Engine = cluster.Greenplum
	s.Nodes.Items = nil
	add := func(id string, content int, role, host, mode string) {
		lag := int64(0)
		n := source.Node{ID: id, Content: content, DBID: 1, Role: role, PreferredRole: role, Mode: mode, State: cluster.NodeUp, Host: host, DataDir: "/data/" + id, LagBytes: &lag}
		s.Nodes.Items = append(s.Nodes.Items, n)
	}
	add("n1", -1, cluster.NodeCoordinator, "db1", "")
	add("n2", 0, cluster.NodePrimary, "db2", cluster.ModeSync)
	add("n3", 0, cluster.NodeMirror, "db3", cluster.ModeSync)
	add("n4", 1, cluster.NodePrimary, "db3", cluster.ModeSync)
	add("n5", 1, cluster.NodeMirror, "db2", cluster.ModeSync)
	return s
}

func silence(s *source.Snapshot, hosts ...int) {
	for _, i := range hosts {
		h := &s.Hosts.Items[i-1]
		h.Err, h.SampledAt = "no sample for 9 s", now.Add(-9*time.Second)
		for k, n := range s.Nodes.Items {
			if n.Host == h.Name {
				s.Nodes.Items[k].State = cluster.NodeUnknown
			}
		}
	}
}

func noDatabase(s *source.Snapshot, state string) {
	s.Cluster.Err, s.Cluster.State = "connection refused", state
	for k := range s.Nodes.Items {
		if n := &s.Nodes.Items[k]; n.Role == cluster.NodeStandby {
			n.Mode = cluster.ModeDetached // nobody says otherwise
		}
	}
}

func stop(s *source.Snapshot, nodes ...int) {
	for _, i := range nodes {
		n := &s.Nodes.Items[i-1]
		n.State, n.Mode, n.LagBytes = cluster.NodeDown, cluster.ModeDetached, nil
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	set := func(s *source.Snapshot, i int, change func(n *source.Node)) { change(&s.Nodes.Items[i-1]) }
	for name, c := range map[string]struct {
		of     func() *source.Snapshot
		change func(s *source.Snapshot)
		want   []string // rule severity host object, and a part of the message after ": "
	}{
		"well":           {postgres, func(*source.Snapshot) {}, nil},
		"well greenplum": {greenplum, func(*source.Snapshot) {}, nil},
		"a standby's host": {
			postgres, func(s *source.Snapshot) { silence(s, 2) },
			[]string{"host.silent warning db2 : host db2 does not answer; standby n2 is there"},
		},
		"the primary's host": {
			postgres, func(s *source.Snapshot) { silence(s, 1); noDatabase(s, cluster.Unknown) },
			[]string{"host.silent critical db1 : cluster dw is down because of it"},
		},
		"two hosts": {
			postgres, func(s *source.Snapshot) { silence(s, 2, 3) },
			[]string{"host.silent warning db2 : standby n2", "host.silent warning db3 : standby n3"},
		},
		"all hosts": {
			postgres, func(s *source.Snapshot) { silence(s, 1, 2, 3); noDatabase(s, cluster.Unknown) },
			[]string{"cluster.unknown critical  : none of the 3 hosts of cluster dw answers"},
		},
		"all hosts, and the database answers": {
			postgres, func(s *source.Snapshot) { silence(s, 1, 2, 3); s.Nodes.Items[0].State = cluster.NodeUp },
			[]string{"host.silent warning db1 : primary n1", "host.silent warning db2 : standby n2", "host.silent warning db3 : standby n3"},
		},
		"why": {
			postgres, func(s *source.Snapshot) { silence(s, 2); s.Hosts.Items[1].Err = "host key has changed" },
			[]string{"host.silent warning db2 : host db2 does not answer: host key has changed"},
		},
		"a standby": {
			postgres, func(s *source.Snapshot) { stop(s, 2) },
			[]string{"node.down warning db2 n2: standby n2 on db2 is down"},
		},
		"the primary": {
			postgres, func(s *source.Snapshot) { stop(s, 1); noDatabase(s, cluster.Degraded) },
			[]string{"node.down critical db1 n1: cluster dw is down because of it"},
		},
		"all nodes": {
			postgres, func(s *source.Snapshot) { stop(s, 1, 2, 3); noDatabase(s, cluster.Down) },
			[]string{"cluster.down critical  : none of its 3 nodes runs"},
		},
		"no way in": {
			postgres, func(s *source.Snapshot) {
				noDatabase(s, cluster.Up)
				s.Nodes.Items[1].Mode, s.Nodes.Items[2].Mode = "", ""
			},
			[]string{"database.access critical  : although primary n1 runs: connection refused"},
		},
		"a standby that does not stream": {
			postgres, func(s *source.Snapshot) {
				set(s, 3, func(n *source.Node) { n.Mode, n.LagBytes = cluster.ModeDetached, nil })
			},
			[]string{"node.sync warning db3 n3: standby n3 on db3 runs, and does not follow its primary"},
		},
		"lag": {
			postgres, func(s *source.Snapshot) { *s.Nodes.Items[1].LagBytes = 300 << 20; *s.Nodes.Items[2].LagBytes = 5 << 30 },
			[]string{"node.lag critical db3 n3: 5.4GB behind its primary", "node.lag warning db2 n2: 315MB behind its primary"},
		},
		"a second primary": {
			postgres, func(s *source.Snapshot) { set(s, 2, func(n *source.Node) { n.Role = cluster.NodePrimary }) },
			[]string{"node.role critical db2 n2: second primary"},
		},
		"a primary that recovers": {
			postgres, func(s *source.Snapshot) { set(s, 1, func(n *source.Node) { n.Role = cluster.NodeStandby }) },
			[]string{"node.role critical db1 n1: takes no writes"},
		},
		"a full disk": {
			postgres, func(s *source.Snapshot) { s.Hosts.Items[2].Mounts[0].Used = 900 },
			[]string{"disk.full warning db3 /data: 90 % full"},
		},
		"a full disk, and its node": {
			postgres, func(s *source.Snapshot) { s.Hosts.Items[2].Mounts[0].Used = 999; stop(s, 3) },
			[]string{"disk.full critical db3 /data: standby n3 there does not run"},
		},
		"a full disk, and the primary": {
			postgres, func(s *source.Snapshot) {
				s.Hosts.Items[0].Mounts[0].Used = 999
				stop(s, 1)
				noDatabase(s, cluster.Degraded)
			},
			[]string{"disk.full critical db1 /data: cluster dw is down because of it"},
		},
		"another disk is full": {
			postgres, func(s *source.Snapshot) { s.Hosts.Items[2].Mounts[1].Used = 999; stop(s, 3) },
			[]string{"disk.full critical db3 /: file system / of", "node.down warning db3 n3: is down"},
		},
		"a clock": {
			postgres, func(s *source.Snapshot) { *s.Hosts.Items[1].ClockOffset = -3 },
			[]string{"host.clock warning db2 : clock of host db2 is 3s behind that of the monitor"},
		},
		"a clock, from afar": {postgres, func(s *source.Snapshot) { *s.Hosts.Items[1].ClockOffset = -0.8; s.Hosts.Items[1].ClockError = 0.6 }, nil},
		"the clock here": {
			postgres, func(s *source.Snapshot) {
				for i := range s.Hosts.Items {
					*s.Hosts.Items[i].ClockOffset = 60
				}
			},
			[]string{"host.clock critical  monitor: the monitor's own machine is 1m0s behind"},
		},
		"a mirror's host": {
			greenplum, func(s *source.Snapshot) {
				silence(s, 3)
				// The fault tolerance server has seen it: n3 is down, n5 acts for n4.
				set(s, 3, func(n *source.Node) { n.State = cluster.NodeDown })
				set(s, 4, func(n *source.Node) { n.State, n.Role = cluster.NodeDown, cluster.NodeMirror })
				set(s, 5, func(n *source.Node) { n.Role, n.Mode = cluster.NodePrimary, cluster.ModeNotSync })
				set(s, 2, func(n *source.Node) { n.Mode = cluster.ModeNotSync })
			},
			[]string{"host.silent warning db3 : mirror n3 and primary n4 are there"},
		},
		"a primary's host, before its mirror acts": {
			greenplum, func(s *source.Snapshot) { silence(s, 3); noDatabase(s, cluster.Degraded) },
			[]string{"host.silent critical db3 : mirror n3 and primary n4 are there; cluster dw is down because of it"},
		},
		"a mirror": {
			greenplum, func(s *source.Snapshot) {
				stop(s, 3)
				set(s, 2, func(n *source.Node) { n.Mode = cluster.ModeNotSync })
			},
			[]string{"node.down warning db3 n3: mirror n3 (content 0) on db3"},
		},
		"a primary whose mirror acts": {
			greenplum, func(s *source.Snapshot) {
				stop(s, 2)
				set(s, 3, func(n *source.Node) { n.Role, n.Mode = cluster.NodePrimary, cluster.ModeNotSync })
			},
			[]string{"node.down warning db2 n2: primary n2"},
		},
		"still exchanged": {
			greenplum, func(s *source.Snapshot) {
				set(s, 2, func(n *source.Node) { n.Role = cluster.NodeMirror })
				set(s, 3, func(n *source.Node) { n.Role = cluster.NodePrimary })
			},
			[]string{"node.role warning db2 n2: acts as mirror", "node.role warning db3 n3: acts as primary"},
		},
		"a whole segment": {
			greenplum, func(s *source.Snapshot) { silence(s, 2, 3) },
			[]string{"host.silent critical db2 : cluster dw is down", "host.silent critical db3 : cluster dw is down"},
		},
		"the coordinator": {
			greenplum, func(s *source.Snapshot) { stop(s, 1); noDatabase(s, cluster.Degraded) },
			[]string{"node.down critical db1 n1: because of it"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.of()
			c.change(s)
			found, _ := Snapshot(s, rules, 2*time.Second, now)
			var got []string
			for _, f := range found {
				if f.Cluster != "dw" || f.Remedy == "" {
					t.Errorf("%+v", f)
				}
				got = append(got, fmt.Sprintf("%s %s %s %s: %s", f.Rule, f.Severity, f.Host, f.Object, f.Message))
			}
			slices.Sort(got)
			if len(got) != len(c.want) {
				t.Fatalf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
			for i, want := range c.want {
				head, part, _ := strings.Cut(want, ": ")
				if !strings.HasPrefix(got[i], head+": ") || !strings.Contains(got[i], part) {
					t.Errorf("found %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

// What cannot be seen ends no alert: with every snapshot of a fault each rule
// either finds it or is blind for it.
func TestBlind(t *testing.T) {
	t.Parallel()
	sees := func(s *source.Snapshot, rule, host, object string) string {
		found, blind := Snapshot(s, rules, 2*time.Second, now)
		for _, f := range found {
			if f.Rule == rule && f.Host == host && f.Object == object {
				return "found"
			}
		}
		for _, b := range blind {
			fits := func(p, is string) bool { return p == "" || p == is }
			if fits(b.Rule, rule) && fits(b.Host, host) && fits(b.Object, object) {
				return "blind"
			}
		}
		return "well"
	}
	empty := func() *source.Snapshot {
		s := &source.Snapshot{}
		s.Cluster.Name, s.Cluster.Engine = "dw", cluster.Postgres
		s.Hosts.Items = []source.Host{{Name: "db1"}, {Name: "db2"}}
		s.Nodes.Items = []source.Node{{ID: "n2", Host: "db2", State: cluster.NodeUnknown, PreferredRole: cluster.NodeStandby, Content: -1}}
		return s
	}
	for _, c := range []struct {
		name, rule, host, object, want string
		of                             *source.Snapshot
	}{
		{"nothing at all", monitor.NodeDown, "db2", "n2", "blind", nil},
		{"at first", monitor.NodeDown, "db2", "n2", "blind", empty()},
		{"at first", monitor.HostSilent, "db2", "", "blind", empty()},
		{"at first", monitor.ClusterDown, "", "", "blind", empty()},
		{"at first", monitor.DatabaseAccess, "", "", "blind", empty()},
		{"at first", monitor.DiskFull, "db2", "/data", "blind", empty()},
		{"well", monitor.NodeDown, "db2", "n2", "well", postgres()},
		{"well", monitor.HostSilent, "db2", "", "well", postgres()},
		{"well", monitor.ClusterDown, "", "", "well", postgres()},
		{"well", monitor.ClusterUnknown, "", "", "well", postgres()},
		{"well", monitor.NodeLag, "db2", "n2", "well", postgres()},
		{"host silent", monitor.NodeDown, "db2", "n2", "blind", with(silence, 2)},
		{"host silent", monitor.DiskFull, "db2", "/data", "blind", with(silence, 2)},
		{"host silent", monitor.HostClock, "db2", "", "blind", with(silence, 2)},
		{"host silent", monitor.HostSilent, "db2", "", "found", with(silence, 2)},
		{"host silent", monitor.NodeDown, "db3", "n3", "well", with(silence, 2)},
		{"all silent", monitor.HostSilent, "db3", "", "blind", func() *source.Snapshot {
			s := with(silence, 1, 2, 3)
			noDatabase(s, cluster.Unknown)
			return s
		}()},
		{"node down", monitor.NodeLag, "db2", "n2", "blind", with(stop, 2)},
		{"node down", monitor.NodeSync, "db2", "n2", "blind", with(stop, 2)},
		{"no database", monitor.ClusterDown, "", "", "blind", func() *source.Snapshot { s := postgres(); noDatabase(s, cluster.Up); return s }()},
	} {
		if got := sees(c.of, c.rule, c.host, c.object); got != c.want {
			t.Errorf("%s: %s %s %s: %s, want %s", c.name, c.rule, c.host, c.object, got, c.want)
		}
	}
}

// An answer of the database is believed until the next one is due.
func TestRhythm(t *testing.T) {
	t.Parallel()
	access := func(every time.Duration) bool {
		s := postgres()
		s.Cluster.CollectedAt = now.Add(-9 * time.Second)
		_, blind := Snapshot(s, rules, every, now)
		return slices.Contains(blind, monitor.Blind{Rule: monitor.DatabaseAccess})
	}
	if !access(2*time.Second) || access(10*time.Second) {
		t.Errorf("blind %v every two seconds, %v every ten", access(2*time.Second), access(10*time.Second))
	}
}

func with(change func(*source.Snapshot, ...int), which ...int) *source.Snapshot {
	s := postgres()
	change(s, which...)
	return s
}
