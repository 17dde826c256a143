package tui

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/tui/source"
)

func TestKeyTable(t *testing.T) {
	t.Parallel()
	for at := place(1); at <= onLogPage; at <<= 1 {
		seen := map[string]command{}
		for _, b := range bindings {
			if b.help == "" || b.group == "" || !slices.Contains(keyGroups, b.group) {
				t.Errorf("%v: no help or an unknown group %q", b.keys, b.group)
			}
			if b.where&at == 0 {
				continue
			}
			for _, k := range b.keys {
				if c, ok := seen[k]; ok && c != b.cmd {
					t.Errorf("place %#x: %s does two things", at, k)
				}
				seen[k] = b.cmd
			}
		}
	}
	md := KeysMarkdown()
	for _, b := range bindings {
		if !strings.Contains(md, b.help) {
			t.Errorf("the documents lack %q", b.help)
		}
	}
}

func TestSelectionStaysOnItsRow(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 5 })
	b.tick(2)
	b.keys("j", "j", "j", "j")
	was := b.app.sess.selected().PID
	b.keys("right") // another order
	b.tick(3)
	b.keys("S")
	if got := b.app.sess.selected().PID; got != was {
		t.Errorf("the cursor was on %d and is on %d", was, got)
	}
	b.wants(fmt.Sprintf("▸  %d", was))
}

func TestViewKeys(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), nil)
	b.tick(2)
	for i, want := range []string{"Segments  ", "HOST:PORT", "CPU", "LIMIT", "BLOCKED-BY", "SEVERITY"} {
		b.keys(fmt.Sprint(i + 1))
		b.wants(want)
	}
	b.keys("tab")
	if b.app.view != 0 {
		t.Errorf("tab from the last view goes to %d", b.app.view)
	}
	b.keys("shift+tab")
	if b.app.view != 5 {
		t.Errorf("shift+tab from the first view goes to %d", b.app.view)
	}
}

func TestFilterKeys(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 2 })
	b.tick(2)
	for _, c := range []struct {
		filter string
		want   int
	}{
		{"sdw02", 8},
		{"!sdw02", 26},
		{"role:mirror", 16},
		{"state:down", 1},
		{"role:mirror !host:port:sdw02", -1},
		{`content:^1\ `, -1},
		{"role:^(coord|stand)", 2},
		{"SDW02 role:PRIMARY", 5},
		{"role:!mirror", 18},
	} {
		b.keys("/")
		b.app.input.set("")
		b.typeText(c.filter)
		b.keys("enter")
		if n, _, _ := b.app.nodes.counts(); n != c.want && c.want >= 0 {
			t.Errorf("/%s shows %d rows, want %d", c.filter, n, c.want)
		}
	}
	b.keys("/")
	b.typeText("(")
	b.wants("missing closing )")
	b.keys("esc", "esc")
	if n, all, _ := b.app.nodes.counts(); n != all {
		t.Errorf("esc leaves %d of %d rows", n, all)
	}
	b.keys("e")
	b.wants("down", "switched", "problems only")
	if n, _, _ := b.app.nodes.counts(); n != 4 {
		t.Errorf("e shows %d rows, want 4", n)
	}
}

func TestLimitKeys(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 4 })
	b.tick(2)
	b.keys("j", "{")
	if got := b.app.loads.selected().ID; got != "l2q2mx1" {
		t.Fatalf("the second load is %s", got)
	}
	b.wants("180MB/s", "was 200MB/s")
	b.tick(1)
	b.keys("}")
	b.wants("198MB/s")
	b.keys("u")
	b.wants("180MB/s")
	b.keys("L")
	b.typeText("50MB/s")
	b.keys("enter")
	b.tick(1)
	if l := b.app.loads.selected(); l.Limit != 50e6 {
		t.Errorf("L 50MB/s: the limit is %d", l.Limit)
	}
	b.keys("L")
	b.typeText("fast")
	b.keys("enter")
	b.wants("is not a rate")
	b.app.input.set("none")
	b.keys("enter")
	b.tick(1)
	if l := b.app.loads.selected(); l.Limit != 0 {
		t.Errorf("L none: the limit is %d", l.Limit)
	}
	b.keys("}")
	b.wants("there is no limit")
}

// Keys come faster than answers: every press counts, one request at a time.
func TestLimitKeysWhileARequestIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 4 })
	b.tick(2)
	b.keys("j")
	_, first := b.app.Update(key("{"))
	for range 3 {
		if _, cmd := b.app.Update(key("{")); cmd != nil {
			t.Fatal("a second request while the first is under way")
		}
	}
	_, second := b.app.Update(first())
	if second == nil {
		t.Fatal("the newer wish is not sent")
	}
	b.send(second())
	b.tick(1)
	if l := b.app.loads.selected(); l.Limit != 131_000_000 { // 200 → 180 → 162 → 146 → 131
		t.Errorf("four presses give %d", l.Limit)
	}
}

