package external

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"cw/fault"
	"cw/loadspec"
)

func testTarget() *Target {
	return &Target{
		Engine: Engine{Major: 6, Catalog: 90426, Encoding: "UTF8"}, Schema: "public", Table: "Orders", Policy: Hash, Key: []string{"id"},
		Columns: []Column{
			{Name: "id", Type: "integer", Key: true},
			{Name: "seq", Type: "bigint", Sequence: true},
			{Name: "Price", Type: "numeric(10,2)"},
			{Name: "gen", Type: "integer", Generated: true},
			{Name: "note", Type: "text"},
		},
	}
}

func TestCreateTable(t *testing.T) {
	t.Parallel()
	text := Format{Kind: "text", Delimiter: "|", Null: `\N`, Escape: `\`}
	for _, c := range []struct {
		name string
		t    Table
		want string
	}{
		{"as gpload writes it", Table{
			Name: "ext_gpload_1", Columns: []loadspec.Column{{Name: "a", Type: "int"}, {Name: "B c", Type: "numeric(10,2)"}},
			Locations: []string{"gpfdist://h:8080//data/x", "gpfdist://i:8080//data/x"}, Format: text, Encoding: "UTF8", LogErrors: true, RejectLimit: 25, PlainText: true,
		}, `create external table ext_gpload_1("a" int,"B c" numeric(10,2))location('gpfdist://h:8080//data/x','gpfdist://i:8080//data/x') format 'text' (delimiter '|' null '\N' escape '\') encoding'UTF8' log errors segment reject limit 25 `},
		{"any session", Table{
			Schema: "S", Name: "order", Temp: true, Columns: []loadspec.Column{{Name: `q"`, Type: "text"}}, Locations: []string{"gpfdist://h:1/it's"},
			Format: Format{Kind: "csv", Delimiter: "'", Null: `\N`, Escape: `"`, Quote: `"`, Header: true, FillMissing: true, ForceNotNull: []string{`q"`}, Newline: "CRLF"},
		}, `create external temp table "S"."order"("q""" text)location('gpfdist://h:1/it''s') format 'csv' (delimiter '''' null E'\\N' escape '"' quote '"' header fill missing fields force not null "q""" newline 'CRLF') `},
		{"writable", Table{
			Name: "w", Writable: true, Columns: []loadspec.Column{{Name: "a", Type: "int"}}, Locations: []string{"gpfdist://h:1/o"}, LogErrors: true, RejectLimit: 3,
			Format: Format{Kind: "csv", Delimiter: ",", Escape: `"`, Quote: `"`, ForceQuote: []string{"a"}}, DistributedBy: []string{"a"},
		}, `create writable external table w("a" int)location('gpfdist://h:1/o') format 'csv' (delimiter ',' null '' escape '"' quote '"' force quote "a") distributed by ("a")`},
		{"custom", Table{
			Name: "x", Columns: []loadspec.Column{{Name: "a", Type: "int"}}, Locations: []string{"gpfdist://h:1/o"},
			Format: Format{Kind: "custom", Custom: []Option{{"formatter", "text_in"}, {"delimiter", "'"}}},
		}, `create external table x("a" int)location('gpfdist://h:1/o') format 'custom' ("formatter"='text_in', "delimiter"='''') `},
	} {
		got, err := c.t.Create()
		if err != nil || got != c.want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, got, c.want)
		}
	}
}

