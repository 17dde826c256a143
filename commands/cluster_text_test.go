package commands

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
	"cw/fault"
)

// printed runs a printing function on streams of its own.
func printed(t *testing.T, format string, f func(a *App) error) (out, errOut string, err error) {
	t.Helper()
	streams, o, e := TestStreams("")
	a := &App{IO: streams, Log: slog.New(slog.DiscardHandler), flags: globalFlags{output: format}}
	err = f(a)
	return o.String(), e.String(), err
}

func TestLongPlansAreShownByKind(t *testing.T) {
	t.Parallel()
	v := step.View{Cluster: "dw", Verb: "create", Done: 1}
	add := func(n int, id, title string, change func(*step.Planned)) {
		for i := range n {
			s := step.Planned{ID: fmt.Sprintf("%s@h%d", id, i%3), Host: fmt.Sprintf("h%d", i%3), Title: strings.ReplaceAll(title, "%", fmt.Sprint(i+1)), State: step.Pending}
			if change != nil {
				change(&s)
			}
			v.Steps = append(v.Steps, s)
			v.Pending++
		}
	}
	add(3, "user", "create OS user gpadmin", func(s *step.Planned) { s.Observed = "no such user" })
	add(36, "start", "start node n%", nil)
	add(1, "remove", "remove /data/n%", func(s *step.Planned) { s.Destructive, s.PointOfNoReturn = true, true })
	v.Steps = append(v.Steps, step.Planned{ID: "done@h1", Host: "h1", Title: "was done", State: step.Done})
	text := func(format string) string {
		out, _, err := printed(t, format, func(a *App) error { return a.writePlan(a.IO.Out, v) })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := text("table"); strings.Count(got, "\n") != 41 || !strings.Contains(got, " 40  h0    remove /data/n1 [point") {
		t.Errorf("40 steps are shown one by one:\n%s", got)
	}
	add(1, "see", "see node n2 follow", func(s *step.Planned) { s.Host, s.State, s.Error = "", step.Unclear, "host h9 is down" })
	want := `Plan: create dw, 41 steps to do, 1 done already; -o wide shows each
    3 ×  3 hosts  create OS user gpadmin (now: no such user)
   36 ×  3 hosts  start node n1, and 35 more like it
!   1 ×  h0       remove /data/n1 [point of no return]
    1 ×  -        see node n2 follow (1 unclear: host h9 is down)
`
	if got := text("table"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := text("wide"); strings.Count(got, "\n") != 42 {
		t.Errorf("wide:\n%s", got)
	}
}

// segmented is a cluster of a coordinator, its standby and pairs of segments.
func segmented(pairs int) cluster.Status {
	st := cluster.Status{Name: "dw", State: cluster.Up, CheckedAt: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC), Engine: cluster.EngineStatus{Kind: cluster.Greenplum, Version: "6.24.3"}}
	add := func(content int, role, host, mode string) {
		st.Nodes = append(st.Nodes, cluster.NodeStatus{ID: fmt.Sprintf("n%d", len(st.Nodes)+1), Content: content, Role: role, PreferredRole: role, Host: host, Port: 6000, State: cluster.NodeUp, Mode: mode})
	}
	add(-1, cluster.NodeCoordinator, "cdw", "")
	for i := range pairs {
		add(i, cluster.NodePrimary, fmt.Sprintf("sdw%d", i%2+1), cluster.ModeSync)
	}
	for i := range pairs {
		add(i, cluster.NodeMirror, fmt.Sprintf("sdw%d", (i+1)%2+1), cluster.ModeSync)
	}
	add(-1, cluster.NodeStandby, "scdw", cluster.ModeStreaming)
	// One entry for each host, whatever the number of its nodes.
	for _, h := range []string{"cdw", "scdw", "sdw1", "sdw2"} {
		st.Hosts = append(st.Hosts, cluster.HostStatus{Name: h, Address: "10.0.0." + h, Reachable: true, Disk: &cluster.DiskStatus{Size: 100e9, Free: 40e9}})
	}
	return st
}

func TestStatusOfSegments(t *testing.T) {
	t.Parallel()
	down := time.Date(2026, 11, 21, 0, 59, 0, 0, time.FixedZone("", 3600))
	fail := func(st cluster.Status, content int) cluster.Status {
		st.State, st.Problems = cluster.Degraded, []string{"a mirror took over"}
		for i := range st.Nodes {
			n := &st.Nodes[i]
			switch {
			case n.Content == content && n.PreferredRole == cluster.NodePrimary:
				n.Role, n.State, n.Mode, n.DownSince = cluster.NodeMirror, cluster.NodeDown, cluster.ModeNotSync, &down
			case n.Content == content:
				n.Role, n.Mode = cluster.NodePrimary, cluster.ModeNotSync
			}
		}
		return st
	}
	for name, c := range map[string]struct {
		st     cluster.Status
		format string
		rows   int // of nodes
		says   []string
		not    []string
	}{
		"well": {segmented(4), "table", 2, []string{
			"dw is UP", "n1    -1       coordinator  coordinator  cdw", "40GB of 100GB", "segments: 4 primaries up; 4 mirrors in sync\n",
		}, []string{"DOWN SINCE", "next:", "not listed"}},
		"wide":       {segmented(4), "wide", 10, []string{"10.0.0.sdw1"}, nil},
		"no mirrors": {noMirrors(segmented(2)), "table", 2, []string{"segments: 2 primaries up; no mirrors\n"}, nil},
		"one fell": {fail(segmented(4), 2), "table", 10, []string{
			"DOWN SINCE", "2026-11-20T23:59:00Z", "segments: 4 primaries up; 3 of 4 mirrors in sync; 2 nodes not in their preferred role; 1 not up, the first since 2026-11-20T23:59:00Z\n",
			"! a mirror took over\nnext: cw cluster recover dw --rebalance\n",
		}, []string{"not listed"}},
		"one of many fell": {fail(segmented(40), 7), "table", 4, []string{"78 nodes of segments that are well are not listed: cw cluster status dw -o wide"}, nil},
	} {
		out, _, err := printed(t, c.format, func(a *App) error { return a.printStatus(c.st) })
		if err != nil {
			t.Fatal(err)
		}
		if rows := strings.Count(out, "\nn"); rows-strings.Count(out, "\nnext:") != c.rows {
			t.Errorf("%s: %d rows, want %d", name, rows, c.rows)
		}
		for _, text := range c.says {
			if !strings.Contains(out, text) {
				t.Errorf("%s lacks %q:\n%s", name, text, out)
			}
		}
		for _, text := range c.not {
			if strings.Contains(out, text) {
				t.Errorf("%s says %q:\n%s", name, text, out)
			}
		}
	}
	// A row of content 0: the primary before its mirror.
	out, _, _ := printed(t, "csv", func(a *App) error { return a.printStatus(segmented(2)) })
	if want := "n1,-1,coordinator,"; !strings.HasPrefix(strings.SplitAfterN(out, "\n", 2)[1], want) || !strings.Contains(out, "\nn6,-1,standby") || strings.Index(out, "\nn4,0,mirror") > strings.Index(out, "\nn3,1,primary") {
		t.Errorf("csv:\n%s", out)
	}
}

func noMirrors(st cluster.Status) cluster.Status {
	var nodes []cluster.NodeStatus
	for _, n := range st.Nodes {
		if n.Role != cluster.NodeMirror {
			nodes = append(nodes, n)
		}
	}
	st.Nodes = nodes
	return st
}

func nodeValue(node, role, name, value, inFile string, restart bool) cluster.NodeSetting {
	return cluster.NodeSetting{Node: node, Role: role, Host: "h" + node[1:], Name: name, Value: value, Configured: inFile, PendingRestart: restart}
}

func TestSettingsAreGroupedByValue(t *testing.T) {
	t.Parallel()
	items := []cluster.NodeSetting{
		nodeValue("n1", "primary", "work_mem", "4MB", "", false), nodeValue("n2", "standby", "work_mem", "4MB", "", false),
		nodeValue("n1", "primary", "shared_buffers", "1GB", "2GB", true), nodeValue("n2", "standby", "shared_buffers", "2GB", "", false),
		nodeValue("n1", "primary", "log_min_messages", "error", "warning", false),
	}
	out, errOut, err := printed(t, "table", func(a *App) error { return a.printSettings(items) })
	want := `SETTING           VALUE  IN FILE                   NODES
work_mem          4MB                              all
shared_buffers    1GB    2GB (needs a restart)     n1
shared_buffers    2GB                              n2
log_min_messages  error  warning (needs a reload)  all
`
	if out != want || errOut != "" || err != nil {
		t.Errorf("got %v %s\n%s\nwant\n%s", err, errOut, out, want)
	}
	mute := append(items, cluster.NodeSetting{Node: "n3", Role: "standby", Host: "h3", Name: "work_mem", Error: "no route"}, cluster.NodeSetting{Node: "n3", Host: "h3", Name: "b", Error: "no route"})
	out, errOut, err = printed(t, "wide", func(a *App) error { return a.printSettings(mute) })
	if fault.KindOf(err) != fault.Partial || strings.Count(errOut, "node n3 on h3: no route") != 1 || strings.Count(out, "\n") != 8 {
		t.Errorf("a mute node: %v %s\n%s", err, errOut, out)
	}
	_, _, err = printed(t, "json", func(a *App) error { return a.printSettings(mute[5:]) })
	if fault.KindOf(err) != fault.Unreachable {
		t.Errorf("only mute nodes: %v", err)
	}
	var many []cluster.NodeSetting
	for i := range 9 {
		many = append(many, nodeValue(fmt.Sprintf("n%d", i+1), []string{"primary", "mirror"}[i%2], "work_mem", "4MB", "", false))
	}
	if got := someNodes(many); got != "9 nodes (primary, mirror): n1, n2, n3, …" {
		t.Errorf("many nodes: %s", got)
	}
}

func TestDiffOfSettings(t *testing.T) {
	t.Parallel()
	lay := &cluster.Layout{Nodes: []cluster.Node{{ID: 1, Content: -1}, {ID: 2, Content: 0}, {ID: 3, Content: 1}}}
	for name, c := range map[string]struct {
		items []cluster.NodeSetting
		want  string // scope reason of each difference
		next  string
	}{
		"same":                  {[]cluster.NodeSetting{nodeValue("n2", "p", "a", "1", "", false), nodeValue("n3", "p", "a", "1", "", false)}, "", ""},
		"coordinator may":       {[]cluster.NodeSetting{nodeValue("n1", "c", "a", "1", "", false), nodeValue("n2", "p", "a", "2", "", false)}, "", ""},
		"segments may not":      {[]cluster.NodeSetting{nodeValue("n2", "p", "a", "1", "", false), nodeValue("n3", "p", "a", "2", "", false), nodeValue("n2", "p", "b", "1", "", false), nodeValue("n3", "p", "b", "2", "", false)}, "segments differs segments differs", "cw cluster config set dw a=VALUE b=VALUE"},
		"restart":               {[]cluster.NodeSetting{nodeValue("n1", "c", "a", "1", "2", true)}, "coordinator needs-restart", "cw cluster restart dw"},
		"reload":                {[]cluster.NodeSetting{nodeValue("n1", "c", "a", "1", "2", false)}, "coordinator needs-reload", "cw cluster reload dw"},
		"restart before reload": {[]cluster.NodeSetting{nodeValue("n1", "c", "a", "1", "2", false), nodeValue("n1", "c", "b", "1", "2", true)}, "coordinator needs-reload coordinator needs-restart", "cw cluster restart dw"},
		"restart explains":      {[]cluster.NodeSetting{nodeValue("n2", "p", "a", "1", "", false), nodeValue("n3", "p", "a", "2", "1", true)}, "segments needs-restart", "cw cluster restart dw"},
	} {
		diffs := diffSettings(c.items, lay)
		var got []string
		for _, d := range diffs {
			got = append(got, d.Scope, d.Reason)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
		if len(diffs) > 0 && nextOfDiff("dw", diffs) != c.next {
			t.Errorf("%s: next %s", name, nextOfDiff("dw", diffs))
		}
	}
}

func TestOnlyErrorsOfALog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ log, want string }{
		"postgres": {
			"2026-11-21 03:00:00.1 UTC [7] LOG:  listening\n2026-11-21 03:00:01.1 UTC [8] dw@wh ERROR:  relation \"x\" does not exist at character 15\n2026-11-21 03:00:01.1 UTC [8] dw@wh STATEMENT:  select 1\n\tfrom x\n2026-11-21 03:00:02 UTC [7] LOG:  checkpoint\n\tof many lines\n2026-11-21 03:00:02 UTC [9] FATAL:  the end\n",
			"ERROR:  relation|STATEMENT:|from x|FATAL:  the end",
		},
		"greenplum": {
			`2026-11-20 01:00:00.1 UTC,"gpadmin","dw",p1,th2,"[local]",,2026-11-20 01:00:00 UTC,0,con8,cmd1,seg-1,,,,sx1,"LOG","00000","statement: select 'ERROR:  x'",,,` + "\n" +
				`2026-11-20 01:00:00.1 UTC,"gpadmin","dw",p1,th2,"[local]",,2026-11-20 01:00:00 UTC,0,con8,cmd1,seg-1,,,,sx1,"ERROR","42P01","relation ""x"" does not exist",,,` + "\n",
			`"ERROR","42P01"`,
		},
		"nothing": {"2026-11-21 03:00:00.1 UTC [7] LOG:  listening\n", ""},
	} {
		got := onlyErrors(strings.Split(strings.TrimRight(c.log, "\n"), "\n"))
		var want []string
		if c.want != "" {
			want = strings.Split(c.want, "|")
		}
		if len(got) != len(want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: line %d is %q, want %q", name, i, got[i], want[i])
			}
		}
	}
}

