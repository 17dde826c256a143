package loadspec

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cw/fault"
)

const minimal = `VERSION: 1.0.0.1
GPLOAD:
  INPUT:
    - SOURCE:
        FILE: [/data/x.csv]
    - FORMAT: csv
  OUTPUT:
    - TABLE: t
`

// gploadFile is a file of the old tool with every key of its documentation.
const gploadFile = `---
version: 1.0.0.1
database: ops
user: gpadmin
host: mdw-1
port: 5433
password: hush
gpload:
   input:
    - source:
         local_hostname:
           - etl1-1
           - etl1-2
         port: 8081
         port_range: [8000, 9000]
         file:
           - /var/load/data/*
    - source:
         file: /one
    - columns:
           - name: text
           - amount: float4
           - category:
           - "\"Mixed Case\"": date
    - format: text
    - delimiter: '|'
    - null_as: '\N'
    - escape: '\'
    - newline: crlf
    - header: yes
    - encoding: 'UTF8'
    - max_line_length: 1048576
    - error_limit: 25
    - log_errors: true
   external:
    - schema: etl
   output:
    - table: payables."Expenses"
    - mode: MERGE
    - match_columns: [name]
    - update_columns: [amount]
    - update_condition: "amount > 0"
    - mapping:
         name: name
         amount: amount * 2
   preload:
    - reuse_tables: true
    - staging_table: st
    - fast_match: true
   sql:
    - before: "INSERT INTO audit VALUES('start', current_timestamp)"
    - after: "INSERT INTO audit VALUES('end', current_timestamp)"
`

