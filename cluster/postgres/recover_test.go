package postgres

import (
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

func TestConninfo(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                "",
		"host=a port=1":                   "host='a' port='1'",
		`password='it\'s \\x' host = h  `: `password='it\'s \\x' host='h'`,
		`user=a\ b dbname=''`:             `user='a b' dbname=''`,
		"postgresql://u:p%40w@h:5544/db?application_name=x&sslmode=prefer": "application_name='x' dbname='db' host='h' password='p@w' port='5544' sslmode='prefer' user='u'",
	} {
		c, err := parseConninfo(in)
		if err != nil || c.String() != want {
			t.Errorf("%q is %q %v, want %q", in, c, err, want)
		}
		if again, err := parseConninfo(c.String()); err != nil || !slices.Equal(again, c) {
			t.Errorf("%q does not come back: %q %v", in, again, err)
		}
	}
	for _, bad := range []string{"host", "host='a", "=x", "a b=c"} {
		if c, err := parseConninfo(bad); err == nil {
			t.Errorf("%q is read as %q", bad, c)
		}
	}
	c, _ := parseConninfo("host=a host=b port=5 password=secret")
	if c.get("host") != "b" || c.with("host", "x").with("port", "").String() != "password='secret' host='x'" {
		t.Errorf("get and with: %s", c.with("host", "x"))
	}
	if got := redactConninfo(c.String()); strings.Contains(got, "secret") {
		t.Errorf("redacted: %s", got)
	}
	if got := redactConninfo("password='secret"); strings.Contains(got, "secret") {
		t.Errorf("redacted: %s", got)
	}
}

func FuzzConninfo(f *testing.F) {
	f.Add("host=a password='it\\'s' x=")
	f.Add("postgres://a:b@c/d?e=f")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseConninfo(s)
		if err != nil {
			return
		}
		for _, p := range c { // of an address anything can be a keyword
			if strings.ContainsAny(p[0], "= \t\r\n'\\") || p[0] == "" {
				return
			}
		}
		again, err := parseConninfo(c.String())
		if err != nil || !slices.Equal(again, c) && len(c) > 0 {
			t.Errorf("%q: %q comes back as %q, %v", s, c, again, err)
		}
	})
}

func TestSetStatement(t *testing.T) {
	t.Parallel()
	if got := setStatement("shared_preload_libraries", `a, "b c"`); got != `alter system set "shared_preload_libraries" to 'a', 'b c';`+"\n" {
		t.Errorf("a list: %s", got)
	}
	if got := setStatement("auto_explain.log_format", "it's"); got != `alter system set "auto_explain"."log_format" to 'it''s';`+"\n" {
		t.Errorf("an extension's setting: %s", got)
	}
}

func TestHBAChange(t *testing.T) {
	t.Parallel()
	c := hbaChange{add: []string{"host a", "host b"}, drop: []string{"host old"}}
	got := c.apply("# made by cw\nlocal all\nhost old\nhost b\n# mine\nhost mine\n")
	if want := "# made by cw\nhost a\nlocal all\nhost b\n# mine\nhost mine\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again := c.apply(got); again != got {
		t.Errorf("a second time: %q", again)
	}
}

