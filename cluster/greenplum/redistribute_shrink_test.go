package greenplum_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExpandAndShrinkByCommand grows and shrinks a cluster as a user does, first
// without a table, when only what the controller itself keeps is on the
// segments that go, then with some.
func TestExpandAndShrinkByCommand(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data]")
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	small := filepath.Join(w.dir, "small.yaml")
	if err := os.WriteFile(small, []byte(strings.Join(lines[:len(lines)-1], "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u := newCLI(t)
	u.must("cluster", "create", "-f", small, "--yes")
	segments := "select count(*) from gp_segment_configuration where content >= 0;"
	for _, with := range []bool{false, true} {
		sum := func() string { return "" }
		if with {
			w.sql(1, "create table t as select i, md5(i::text) x from generate_series(1, 20000) i distributed by (i); create table r(a int) distributed replicated; insert into r values (1), (2);")
			sum = func() string {
				return w.sql(1, "select count(*), sum(hashtext(t::text)::int8) from t; select sum(a) from r; select count(*) from t x join t y using (i);")
			}
		}
		before := sum()
		u.must("cluster", "expand", "-f", w.file, "--yes")
		if got := w.sql(1, segments); got != "4" {
			t.Fatalf("%s segments", got)
		}
		if with {
			if got := w.sql(1, "select count(distinct gp_segment_id) from t;"); got != "4" {
				t.Errorf("t is on %s segments", got)
			}
		}
		u.must("cluster", "shrink", "gp", "--host", w.lab.Hosts[2].Name, "--confirm", "gp", "--yes")
		if got := w.sql(1, segments); got != "2" {
			t.Fatalf("%s segments", got)
		}
		if got := sum(); got != before {
			t.Errorf("%s, not %s", got, before)
		}
	}
	u.status("up")
}
