package run

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"cw/fault"
	"cw/playground/pgtest"
)

// Update and merge leave the target as one statement over all rows would, with
// expressions, a condition and several sessions, also when the job is
// interrupted on the way; the staging table is gone afterwards.
func TestModes(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const ddl = `create table items (id int primary key, name text, amount numeric, note text default 'new');
insert into items select g, 'old ' || g, 1, 'kept' from generate_series(0, 9999) g;
create table oracle (like items including all); insert into oracle select * from items;
create table src (id int, name text, amount numeric, note text)`
	data := csvRows(5000, 10_000)
	for _, c := range []struct{ mode, condition, oracle string }{
		{"update", "", "update oracle o set amount = s.amount * 2 from src s where s.id = o.id"},
		{"update", "id % 2 = 0", "update oracle o set amount = s.amount * 2 from src s where s.id = o.id and o.id % 2 = 0"},
		{"merge", "", "update oracle o set amount = s.amount * 2 from src s where s.id = o.id; insert into oracle (id, name, amount) select id, name, amount * 2 from src s where not exists (select from oracle o where o.id = s.id)"},
		{"merge", "amount < 0 -- none", "insert into oracle (id, name, amount) select id, name, amount * 2 from src s where not exists (select from oracle o where o.id = s.id)"},
	} {
		t.Run(c.mode+" "+c.condition, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, ddl)
			e.oracle("src", "format csv", data)
			pg.Exec(t, e.db, c.oracle)
			body := simple(e.file("x.csv", data), "csv", "items", "    - COLUMNS: [{id: int}, {name: text}, {amount: numeric}, {note: text}]\n") +
				"    - MODE: " + c.mode + "\n    - MATCH_COLUMNS: [id]\n    - UPDATE_COLUMNS: [amount]\n    - MAPPING: {id: id, name: name, amount: 'amount * 2'}\n"
			if c.condition != "" {
				body += fmt.Sprintf("    - UPDATE_CONDITION: %q\n", c.condition)
			}
			spec := e.spec(body+"  PARALLEL: {WORKERS: 3, SPLIT: 64KiB}\n", 0)
			if _, err := Check(t.Context(), e.options(spec, "J1")); err != nil {
				t.Fatalf("check: %v", err)
			}
			o := e.options(spec, "J1")
			w := &watch{}
			o.Reporter = w
			o.Control = func(context.Context) (Control, error) { return Control{Limit: 500_000}, nil }
			runs := e.runToEnd(o, 20, func(i int) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				w.mu.Lock()
				defer w.mu.Unlock()
				w.on = func(p Progress) {
					if i < 2 && p.Rows > int64(i)*3000 {
						cancel()
					}
				}
				return ctx, cancel
			})
			if runs < 2 {
				t.Error("it was never interrupted")
			}
			if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if got := e.scalar("select count(*)::text from pg_class where relname like 'load_stage%'"); got != "0" {
				t.Error("the staging table is left")
			}
			if _, err := Run(t.Context(), e.options(spec, "J1")); err != nil {
				t.Errorf("run again: %v", err)
			}
			if got, want := e.sum("select * from items"), e.sum("select * from oracle"); got != want {
				t.Errorf("after running it again: %s, want %s", got, want)
			}
		})
	}
}

// Of several new rows with the same key one is taken; columns that are not
// there are said before anything is touched.
func TestMergeKeys(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := newEnv(t, pg, "create table items (id int primary key, name text)")
	body := simple(e.file("x.csv", []byte("1,a\n1,a\n2,b\n")), "csv", "items") + "    - MODE: merge\n    - MATCH_COLUMNS: [id]\n    - UPDATE_COLUMNS: [name]\n"
	if _, err := Run(t.Context(), e.options(e.spec(body, 0), "j")); err != nil {
		t.Fatal(err)
	}
	if got := e.scalar("select string_agg(id || name, ' ' order by id) from items"); got != "1a 2b" {
		t.Error(got)
	}
	_, err := Run(t.Context(), e.options(e.spec(strings.Replace(body, "[name]", "[nam]", 1), 0), "k"))
	if err == nil || fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "nam") || strings.Contains(err.Error(), "load_stage") {
		t.Errorf("%v", err)
	}
}
