package greenplum

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/remote"
)

// engine is one that no test may connect with.
func engine(t *testing.T, mirrors string, standby bool) *Engine {
	t.Helper()
	yaml := `apiVersion: cw/v1
kind: Cluster
name: gp
engine: {kind: greenplum, home: /opt/gp}
network: {allow: [10.0.0.0/8]}
layout: {segments_per_host: 2, mirrors: ` + mirrors + `, data_dirs: [/data/a, /data/b]}
hosts:
  - {name: cdw, address: 10.0.0.1, roles: [coordinator]}
  - {name: sdw1, address: 10.0.0.3, roles: [segment], interconnect: [10.1.0.3, 10.2.0.3]}
  - {name: sdw2, address: 10.0.0.4, roles: [segment], interconnect: [10.1.0.4, 10.2.0.4]}
`
	if standby {
		yaml += "  - {name: scdw, address: 10.0.0.2, roles: [standby]}\n"
	}
	top, err := cluster.Parse("gp.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	lay, err := cluster.Expand(top, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := remote.NewPool(remote.Options{KnownHosts: t.TempDir() + "/known_hosts"})
	t.Cleanup(pool.Close)
	return New(Config{Fleet: hostprep.NewFleet(pool, top, lay, nil), UID: "u", Run: "r", Dir: t.TempDir()})
}

// TestPlansAreOrdered makes every plan of every layout and looks that it can be
// run, and that what must come first does.
func TestPlansAreOrdered(t *testing.T) {
	t.Parallel()
	before := [][2]string{
		{"init@cdw", "template@"},
		{"template@sdw1", "make@n2"},
		{"make@n2", "start-primaries@sdw1"},
		{"start-primaries@sdw2", "start-mirrors@sdw1"},
		{"start-primaries@", "start@n1"},
		{"start@n1", "database"},
		{"stop@n1", "stop-primaries@"},
		{"stop-primaries@", "stop@sdw1"},
		{"stop@sdw2", "remove@sdw2"},
		{"stop@sdw2", "start-primaries@sdw1"},
		{"template@", "clear@cdw"},
		{"remove@", "tidy@"},
	}
	for _, mirrors := range []string{"none", "group"} {
		for _, standby := range []bool{false, true} {
			e := engine(t, mirrors, standby)
			plans := map[string]func() ([]step.Step, error){
				"create": e.Create, "start": e.Start, "delete": e.Delete, "reload": e.Reload, "adopt": e.Adopt,
				"stop":    func() ([]step.Step, error) { return e.Stop(cluster.Fast) },
				"smart":   func() ([]step.Step, error) { return e.Stop(cluster.Smart) },
				"restart": func() ([]step.Step, error) { return e.Restart(cluster.Fast) },
			}
			for name, plan := range plans {
				steps, err := plan()
				if err != nil {
					t.Fatal(err)
				}
				ordered, err := step.Order(steps)
				if err != nil {
					t.Fatalf("%s, mirrors %s, standby %v: %v", name, mirrors, standby, err)
				}
				for _, s := range ordered {
					if s.Check == nil || s.Apply == nil || s.Title == "" {
						t.Errorf("%s: step %s is incomplete", name, s.ID)
					}
				}
				reach := reachable(ordered)
				for _, pair := range before {
					for _, s := range ordered {
						for _, first := range ordered {
							if is(s.ID, pair[1]) && is(first.ID, pair[0]) && !reach[s.ID][first.ID] {
								t.Errorf("%s: %s does not wait for %s", name, s.ID, first.ID)
							}
						}
					}
				}
			}
		}
	}
}

// is compares a step's id with a pattern: a kind of step, as make@, or one step.
func is(id, pattern string) bool {
	return id == pattern || strings.HasSuffix(pattern, "@") && strings.HasPrefix(id, pattern)
}

// reachable says for each step what it waits for, however far away.
func reachable(ordered []step.Step) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, s := range ordered {
		out[s.ID] = map[string]bool{}
		for _, id := range append(slices.Clone(s.Needs), s.After...) {
			out[s.ID][id] = true
			for far := range out[id] {
				out[s.ID][far] = true
			}
		}
	}
	return out
}

