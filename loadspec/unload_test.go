package loadspec

import (
	"fmt"
	"strings"
	"testing"
)

const unloadSample = `---
VERSION: 1.0.0.1
DATABASE: w
GPLOAD:
  INPUT:
    - TABLE: public.orders
  OUTPUT:
    - SINK: {URL: 's3://bucket/out/orders.csv.gz', ENDPOINT: 'http://127.0.0.1:9', PORT_RANGE: [8000, 8001]}
    - FORMAT: csv
    - DELIMITER: '|'
    - FORCE_QUOTE: [note]
    - MERGE: true
  SPEED: {LIMIT: 50MB/s}
`

func TestParseUnload(t *testing.T) {
	t.Parallel()
	u, err := ParseUnload("u.yaml", []byte(unloadSample))
	if err != nil {
		t.Fatal(err)
	}
	store, name := u.Place()
	if u.Table.Schema != "public" || u.Table.Table != "orders" || store != "s3://bucket/out/" || name != "orders.csv.gz" || u.Format.Delimiter != '|' ||
		!u.Merge || u.Limit != 50_000_000 || !u.Sink.PathStyle || u.Sink.PortRange != [2]int{8000, 8001} || u.ForceQuote[0] != "note" {
		t.Errorf("%+v, %s %s", u, store, name)
	}
	if !IsUnload([]byte(unloadSample)) || IsUnload([]byte(Template("t", "s3://b/x.csv"))) {
		t.Error("loads and unloads are not told apart")
	}
}

func TestUnloadProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, with, want string }{
		{"TABLE: public.orders", "TABLE: a.b.c", "u.yaml:6:14: INPUT.TABLE"},
		{"    - TABLE: public.orders\n", "    - TABLE: t\n    - QUERY: select 1\n", "TABLE or QUERY"},
		{"orders.csv.gz'", "*.csv'", "u.yaml:8:13: OUTPUT.SINK"},
		{"'|'", "'||'", "u.yaml:10:18: OUTPUT.DELIMITER"},
		{"FORMAT: csv", "FORMAT: text", "FORCE_QUOTE"},
		{"FORMAT: csv", "FORMAT: avro", "OUTPUT.FORMAT"},
		{"FORMAT: csv", "FORMAT: parquet", "OUTPUT.DELIMITER"},
		{"FORMAT: csv", "HEADER: true", "OUTPUT.HEADER"},
		{"MERGE: true", "MAX_ROW_GROUP: 10MB", "OUTPUT.MAX_ROW_GROUP"},
		{"MERGE: true", "MERGE: true\n    - MAX_SIZE: 10MB", "u.yaml:13:17: OUTPUT.MAX_SIZE"},
		{"MERGE: true", "MERGE: true\n    - PARTITION_BY: [a]", "OUTPUT.PARTITION_BY"},
		{"MERGE: true", "MAX_SIZE: 10kB", "OUTPUT.MAX_SIZE"},
		{"MERGE: true", "PARTITION_BY: [a, A]", "given twice"},
		{"- DELIMITER: '|'", "- DELIMITER: a\n    - PARTITION_BY: [a]", "letter or digit"},
		{"  SPEED", "  PARALLEL: {WORKERS: 0}\n  SPEED", "PARALLEL.WORKERS"},
		{"s3://bucket/out", "ftp://x", "OUTPUT.SINK"},
	} {
		_, err := ParseUnload("u.yaml", []byte(strings.Replace(unloadSample, c.old, c.with, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.with, err, c.want)
		}
	}
}

func TestUnloadOnEngines(t *testing.T) {
	t.Parallel()
	const text = "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: [{TABLE: t}]\n%s  OUTPUT:\n    - SINK: {FILE: x/%s}\n%s"
	for _, c := range []struct{ sink, output, rest, postgres, greenplum string }{
		{"a", "", "", "", ""},
		{"a, PORT: 9000", "", "", "warning: OUTPUT.SINK.PORT", ""},
		{"a", "    - ESCAPE: 'OFF'\n", "", "OUTPUT.ESCAPE", ""},
		{"a", "    - FORMAT: parquet\n", "", "", "OUTPUT.FORMAT"},
		{"a", "    - FORMAT: json\n", "", "", ""},
		{"a", "    - PARTITION_BY: [day]\n", "", "", "OUTPUT.PARTITION_BY"},
		{"a", "", "  PARALLEL: {WORKERS: 3}\n", "", "warning: PARALLEL.WORKERS"},
		{"a", "", "  PARALLEL: {BY: id}\n", "", "PARALLEL.BY"},
	} {
		u, err := ParseUnload("u.yaml", []byte(fmt.Sprintf(text, c.rest, c.sink, c.output)))
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		for engine, want := range map[string]string{"postgres": c.postgres, "greenplum": c.greenplum} {
			warnings, err := u.OnPostgres()
			if engine == "greenplum" {
				warnings, err = u.OnGreenplum()
			}
			got := ""
			if err != nil {
				got = err.Error()
			}
			for _, w := range warnings {
				got += "warning: " + w.Message
			}
			if (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%+v on %s: %q", c, engine, got)
			}
		}
	}
}

