package infer

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"cw/loadspec"
	"cw/loadspec/split"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ values, whole, want string }{
		{"1 2 3", "whole", Integer},
		{"1 2 3", "", BigInt},
		{"1 1234567890", "whole", BigInt},
		{"-1 0", "whole", Integer},
		{"01 2", "", Text},
		{"-007", "", Text},
		{"+1 2", "", Text},
		{"00", "", Text},
		{"0", "", BigInt},
		{"999999999999999999", "", BigInt},
		{"9999999999999999999", "", Numeric},
		{"1 9999999999999999999", "", Numeric},
		{"1.50 2", "", Numeric},
		{".5 5. -0.0", "", Numeric},
		{". 1", "", Text},
		{"1e5 2", "", Double},
		{"1E-10 2.5", "", Double},
		{"1e5 12345678901234567.5", "", Numeric},
		{"1e5 1234567890123456", "", Numeric},
		{"1e400", "", Text},
		{"1e", "", Text},
		{"1.5 NaN", "", Double},
		{"NaN", "", Text},
		{"1.5 infinity -Infinity", "", Double},
		{"infinity", "", Text},
		{"12345678901234567 inf", "", Text},
		{"1,000", "", Text},
		{"0x1F", "", Text},
		{"1_000", "", Text},
		{"true FALSE", "", Boolean},
		{"t f", "", Boolean},
		{"t true", "", Boolean},
		{"f f", "", Text},
		{"t f m", "", Text},
		{"yes no", "", Text},
		{"0 1", "whole", Integer},
		{"true 1", "", Text},
		{"2024-02-29 0001-01-01", "", Date},
		{"2023-02-29", "", Text},
		{"2024-13-01", "", Text},
		{"0000-01-01", "", Text},
		{"29/02/2024", "", Text},
		{"20240229", "", BigInt},
		{"2024-02-29 infinity", "", Date},
		{"2024-02-29T10:00 2024-02-29", "", Timestamp},
		{"2024-02-29T10:00:00.123456 -infinity", "", Timestamp},
		{"2024-02-29T10:00:00.1234567", "", Text},
		{"2024-02-29T10:00:00.1234560", "", Timestamp},
		{"2024-02-29T24:00:00", "", Text},
		{"2024-02-29T10:00:60", "", Text},
		{"2024-02-29T10:00:00Z 2024-02-29T10:00:00.5+02:00 2024-02-29T10:00-0330", "", TimestampTZ},
		{"2024-02-29T10:00:00Z 2024-02-29T10:00:00", "", Text},
		{"2024-02-29T10:00:00Z 2024-02-29", "", Text},
		{"2024-02-29T10:00:00.", "", Text},
		{"6f9619ff-8b86-d011-b42d-00cf4fc964ff", "", UUID},
		{"16f9619f-8b86-d011-b42d-00CF4FC964FF", "", UUID},
		{"{6f9619ff-8b86-d011-b42d-00cf4fc964ff}", "", Text},
		{"6f9619ff-8b86-d011-b42d-00cf4fc964ff 1", "", Text},
		{"2024-02-29 1", "", Text},
		{"", "", Text},
	} {
		var g guess
		for _, v := range strings.Fields(c.values) {
			g.text([]byte(v))
		}
		if got := g.typ(c.whole != ""); got != c.want {
			t.Errorf("%s: %s, not %s", c.values, got, c.want)
		}
	}
	for _, v := range []string{" 1", "1 ", "", "2024-02-29 10:00:00 +02"} {
		if form([]byte(v)) != kindText {
			t.Errorf("%q is no text", v)
		}
	}
}

