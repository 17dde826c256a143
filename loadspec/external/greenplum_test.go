package external

import (
	"errors"
	"reflect"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
)

func exec1(t *testing.T, c *pgx.Conn, sql string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func describe(t *testing.T, c *pgx.Conn, schema, table string) *Target {
	t.Helper()
	target, err := Describe(t.Context(), c, loadspec.Output{Schema: schema, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	c := connect(t)
	exec1(t, c, `create schema "S x"; create table "S x"."T""1"("B" numeric(10,2), a serial, c text, d timestamp) distributed by (c, "B");
		create table r(a int) distributed randomly; create table rep(a int) distributed replicated;
		create table p(a int, d date) distributed by (a) partition by range(d) (start ('2020-01-01') end ('2020-03-01') every (interval '1 month'))`)
	got := describe(t, c, "S x", `T"1`)
	want := []Column{{Name: "B", Type: "numeric(10,2)", Key: true}, {Name: "a", Type: "integer", Sequence: true}, {Name: "c", Type: "text", Key: true}, {Name: "d", Type: "timestamp without time zone"}}
	if !reflect.DeepEqual(got.Columns, want) || got.Policy != Hash || !reflect.DeepEqual(got.Key, []string{"c", "B"}) || got.Partitioned {
		t.Errorf("%+v", got)
	}
	if got.Engine.Major != 6 || got.Engine.Catalog < 90400 || got.Engine.Encoding != "UTF8" || got.Engine.Primaries != 2 || got.Engine.Cloudberry {
		t.Errorf("engine %+v", got.Engine)
	}
	if r := describe(t, c, "", "r"); r.Policy != Random || r.Schema != "public" {
		t.Errorf("%+v", r)
	}
	if r := describe(t, c, "public", "rep"); r.Policy != Replicated {
		t.Errorf("%+v", r)
	}
	if p := describe(t, c, "", "p"); !p.Partitioned || p.Policy != Hash {
		t.Errorf("%+v", p)
	}
	_, err := Describe(t.Context(), c, loadspec.Output{Table: "pp"})
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Hint != "did you mean p?" {
		t.Errorf("%v %+v", err, missing)
	}
}
