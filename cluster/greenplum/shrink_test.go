package greenplum

import (
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/cluster/step"
)

func TestShrinkTakesWholeSegments(t *testing.T) {
	t.Parallel()
	e := engine(t, "group", true) // contents 0 to 3
	with := func(contents ...int) []cluster.Node {
		var out []cluster.Node
		for _, n := range e.lay.Nodes {
			if slices.Contains(contents, n.Content) && n.Role != cluster.NodeCoordinator {
				out = append(out, n)
			}
		}
		return out
	}
	for _, tt := range []struct {
		name  string
		nodes []cluster.Node
		want  string // the error
	}{
		{"the coordinator", e.lay.Nodes[:1], "cannot be taken out"},
		{"the standby", with(-1), ""},
		{"the highest", with(3), ""},
		{"the highest two and the standby", with(-1, 2, 3), ""},
		{"one that is not the highest", with(2), "do"},
		{"a hole", with(1, 3), "does not fit"},
		{"a primary without its mirror", with(3)[:1], "does not fit"},
		{"a mirror without its primary", with(3)[1:], "does not fit"},
		{"all", with(0, 1, 2, 3), "no segment would be left"},
	} {
		steps, err := e.Shrink(tt.nodes)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil {
			continue
		}
		ordered, err := step.Order(steps)
		if err != nil {
			t.Fatal(err)
		}
		reach := reachable(ordered)
		for _, s := range ordered {
			for _, first := range ordered {
				for _, pair := range [][2]string{
					{"hold@n1", "gate@n1"},
					{"gate@n1", "unregister"},
					{"unregister", "stop@"},
					{"unregister", "quiet@"},
					{"announce", "unregister@n10"},
					{"quiet@sdw1", "stop@sdw1"},
					{"stop@sdw1", "remove@sdw1"},
					{"unregister@n10", "stop@scdw"},
					{"unregister@n10", "stop@sdw2"},
				} {
					if is(first.ID, pair[0]) && is(s.ID, pair[1]) && !reach[s.ID][first.ID] {
						t.Errorf("%s: %s does not wait for %s", tt.name, s.ID, first.ID)
					}
				}
			}
		}
	}
}

func TestParseGate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		out, want, err string
	}{
		{"cw-databases 2\ncw-looked\ncw-looked\n", "", ""},
		{"cw-databases 2\na.b.c has rows\ncw-looked\nx\ny\ncw-looked", "a.b.c has rows,x,y", ""},
		{"cw-databases 2\ncw-looked\n", "", "1 of 2 databases"},
		{"cw-databases 0\n", "", ""},
		{"cw-databases x\n", "", "unknown form"},
		{"cw-looked\n", "", "unknown form"},
		{"", "", "unknown form"},
	} {
		got, err := parseGate(tt.out)
		if strings.Join(got, ",") != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %q, %v", tt.out, got, err)
		}
	}
}

// FuzzParseGate: whatever a host prints, nothing that it names is lost, and an
// answer that is cut short is no clean one.
func FuzzParseGate(f *testing.F) {
	for _, s := range []string{"", "cw-looked", "a\nb", "cw-databases 1", "\r\n x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseGate("cw-databases 1\n" + text); err == nil && len(got) == 0 && strings.Count(text, "cw-looked") == 0 {
			t.Errorf("%q passes", text)
		}
		got, err := parseGate("cw-databases 1\ncw-looked\nwarehouse.t\n" + text)
		if err == nil && !slices.Contains(got, "warehouse.t") && strings.TrimSpace(text) != "" {
			t.Errorf("%q hides a table: %q", text, got)
		}
	})
}

// FuzzCommonConf: no line that makes an instance that one is left, and it is
// the same the second time.
func FuzzCommonConf(f *testing.F) {
	for _, s := range []string{"", "port = 1", "#port=1\nport 2", "\n\n# Made by cw for this instance.\nport = 3\n", "gp_dbid\t=4\r\nlisten_addresses='*'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := commonConf(text)
		if ownLine.MatchString(once) {
			t.Errorf("%q leaves %q", text, once)
		}
		if again := commonConf(once); again != once {
			t.Errorf("%q becomes %q", once, again)
		}
	})
}