// What a node needs is decided by its data, not by what happened to it.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	e := testEngine(t, nil)
	n, p := e.lay.Standbys()[0], e.lay.Primary()
	u := upstream{conninfo: "host=p", slot: "cw_n2"}
	primary := view{node: p, proc: procReady, control: control{system: "7"}, live: &live{
		TLI: 2, LSN: 0x5000000, Oldest: "0000000000000003", SegSize: 16 << 20, History: "1\t0/4000060\tno recovery target specified\n",
	}}
	base := view{node: n, proc: procStopped, signal: true, control: control{system: "7", state: "shut down in recovery", tli: 1}, conninfo: u.conninfo, slot: u.slot}
	running := func(tli int64, at lsn) view {
		v := base
		v.proc, v.live = procReady, &live{Recovery: true, TLI: tli, LSN: at}
		return v
	}
	former := func(state string, tli int64, at lsn) view {
		v := base
		v.signal, v.conninfo, v.slot = false, "", ""
		v.control = control{system: "7", state: state, tli: tli, checkpoint: at}
		return v
	}
	edit := func(v view, f func(*view)) view { f(&v); return v }
	streaming := primary
	streaming.live = &live{TLI: 2, LSN: 0x5000000, Senders: []sender{{Name: "n2", State: "streaming"}}}
	for _, tt := range []struct {
		name string
		v    view
		p    view
		full bool
		want string
	}{
		{"streams", running(2, 0x5000000), streaming, false, actNothing},
		{"streams, has old slots", edit(running(2, 0x5000000), func(v *view) { v.live.Idle = []string{"cw_n1", "mine"} }), streaming, false, actUnslot},
		{"streams, somebody else's slot", edit(running(2, 0x5000000), func(v *view) { v.live.Idle = []string{"mine"} }), streaming, false, actNothing},
		{"stopped", base, primary, false, actStart},
		{"stopped, follows another", edit(base, func(v *view) { v.conninfo = "host=old" }), primary, false, actPoint},
		{"runs, follows another", edit(running(1, 0x4000000), func(v *view) { v.conninfo = "host=old" }), primary, false, actPoint},
		{"connects", running(1, 0x4000060), primary, false, actWait},
		{"ahead of where the primary left", running(1, 0x4000061), primary, false, actRewind},
		{"ahead on the same timeline", running(2, 0x5000001), primary, false, actRewind},
		{"on a timeline of its own", running(3, 0x4000000), primary, false, actRewind},
		{"its WAL is gone", running(1, 0x2ffffff), primary, false, actCopy},
		{"its WAL is in the archive", edit(running(1, 0x2ffffff), func(v *view) { v.live.Archive = true }), primary, false, actWait},
		{"old primary, handed over", former("shut down", 1, 0x3fffff0), primary, false, actPoint},
		{"old primary, went on", former("shut down", 1, 0x4000060), primary, false, actRewind},
		{"old primary, crashed", former("in production", 1, 0x3fffff0), primary, false, actRewind},
		{"was the primary on the same timeline", former("shut down", 2, 0x3fffff0), primary, false, actCopy},
		{"second primary", edit(running(1, 0x4000000), func(v *view) { v.signal, v.live.Recovery = false, false }), primary, false, actRewind},
		{"no data", view{node: n, proc: procNone}, primary, false, actCopy},
		{"interrupted", edit(base, func(v *view) { v.unfinished = true }), primary, false, actCopy},
		{"full", base, primary, true, actCopy},
		{"full, done in this run", edit(base, func(v *view) { v.copied = "r1" }), primary, true, actStart},
		{"another system", edit(base, func(v *view) { v.control.system = "8" }), primary, false, actRefuse},
		{"starting", edit(base, func(v *view) { v.proc = procBusy }), primary, false, actWait},
	} {
		if got := e.diagnose(tt.v, tt.p, u, tt.full); got.act != tt.want {
			t.Errorf("%s: %s (%s), want %s", tt.name, got.act, got.why, tt.want)
		}
	}
}

func TestWhoIsPromoted(t *testing.T) {
	t.Parallel()
	e := testEngine(t, func(top *cluster.Topology) { top.Name = "lab" })
	nodes := e.lay.Standbys()
	if len(nodes) < 2 {
		t.Fatal("the sample topology has too few standbys")
	}
	standby := func(i int, at lsn) view {
		return view{node: nodes[i], proc: procReady, signal: true, control: control{tli: 1}, live: &live{Recovery: true, TLI: 1, LSN: at, Receiver: "streaming"}}
	}
	old := view{node: e.lay.Primary(), host: errNoRoute}
	acting := standby(0, 1)
	acting.signal, acting.live = false, &live{TLI: 2}
	crashed := view{node: nodes[0], proc: procStopped, control: control{tli: 2}}
	former := view{node: nodes[0], proc: procStopped, control: control{tli: 1}}
	broken := standby(0, 9)
	broken.unfinished = true
	for _, tt := range []struct {
		name     string
		standbys []view
		node     string
		want     string // a node, or part of the error
	}{
		{"most WAL", []view{standby(0, 10), standby(1, 20)}, "", nodes[1].Name()},
		{"by name", []view{standby(0, 10), standby(1, 20)}, nodes[0].Name(), nodes[0].Name()},
		{"has taken over already", []view{acting, standby(1, 20)}, "", nodes[0].Name()},
		{"has taken over and fell", []view{crashed, standby(1, 20)}, nodes[0].Name(), nodes[0].Name()},
		{"an old primary", []view{former, standby(1, 20)}, nodes[0].Name(), "old primary"},
		{"unfinished", []view{broken, standby(1, 5)}, "", nodes[1].Name()},
		{"unfinished, by name", []view{broken}, nodes[0].Name(), "unfinished copy"},
		{"no such", []view{standby(0, 1)}, "n77", "no standby"},
		{"none", nil, "", "has no standby"},
		{"none answers", []view{{node: nodes[0], host: errNoRoute}}, "", "does not answer"},
	} {
		got, err := e.chooseStandby(old, tt.standbys, cluster.PromoteOptions{Node: tt.node})
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && got.node.Name() != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.name, got.node.Name(), err, tt.want)
		}
	}
}

var errNoRoute = fault.New(fault.Unreachable, "", "no route to host")
