package redistribute

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/playground/gptest"
)

// real is a Cluster on this machine, without SSH.
type real struct {
	*gptest.Cluster
	hosts func() []Host
}

func (r real) Sessions() int { return 8 }

func (r real) Look(context.Context) ([]Host, error) {
	if r.hosts != nil {
		return r.hosts(), nil
	}
	return nil, nil
}

func (r real) Open(ctx context.Context, database string) (Session, error) {
	if database == "" {
		database = "postgres"
	}
	return StartPsql(ctx, func(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
		cmd := r.Command(ctx, "psql", "-X", "-q", "-A", "-t", "-d", database)
		cmd.Env = append(cmd.Env, "PGOPTIONS=-c client_encoding=UTF8 -c lc_messages=C")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stdout
		return cmd.Run()
	}, func(ctx context.Context, pid int) error {
		return r.Command(ctx, "psql", "-XAqtc", fmt.Sprintf("select pg_terminate_backend(%d)", pid)).Run()
	})
}

// zoo makes a table of every kind in a database.
const zoo = `
create function boom() returns trigger language plpgsql as $$ begin raise exception 'a trigger fired'; end $$;
create table t(a int primary key, b text, c serial, check (a > 0)) distributed by (a);
insert into t select i, 'r'||i from generate_series(1,10000) i;
create index t_b on t(b);
create index t_bm on t using bitmap(b);
create trigger tr before insert or delete on t for each row execute procedure boom();
create rule r1 as on insert to t do also select 1;
create rule r2 as on delete to t do instead nothing;
create schema "We ird""S";
create table "We ird""S"."T'b l\
x"(a int, "select" text) distributed by ("select");
insert into "We ird""S"."T'b l\
x" select i, 'x'||i from generate_series(1,1000) i;
create table ao(a int, b text) with (appendonly=true) distributed by (a);
create table aoco(a int, b text) with (appendonly=true, orientation=column, compresstype=zlib) distributed by (a, b);
create table rnd(a int, b text) distributed randomly;
create table rep(a int, b text) distributed replicated;
create unlogged table unl(a int, b text) distributed by (a);
create table par(a int, b text) distributed by (a);
create table chi(c int) inherits (par) distributed by (a);
create table drp(a int, x int, b text) distributed by (a);
alter table drp drop column x;
alter table drp add column y int default 7;
create table leg(a int, b text) distributed by (a cdbhash_int4_ops);
create table fat(a int, b text) distributed by (a);
create table part(a int, b text, d date) with (appendonly=true) distributed by (a) partition by range(d) (start ('2020-01-01') end ('2020-05-01') every ('1 month'::interval), default partition o);
create table part2(a int, b text, d int) distributed by (a) partition by range(d) subpartition by list (b) subpartition template (subpartition x values ('x'), default subpartition oth) (start (0) end (10) every (5));
create external web table ext_r(a int, b text) execute 'echo 1,a' format 'csv';
create writable external web table ext_w(a int, b text) execute 'cat >/dev/null' format 'csv' distributed by (a);
create table part3(a int, b text, d int) distributed by (a) partition by list(d) (partition p1 values (1), partition p2 values (2));
create external web table ext_p(a int, b text, d int) execute 'echo 1,a,2' on master format 'csv';
alter table part3 exchange partition p2 with table ext_p without validation;
create materialized view mv as select a, b from t distributed by (a);
create materialized view mvn as select a, b from t with no data distributed by (a);
create table empt(a int) distributed by (a);
create table nocol();
do $$ declare t text; begin foreach t in array array['ao','aoco','rnd','rep','unl','par','drp','leg'] loop execute format('insert into %I(a,b) select i, ''v''||i from generate_series(1,2000) i', t); end loop; end $$;
insert into fat select i, repeat(md5(i::text), 4000) from generate_series(1,40) i;
delete from ao where a % 7 = 0; update aoco set b = 'new' where a % 5 = 0;
insert into chi select i, 'c', i from generate_series(1,500) i;
insert into part select i, 'p'||i, '2020-01-01'::date + i%200 from generate_series(1,3000) i;
insert into part2 select i, case when i%3=0 then 'x' else 'y' end, i%10 from generate_series(1,3000) i;
insert into part3_1_prt_p1 select i, 'z', 1 from generate_series(1,300) i;
`

