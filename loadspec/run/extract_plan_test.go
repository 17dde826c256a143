package run

import (
	"bytes"
	"strings"
	"testing"

	"cw/fault"
	"cw/loadspec/copy"
	"cw/playground/pgtest"
)

// TestExtractPlan shows how a table would be read, and that an ordinary role
// with odd rights gets all rows that it may see, or none.
func TestExtractPlan(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), "set search_path = public;"+manyRows+`; create role reader login password 'cw'; create schema cw authorization reader; grant usage on schema public to reader;
		create table parted (id int, k int) partition by list (k); create table p1 partition of parted for values in (1); create table p2 partition of parted for values in (2);
		insert into parted select i, 1 + i % 2 from generate_series(1, 20000) i; grant select on parted, p1 to reader;
		create table secured (id int, who text); insert into secured select i, case when i % 2 = 0 then 'reader' else 'cw' end from generate_series(1, 20000) i;
		alter table secured enable row level security; create policy own on secured for select using (who = current_user); grant select on secured, many to reader;
		create table secret (a int); create foreign data wrapper nothing; create table some_columns (a int, b int); grant select (a) on some_columns to reader`)
	plan := func(input, user string) (*UnloadPlan, error) {
		u := e.out(t.TempDir(), "x.csv", input, "FORMAT: csv")
		u.Conn.User, u.Workers = user, 3
		return PlanUnload(t.Context(), u, Options{})
	}
	for _, c := range []struct {
		input, user, reason string
		ranges, relations   int
	}{
		{"TABLE: many", "cw", "", 3, 1},
		{"TABLE: many", "reader", "", 3, 1},
		{"TABLE: parted", "cw", "", 2, 2},
		{"TABLE: parted", "reader", "not each of its partitions", 1, 0},
		{"TABLE: p1", "reader", "", 1, 1},
		{"TABLE: secured", "cw", "", 1, 1},
		{"TABLE: secured", "reader", "row security", 1, 0},
		{"QUERY: select 1", "reader", "a query", 1, 0},
	} {
		p, err := plan(c.input, c.user)
		if err != nil {
			t.Errorf("%s as %s: %v", c.input, c.user, err)
			continue
		}
		if p.Ranges < c.ranges || c.ranges < 3 && p.Ranges != c.ranges || len(p.Relations) != c.relations || !strings.Contains(p.OneStream, c.reason) || (c.reason == "") != (p.OneStream == "") ||
			p.Snapshot != (p.Ranges > 1) || p.BytesTotal == 0 && !strings.Contains(c.input, "QUERY") {
			t.Errorf("%s as %s: %+v", c.input, c.user, p)
		}
	}
	for input, user := range map[string]string{"TABLE: secret": "reader", "TABLE: some_columns": "reader"} {
		if _, err := plan(input, user); fault.KindOf(err) != fault.Auth || !strings.Contains(fault.HintOf(err), "select") {
			t.Errorf("%s: %v (%s)", input, err, fault.HintOf(err))
		}
	}
	if n := e.scalar("select count(*)::text from pg_class where relname = 'load_ledger'"); n != "0" {
		t.Error("a plan has changed something")
	}
	for input, want := range map[string]string{"parted": "select * from parted", "secured": "select * from secured where id % 2 = 0"} {
		u := e.out(t.TempDir(), "x.csv", "TABLE: "+input, "FORMAT: csv")
		u.Conn.User = "reader"
		_, data := e.unloaded(u, Options{})
		if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy ("+want+") to stdout csv")); got != want {
			t.Errorf("%s: rows differ", input)
		}
	}
}