func TestPauseAndCancelLoad(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 4 })
	b.tick(2)
	b.keys("p")
	b.tick(1)
	if s := b.app.loads.selected().State; s != "paused" {
		t.Fatalf("p: state %s", s)
	}
	b.keys("p")
	b.tick(1)
	if s := b.app.loads.selected().State; s != "running" {
		t.Fatalf("p again: state %s", s)
	}
	b.keys("x", "enter") // the focus is on Cancel
	b.tick(1)
	if s := b.app.loads.selected().State; s != "running" {
		t.Fatalf("x and enter cancelled the load: %s", s)
	}
	b.keys("x")
	b.keys("right", "enter")
	b.tick(1)
	if l := b.app.findLoad("l1q2mx0"); l.State != "cancelled" {
		t.Fatalf("confirmed: state %s", l.State)
	}
}

// The dialog acts on what it showed, whatever has moved since.
func TestDialogPinsItsTarget(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 5 })
	b.tick(2)
	b.keys("/")
	b.typeText("pid:20002")
	b.keys("enter", "C")
	b.wants("session 20002")
	_ = b.app.sess.setFilter(&b.app.c, "")
	b.app.sess.bottom()
	b.keys("tab", "enter")
	b.tick(1)
	for _, s := range b.app.snap.Sessions.Items {
		if s.PID == 20002 && s.State != "idle" {
			t.Error("the blocking session still runs")
		}
		if s.PID == 20003 && len(s.BlockedBy) > 0 {
			t.Error("the waiting session still waits")
		}
	}
}

func TestTerminateManyWantsTheName(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 5 })
	b.tick(2)
	b.keys("m", "m", "m", "K")
	b.wants("Terminate 3 sessions?", "type prod-dw")
	b.typeText("prod")
	b.keys("enter")
	if b.app.dialog == nil {
		t.Fatal("half the name is enough")
	}
	b.typeText("-dw")
	b.keys("enter")
	b.tick(1)
	if n := len(b.app.snap.Sessions.Items); n != 9 {
		t.Errorf("%d sessions are left of 12, want 9", n)
	}
}

func TestRecoverShowsItsPlan(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 2 })
	b.tick(2)
	b.keys("r")
	b.wants("Recover prod-dw", "start incrementally")
	b.typeText("prod-dw")
	b.keys("enter")
	b.tick(1)
	if b.app.sum.down != 0 {
		t.Error("the node is still down")
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	for _, view := range []int{1, 2, 4, 5} {
		b := newDash(t, 120, 40, usual(), func(o *Options) { o.View, o.ReadOnly = view, true })
		b.tick(2)
		for i := range bindings {
			k := &bindings[i]
			if !k.acts || k.where&b.app.place() == 0 {
				continue
			}
			if _, cmd := b.app.Update(key(k.keys[0])); cmd != nil || b.app.dialog != nil || b.app.prompt != nil {
				t.Errorf("view %d: %v acts although the screen is read-only", view, k.keys)
			}
			b.wants("read-only")
		}
		b.keys(":")
		b.typeText("limit l2q2mx1 1MB/s")
		if _, cmd := b.app.Update(key("enter")); cmd != nil {
			t.Error("the palette acts although the screen is read-only")
		}
		b.keys("esc", "?")
		b.wants("(read-only)")
	}
}

func TestHoldKeepsTheScreen(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 4 })
	b.tick(2)
	b.keys("space")
	before := b.screen()
	s := b.fake.Next()
	b.app.Update(snapshotMsg{s})
	if b.screen() != before {
		t.Error("the screen moves although it is held")
	}
	b.wants("held")
	b.keys("space")
	if b.app.snap != s {
		t.Error("the snapshot that came meanwhile is lost")
	}
	b.wants("live")
}

func TestPalette(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), nil)
	b.tick(2)
	command := func(s string) {
		b.t.Helper()
		b.keys(":")
		b.typeText(s)
		b.keys("enter")
	}
	command("seg sdw03")
	if n, _, _ := b.app.nodes.counts(); b.app.view != 1 || n != 8 {
		t.Errorf(":seg sdw03: view %d, %d rows", b.app.view, n)
	}
	command("limit l2q2mx1 50MB/s")
	b.tick(1)
	if l := b.app.findLoad("l2q2mx1"); l.Limit != 50e6 {
		t.Errorf(":limit gives %d", l.Limit)
	}
	command("sort role")
	if b.app.nodes.sortName() != "ROLE" {
		t.Errorf("sorted by %q", b.app.nodes.sortName())
	}
	command("nonsense")
	b.wants("no command nonsense")
	b.keys("esc", ":", "up") // the history has the last good one
	if v := b.app.input.value(); v != "sort role" {
		t.Errorf("the history gives %q", v)
	}
	b.app.input.set("")
	b.typeText("int")
	b.keys("tab")
	if v := b.app.input.value(); v != "interval " {
		t.Errorf("completion gives %q", v)
	}
	b.typeText("5s")
	b.keys("enter")
	b.wants("5s ▸live")
	b.keys(":")
	b.typeText("limit ")
	b.wants("l1q2mx0  l2q2mx1")
	b.keys("tab", "tab")
	if v := b.app.input.value(); v != "limit l2q2mx1" {
		t.Errorf("the second candidate is %q", v)
	}
}