func TestGploadFileIsUnderstood(t *testing.T) {
	t.Parallel()
	s, err := Parse("old.yaml", []byte(gploadFile))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Conn{Host: "mdw-1", Port: 5433, Database: "ops", User: "gpadmin", Password: "hush"}); s.Conn != want {
		t.Errorf("connection %+v, want %+v", s.Conn, want)
	}
	if len(s.Sources) != 2 || s.Sources[1].Locations[0] != "/one" {
		t.Errorf("sources %+v", s.Sources)
	}
	wantCols := []Column{{"name", "text"}, {"amount", "float4"}, {"category", ""}, {"Mixed Case", "date"}}
	if !reflect.DeepEqual(s.Columns, wantCols) {
		t.Errorf("columns %+v, want %+v", s.Columns, wantCols)
	}
	wantOut := Output{Schema: "payables", Table: "Expenses", Mode: "merge", Mapping: []Mapping{{"name", "name"}, {"amount", "amount * 2"}}, Match: []string{"name"}, Update: []string{"amount"}, Condition: "amount > 0"}
	if !reflect.DeepEqual(s.Output, wantOut) {
		t.Errorf("output %+v, want %+v", s.Output, wantOut)
	}
	f := s.Format
	if f.Kind != FormatText || f.Delimiter != '|' || f.Null != `\N` || f.Escape != '\\' || f.Newline != NewlineCRLF || !f.Header || f.Encoding != "UTF8" {
		t.Errorf("format %+v", f)
	}
	if s.MaxRow != 1048576 || s.Before == "" || s.After == "" {
		t.Errorf("max row %d, before %q, after %q", s.MaxRow, s.Before, s.After)
	}
	warnings, err := s.OnPostgres()
	if err != nil {
		t.Fatalf("merge on postgres: %v", err)
	}
	for _, want := range []string{"LOCAL_HOSTNAME", "PORT_RANGE", "EXTERNAL.SCHEMA", "REUSE_TABLES", "STAGING_TABLE", "FAST_MATCH"} {
		if !strings.Contains(warnings.Error(), want) {
			t.Errorf("no warning about %s:\n%v", want, warnings)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s, err := Parse("x", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := Format{Kind: "csv", Compression: "auto", Delimiter: ',', Quote: '"', Escape: '"'}
	if !reflect.DeepEqual(s.Format, want) {
		t.Errorf("format %+v, want %+v", s.Format, want)
	}
	if s.Split != DefaultSplit || s.MaxRow != DefaultMaxRow || s.Workers != 0 || s.Limit != 0 || s.Output.Mode != ModeInsert {
		t.Errorf("%+v", s)
	}
	if _, err := s.OnPostgres(); err != nil {
		t.Errorf("plain csv is supported: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, from, to, want string }{
		{"unknown key", "FORMAT: csv", "FROMAT: csv", `x:6:7: unknown key "FROMAT" in GPLOAD.INPUT: did you mean "FORMAT"?`},
		{"no version", "VERSION: 1.0.0.1\n", "", "VERSION is missing: add VERSION: 1.0.0.1"},
		{"other version", "1.0.0.1", "1.0.0.2", "must be one of 1.0.0.1"},
		{"web wildcard", "FILE: [/data/x.csv]", "URL: ['https://u:p@h/*.csv']", "\"https://h/*.csv\" has wildcards"},
		{"web without a host", "FILE: [/data/x.csv]", "URL: ['https:///x']", "is no URL"},
		{"external id alone", "FILE: [/data/x.csv]", "{FILE: x, EXTERNAL_ID: y}", "EXTERNAL_ID: needs ROLE_ARN"},
		{"key in the open", "FILE: [/data/x.csv]", "{FILE: x, ENDPOINT: 'http://s3.example.com', SSE_C_KEY_FILE: k}", "SSE_C_KEY_FILE: wants an ENDPOINT with https"},
		{"name without TLS", "FILE: [/data/x.csv]", "{FILE: x, ENDPOINT: 'http://h', TLS_SERVER_NAME: k}", "TLS_SERVER_NAME: needs an ENDPOINT with https"},
		{"no source", "FILE: [/data/x.csv]", "REGION: x", "x:5:9: INPUT.SOURCE[0]: wants URL, FILE or MANIFEST"},
		{"scheme", "FILE: [/data/x.csv]", "URL: [ftp://h/x]", "scheme ftp:// is not known: s3://, file:// and https:// are"},
		{"plain path", "FILE: [/data/x.csv]", "URL: [/data/x]", "plain paths belong under FILE"},
		{"no bucket", "FILE: [/data/x.csv]", "URL: ['s3://*/x']", "names no bucket"},
		{"no key", "FILE: [/data/x.csv]", "URL: ['s3://b']", "names no object"},
		{"relative file URL", "FILE: [/data/x.csv]", "URL: ['file://x']", "wants an absolute path"},
		{"endpoint", "FILE: [/data/x.csv]", "{FILE: [a], ENDPOINT: localhost}", "INPUT.SOURCE"},
		{"delimiter", "- FORMAT: csv", "- FORMAT: csv\n    - DELIMITER: '||'", "x:7:18: INPUT.DELIMITER: \"||\" is not one character"},
		{"delimiter is quote", "- FORMAT: csv", "- FORMAT: csv\n    - DELIMITER: '\"'", "is the same character as QUOTE"},
		{"quote in text", "- FORMAT: csv", "- FORMAT: text\n    - QUOTE: '\"'", "goes with FORMAT: csv only"},
		{"escape off in csv", "- FORMAT: csv", "- FORMAT: csv\n    - ESCAPE: OFF", "goes with FORMAT: text only"},
		{"null with delimiter", "- FORMAT: csv", "- FORMAT: csv\n    - NULL_AS: 'a,b'", "must not contain the delimiter"},
		{"error limit", "- FORMAT: csv", "- FORMAT: csv\n    - ERROR_LIMIT: 1", "must be 2 or more"},
		{"error table without limit", "- FORMAT: csv", "- FORMAT: csv\n    - ERROR_TABLE: e", "needs ERROR_LIMIT"},
		{"transform alone", "- FORMAT: csv", "- FORMAT: csv\n    - TRANSFORM: t", "needs TRANSFORM_CONFIG"},
		{"port range", "FILE: [/data/x.csv]", "{FILE: [a], PORT_RANGE: [9, 8]}", "INPUT.SOURCE"},
		{"log errors", "- FORMAT: csv", "- FORMAT: csv\n    - LOG_ERRORS: true", "needs ERROR_LIMIT"},
		{"table", "TABLE: t", "TABLE: a.b.c", "more than schema and table"},
		{"open quote", "TABLE: t", "TABLE: 'a.\"b'", "a quote is not closed"},
		{"merge without match", "- TABLE: t", "- TABLE: t\n    - MODE: merge", "MATCH_COLUMNS: is required with MODE merge"},
		{"truncate with update", "- TABLE: t", "- TABLE: t\n    - MODE: update\n    - MATCH_COLUMNS: a\n    - UPDATE_COLUMNS: b\n  PRELOAD:\n    - TRUNCATE: true", "goes with MODE insert only"},
		{"column twice", "- FORMAT: csv", "- FORMAT: csv\n    - COLUMNS: [{a: int}, {A: int}]", "column a is given twice"},
		{"empty mapping", "- TABLE: t", "- TABLE: t\n    - MAPPING: {a: }", "mapped to nothing"},
		{"rate", "  OUTPUT:", "  SPEED: {LIMIT: fast}\n  OUTPUT:", `"fast" is not a rate`},
		{"split", "  OUTPUT:", "  PARALLEL: {SPLIT: 1kB}\n  OUTPUT:", "outside 64KiB to 256MiB"},
		{"workers", "  OUTPUT:", "  PARALLEL: {WORKERS: 0}\n  OUTPUT:", "outside 1 to 256"},
		{"ssl alone", "FILE: [/data/x.csv]", "{FILE: [a], SSL: true}", "INPUT.SOURCE"},
		{"not yaml", "GPLOAD:", "GPLOAD: [", "not valid YAML"},
		{"two problems", "- FORMAT: csv\n", "- FORMAT: csw\n    - HEADER: perhaps\n", `must be one of text, csv, json, parquet, avro, mysqldump, fixed: did you mean "csv"?` + "\nx:7:15: GPLOAD.INPUT.HEADER wants true or false"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(minimal, c.from, c.to, 1)
			if text == minimal {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse("x", []byte(text))
			if err == nil {
				t.Fatalf("accepted:\n%s", text)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("kind %v, want usage", fault.KindOf(err))
			}
		})
	}
}

func TestUnsupportedOnPostgresIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, want string }{
		{"FORMAT: csv", "FORMAT: csv\n    - TRANSFORM: t\n    - TRANSFORM_CONFIG: t.yaml", "TRANSFORM is not"},
		{"FORMAT: csv", "FORMAT: csv\n    - FILL_MISSING_FIELDS: true", "FILL_MISSING_FIELDS"},
		{"FORMAT: csv", "FORMAT: text\n    - ESCAPE: OFF", "an ESCAPE other than backslash"},
		{"FORMAT: csv", "FORMAT: text\n    - ENCODING: GB18030", "encoding GB18030"},
		{"  OUTPUT:", "  PARALLEL: {HOSTS: [a]}\n  OUTPUT:", "PARALLEL: HOSTS"},
	} {
		s, err := Parse("x", []byte(strings.Replace(minimal, c.from, c.to, 1)))
		if err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		if _, err = s.OnPostgres(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.to, err, c.want)
		}
	}
}