func TestOnGreenplum(t *testing.T) {
	t.Parallel()
	const text = "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: [x]}\n%s  OUTPUT:\n    - TABLE: t\n%s"
	for _, c := range []struct{ input, rest, fails, warns string }{
		{"", "", "", ""},
		{"    - FORMAT: avro\n", "", "", ""},
		{"    - COMPRESSION: xz\n", "", "", ""},
		{"    - TRANSFORM: x\n    - TRANSFORM_CONFIG: f\n", "", "INPUT.TRANSFORM", ""},
		{"", "  PRELOAD:\n    - REUSE_TABLES: true\n    - FAST_MATCH: true\n", "", "PRELOAD.REUSE_TABLES PRELOAD.FAST_MATCH"},
		{"", "  PARALLEL: {WORKERS: 3}\n", "", "PARALLEL.WORKERS"},
		{"", "  NOTIFY: [{EXEC: x}]\n  SPEED: {ADAPTIVE: {PROBE: select 1, TARGET: 5ms}}\n", "", ""},
		{"", "  SPEED: {ADAPTIVE: {COMMIT: true, TARGET: 5ms}}\n", "l.yaml:7:30: SPEED.ADAPTIVE.COMMIT", ""},
	} {
		s, err := Parse("l.yaml", []byte(strings.Replace(strings.Replace(text, "%s", c.input, 1), "%s", c.rest, 1)))
		if err != nil {
			t.Errorf("%s%s: %v", c.input, c.rest, err)
			continue
		}
		warnings, err := s.OnGreenplum()
		if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s%s: %v", c.input, c.rest, err)
		}
		var told []string
		for _, w := range warnings {
			told = append(told, w.String())
		}
		for want := range strings.FieldsSeq(c.warns) {
			if !strings.Contains(strings.Join(told, "\n"), want) {
				t.Errorf("%s%s: no word of %s in %q", c.input, c.rest, want, told)
			}
		}
		if c.warns == "" && len(told) > 0 {
			t.Errorf("%s%s: %q", c.input, c.rest, told)
		}
	}
}

func TestUnloadEncryption(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ keys, want string }{
		{"SSE: kms, KMS_KEY: alias/w", ""},
		{"SSE: s3", ""},
		{"ROLE_ARN: 'arn:aws:iam::1:role/x'", ""},
		{"KMS_KEY: alias/w", "needs SSE: kms"},
		{"SSE: s3, KMS_KEY: alias/w", "needs SSE: kms"},
		{"SSE: kms, SSE_C_KEY_FILE: k", "cannot stand beside SSE_C_KEY_FILE"},
		{"SSE_C_KEY_FILE: k, ENDPOINT: 'http://s3.test'", "wants an ENDPOINT with https"},
		{"SSE: aes", "SSE"},
	} {
		keys, want := c.keys, c.want
		u, err := ParseUnload("x", []byte("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: [{TABLE: t}]\n  OUTPUT:\n    - SINK: {URL: 's3://b/x.csv', "+keys+"}\n    - FORMAT: csv\n"))
		if want == "" {
			if err != nil || u.Sink.Encryption == "" && u.Sink.RoleARN == "" {
				t.Errorf("%s: %v", keys, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "OUTPUT.SINK") {
			t.Errorf("%s: %v", keys, err)
		}
	}
	if _, err := Parse("x", []byte(strings.Replace(minimal, "FILE: [/data/x.csv]", "{FILE: x, SSE: kms}", 1))); err == nil {
		t.Error("SSE is for what is written")
	}
}
