package source

import (
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/state"
)

func lagOf(n int64) *int64 { return &n }

func TestJudgePostgres(t *testing.T) {
	t.Parallel()
	top, lay := twoNodes()
	now := time.Now()
	well := &dbView{at: now, version: "15.18", senders: []sender{{name: "n2", state: "streaming", content: -1, lag: lagOf(3)}}}
	hostsSay := func(s2, mode string) *cluster.Status {
		return &cluster.Status{State: cluster.Degraded, Problems: []string{"as the hosts say"}, Engine: cluster.EngineStatus{Version: "15.1"}, Nodes: []cluster.NodeStatus{
			{ID: "n1", Role: cluster.NodePrimary, State: cluster.NodeUp}, {ID: "n2", Role: cluster.NodeStandby, State: s2, Mode: mode},
		}}
	}
	for _, c := range []struct {
		name                string
		s                   sight
		hosts               []Host
		state, node2, mode2 string
		problem             string
		vouched             bool
	}{
		{name: "nothing known", state: cluster.Unknown, node2: cluster.NodeUnknown},
		{name: "well", s: sight{db: well}, state: cluster.Up, node2: cluster.NodeUp, mode2: "streaming", vouched: true},
		{name: "no row, hosts not asked", s: sight{db: &dbView{at: now}}, state: cluster.Degraded, node2: cluster.NodeUnknown, mode2: cluster.ModeDetached, problem: "n2 on h2: does not stream"},
		{
			name: "no row, stopped", s: sight{db: &dbView{at: now}, status: hostsSay(cluster.NodeDown, ""), statusAt: now},
			state: cluster.Degraded, node2: cluster.NodeDown, mode2: cluster.ModeDetached, problem: "n2 on h2 is down",
		},
		{
			name: "no row, runs", s: sight{db: &dbView{at: now}, status: hostsSay(cluster.NodeUp, cluster.ModeDetached), statusAt: now},
			state: cluster.Degraded, node2: cluster.NodeUp, mode2: cluster.ModeDetached, problem: "n2 on h2 does not stream",
		},
		{
			name: "hosts were asked long ago", s: sight{db: well, status: hostsSay(cluster.NodeDown, ""), statusAt: now.Add(-time.Hour)},
			state: cluster.Up, node2: cluster.NodeUp, mode2: "streaming", vouched: true,
		},
		{
			name: "a row, but the host is silent", s: sight{db: well}, hosts: []Host{{Name: "h2", Err: "no sample for 3 s"}},
			state: cluster.Degraded, node2: cluster.NodeUnknown, mode2: "streaming", problem: "n2 on h2: host does not answer: no sample",
		},
		{
			name: "database gone", s: sight{dbErr: "refused", status: hostsSay(cluster.NodeUp, cluster.ModeDetached), statusAt: now},
			state: cluster.Degraded, node2: cluster.NodeUp, mode2: cluster.ModeDetached, problem: "as the hosts say",
		},
		{name: "may not see replication", s: sight{db: &dbView{at: now, noLag: true}}, state: cluster.Up, node2: cluster.NodeUnknown},
	} {
		info, nodes := judge(clusterPlan{top, lay}, c.s, c.hosts, now)
		if info.State != c.state || nodes[1].State != c.node2 || nodes[1].Mode != c.mode2 {
			t.Errorf("%s: cluster %s, node %+v", c.name, info.State, nodes[1])
		}
		if text := strings.Join(info.Problems, "; "); !strings.Contains(text, c.problem) || c.problem == "" && text != "" {
			t.Errorf("%s: problems %q", c.name, text)
		}
		if v := (judgement{p: clusterPlan{top, lay}, s: c.s}).vouched(nodes); v != c.vouched {
			t.Errorf("%s: vouched %v", c.name, v)
		}
	}
}