func TestGrowthIsOrdered(t *testing.T) {
	t.Parallel()
	before := [][2]string{
		{"fit@cdw", "user@"},
		{"claim@", "hold@n1"},
		{"hold@n1", "template@cdw"},
		{"template@cdw", "template@sdw1"},
		{"template@sdw1", "make@n2"},
		{"make@n2", "start-primaries@sdw1"},
		{"start-primaries@", "start-mirrors@"},
		{"start-mirrors@", "register"},
		{"start-primaries@", "register"},
		{"register", "mirror@"},
		{"register", "standby@"},
		{"mirror@", "sync"},
		{"register", "announce"},
		{"template@", "clear@cdw"},
		{"make@n2", "clear@sdw1"},
	}
	for _, mirrors := range []string{"none", "group"} {
		for _, standby := range []bool{false, true} {
			e := engine(t, mirrors, standby)
			steps, err := e.Grow(e.lay.Nodes[1:]) // all but the coordinator
			if err != nil {
				t.Fatal(err)
			}
			ordered, err := step.Order(steps)
			if err != nil {
				t.Fatal(err)
			}
			reach := reachable(ordered)
			seen := map[string]bool{}
			for _, s := range ordered {
				if s.Check == nil || s.Apply == nil || s.Title == "" || s.PointOfNoReturn != (s.ID == "register") {
					t.Errorf("step %s is incomplete", s.ID)
				}
				for _, pair := range before {
					for _, first := range ordered {
						if is(s.ID, pair[1]) && is(first.ID, pair[0]) {
							seen[pair[0]+pair[1]] = true
							if !reach[s.ID][first.ID] {
								t.Errorf("%s does not wait for %s", s.ID, first.ID)
							}
						}
					}
				}
			}
			for _, pair := range before {
				if mirrors == "group" && standby && !seen[pair[0]+pair[1]] {
					t.Errorf("no pair %v", pair)
				}
			}
		}
	}
}

func TestDBIDsAreFree(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true)
	e.growth.take(&hold{ended: make(chan struct{})})
	// The standby was made anew and has the number of the first new node.
	e.growth.number(catalog{{DBID: 1}, {DBID: 2}}, e.lay.Nodes[1:9])
	if a, b := e.growth.dbid(e.lay.Nodes[1]), e.growth.dbid(e.lay.Nodes[2]); a != 10 || b != 3 {
		t.Errorf("dbids %d and %d", a, b)
	}
}

func TestCommonConf(t *testing.T) {
	t.Parallel()
	got := commonConf("port = 6000\n# port = 1\nPort 7\nlisten_addresses='*'\nportal = 3\n  gp_contentid=4\nshared_buffers = '1GB'\n\n# Made by cw for this instance.\nport = 6001\ngp_dbid = 4")
	if want := "# port = 1\nportal = 3\nshared_buffers = '1GB'\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true)
	lines := strings.Split(strings.TrimSpace(e.registration()), "\n")
	if len(lines) != len(e.lay.Nodes)+1 {
		t.Fatalf("%d statements for %d nodes", len(lines), len(e.lay.Nodes))
	}
	for i, want := range []string{
		"gp_add_segment(1::int2, -1::int2, 'p', 'p', 'n', 'u', 5432, 'cdw', '10.0.0.1', '/data/a/gp/n1/gpseg-1')",
		"gp_add_segment(2::int2, 0::int2, 'p', 'p', 'n', 'u', 6000, 'sdw1', '10.1.0.3', '/data/a/gp/n2/gpseg0')",
		"gp_add_segment(3::int2, 1::int2, 'p', 'p', 'n', 'u', 6001, 'sdw1', '10.2.0.3', '/data/b/gp/n3/gpseg1')",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("statement %d is %s", i, lines[i])
		}
	}
	if last := lines[len(lines)-2]; !strings.Contains(last, "gp_add_master_standby('scdw', '10.0.0.2', '/data/a/gp/n10/gpseg-1', 5432)") {
		t.Errorf("the standby's statement is %s", last)
	}
	if c := lines[len(lines)-1]; !strings.Contains(c, "count(*) = 10 and") {
		t.Errorf("the last statement is %s", c)
	}
}

func TestRecoveryConf(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true)
	p := e.lay.Nodes[1]
	got := e.recoveryConf(p)
	for _, want := range []string{"standby_mode = 'on'", "host=''10.1.0.3'' port=6000", slotName, "recovery_target_timeline = 'latest'"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	if got := e.recoveryConf(e.coordinator()); strings.Contains(got, slotName) {
		t.Errorf("the standby uses a slot: %s", got)
	}
}

func TestConfLine(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"port", "6000", "port = 6000\n"},
		{"gp_contentid", "-1", "gp_contentid = -1\n"},
		{"a", "", "a = ''\n"},
		{"a", "-", "a = '-'\n"},
		{"a", "64MB", "a = '64MB'\n"},
		{"a", `it's \ here`, `a = 'it''s \\ here'` + "\n"},
	} {
		if got := confLine(c[0], c[1]); got != c[2] {
			t.Errorf("confLine(%q, %q) = %q", c[0], c[1], got)
		}
	}
}