func TestLogsOfSeveralNodes(t *testing.T) {
	t.Parallel()
	logs := []manage.NodeLog{
		{Node: cluster.Node{ID: 1, Host: "h1", Role: "primary"}, Text: "a\nb\nc password 's3cret'\n"},
		{Node: cluster.Node{ID: 12, Host: "h2", Role: "standby"}, Text: "d"},
		{Node: cluster.Node{ID: 3, Host: "h3"}, Text: "never", Err: fmt.Errorf("gone")},
	}
	print := func(format string, logs []manage.NodeLog) string {
		out, _, err := printed(t, format, func(a *App) error { return a.printLogs(logs, clusterLogsOptions{lines: 2}) })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got, want := print("table", logs), "n1   b\nn1   c password [redacted]\nn12  d\n"; got != want {
		t.Errorf("table %q, want %q", got, want)
	}
	if got, want := print("table", logs[1:2]), "d\n"; got != want {
		t.Errorf("one node %q, want %q", got, want)
	}
	if got := print("json", logs); strings.Count(got, "\n") != 3 || !strings.HasPrefix(got, `{"node":"n1","role":"primary","host":"h1","line":"b"}`+"\n") {
		t.Errorf("json %q", got)
	}
}

func TestPromoteSaysWhatHappens(t *testing.T) {
	t.Parallel()
	top := &cluster.Topology{Name: "dw", Hosts: []cluster.Host{{Name: "db1", Address: "10.0.0.1"}, {Name: "db2", Address: "10.0.0.2"}}}
	old, to := cluster.Node{ID: 1, Host: "db1", Port: 5432, Role: cluster.NodePrimary}, cluster.Node{ID: 2, Host: "db2", Port: 5433, Role: cluster.NodeStandby}
	got := promoteQuestion(top, old, to, false)
	if want := "n2 on db2 becomes the primary of dw. Sessions on 10.0.0.1:5432 end; clients must connect to 10.0.0.2:5433 from now on.\npromote n2?"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := promoteQuestion(top, old, to, true); !strings.Contains(got, "two primaries both take\nwrites") || !strings.Contains(got, "make sure that db1 is off") {
		t.Errorf("forced: %q", got)
	}
}