func TestTypesAreTypes(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"int", "numeric(10,2)", "double precision", "timestamp(3) without time zone", `"My Type"`, "s.t[]", `"a;b"`, "тип"} {
		if err := checkType(loadspec.Column{Name: "c", Type: good}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", " ", "int); drop table t; --", "int, b int", "int)", "numeric(10", `"int`, "int--", "int default 'x'", "int/**/", "$$x$$ int;", "int\x00"} {
		if err := checkType(loadspec.Column{Name: "c", Type: bad}); err == nil || fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestMapping(t *testing.T) {
	t.Parallel()
	exprs := func(m *Mapping) (out []string) {
		for _, a := range m.Assign {
			out = append(out, a.Column.Name+"="+a.Expr)
		}
		return out
	}
	col := func(pairs ...string) (out []loadspec.Column) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, loadspec.Column{Name: pairs[i], Type: pairs[i+1]})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		columns []loadspec.Column
		pairs   []loadspec.Mapping
		cols    []loadspec.Column
		want    []string
	}{
		{"the target's", nil, nil, col("id", "integer", "Price", "numeric(10,2)", "note", "text"), []string{`id="id"`, `Price="Price"`, `note="note"`}},
		{"order and types of the file", col("note", "", "seq", "bigserial", "id", "int"), nil, col("note", "text", "seq", "bigint", "id", "int"), []string{`id="id"`, `seq="seq"`, `note="note"`}},
		{
			"expressions", col("A", "text", "b", "int"),
			[]loadspec.Mapping{{Target: "Price", Expr: "A"}, {Target: "id", Expr: " B "}, {Target: "note", Expr: "b || 'x'"}},
			col("A", "text", "b", "int"),
			[]string{`id=b`, `Price="A"`, `note=b || 'x'`},
		},
		{"quoted", col("A", "text"), []loadspec.Mapping{{Target: "note", Expr: `"A"`}}, col("A", "text"), []string{`note="A"`}},
	} {
		m, err := NewMapping(testTarget(), c.columns, c.pairs)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !reflect.DeepEqual(m.Columns, c.cols) || !reflect.DeepEqual(exprs(m), c.want) {
			t.Errorf("%s: %v %q", c.name, m.Columns, exprs(m))
		}
	}
	for _, c := range []struct {
		columns []loadspec.Column
		pairs   []loadspec.Mapping
		reason  Reason
		message string
		hint    string
	}{
		{col("pric", "int"), nil, NoTarget, "COLUMNS: column pric of the file is not in table public.Orders", "did you mean Price?"},
		{col("zzzzzzz", ""), nil, NoType, "column zzzzzzz has no type", "there are: id"},
		{col("a", "int"), []loadspec.Mapping{{Target: "ID", Expr: "a"}}, NotInTarget, "MAPPING: column ID is not in table", "did you mean id?"},
		{col("gen", "int"), nil, IsGenerated, "COLUMNS: column gen of public.Orders is computed", ""},
	} {
		_, err := NewMapping(testTarget(), c.columns, c.pairs)
		var ce *ColumnError
		if !errors.As(err, &ce) || ce.Reason != c.reason || !strings.Contains(err.Error(), c.message) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%v (%s)", err, fault.HintOf(err))
		}
	}
}

func testLoad(t *testing.T) *Load {
	t.Helper()
	m, err := NewMapping(testTarget(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Load{Target: testTarget(), Mapping: m, From: "ext", Staging: "st", Match: []string{"id", "Price"}, Update: []string{"note"}, Condition: `note <> 'note' and price > 1 -- "Price"`}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	l := testLoad(t)
	for _, c := range []struct{ got, want string }{
		{l.Insert(), `INSERT INTO public."Orders" ("id","Price","note") SELECT "id","Price","note" FROM ext`},
		{l.Fill(), `INSERT INTO st ("id","Price","note") SELECT "id","Price","note" FROM ext`},
		{l.CreateStaging(true), `CREATE TEMP TABLE st ("id" integer,"Price" numeric(10,2),"note" text) DISTRIBUTED BY ("id")`},
		{l.UpdateRows(), `update public."Orders" into_table set "note"=from_table."note" from st from_table where into_table."id"=from_table."id" and into_table."Price"=from_table."Price" and  into_table.note <> 'note' and price > 1 -- "Price"` + "\n "},
		{l.DeleteMatched(), `DELETE FROM st from_table USING public."Orders" into_table WHERE into_table."id"=from_table."id" AND into_table."Price"=from_table."Price"`},
		{l.InsertRest(), `INSERT INTO public."Orders" ("id","Price","note") (SELECT from_table."id",from_table."Price",from_table."note" FROM (SELECT *, row_number() OVER (PARTITION BY "id","Price") AS gpload_row_number FROM st) AS from_table WHERE gpload_row_number=1)`},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
	l.Target.Key = []string{"seq"} // not loaded
	if got := l.CreateStaging(false); !strings.HasSuffix(got, `DISTRIBUTED BY ("id","Price")`) || !strings.HasPrefix(got, "CREATE TABLE st") {
		t.Error(got)
	}
	l.Match = []string{"seq"}
	if got := l.CreateStaging(false); !strings.HasSuffix(got, `DISTRIBUTED RANDOMLY`) {
		t.Error(got)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	if err := testLoad(t).Check(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		match, update string
		reason        Reason
		key           string
	}{{"id", "id", IsKey, "UPDATE_COLUMNS"}, {"none", "note", NotInTarget, "MATCH_COLUMNS"}, {"seq", "note", NotMapped, "MATCH_COLUMNS"}, {"id", "nope", NotInTarget, "UPDATE_COLUMNS"}} {
		l := testLoad(t)
		l.Match, l.Update = []string{c.match}, []string{c.update}
		var ce *ColumnError
		if err := l.Check(); !errors.As(err, &ce) || ce.Reason != c.reason || ce.Key != c.key {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestAliasColumns(t *testing.T) {
	t.Parallel()
	columns := []string{"c1", "c2", "C3", "date", "year", "c", "user"}
	for in, want := range map[string]string{
		"c1 < 7":                             "t.c1 < 7",
		"C1<c2 and c10 > c1":                 "t.C1<t.c2 and c10 > t.c1",
		`"C3" = 'c1' or c3 = 1`:              `t."C3" = 'c1' or c3 = 1`,
		"s = 'it''s c1' and c2 = E'\\'c1'":   "s = 'it''s c1' and t.c2 = E'\\'c1'",
		"c1::date > date '2020-01-01'":       "t.c1::date > date '2020-01-01'",
		"date > cast(c1 as date)":            "t.date > cast(t.c1 as date)",
		"extract(year from date) = year":     "extract(year from t.date) = t.year",
		"into_table.c1 = from_table . c2":    "into_table.c1 = from_table . c2",
		"c(c1) = c":                          "c(t.c1) = t.c",
		"c1 /* c2 /* c1 */ */ = $$c1$$":      "t.c1 /* c2 /* c1 */ */ = $$c1$$",
		"c1 = $a$ c1 $$ $a$ and c2 = 1e5":    "t.c1 = $a$ c1 $$ $a$ and t.c2 = 1e5",
		"c1 = 1 -- c2":                       "t.c1 = 1 -- c2\n",
		`user = "user"`:                      `user = t."user"`,
		"(c1) is null and c2 in (c, 'c1')":   "(t.c1) is null and t.c2 in (t.c, 'c1')",
		"c1 between c2 and c":                "t.c1 between t.c2 and t.c",
		"":                                   "",
		"schwarz = 'ä' and c1ä > 1":          "schwarz = 'ä' and c1ä > 1",
		"upper(c1) = U&'c1' and \"c1\"\" \"": "upper(t.c1) = U&'c1' and \"c1\"\" \"",
	} {
		if got := aliasColumns(in, "t", columns); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzAliasColumns(f *testing.F) {
	for _, s := range []string{"c1 < 7", `"C3`, "$a$", "/*", "E'\\", "'", "1.c1", "u&\"x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var all strings.Builder
		for _, tok := range scanSQL(s) {
			if tok.text == "" {
				t.Fatal("an empty token")
			}
			all.WriteString(tok.text)
		}
		if all.String() != s {
			t.Fatalf("%q became %q", s, all.String())
		}
		if got := aliasColumns(s, "t", nil); strings.TrimSuffix(got, "\n") != s && got != s {
			t.Fatalf("%q without columns became %q", s, got)
		}
	})
}

// readLiterals undoes the quoting, to see that one text comes out again and
// nothing more.
func unquote(s string) (string, bool) {
	escape := strings.HasPrefix(s, "E'")
	s = strings.TrimPrefix(s, "E")
	if len(s) < 2 || s[0] != '\'' {
		return "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i == len(s)-1:
			return b.String(), true
		case s[i] == '\'' && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case s[i] == '\'':
			return "", false
		case s[i] == '\\' && escape:
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", false
}

func FuzzLiteral(f *testing.F) {
	f.Add(`it's \N`)
	f.Add(`'`)
	f.Add(`\'`)
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ReplaceAll(s, "\x00", "")
		for _, plainText := range []bool{true, false} {
			if got, ok := unquote(literal(s, plainText)); !ok || got != want {
				t.Errorf("%q plain %v: %q %v", s, plainText, got, ok)
			}
		}
		q := Ident(s)
		if inner, ok := strings.CutPrefix(q, `"`); ok {
			if strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, "") != strings.ReplaceAll(strings.ReplaceAll(want, `""`, ""), `"`, "") && !strings.Contains(want, `"`) {
				t.Errorf("%q: %q", s, q)
			}
		} else if q != s || loadspec.FoldName(s) != s || strings.ContainsAny(s, " ;'\"-") {
			t.Errorf("%q stands unquoted", s)
		}
	})
}

func TestStored(t *testing.T) {
	t.Parallel()
	csv := Format{Kind: "csv", Delimiter: ",", Escape: `"`, Quote: `"`, Header: true, FillMissing: true, ForceNotNull: []string{"B", "a"}, Newline: "LF"}
	want := `delimiter ',' null '' escape '"' quote '"' header fill missing fields force not null "B",a newline 'LF'`
	if got := csv.stored(); got != want {
		t.Errorf("got %s", got)
	}
	if !csv.sameStored(want, false) || csv.sameStored(strings.Replace(want, `quote '"'`, `quote '&'`, 1), false) || csv.sameStored(strings.Replace(want, " header", "", 1), false) {
		t.Error("Greenplum 6: compares wrongly")
	}
	seven := `header 'true' delimiter ',' null '' escape '"' quote '"' newline 'LF' force_not_null 'B,a' fill_missing_fields 'true' `
	if !csv.sameStored(seven, true) || csv.sameStored(seven+"x 'y'", true) || csv.sameStored(strings.Replace(seven, "header 'true' ", "", 1), true) {
		t.Error("Greenplum 7: compares wrongly")
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Engine{
		"PostgreSQL 9.4.26 (Greenplum Database 6.24.3 build commit:25d) on x86_64":                    {Major: 6, Version: "6.24.3"},
		"PostgreSQL 12.12 (Greenplum Database 7.1.0 build commit:e7) on x86_64":                       {Major: 7, Version: "7.1.0"},
		"PostgreSQL 14.4 (Apache Cloudberry 2.0.0-incubating build commit:a) on x86_64":               {Cloudberry: true, Major: 2, Version: "2.0.0-incubating"},
		"PostgreSQL 14.4 (Cloudberry Database 1.6.0 build 1) on x86_64-pc-linux-gnu, compiled by gcc": {Cloudberry: true, Major: 1, Version: "1.6.0"},
	} {
		if got, ok := parseVersion(in); !ok || got != want {
			t.Errorf("%s: %+v", in, got)
		}
	}
	if _, ok := parseVersion("PostgreSQL 15.14 (Debian 15.14-0+deb12u1) on x86_64"); ok {
		t.Error("PostgreSQL is no Greenplum")
	}
}

func TestNewFormat(t *testing.T) {
	t.Parallel()
	cols := []loadspec.Column{{Name: "a"}, {Name: "B"}}
	got, err := NewFormat(loadspec.Format{Kind: "text", Delimiter: '\t', EscapeOff: true, Header: true, FillMissing: true}, cols)
	if want := (Format{Kind: "text", Delimiter: "\t", Null: `\N`, Escape: "off", Header: true, FillMissing: true}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	got, err = NewFormat(loadspec.Format{Kind: "csv", Delimiter: ',', Quote: '"', Escape: '"', ForceAll: true, NullSet: true, Null: "x"}, cols)
	if err != nil || !reflect.DeepEqual(got.ForceNotNull, []string{"a", "B"}) || got.Null != "x" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err = NewFormat(loadspec.Format{Kind: "csv", ForceNotNull: []string{"b"}}, cols); err == nil {
		t.Error("FORCE_NOT_NULL of no column is accepted")
	}
	if _, err = NewFormat(loadspec.Format{Kind: "csv", NullSet: true, Null: "it's"}, cols); err == nil {
		t.Error("a null that no scan can read is accepted")
	}
	if _, err = NewFormat(loadspec.Format{Kind: "parquet"}, cols); err == nil {
		t.Error("parquet is accepted")
	}
}