// TestSlices cover every block once, whatever the number of workers, and a
// relation whose blocks cannot be read by number is one slice.
func TestSlices(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2, 7, 256} {
		for _, blocks := range []int64{0, 1, 255, 256, 257, 5000, 1_000_000} {
			for _, whole := range []bool{false, true} {
				x := &copy.Extract{Relations: []copy.Relation{{OID: 1, Schema: "s", Name: "a", Blocks: blocks, Heap: true}, {OID: 2, Schema: "s", Name: "b", Blocks: blocks}}}
				next, sum, others := int64(0), int64(0), 0
				for _, s := range x.Slices(workers, whole) {
					if s.Relation.OID == 2 {
						others++
						if from := x.From(s); from != `ONLY "s"."b"` {
							t.Error(from)
						}
						continue
					}
					if s.First != next {
						t.Fatalf("%d workers, %d blocks: a slice begins at %d, not at %d", workers, blocks, s.First, next)
					}
					next = s.Last
					sum += s.Blocks()
				}
				if next != 0 || sum != blocks || others != 1 { // the last is open: the table may have grown
					t.Errorf("%d workers, %d blocks: the last slice ends at %d, %d blocks in all, %d of the other", workers, blocks, next, sum, others)
				}
			}
		}
	}
	s := copy.Slice{Relation: &copy.Relation{Schema: "s", Name: "a"}, First: 3, Last: 9}
	if from := (&copy.Extract{}).From(s); from != `ONLY "s"."a" WHERE ctid >= '(3,0)'::tid AND ctid < '(9,0)'::tid` {
		t.Error(from)
	}
}

// TestExtractBy divides what has no blocks by the values of a column.
func TestExtractBy(t *testing.T) {
	t.Parallel()
	e := newEnv(t, pgtest.Start(t), manyRows+`; create view seen as select *, case when id % 10 = 0 then null else (id - 30000) * 300000000000000 end as far from many;
		create table edges (k bigint, "Odd k" smallint); insert into edges values (9223372036854775807, 1), (-9223372036854775808, 1), (0, 2), (null, null)`)
	for _, c := range []struct {
		input, by, want string
		ranges          int
	}{
		{"TABLE: seen", "id", "select * from seen", 12},
		{"TABLE: seen", "far", "select * from seen", 12},
		{"TABLE: many", "id", "select * from many", 12},
		{"QUERY: select id, word from many where id < 1000 -- some", "id", "select id, word from many where id < 1000", 12},
		{"TABLE: edges", "k", "select * from edges", 12},
		{"TABLE: edges", `'"Odd k"'`, "select * from edges", 1},
		{"QUERY: select null::int as k", "k", "select null::int", 1},
		{"QUERY: select 5 as k", "k", "select 5", 1},
	} {
		for _, more := range []string{"HEADER: false", "PARTITION_BY: [cw_by_test]"} {
			input := c.input
			if strings.HasPrefix(more, "PARTITION") {
				if c.by != "far" {
					continue
				}
				input = "QUERY: select *, id % 3 as cw_by_test from seen"
				c.want = "select *, id % 3 from seen"
			}
			dir := t.TempDir()
			u := e.out(dir, "x.csv", input, "FORMAT: csv", more)
			u.Workers, u.By = 3, strings.Trim(c.by, `'"`)
			p, err := PlanUnload(t.Context(), u, Options{})
			if err != nil {
				t.Fatalf("%s by %s: %v", input, c.by, err)
			}
			if len(u.PartitionBy) == 0 && p.Ranges != c.ranges {
				t.Errorf("%s by %s: %d ranges, want %d", input, c.by, p.Ranges, c.ranges)
			}
			_, data := e.unloaded(u, Options{})
			if got, want := sortedLines(bytes.Join(data, nil)), sortedLines(e.copied("copy ("+c.want+") to stdout csv")); got != want {
				t.Errorf("%s by %s: %d bytes, want %d: rows differ", input, c.by, len(got), len(want))
			}
		}
	}
	for by, want := range map[string]string{"word": "is text", "nothing": "column nothing"} {
		u := e.out(t.TempDir(), "x.csv", "TABLE: many", "FORMAT: csv")
		u.By = by
		if _, err := PlanUnload(t.Context(), u, Options{}); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	}
}