func TestQuit(t *testing.T) {
	t.Parallel()
	quits := func(b *dash, k string) bool {
		_, cmd := b.app.Update(key(k))
		if cmd == nil {
			return false
		}
		_, ok := cmd().(tea.QuitMsg)
		return ok
	}
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 3 })
	b.tick(2)
	b.keys("enter")
	if quits(b, "q") || b.app.page() != nil {
		t.Error("q on a page does not go back")
	}
	if !quits(b, "q") {
		t.Error("q on a view does not quit")
	}
	if !quits(b, "ctrl+c") {
		t.Error("ctrl-c does not quit")
	}
	b.app.doing = 1
	if quits(b, "ctrl+c") {
		t.Error("ctrl-c leaves an action alone at once")
	}
	b.wants("the same key again")
	b.now = b.now.Add(time.Second)
	if !quits(b, "ctrl+c") {
		t.Error("the second ctrl-c does not quit")
	}
	tiny := newDash(t, 20, 5, usual(), nil)
	if !quits(tiny, "q") {
		t.Error("q is dead where the terminal is too small")
	}
}

func TestStaleHosts(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 3 })
	b.tick(3)
	b.lacks("stale")
	b.tick(3)
	b.wants("stale 5s", "sdw02: ssh timeout 3s, last sample 5s ago")
	// A source that has stopped makes everything stale by the clock alone.
	b.now = b.now.Add(10 * time.Second)
	b.send(tickMsg{})
	if n := strings.Count(b.screen(), "stale"); n != 6 {
		t.Errorf("%d of 6 hosts are stale:\n%s", n, b.screen())
	}
}

func TestSectionError(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 5 })
	s := *b.fake.Next()
	s.Sessions.Err = "pg_stat_activity: statement timeout"
	s.Sessions.CollectedAt = s.At.Add(-30 * time.Second)
	b.app.show(&s)
	b.wants("as of 30s ago: pg_stat_activity")
	s.Sessions.Err = ""
	s.Degraded = map[string]string{"resgroup": "no privilege on gp_toolkit"}
	b.app.show(&s)
	b.wants("resgroup: no privilege on gp_toolkit")
}

func TestBeforeAnythingIsKnown(t *testing.T) {
	t.Parallel()
	for view := 1; view <= viewCount; view++ {
		b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = view })
		b.wants("asking", "? help")
		for i := range bindings { // no key may stumble over the emptiness
			if c := bindings[i].cmd; c != cmdSuspend && c != cmdQuit {
				b.keys(bindings[i].keys[0])
				b.keys("esc", "esc")
				b.frame()
			}
		}
	}
}

func TestSourceThatDoesNotStart(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), nil)
	b.send(failedMsg{fmt.Errorf("read recording x: no such file")})
	b.wants("no such file")
}

func TestCopyJSON(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = 5 })
	b.tick(2)
	_, cmd := b.app.Update(key("Y"))
	if cmd == nil {
		t.Fatal("nothing is copied")
	}
	var s source.Session
	if err := json.Unmarshal([]byte(fmt.Sprint(cmd())), &s); err != nil || s.PID != b.app.sess.selected().PID {
		t.Errorf("copied %v: %v", cmd(), err)
	}
}

func TestMouse(t *testing.T) {
	t.Parallel()
	b := newDash(t, 80, 24, usual(), func(o *Options) { o.View, o.Mouse = 2, true })
	b.tick(2)
	b.frame()
	b.send(tea.MouseClickMsg{X: 10, Y: 6, Button: tea.MouseLeft})
	if b.app.nodes.cur != 3 {
		t.Errorf("a click on the fourth row selects row %d", b.app.nodes.cur)
	}
	b.send(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
	if b.app.nodes.cur != 6 {
		t.Errorf("the wheel goes to row %d", b.app.nodes.cur)
	}
	x := strings.Index(b.line(1), "4 Loads")
	b.send(tea.MouseClickMsg{X: x, Y: 1, Button: tea.MouseLeft})
	if b.app.view != 3 {
		t.Errorf("a click on the tab shows view %d", b.app.view)
	}
}
