package greenplum_test

import (
	"fmt"
	"strings"
	"testing"

	"cw/cluster"
)

// smaller is the world's topology without its last hosts.
func (w *world) smaller(hosts int) *cluster.Topology {
	t := *w.top
	t.Hosts = t.Hosts[:hosts]
	return &t
}

// busyTable makes the table of traffic.
func (w *world) busyTable(name string) {
	w.t.Helper()
	w.sql(1, fmt.Sprintf("set client_min_messages = warning; create table if not exists %[1]s (a int, b int) distributed by (a); insert into %[1]s select g, g from generate_series(1, 1000) g where not exists (select 1 from %[1]s);", name))
}

// traffic reads and writes until stop is called, which says how often. Every
// answer must be exact: rows come and go in pairs that cancel out.
func (w *world) traffic(name string) (stop func() int) {
	w.t.Helper()
	w.busyTable(name)
	script := fmt.Sprintf(`n=0; rm -f /tmp/stop-%[1]s
while [ ! -e /tmp/stop-%[1]s ]; do
  out=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "update %[1]s set b = b + 1" 2>&1) || { echo "$out"; exit 1; }
  out=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "select count(*) || ' ' || sum(b - a) %% 1000 from %[1]s" 2>&1) || { echo "$out"; exit 1; }
  [ "$out" = "1000 0" ] || { echo "wrong: $out"; exit 1; }
  n=$((n+1))
done
echo "rounds $n"`, name)
	result := make(chan string, 1)
	go func() {
		out, err := w.gp(1, script)
		if err != nil {
			out += " " + err.Error()
		}
		result <- out
	}()
	return func() int {
		w.t.Helper()
		if _, err := w.gp(1, "touch /tmp/stop-"+name); err != nil {
			w.t.Fatal(err)
		}
		n := 0
		if _, err := fmt.Sscanf(strings.TrimSpace(<-result), "rounds %d", &n); err != nil {
			w.t.Errorf("traffic on %s: %v", name, err)
		}
		return n
	}
}

// segments is how many primaries answer.
func (w *world) segments() string {
	w.t.Helper()
	return w.sql(1, "select count(distinct gp_segment_id) || ' of ' || (select count(*) from gp_segment_configuration where content >= 0 and role = 'p') from gp_dist_random('gp_id');")
}

// everyPrimary runs a statement on the coordinator and on each primary alone.
func (w *world) everyPrimary(statement string) string {
	w.t.Helper()
	out, err := w.gp(1, `export PGOPTIONS="-c gp_session_role=utility -c allow_system_table_mods=true"
psql -X -A -t -F ' ' -d postgres -c "select address, port from gp_segment_configuration where role = 'p' order by content" | while read h p; do
psql -X -q -A -t -v ON_ERROR_STOP=1 -h $h -p $p -d postgres -c "`+statement+`" </dev/null || exit 1
done`)
	if err != nil {
		w.t.Fatalf("%s: %v: %s", statement, err, out)
	}
	return strings.TrimSpace(out)
}

// TestGrowSegments adds two hosts, then more segments to every host, while
// sessions read and write, and has the stock tools look at the result.
func TestGrowSegments(t *testing.T) {
	w := newWorld(t, 6, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.stock()
	full := *w.top
	w.top = w.smaller(4)
	w.create()
	w.sql(1, fill)
	w.sql(1, fillMore)
	w.mustStock(w.node(cluster.NodeCoordinator).DataDir, `createdb "it's = a \ \"base\"" && createdb shut`)
	w.everyPrimary("update pg_database set datallowconn = false where datname = 'shut'")
	want := w.checksums()

	stop := w.traffic("busy")
	w.do(w.m.Expand(t.Context(), &full))
	st := w.status(cluster.Up)
	if len(st.Nodes) != 2+8 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
	if got := w.segments(); got != "4 of 4" {
		t.Errorf("segments: %s", got)
	}
	t.Logf("%d rounds of traffic", stop())
	w.grown(want, "busy", 4)

	t.Log("more segments per host")
	full.Layout.SegmentsPerHost = "2"
	stop = w.traffic("busier")
	w.do(w.m.Expand(t.Context(), &full))
	st = w.status(cluster.Up)
	if len(st.Nodes) != 2+16 {
		t.Errorf("%d nodes", len(st.Nodes))
	}
	t.Logf("%d rounds of traffic", stop())
	w.grown(want, "busier", 8)
	if op, err := w.m.Expand(t.Context(), &full); err != nil || op.Nothing == "" {
		t.Errorf("expanding again: %+v, %v", op, err)
	}

	w.nothingExtra()

	t.Log("the stock tools, a restart, a failover")
	dir := w.node(cluster.NodeCoordinator).DataDir
	w.healthy(dir, len(st.Nodes))
	if got := w.everyPrimary("select datallowconn from pg_database where datname = 'shut'"); got != strings.TrimSpace(strings.Repeat("f\n", 9)) {
		t.Errorf("the database that took no sessions: %s", got)
	}
	w.everyPrimary("update pg_database set datallowconn = true where datname = 'shut'")
	for _, db := range []string{"template1", "postgres", "warehouse", "shut"} { // -A stumbles over quotes in names
		if out := w.mustStock(dir, "gpcheckcat -O "+db); !strings.Contains(out, "Found no catalog issue") || strings.Contains(out, "Found a total of") {
			t.Errorf("gpcheckcat %s: %s", db, tail(out, 60))
		}
	}
	w.do(w.m.Restart(t.Context(), "gp", cluster.Fast))
	w.status(cluster.Up)
	newest := w.rows("content = 7 and role = 'p'")[0]
	w.lab.Run(w.index(newest.host), "sh", "-c", "kill -9 $(head -n 1 "+newest.dir+"/postmaster.pid)")
	w.failover()
	w.do(w.m.Recover(t.Context(), "gp", cluster.RecoverOptions{Rebalance: true}))
	w.status(cluster.Up)
	w.grown(want, "", 8)
	w.do(w.m.Delete(t.Context(), "gp"))
	for i := range w.lab.Hosts {
		w.bare(i + 1)
	}
}

// grown wants the rows of fill and fillMore as they were, new tables on all
// segments and old ones movable.
func (w *world) grown(want, old string, segments int) {
	w.t.Helper()
	if got := w.checksums(); got != want {
		w.t.Errorf("after growing\n%s\nnot\n%s", got, want)
	}
	script, answer := `create table fresh (a int) distributed by (a);
insert into fresh select generate_series(1, 10000);
select count(distinct gp_segment_id) from fresh;
drop table fresh;`, fmt.Sprint(segments)
	if old != "" {
		script += fmt.Sprintf("alter table %[1]s expand table; select count(distinct gp_segment_id) || ' ' || count(*) from %[1]s;", old)
		answer += fmt.Sprintf("\n%d 1000", segments)
	}
	if got := w.sql(1, script); got != answer {
		w.t.Errorf("new tables: %s, not %s", got, answer)
	}
}