func TestLoadMissingFile(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	if !errors.Is(err, os.ErrNotExist) || fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "cw load init") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestForStore(t *testing.T) {
	t.Parallel()
	out, err := ForStore([]byte(gploadFile), "/here")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "hush") {
		t.Errorf("password kept:\n%s", out)
	}
	a, _ := Parse("x", []byte(gploadFile))
	b, err := Parse("x", out)
	if err != nil {
		t.Fatal(err)
	}
	a.Conn.Password = ""
	if a.Conn != b.Conn || !reflect.DeepEqual(a.Output, b.Output) || !reflect.DeepEqual(a.Columns, b.Columns) || a.Format.Null != b.Format.Null {
		t.Errorf("the file means something else without its password:\n%s", out)
	}
}

func TestForStoreMakesPathsAbsolute(t *testing.T) {
	t.Parallel()
	out, err := ForStore([]byte(strings.Replace(minimal, "FILE: [/data/x.csv]", "file: [a/x.csv, /b/*.csv]", 1)), "/here")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse("x", out)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/here/a/x.csv", "/b/*.csv"}; !reflect.DeepEqual(s.Sources[0].Locations, want) {
		t.Errorf("%q, want %q", s.Sources[0].Locations, want)
	}
}

func TestTemplateIsValid(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"s3://bucket/a/*.csv.gz", "/data/x.txt", "file:///x.csv"} {
		s, err := Parse("new.yaml", []byte(Template(`public."Orders"`, u)))
		if err != nil {
			t.Fatal(err)
		}
		if s.Output.Table != "Orders" || s.Sources[0].Locations[0] != u {
			t.Errorf("%+v", s)
		}
	}
	// Everything that is offered in comments must be right, too.
	text := strings.ReplaceAll(Template("t", "s3://b/k"), "# - ", "- ")
	text = strings.ReplaceAll(text, "    #     - ", "        - ")
	for _, k := range []string{"PRELOAD", "SQL", "SPEED", "PARALLEL", "HOST", "PORT", "USER", "DATABASE"} {
		text = strings.ReplaceAll(text, "# "+k+":", k+":")
	}
	if _, err := Parse("new.yaml", []byte(text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestParseChar(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]byte{"|": '|', `\t`: '\t', `\x1c`: 0x1c, `\u001c`: 0x1c, `E'\x1c'`: 0x1c, `E'\t'`: '\t', "\t": '\t', `\001`: 1, `\\`: '\\', `\`: '\\', "tab": '\t'} {
		if got, err := parseChar(in); err != nil || got != want {
			t.Errorf("parseChar(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "ab", "é", `\x00`, `\xff`, "\n", `\n1`, `E''`, `\x`} {
		if got, err := parseChar(in); err == nil {
			t.Errorf("parseChar(%q) = %q, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add(gploadFile)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("x", []byte(text))
		if err == nil && (len(s.Sources) == 0 || s.Output.Table == "") {
			t.Errorf("accepted without source or table: %q", text)
		}
		if err == nil {
			_, _ = s.OnPostgres()
		}
	})
}
