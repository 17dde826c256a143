package tui

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"cw/tui/source"
)

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cols []colSize
		w    int
		want []int
	}{
		{"all have what they want", []colSize{{prio: 0, min: 2, max: 5, natural: 4}, {prio: 1, min: 3, max: 9, natural: 20}}, 40, []int{4, 9}},
		{"the highest goes first", []colSize{{prio: 5, min: 4, max: 4, natural: 4}, {prio: 0, min: 4, max: 4, natural: 4}, {prio: 1, min: 4, max: 4, natural: 4}}, 10, []int{0, 4, 4}},
		{"what is left is for those that flex", []colSize{{prio: 0, min: 4, max: 4, natural: 4}, {prio: 0, min: 4, max: 8, natural: 8, flex: 1}}, 30, []int{4, 25}},
		{"a name is not cut for a column less", []colSize{{prio: 0, min: 4, max: 12, natural: 12}, {prio: 3, min: 6, max: 6, natural: 6}}, 16, []int{12, 0}},
		{"hidden ones need nothing", []colSize{{prio: 0, min: 4, max: 4, natural: 4, hidden: true}, {prio: 0, min: 4, max: 4, natural: 4}}, 9, []int{0, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := make([]int, len(c.cols))
			fit(c.cols, got, c.w)
			for i := range got {
				if got[i] != c.want[i] {
					t.Fatalf("%v, want %v", got, c.want)
				}
			}
		})
	}
}

func TestSpark(t *testing.T) {
	t.Parallel()
	ramp := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8}
	for _, c := range []struct {
		name   string
		values []float64
		w      int
		top    float64
		kind   sparkKind
		want   string
	}{
		{"blocks", ramp, 9, 8, sparkBlock, " ▁▂▃▄▅▆▇█"},
		{"the newest at the right", ramp, 3, 8, sparkBlock, "▆▇█"},
		{"few values", []float64{8}, 3, 8, sparkBlock, "  █"},
		{"own top", []float64{1, 2}, 2, 0, sparkBlock, "▄█"},
		{"something is not nothing", []float64{0.0001}, 1, 8, sparkBlock, "▁"},
		{"above the top", []float64{80}, 1, 8, sparkBlock, "█"},
		{"nothing known", nil, 2, 0, sparkBlock, "  "},
		{"braille, two a cell", []float64{0, 4, 2, 1}, 2, 4, sparkBraille, "⢸⣄"},
		{"ascii", []float64{0, 1, 4, 7}, 4, 7, sparkASCII, " .=#"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := string(appendSpark(nil, c.values, c.w, c.top, c.kind)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if top, bottom := string(appendChart(nil, []float64{4, 8}, 2, 2, 0, 8, sparkBlock)), string(appendChart(nil, []float64{4, 8}, 2, 2, 1, 8, sparkBlock)); top != " █" || bottom != "██" {
		t.Errorf("two lines: %q over %q", top, bottom)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		string(appendSize(nil, 0)): "0B", string(appendSize(nil, 999)): "999B", string(appendSize(nil, 1500)): "1.5kB",
		string(appendSize(nil, 200e6)): "200MB", string(appendSize(nil, -3e9)): "-3.0GB", string(appendRate(nil, 1e15)): "1.0PB/s",
		string(appendLimit(nil, 0)): "none", string(appendCount(nil, 9999)): "9999", string(appendCount(nil, 1234567)): "1.2M",
		string(appendPercent(nil, 0.304)): "30%", string(appendPercent(nil, -1)): "0%",
		string(appendSpan(nil, -time.Second)): "0s", string(appendSpan(nil, 252*time.Second)): "4m12s", string(appendSpan(nil, 61*time.Minute)): "1h01m",
		string(appendSpan(nil, 49*time.Hour)): "2d01h", string(appendSpan(nil, 41*24*time.Hour)): "41d",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestForeignTextIsMadeVisible(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit int
		ascii bool
		want  string
	}{
		{"a\x1b[31mb", 20, false, "a␛[31mb"},
		{"a\x1b[31mb", 20, true, "a^[[31mb"},
		{"数据仓库", 5, false, "数据"},
		{"数据", 5, true, "??"},
		{"a\nb\tc", 20, false, "a b c"},
		{"x\u202ey\u200dz", 20, false, "x\ufffdy\ufffdz"},
		{"\u009b2J", 20, false, "\ufffd2J"},
		{"\xff", 20, false, "\ufffd"},
		{"e\u0301\u0301\u0301\u0301\u0301", 20, false, "e\u0301\u0301"},
	} {
		if got, _, _ := appendSafe(nil, []byte(c.text), c.limit, c.ascii); string(got) != c.want {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
}

func TestDegradedColumns(t *testing.T) {
	t.Parallel()
	b := newDash(t, 120, 40, usual(), func(o *Options) { o.View = 5 })
	s := *b.fake.Next()
	s.Degraded = map[string]string{"query": "role cw may not see the queries of others"}
	s.Sessions.Items = []source.Session{{PID: 1, User: "a", State: "active"}, {PID: 2, User: "b", State: "active", Query: "select 1"}}
	b.app.show(&s)
	b.wants("n/a", "select 1", "query: role cw may not see")
}

func TestProblemsOnTheOverview(t *testing.T) {
	t.Parallel()
	b := newDash(t, 120, 40, usual(), nil)
	b.tick(8)
	s := *b.fake.Next()
	s.Cluster.Problems = nil
	s.Hosts.Items = append([]source.Host(nil), s.Hosts.Items...)
	s.Hosts.Items[0].Mounts = []source.Mount{{Path: "/data1", Size: 100, Used: 95}}
	s.Loads.Items = append([]source.Load(nil), s.Loads.Items...)
	s.Loads.Items[0].State, s.Loads.Items[0].Error = "failed", "disk is full"
	b.app.show(&s)
	b.wants("cdw: /data1 is 95% full", "sdw02: ssh timeout 3s, last sample 8s ago", "session 20003 waits for 20002", "load l1q2mx0 failed: disk is full")
}

func TestThemesDifferInColoursOnly(t *testing.T) {
	t.Parallel()
	var plain []string
	for _, th := range []ThemeName{ThemeDark, ThemeLight, ThemeMono} {
		b := newDash(t, 120, 40, usual(), func(o *Options) { o.Theme = th })
		b.tick(3)
		plain = append(plain, regexp.MustCompile(` +\n`).ReplaceAllString(b.screen(), "\n"))
		if mono := strings.Contains(b.frame(), "\x1b[3") || strings.Contains(b.frame(), ";3"); mono == (th == ThemeMono) {
			t.Errorf("theme %s: colours %v", th, mono)
		}
	}
	if plain[0] != plain[1] || plain[0] != plain[2] {
		t.Error("the themes show different texts")
	}
}
