package greenplum_test

import (
	"strings"
	"testing"

	"cw/cluster"
)

// only runs statements on the primary of a content alone, in a database.
func (w *world) only(content, db, statements string) {
	w.t.Helper()
	r := w.rows("role = 'p' and content = " + content)[0]
	out, err := w.gp(w.index(r.host), `PGOPTIONS="-c gp_session_role=utility -c allow_system_table_mods=true" psql -X -q -A -t -v ON_ERROR_STOP=1 -h /tmp -p `+r.port+` -d `+db+` -c "`+statements+`"`)
	if err != nil {
		w.t.Fatalf("%s: %v: %s", statements, err, out)
	}
}

// TestShrinkSegments takes segments out again, by hosts and by number, and is
// stopped by whatever is on them still.
func TestShrinkSegments(t *testing.T) {
	w := newWorld(t, 6, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a]")
	w.stock()
	full := *w.top
	w.top = w.smaller(4)
	w.create()
	w.sql(1, fill)
	w.sql(1, fillMore)
	w.busyTable("busy")
	want := w.checksums()
	w.do(w.m.Expand(t.Context(), &full))
	full.Layout.SegmentsPerHost = "2"
	w.do(w.m.Expand(t.Context(), &full))
	w.status(cluster.Up)
	dir := w.node(cluster.NodeCoordinator).DataDir
	w.mustStock(dir, "createdb second")

	stopped := func(why ...string) {
		t.Helper()
		_, err := w.try(w.m.ShrinkTo(t.Context(), "gp", 4))
		for _, part := range why {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not stop it: %v", part, err)
			}
		}
		if got := w.segments(); got != "8 of 8" {
			t.Fatalf("segments: %s", got)
		}
		w.sql(1, "create table free (a int) distributed by (a); drop table free;") // the lock is let go
	}
	t.Log("tables on all segments")
	w.sql(1, "create table late (a int, b text) distributed by (a); insert into late select g, 'x' from generate_series(1, 100) g; create schema \"Odd one\"; create table \"Odd one\".\"t'able\" (a int) with (appendonly=true) distributed randomly;")
	w.mustStock(dir, "psql -X -q -d second -c 'create table late2 as select 1 as a distributed replicated'")
	stopped("warehouse.public.late is on 8 segments", `warehouse."Odd one"."t'able" is on 8 segments`, "second.public.late2 is on 8 segments")
	w.sql(1, "drop table late; drop schema \"Odd one\" cascade;")
	w.mustStock(dir, "psql -X -q -d second -c 'drop table late2'")

	t.Log("rows that nobody should have put there")
	for _, table := range []string{"heap", "aoco", "parts_1_prt_3", "copies", "aorow", "random_rows"} {
		// The engine puts no constants where they do not belong; rows of others it does.
		w.only("5", "warehouse", "insert into "+table+" select * from (select * from "+table+" where false union all select "+map[string]string{
			"heap": "1, 'x'::text", "aoco": "1, 1::numeric", "parts_1_prt_3": "7, '2026-03-05'::date", "copies": "1", "aorow": "1, 'x'::text", "random_rows": "1",
		}[table]+" from generate_series(1, 3)) x")
		stopped("warehouse.public." + table + " has rows on segment 5")
		w.only("5", "warehouse", "delete from "+table)
	}
	w.everyPrimary("update pg_database set datallowconn = false where datname = 'second'")
	stopped("takes no sessions")
	w.everyPrimary("update pg_database set datallowconn = true where datname = 'second'")

	t.Log("by number, with sessions open")
	if _, err := w.m.Shrink(t.Context(), "gp", []string{"db6"}); err == nil || !strings.Contains(err.Error(), "which stays") {
		t.Errorf("half a pair of hosts: %v", err)
	}
	talk := w.talk()
	talk.say("create temp table mine (a int) distributed by (a); drop table mine; select count(*) from heap;")
	talk.hear("20000")
	plain := w.talk()
	plain.say("select count(*) from copies;")
	plain.hear("100")
	stop := w.traffic("busy")
	w.do(w.m.ShrinkTo(t.Context(), "gp", 4))
	t.Logf("%d rounds of traffic", stop())
	for _, s := range []*conversation{talk, plain} {
		s.say("select count(*), count(distinct gp_segment_id) from heap;")
		s.hear("20000|2")
		s.say("insert into heap values (-1, 'x'); delete from heap where a = -1; select count(*) from aoco;")
		s.hear("20000")
		s.end()
	}
	plain = w.talk()
	plain.say("create table after (a int) distributed by (a); insert into after select generate_series(1, 1000); select count(distinct gp_segment_id) from after; drop table after;")
	plain.hear("4")
	plain.end()
	st := w.status(cluster.Up)
	if got := w.segments(); got != "4 of 4" || len(st.Nodes) != 10 {
		t.Errorf("segments: %s, %d nodes", got, len(st.Nodes))
	}

	t.Log("by hosts")
	w.do(w.m.Shrink(t.Context(), "gp", []string{"db5", "db6"}))
	st = w.status(cluster.Up)
	if got := w.segments(); got != "2 of 2" || len(st.Nodes) != 6 || len(st.Hosts) != 4 {
		t.Errorf("segments: %s, %d nodes, %d hosts", got, len(st.Nodes), len(st.Hosts))
	}
	for _, host := range []int{5, 6} {
		w.bare(host)
	}
	w.healthy(dir, len(st.Nodes))
	if out := w.mustStock(dir, "gpcheckcat -A -O"); !strings.Contains(out, "Found no catalog issue") || strings.Contains(out, "Found a total of") {
		t.Errorf("gpcheckcat: %s", tail(out, 60))
	}
	if got := w.checksums(); got != want {
		t.Errorf("after shrinking\n%s\nnot\n%s", got, want)
	}
	w.nothingExtra()

	t.Log("and grow again")
	full.Layout.SegmentsPerHost = "1"
	w.do(w.m.Expand(t.Context(), &full))
	w.status(cluster.Up)
	if got := w.segments(); got != "4 of 4" {
		t.Errorf("segments: %s", got)
	}
	if got := w.checksums(); got != want {
		t.Errorf("after growing again\n%s\nnot\n%s", got, want)
	}
}
