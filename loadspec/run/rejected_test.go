package run

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"cw/loadspec/copy"
	"cw/playground/pgtest"
)

// Bad rows of every kind are kept with object, line and reason, and all the
// others are in the table; what a row is refused for may need the rows before.
func TestRejectedRows(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const ddl = `create table parent (id int primary key); insert into parent values (0), (1), (2);
create table items (id int primary key, name varchar(12) not null, amount numeric(6,2) check (amount >= 0), day date, parent int references parent)`
	var data bytes.Buffer
	want := map[string]string{} // by line
	line := 0
	row := func(text, reason string) {
		line++
		if reason != "" {
			want[fmt.Sprint(line)] = reason
		}
		data.WriteString(text + "\n")
		line += strings.Count(text, "\n")
	}
	for i := range 20_000 {
		row(fmt.Sprintf("%d,\"name\n%d\",%d.50,2024-02-29,%d", i, i%97, i%1000, i%3), "")
		switch i {
		case 10:
			row("x1,n,1,2024-01-01,0", `invalid input syntax for type integer: "x1", column id`)
		case 11:
			row("", `missing data for column "name"`)
			row("100011,n", `missing data for column "amount"`)
		case 5000:
			row("100012,n,1,2024-01-01,0,extra", "extra data after last expected column")
			row(`100013,"quoted, and ""much"" too long",1,2024-01-01,0`, "value too long for type character varying(12), column name")
		case 5001:
			row("100014,n,1,2024-02-30,0", `date/time field value out of range: "2024-02-30", column day`)
		case 9999:
			row("5,again,1,2024-01-01,0", "duplicate key value violates unique constraint")
			row("100015,,1,2024-01-01,0", `null value in column "name"`)
			row("100016,n,-1,2024-01-01,0", "violates check constraint")
			row("100017,n,1,2024-01-01,77", "violates foreign key constraint")
			row("100018,\"n\nn\",99999999,2024-01-01,0", "numeric field overflow")
		}
	}
	for _, workers := range []int{1, 3} {
		e := newEnv(t, pg, ddl)
		body := simple(e.file("x.csv", data.Bytes()), "csv", "items", "    - ERROR_LIMIT: 11\n") + fmt.Sprintf("  PARALLEL: {WORKERS: %d, SPLIT: 64KiB}\n", workers)
		spec := e.spec(body, 0)
		res, err := Run(t.Context(), e.options(spec, "j"))
		if err != nil {
			t.Fatal(err)
		}
		if res.Rows != 20_000 || res.Rejected != int64(len(want)) {
			t.Errorf("%d rows, %d rejected, not %d", res.Rows, res.Rejected, len(want))
		}
		if got := e.scalar("select count(*) || ' ' || sum(id) || ' ' || sum(amount) from items"); got != "20000 199990000 10000000.00" {
			t.Errorf("in the table: %s", got)
		}
		rows, err := Rejected(t.Context(), spec, "j")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			text := want[fmt.Sprint(r.Line)]
			if text == "" || !strings.Contains(r.Reason, text) || !r.Loaded || !strings.HasPrefix(string(data.Bytes()[r.Offset:]), r.Row) {
				// With several workers either of two equal keys is the refused one.
				if workers == 1 || !strings.Contains(r.Reason, "duplicate key") {
					t.Errorf("line %d, byte %d: %q: %s, not %q", r.Line, r.Offset, r.Row, r.Reason, text)
				}
			}
		}
		if len(rows) != len(want) {
			t.Errorf("%d rows are kept, not %d", len(rows), len(want))
		}

		// One row less may be refused: the job fails and can be gone on with.
		e = newEnv(t, pg, ddl)
		body = strings.Replace(strings.Replace(body, "ERROR_LIMIT: 11", "ERROR_LIMIT: 10", 1), e.dir, e.dir, 1)
		_, err = Run(t.Context(), e.options(e.spec(body, 0), "j"))
		limit := (*copy.LimitError)(nil)
		if !errors.As(err, &limit) || limit.Limit != 10 {
			t.Errorf("%v", err)
		}
		more := strings.Replace(body, "ERROR_LIMIT: 10", "ERROR_LIMIT: 20", 1)
		if res, err := Run(t.Context(), e.options(e.spec(more, 0), "j")); err != nil || res.Rows != 20_000 || res.Rejected != int64(len(want)) {
			t.Errorf("gone on with: %+v, %v", res, err)
		}
		if got := e.scalar("select count(*) || ' ' || sum(id) from items"); got != "20000 199990000" {
			t.Errorf("in the table: %s", got)
		}
	}
}

// Rows that an expression of MAPPING cannot take are found though the database
// names no line.
func TestRejectedByExpression(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := newEnv(t, pg, "create table items (id int, half int)")
	var data bytes.Buffer
	for i := range 3000 {
		v := fmt.Sprint(i % 7)
		if i == 7 || i == 2999 {
			v = "0.x"
		}
		fmt.Fprintf(&data, "%d,%s\n", i, v)
	}
	spec := e.spec(simple(e.file("x.csv", data.Bytes()), "csv", "items", "    - COLUMNS: [{id: int}, {v: text}]\n    - ERROR_LIMIT: 5\n")+"    - MAPPING: {id: id, half: 'v::int / 2'}\n", 0)
	res, err := Run(t.Context(), e.options(spec, "j"))
	if err != nil || res.Rows != 2998 || res.Rejected != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := e.scalar("select count(*) || ' ' || count(distinct id) from items"); got != "2998 2998" {
		t.Errorf("%s", got)
	}
	rows, err := Rejected(t.Context(), spec, "j")
	if err != nil || len(rows) != 2 || rows[0].Line != 8 || rows[1].Row != "2999,0.x" {
		t.Errorf("%+v %v", rows, err)
	}
}