// tablesOf are the tables of the zoo that hold rows.
var tablesOf = []string{"t", `"We ird""S"."T'b l\` + "\nx\"", "ao", "aoco", "rnd", "rep", "unl", "par", "chi", "drp", "leg", "fat", "part", "part2", "part3_1_prt_p1", "mv", "empt"}

// sums are what the tables hold: rows and a sum of hashes of each.
func sums(t testing.TB, c *pgx.Conn, tables []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range tables {
		var s string
		if err := c.QueryRow(t.Context(), "select count(*) || ' rows, ' || coalesce(sum(hashtext(x::text)::bigint), 0) from "+name+" x").Scan(&s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out[name] = s
	}
	return out
}

func same(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: %s holds %s, not %s", what, name, got[name], w)
		}
	}
}

// placed checks that every policy is on n segments, that the coordinator and
// all segments agree, that no row is elsewhere, and that every row is where its
// hash says: a join that moves nothing must find itself.
func placed(t testing.TB, g *gptest.Cluster, c *pgx.Conn, n int) {
	t.Helper()
	for content := n; content < len(g.Segments); content++ {
		if rows := rowsOn(t, g, content); rows != "" {
			t.Errorf("segment %d still holds rows of %s", content, rows)
		}
	}
	var wrong string
	if err := c.QueryRow(t.Context(), `select coalesce(string_agg(x, ', '), '') from (
select localoid::regclass || ' on ' || numsegments || ' by the coordinator' as x from gp_distribution_policy where numsegments <> $1
union all select localoid::regclass || ' on ' || numsegments || ' by segment ' || gp_segment_id from gp_dist_random('gp_distribution_policy') where numsegments <> $1) y`, n).Scan(&wrong); err != nil || wrong != "" {
		t.Errorf("policies: %s %v", wrong, err)
	}
	for name, column := range map[string]string{"t": "a", "ao": "a", "leg": "a", "part": "a", "part2": "a", "mv": "a"} {
		var all, found int
		if err := c.QueryRow(t.Context(), fmt.Sprintf("select count(*), (select count(*) from %[1]s x join %[1]s y on x.%[2]s = y.%[2]s) from %[1]s", name, column)).Scan(&all, &found); err != nil || all != found || all == 0 {
			t.Errorf("%s: a join finds %d of %d rows: %v", name, found, all, err)
		}
		rows, err := c.Query(t.Context(), fmt.Sprintf("select %[2]s from %[1]s order by random() limit 20", name, column))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys { // sent to the one segment that the hash names
			var n int
			if err := c.QueryRow(t.Context(), fmt.Sprintf("select count(*) from %s where %s = %d", name, column, k), pgx.QueryExecModeSimpleProtocol).Scan(&n); err != nil || n != 1 {
				t.Errorf("%s: %s = %d is found %d times: %v", name, column, k, n, err)
			}
		}
	}
}

// rowsOn names the tables that have rows on one segment.
func rowsOn(t testing.TB, g *gptest.Cluster, content int) string {
	t.Helper()
	c, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://cw@127.0.0.1:%d/postgres?sslmode=disable&options=%s", g.Segments[content], "-c%20gp_session_role%3Dutility"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	rows, err := c.Query(t.Context(), `select format('select %L from only %I.%I having count(*) > 0', n.nspname || '.' || k.relname, n.nspname, k.relname)
from pg_class k join pg_namespace n on n.oid = k.relnamespace where k.relkind in ('r', 'm') and k.relstorage in ('h', 'a', 'c') and (k.relkind = 'r' or k.relispopulated)
and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'pg_aoseg', 'pg_bitmapindex')`)
	if err != nil {
		t.Fatal(err)
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(made) < 20 {
		t.Fatalf("%d tables, %v", len(made), err)
	}
	var out string
	if err := c.QueryRow(t.Context(), "select coalesce(string_agg(x, ', '), '') from ("+strings.Join(made, " union all ")+") y(x)").Scan(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMovesOfEveryKindOfTable(t *testing.T) {
	t.Parallel()
	c := gptest.Start(t, 4)
	c.Exec(t, "postgres", zoo)
	open := c.Connect(t, "postgres") // a session that has seen the tables before
	before := sums(t, open, tablesOf)
	ctx := t.Context()
	s, err := real{Cluster: c}.Open(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := prepare(ctx, s, 0); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		target int
		down   bool
	}{{3, true}, {1, true}, {4, false}, {2, true}, {4, false}} {
		units, err := look(ctx, s, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		for _, u := range units {
			if why := refusal(u, step.target, step.down); why != "" {
				t.Errorf("%s is refused: %s", u.Name, why)
			}
			out, err := one(ctx, s, moveOf(u, step.target, step.down))
			if err != nil || out != saidMoved {
				fmt.Fprintf(&errs, "%s: %s %v\n", u.Name, out, err)
			}
		}
		if errs.Len() > 0 {
			t.Fatalf("to %d: %s", step.target, errs.String())
		}
		what := fmt.Sprintf("on %d", step.target)
		same(t, what, sums(t, open, tablesOf), before)
		placed(t, c, open, step.target)
	}
}