// FuzzConfLine writes a value and reads it back.
func FuzzConfLine(f *testing.F) {
	for _, s := range []string{"", "1", "-1", "64MB", "it's", `\`, `''\''`, "# no comment", "a = b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsAny(value, "\n\r\x00") {
			t.Skip("a setting is one line")
		}
		got := parseValues("node\nset " + confLine("name", value))
		if len(got) != 1 || got[0].file["name"] != value {
			t.Errorf("%q comes back as %+v", value, got)
		}
	})
}

func TestParseValues(t *testing.T) {
	t.Parallel()
	out := `node
set port=15432 ##port 5432
set max_connections = 250			# inserted by initdb
set Shared_Buffers '128MB'
set shared_buffers = 64MB
rows [{"name":"port","show":"15432","setting":"15432","context":"postmaster","type":"integer"}]
node
set port = 7000
down psql: FATAL:  the database system is in recovery mode
`
	got := parseValues(out)
	if len(got) != 2 || got[0].file["port"] != "15432" || got[0].file["max_connections"] != "250" || got[0].file["shared_buffers"] != "64MB" {
		t.Fatalf("%+v", got)
	}
	if got[0].err != nil || got[0].rows["port"].Show != "15432" {
		t.Errorf("%+v", got[0])
	}
	if got[1].rows != nil || got[1].err == nil || !strings.Contains(got[1].err.Error(), "recovery mode") {
		t.Errorf("%+v", got[1])
	}
}

func TestParseSights(t *testing.T) {
	t.Parallel()
	nodes := []cluster.Node{{ID: 2, DataDir: "/d/2"}, {ID: 7, DataDir: "/d/7"}, {ID: 9, DataDir: "/d/9"}}
	seen, tmpl, err := parseSights(nodes, "template\n2 ours data - ready - - -\n7 ours data follower recovery - rewound again\n9 absent - - stopped new - -\ndf 1000 500\ndf 1000 500\ndf 1000 500\n")
	if err != nil || !tmpl {
		t.Fatal(err, tmpl)
	}
	if s := seen[2]; !s.Data || s.Follower || s.Proc != procReady || s.Disk.Size != 1000<<10 || !s.up() {
		t.Errorf("%+v", s)
	}
	if s := seen[7]; !s.Follower || !s.Rewound || !s.Restart || s.Proc != procRecovery || !s.up() {
		t.Errorf("%+v", s)
	}
	if s := seen[9]; s.Mark != hostprep.DirAbsent || s.Data || !s.Unready || s.up() {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"2 ours", "x ours data - ready - - -", "3 ours data - ready - - -", "2 ours data - ready - - - 1"} {
		if _, _, err := parseSights(nodes, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestJudge makes statuses of what hosts show and the catalogue says.
func TestJudge(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true)
	all := func() (map[string]look, *answer) {
		looks, a := map[string]look{}, &answer{Version: "6.24.3"}
		for _, n := range e.lay.Nodes {
			s := sight{Data: true, Proc: procReady, Mark: hostprep.DirOurs}
			row := entry{DBID: n.ID, Content: n.Content, Role: "p", Preferred: "p", Mode: "s", Status: "u", Port: n.Port, DataDir: n.DataDir}
			if n.Role == cluster.NodeMirror || n.Role == cluster.NodeStandby {
				s.Follower, s.Proc, row.Role, row.Preferred = true, procRecovery, "m", "m"
			}
			if looks[n.Host].seen == nil {
				looks[n.Host] = look{seen: map[int]sight{}}
			}
			looks[n.Host].seen[n.ID] = s
			a.Catalog = append(a.Catalog, row)
		}
		a.Standby = &struct {
			State string `json:"state"`
			Lag   *int64 `json:"lag"`
		}{State: cluster.ModeStreaming}
		return looks, a
	}
	away := fmt.Errorf("no answer")
	cases := []struct {
		name  string
		edit  func(map[string]look, *answer) (*answer, error)
		state string
		says  string
	}{
		{"all well", func(_ map[string]look, a *answer) (*answer, error) { return a, nil }, cluster.Up, ""},
		{"mirror host away", func(l map[string]look, a *answer) (*answer, error) {
			l["sdw2"] = look{err: away}
			return a, nil
		}, cluster.Degraded, "host sdw2 does not answer"},
		{"roles swapped", func(_ map[string]look, a *answer) (*answer, error) {
			for i := range a.Catalog {
				if a.Catalog[i].Content == 0 {
					a.Catalog[i].Role = map[string]string{"p": "m", "m": "p"}[a.Catalog[i].Role]
				}
			}
			return a, nil
		}, cluster.Degraded, "acts as mirror"},
		{"not in sync", func(_ map[string]look, a *answer) (*answer, error) {
			a.Catalog[3].Mode = "n"
			return a, nil
		}, cluster.Degraded, "not in sync"},
		{"standby detached", func(_ map[string]look, a *answer) (*answer, error) {
			a.Standby = nil
			return a, nil
		}, cluster.Degraded, "does not stream"},
		{"two coordinators", func(l map[string]look, a *answer) (*answer, error) {
			l["scdw"].seen[10] = sight{Data: true, Proc: procReady}
			return a, nil
		}, cluster.Degraded, "second coordinator"},
		{"held for down", func(_ map[string]look, a *answer) (*answer, error) {
			a.Catalog[3].Status = "d"
			return a, nil
		}, cluster.Degraded, "holds it for down"},
		{"interrupted rewind", func(l map[string]look, a *answer) (*answer, error) {
			s := l["sdw1"].seen[2]
			s.Rewound = true
			l["sdw1"].seen[2] = s
			return a, nil
		}, cluster.Degraded, "recovery was interrupted"},
		{"coordinator's host away", func(l map[string]look, _ *answer) (*answer, error) {
			l["cdw"] = look{err: away}
			return nil, away
		}, cluster.Unknown, "host cdw does not answer"},
		{"all stopped", func(l map[string]look, _ *answer) (*answer, error) {
			for _, h := range l {
				for id, s := range h.seen {
					s.Proc = procStopped
					h.seen[id] = s
				}
			}
			return nil, away
		}, cluster.Down, "is stopped"},
	}
	for _, c := range cases {
		looks, a := all()
		a, err := c.edit(looks, a)
		st := e.judge(looks, a, err)
		problems := strings.Join(st.Problems, "; ")
		if st.State != c.state || !strings.Contains(problems, c.says) {
			t.Errorf("%s: %s: %s", c.name, st.State, problems)
		}
	}
}

// TestAdoptedLayout reads a catalogue as gpinitsystem leaves it.
func TestAdoptedLayout(t *testing.T) {
	t.Parallel()
	c := catalog{
		{DBID: 1, Content: -1, Role: "p", Preferred: "p", Port: 5432, Hostname: "mdw", Address: "mdw", DataDir: "/data/master/gpseg-1"},
		{DBID: 2, Content: 0, Role: "m", Preferred: "p", Port: 6000, Hostname: "sdw1", Address: "sdw1-1", DataDir: "/data/primary/gpseg0"},
		{DBID: 3, Content: 0, Role: "p", Preferred: "m", Port: 7000, Hostname: "sdw2", Address: "sdw2", DataDir: "/data/mirror/gpseg0"},
		{DBID: 4, Content: -1, Role: "m", Preferred: "m", Port: 5432, Hostname: "smdw", Address: "smdw", DataDir: "/data/master/gpseg-1"},
	}
	d := &discovery{o: cluster.AdoptOptions{Name: "old", Address: "192.0.2.1", Port: 5432}, top: &cluster.Topology{}}
	hosts := []cluster.Host{{Name: "mdw", Address: "192.0.2.1"}, {Name: "sdw1", Address: "192.0.2.3"}, {Name: "sdw2", Address: "sdw2"}, {Name: "smdw", Address: "smdw"}}
	l := d.layout(c, hosts)
	d.rule(l)
	if p := l.Primary(); p.ID != 1 || p.Role != cluster.NodeCoordinator || !adopted(p) || p.Dir != "/data/master/gpseg-1.cw" {
		t.Errorf("coordinator %+v", p)
	}
	if n := l.Nodes[1]; n.Role != cluster.NodePrimary || n.Address != "sdw1-1" {
		t.Errorf("a preferred primary that acts as mirror: %+v", n)
	}
	if n := l.Nodes[2]; n.Address != "" {
		t.Errorf("an address that is the host's own was kept: %+v", n)
	}
	if r := d.top.Layout; r.Mirrors != "group" || r.PortBase != 6000 || r.MirrorPortBase != 7000 || r.SegmentsPerHost != "1" {
		t.Errorf("rule %+v", r)
	}
	if s := l.Standbys(); len(s) != 1 || s[0].Host != "smdw" {
		t.Errorf("standby %+v", s)
	}
}

// TestChecksNeedNoHosts: building a plan must not connect to anybody, which the
// addresses here would make fail slowly.
func TestChecksNeedNoHosts(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Recover(ctx, cluster.RecoverOptions{}); err == nil {
		t.Error("recover was planned without looking at the hosts")
	}
	if _, _, err := e.Promote(ctx, cluster.PromoteOptions{Node: "n2"}); err == nil || !strings.Contains(err.Error(), "not the standby") {
		t.Errorf("promoting a segment: %v", err)
	}
}