func TestJudgeGreenplum(t *testing.T) {
	t.Parallel()
	top := &cluster.Topology{Name: "gp", Engine: cluster.Engine{Kind: cluster.Greenplum}}
	lay := &cluster.Layout{}
	var segments []segment
	add := func(id, content int, role, pref, mode, status, planned string) {
		lay.Nodes = append(lay.Nodes, cluster.Node{ID: id, Content: content, Role: planned, PreferredRole: planned, Host: "h", Port: 6000 + id, DataDir: "/d"})
		segments = append(segments, segment{dbid: 100 + id, content: content, role: role, preferred: pref, mode: mode, status: status, port: 6000 + id, folder: "/d"})
	}
	add(1, -1, "p", "p", "n", "u", cluster.NodeCoordinator)
	add(2, -1, "m", "m", "s", "u", cluster.NodeStandby)
	add(3, 0, "m", "p", "n", "d", cluster.NodePrimary)
	add(4, 0, "p", "m", "n", "u", cluster.NodeMirror)
	add(5, 1, "p", "p", "s", "u", cluster.NodePrimary)
	add(6, 1, "m", "m", "s", "u", cluster.NodeMirror)
	went := time.Now().Add(-time.Minute)
	v := &dbView{at: time.Now(), segments: segments, down: map[int]time.Time{103: went}, senders: []sender{{content: -1, state: "streaming", lag: lagOf(0)}, {content: 1, state: "streaming", lag: lagOf(9)}}}
	info, n := judge(clusterPlan{top, lay}, sight{db: v}, nil, time.Now())
	if info.State != cluster.Degraded || len(info.Problems) != 2 {
		t.Errorf("%+v", info)
	}
	for i, want := range []Node{
		{Role: cluster.NodeCoordinator, State: cluster.NodeUp},
		{Role: cluster.NodeStandby, State: cluster.NodeUp, Mode: cluster.ModeStreaming, LagBytes: lagOf(0)},
		{Role: cluster.NodeMirror, State: cluster.NodeDown, Mode: cluster.ModeNotSync, Since: went},
		{Role: cluster.NodePrimary, State: cluster.NodeUp, Mode: cluster.ModeNotSync},
		{Role: cluster.NodePrimary, State: cluster.NodeUp, Mode: cluster.ModeSync},
		{Role: cluster.NodeMirror, State: cluster.NodeUp, Mode: cluster.ModeSync, LagBytes: lagOf(9)},
	} {
		got := n[i]
		want.ID, want.Content, want.DBID, want.Host, want.Port, want.DataDir = got.ID, lay.Nodes[i].Content, 101+i, "h", 6001+i, "/d"
		want.PreferredRole = lay.Nodes[i].PreferredRole
		if !sameNode(got, want) {
			t.Errorf("node %d: %+v, want %+v", i, got, want)
		}
	}

	// A mirror that died: its host tells before the catalogue does.
	seen := &cluster.Status{State: cluster.Degraded, Nodes: []cluster.NodeStatus{{ID: "n6", State: cluster.NodeDown, Detail: "stopped"}}}
	for _, c := range []struct {
		s    sight
		want string
	}{
		{sight{db: v, deaf: map[string][]int{"h": {6006}}}, cluster.NodeUp}, // it may listen elsewhere
		{sight{db: v, deaf: map[string][]int{"h": {6006}}, status: seen, statusAt: time.Now()}, cluster.NodeDown},
		{sight{db: v, deaf: map[string][]int{"other": {6006}}, status: seen, statusAt: time.Now()}, cluster.NodeUp}, // it is back
	} {
		if _, n := judge(clusterPlan{top, lay}, c.s, nil, time.Now()); n[5].State != c.want || c.want == cluster.NodeDown && n[5].Detail != "stopped" {
			t.Errorf("%+v: %+v, want %s", c.s.deaf, n[5], c.want)
		}
		well := judgement{p: clusterPlan{top, lay}, s: c.s}
		if got := well.vouched([]Node{{State: cluster.NodeUp, Host: "h", Port: 6006}}); got != (c.s.deaf["h"] == nil) {
			t.Errorf("%+v: vouched %v", c.s.deaf, got)
		}
	}
}

func TestChangesAreToldOnce(t *testing.T) {
	t.Parallel()
	st := newStore(t)
	top, lay := twoNodes()
	two := []*watching{}
	for range 2 {
		l := NewLive(LiveOptions{Cluster: "dw1", Store: st, Connect: nil})
		l.setPlan(top, lay)
		w := &watching{t: t, l: l}
		two = append(two, w)
	}
	see := func(senders ...sender) {
		for _, w := range two {
			w.l.mu.Lock()
			w.l.seen.db = &dbView{at: time.Now(), senders: senders}
			w.l.rejudge()
			queue := w.l.watch.queue
			w.l.watch.queue = nil
			w.l.mu.Unlock()
			for _, e := range queue {
				e.Cluster = "dw1"
				if err := w.l.writeOnce(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	streaming, catchup := sender{name: "n2", state: "streaming", content: -1}, sender{name: "n2", state: "catchup", content: -1}
	for range 3 {
		see(streaming)
	}
	see()
	see()
	see(catchup)
	see(streaming)
	see()
	events, err := st.Events(t.Context(), state.EventFilter{Cluster: "dw1"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, e.Kind+" "+e.Severity+" "+e.Message)
	}
	want := []string{
		"state-changed warning cluster dw1 is degraded, was up",
		"state-changed info standby n2 on h2 is catchup, was streaming",
		"state-changed info cluster dw1 is up, was degraded",
		"state-changed info standby n2 on h2 is streaming, was catchup",
		"state-changed warning cluster dw1 is degraded, was up",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events:\n%s", strings.Join(got, "\n"))
	}
}

func TestLockConflicts(t *testing.T) {
	t.Parallel()
	for _, a := range lockModes {
		for _, b := range lockModes {
			if conflict(a, b) != conflict(b, a) {
				t.Errorf("%s and %s", a, b)
			}
		}
	}
	if conflict("AccessShareLock", "ExclusiveLock") || !conflict("RowExclusiveLock", "ShareLock") || conflict("ShareLock", "ShareLock") || !conflict("SIReadLock", "AccessShareLock") {
		t.Error("not those of the documentation")
	}
}
