package greenplum_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"cw/cluster"
)

// fillMore are further kinds of tables, in a database of their own too.
const fillMore = `
create index heap_b on heap (b);
create table aorow (a int, b text) with (appendonly=true) distributed by (a);
insert into aorow select g, 'row ' || g from generate_series(1, 5000) g;
delete from aorow where a % 10 = 0;
create table random_rows (a int) distributed randomly;
insert into random_rows select generate_series(1, 5000);
create table copies (a int) distributed replicated;
insert into copies select generate_series(1, 100);
analyze;`

// The stock tools find nothing wrong with a cluster that cw made, change it,
// and cw understands what they did.
func TestStockToolsAccept(t *testing.T) {
	w := newWorld(t, 6, true, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.stock()
	w.create()
	st := w.status(cluster.Up)
	dir := w.node(cluster.NodeCoordinator).DataDir
	w.sql(1, fill)
	w.sql(1, fillMore)
	w.mustStock(dir, "createdb second && psql -X -q -d second -c 'create table t (a int) distributed by (a); insert into t values (1)'")
	want := w.sql(1, sums)

	t.Log("gpstate, gpcheckcat")
	w.healthy(dir, len(st.Nodes))
	if out := w.mustStock(dir, "gpcheckcat -A -O"); !strings.Contains(out, "Found no catalog issue") || strings.Contains(out, "Found a total of") || strings.Count(out, "Found no catalog issue") < 4 {
		t.Errorf("gpcheckcat: %s", tail(out, 60))
	}

	t.Log("gpstop, gpstart")
	w.mustStock(dir, "gpstop -a -M fast")
	w.status(cluster.Down)
	w.mustStock(dir, "gpstart -a")
	w.status(cluster.Up)
	w.healthy(dir, len(st.Nodes))
	w.mustStock(dir, "gpstop -a -r -M fast")
	w.status(cluster.Up)

	t.Log("gpconfig, gpstop -u")
	w.mustStock(dir, "gpconfig -c statement_mem -v 77MB && gpstop -u && gpconfig -s statement_mem")
	w.mustStock(dir, "gpconfig -c gp_fts_mark_mirror_down_grace_period -v 2 && gpstop -u")
	if got := w.setting("statement_mem"); got != "77MB" {
		t.Errorf("statement_mem = %s", got)
	}

	t.Log("gprecoverseg")
	mirror := w.node(cluster.NodeMirror)
	w.lab.Run(w.index(mirror.Host), "sh", "-c", "kill -9 $(head -n 1 "+mirror.DataDir+"/postmaster.pid)")
	w.awaitDown(1)
	w.status(cluster.Degraded)
	w.mustStock(dir, "gprecoverseg -a")
	w.awaitDown(0)
	w.status(cluster.Up)
	w.healthy(dir, len(st.Nodes))

	t.Log("gpexpand, both phases")
	w.everywhere("sh", "-c", "mkdir -p /data/new && chown gpadmin: /data/new")
	w.mustStock(dir, `printf 'db3|db3|6002|/data/new/p8|19|8|p\ndb4|db4|7002|/data/new/m8|20|8|m\n' >new.txt && gpexpand -i new.txt && gpexpand -d 00:05:00`)
	if got := w.sql(1, "select count(distinct gp_segment_id) from heap"); got != "9" {
		t.Errorf("rows on %s segments", got)
	}
	w.healthy(dir, len(st.Nodes)+2)

	if got := w.sql(1, sums); got != want {
		t.Errorf("at the end %s, not %s", got, want)
	}
}

// healthy has gpstate look at all of the cluster.
func (w *world) healthy(dir string, nodes int) {
	w.t.Helper()
	if out := w.mustStock(dir, "gpstate -e"); !strings.Contains(out, "All segments are running normally") && !strings.Contains(out, "Segment Mirroring Status Report") || strings.Contains(out, "not in sync") {
		w.t.Errorf("gpstate -e: %s", out)
	}
	out := w.mustStock(dir, "gpstate -s")
	if up := len(regexp.MustCompile(`(Database|Segment) status += Up`).FindAllString(out, -1)); up != nodes-2 || !strings.Contains(out, "Standby host passive") ||
		strings.Contains(out, "= Unknown") || strings.Contains(out, "[WARNING]") {
		w.t.Errorf("gpstate -s: %d of %d segments up\n%s", up, nodes-2, grep(out, "WARNING|= Unknown|Standby|Down"))
	}
	if out := w.mustStock(dir, "gpstate -f"); !strings.Contains(out, "streaming") || !strings.Contains(out, "Sync state: sync") {
		w.t.Errorf("gpstate -f: %s", out)
	}
	if out := w.mustStock(dir, "gpstate -m"); strings.Count(out, "Synchronized") < 1 || strings.Contains(out, "Failed") {
		w.t.Errorf("gpstate -m: %s", out)
	}
}

// node is the first node with a role.
func (w *world) node(role string) cluster.Node {
	w.t.Helper()
	_, lay, err := w.m.Topology(w.t.Context(), "gp")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range lay.Nodes {
		if n.Role == role {
			return n
		}
	}
	w.t.Fatalf("no %s", role)
	return cluster.Node{}
}

// awaitDown probes until so many instances are down.
func (w *world) awaitDown(n int) {
	w.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for time.Now().Before(deadline) {
		// Two statements: the catalogue of one does not see what its probe finds.
		if out := w.sql(1, "select gp_request_fts_probe_scan();\nselect count(*) from gp_segment_configuration where content >= 0 and (status = 'd' or mode = 'n');"); strings.HasSuffix(out, fmt.Sprintf("\n%d", 2*n)) {
			return
		}
	}
	w.t.Fatalf("not %d instances down", n)
}

// grep are the lines of a text that match.
func grep(s, pattern string) string {
	return strings.Join(regexp.MustCompile(`(?m)^.*(`+pattern+`).*$`).FindAllString(s, -1), "\n")
}