func shape(t *Table) string {
	var list []string
	for _, c := range t.Columns {
		s := c.Name + " " + c.Type
		if c.NotNull {
			s += " not null"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func csv(header bool) loadspec.Format {
	return loadspec.Format{Kind: "csv", Delimiter: ',', Quote: '"', Escape: '"', Header: header}
}

func text() loadspec.Format {
	return loadspec.Format{Kind: "text", Delimiter: '\t', Escape: '\\'}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, data string
		f          loadspec.Format
		given      []loadspec.Column
		want, err  string
	}{
		{"header", "\xef\xbb\xbfId,Order Date,\"Näme\",,Id\n1,2024-01-01,a,true,\n2,,\"x\n\"\"y\",,3\n", csv(true), nil, "id integer, order_date date, näme text, c4 boolean, id_2 integer", ""},
		{"no header", "1,a\r\n2,b\r\n", csv(false), nil, "c1 integer, c2 text", ""},
		{"quoted empty is text", "1,\"\"\n2,3\n", csv(false), nil, "c1 integer, c2 text", ""},
		{"quoted numbers", "\"1\",\"2.5\"\n", csv(false), nil, "c1 integer, c2 numeric", ""},
		{"no final newline", "1,2\n3,4.5", csv(false), nil, "c1 integer, c2 numeric", ""},
		{"CR", "1,2\r3,x\r", csv(false), nil, "c1 integer, c2 text", ""},
		{"text", "1\t\\N\t2024-01-01 10:00:00\n2\t\\N\t\\N\n", text(), nil, "c1 integer, c2 text, c3 timestamp", ""},
		{"text: empty is no NULL", "1\t\n", text(), nil, "c1 integer, c2 text", ""},
		{"text: escapes", "a\\\tb\t1\n", text(), nil, "c1 text, c2 integer", ""},
		{"end marker", "1\n\\.\n", text(), nil, "c1 integer", ""},
		{"given", "1,2\n", csv(false), []loadspec.Column{{Name: "a"}, {Name: "b", Type: "float4"}}, "a integer, b float4", ""},
		{"only a header", "a,b\n", csv(true), nil, "a text, b text", ""},
		{"nothing", "", csv(false), nil, "", "no rows to infer"},
		{"too few names", "a,b\n1,2,3\n1,2,3\n", csv(true), nil, "", "most rows have 3 fields, but there are 2 column names"},
	} {
		d := split.Dialect{CSV: c.f.Kind == "csv", Quote: c.f.Quote, Escape: c.f.Escape}
		if c.name == "CR" {
			d.Newline = split.CR
		}
		r := NewRows(c.f, d, 1<<20)
		err := r.Add(strings.NewReader(c.data), true)
		var table *Table
		if err == nil {
			table, err = r.Table(c.given)
		}
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil || shape(table) != c.want {
			t.Errorf("%s: %v\ngot  %v\nwant %s", c.name, err, table, c.want)
		}
	}
}

// A sample that is not all there is leaves room: later integers may be larger.
func TestRowsSample(t *testing.T) {
	t.Parallel()
	r := NewRows(csv(true), split.Dialect{CSV: true, Quote: '"', Escape: '"'}, 1<<20)
	var b strings.Builder
	b.WriteString("n,s\n")
	for i := range 2 * SampleRows {
		fmt.Fprintf(&b, "%d,\"a\nb\"\n", i)
	}
	if err := r.Add(strings.NewReader(b.String()), false); err != nil {
		t.Fatal(err)
	}
	table, err := r.Table(nil)
	if err != nil || !r.Full() || shape(table) != "n bigint, s text" {
		t.Errorf("%v, full %v: %v", err, r.Full(), table)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	paths := []loadspec.JSONPath{{Column: "sku", Steps: []loadspec.JSONStep{{Name: "items"}, {Item: true}, {Name: "sku"}}}, {Column: "renamed", Steps: []loadspec.JSONStep{{Name: "Old"}}}}
	for _, c := range []struct {
		name, data string
		paths      []loadspec.JSONPath
		given      []loadspec.Column
		want       string
	}{
		{"lines", `{"Id":1,"at":"2024-01-01T00:00:00Z","ok":true,"s":"1","n":null}` + "\n" + `{"Id":2.5,"n":[1],"late":-3}`, nil, nil, "id numeric, at timestamptz, ok boolean, s text, n jsonb, late integer"},
		{"array", "\xef\xbb\xbf[ {\"a\":1} , {\"a\":\"x\"},{\"b\":{}} ]", nil, nil, "a text, b jsonb"},
		{"cases", `{"Id":1,"id":"x","A":2}`, nil, nil, "Id integer, id text, a integer"},
		{"paths", `{"items":[{"sku":"6f9619ff-8b86-d011-b42d-00cf4fc964ff"}],"Old":1e3}`, paths, nil, "items jsonb, sku uuid, renamed double precision"},
		{"given", `{"A":1,"b":2}`, nil, []loadspec.Column{{Name: "a"}, {Name: "c"}, {Name: "b", Type: "text"}}, "a integer, c text, b text"},
		{"broken later", `{"a":1}` + "\n{\"a\":2,,\n", nil, nil, "a bigint"},
		{"mixed with nested", `{"a":1}{"a":{"b":1}}`, nil, nil, "a jsonb"},
	} {
		j := NewJSON(c.paths)
		if err := j.Add(strings.NewReader(c.data)); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		table, err := j.Table(c.given)
		if err != nil || shape(table) != c.want {
			t.Errorf("%s: %v\ngot  %v\nwant %s", c.name, err, table, c.want)
		}
	}
}

const ddl = "CREATE TABLE `Orders` (\n" +
	"  `Id` int(10) unsigned NOT NULL AUTO_INCREMENT COMMENT 'the; \\'key\\'',\n" +
	"  `big` bigint(20) unsigned DEFAULT 7,\n" +
	"  `name` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'it''s',\n" +
	"  `price` decimal(10,2) NOT NULL DEFAULT -1.50,\n" +
	"  `flag` tinyint(1) DEFAULT '0',\n" +
	"  `kind` enum('a,','b'')') DEFAULT NULL,\n" +
	"  `at` datetime(3) NOT NULL DEFAULT '0000-00-00 00:00:00',\n" +
	"  `ts` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),\n" +
	"  `dur` time DEFAULT NULL, `y` year(4) DEFAULT NULL, `bits` bit(1) DEFAULT b'1', `mask` bit(8),\n" +
	"  `data` longblob, `geo` point NOT NULL, `j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(`j`)),\n" +
	"  `dbl` double precision, `f` float(7,3), `total` decimal(12,2) GENERATED ALWAYS AS (`price` * 2) VIRTUAL,\n" +
	"  `odd` frobnicate(3) DEFAULT (uuid()), `checked` int CHECK (`checked` > 1),\n" +
	"  PRIMARY KEY (`Id`),\n  UNIQUE KEY `u` (`name`,`kind`),\n  UNIQUE KEY `p` (`name`(10)),\n  KEY `k` (`price`),\n" +
	"  CONSTRAINT `fk` FOREIGN KEY (`Id`) REFERENCES `other` (`id`) ON DELETE CASCADE\n" +
	") ENGINE=InnoDB AUTO_INCREMENT=42 DEFAULT CHARSET=utf8mb4 COMMENT='all orders'\n/*!50100 PARTITION BY HASH (`Id`) PARTITIONS 4 */"

func TestMySQL(t *testing.T) {
	t.Parallel()
	table, err := MySQL([]byte(ddl), true)
	if err != nil {
		t.Fatal(err)
	}
	want := `create table "public"."orders" (
  "id" bigint generated by default as identity (start with 42) not null,
  "big" numeric(20,0) default 7,
  "name" varchar(20) not null default 'it''s',
  "price" numeric(10,2) not null default -1.50,
  "flag" smallint default '0',
  "kind" text check ("kind" in ('a,', 'b'')')),
  "at" timestamp(3),
  "ts" timestamp(0) default current_timestamp,
  "dur" interval,
  "y" smallint,
  "bits" boolean default true,
  "mask" bytea,
  "data" bytea,
  "geo" bytea not null,
  "j" jsonb,
  "dbl" double precision,
  "f" real,
  "odd" text,
  "checked" integer,
  primary key ("id"),
  unique ("name", "kind")
)`
	got := table.SQL("public", "orders", Dialect{Identity: true})
	if got[0] != want {
		t.Errorf("got\n%s\nwant\n%s", got[0], want)
	}
	if !slices.Contains(got, `comment on column "public"."orders"."id" is 'the; ''key'''`) || !slices.Contains(got, `comment on table "public"."orders" is 'all orders'`) {
		t.Errorf("comments: %q", got[1:])
	}
	notes := strings.Join(table.Notes, "\n")
	for _, n := range []string{
		"column at may be NULL", "default '0000-00-00 00:00:00' is no date", "column ts: its times are UTC", "not taken over: ON UPDATE current_timestamp", "bit(8) becomes bytea",
		"geo: type point becomes bytea", "column total is computed and left out", "type frobnicate is not known", "default not taken over: (uuid())",
		"not taken over: check (checked > 1)", "not taken over: UNIQUE KEY p(name(10))", "index not created, better after the load: KEY k", "FOREIGN KEY", "PARTITION BY",
	} {
		if !strings.Contains(notes, n) {
			t.Errorf("no note %q in\n%s", n, notes)
		}
	}
	gp := table.SQL("s", "o", Dialect{Greenplum: true})
	if !strings.Contains(gp[0], `"id" bigserial not null`) || !strings.HasSuffix(gp[0], `distributed by ("id")`) || strings.Contains(gp[0], "unique") ||
		!slices.Contains(gp, `select setval(pg_get_serial_sequence('"s"."o"', 'id'), 42, false)`) {
		t.Errorf("greenplum: %q", gp)
	}
	table.Primary = nil
	if gp := table.SQL("s", "o", Dialect{Greenplum: true}); !strings.HasSuffix(gp[0], "distributed randomly") {
		t.Errorf("greenplum: %q", gp)
	}
	if table, err = MySQL([]byte(ddl), false); err != nil || !table.Columns[6].NotNull {
		t.Errorf("zero dates are errors: %v, %+v", err, table.Columns[6])
	}
}

func FuzzMySQL(f *testing.F) {
	f.Add(ddl)
	f.Add("CREATE TABLE t (a int default")
	f.Add("CREATE TABLE t (`a` enum('x' default (1, primary key (`a`")
	f.Fuzz(func(t *testing.T, s string) {
		table, err := MySQL([]byte(s), true)
		if err == nil && len(table.Columns) == 0 {
			t.Errorf("%q: no columns and no error", s)
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add("a,b\n1,2\n", true, true)
	f.Add("1\t2\\N\n\\.\n", false, false)
	f.Fuzz(func(t *testing.T, data string, isCSV, header bool) {
		format := text()
		d := split.Dialect{Escape: '\\'}
		if isCSV {
			format, d = csv(header), split.Dialect{CSV: true, Quote: '"', Escape: '"'}
		}
		r := NewRows(format, d, 1<<20)
		if r.Add(strings.NewReader(data), true) != nil {
			return
		}
		if table, err := r.Table(nil); err == nil && len(table.Columns) == 0 {
			t.Errorf("%q: no columns and no error", data)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a":1}[{"b":"x"}]`)
	f.Fuzz(func(_ *testing.T, data string) {
		j := NewJSON(nil)
		if j.Add(strings.NewReader(data)) == nil {
			_, _ = j.Table(nil)
		}
	})
}
