package schema_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/schema"
)

func table() schema.Key {
	return schema.Key{Type: schema.Map, Keys: []schema.Key{
		{Name: "name", Required: true, Example: "dw1"},
		{Name: "port", Type: schema.Int},
		{Name: "engine", Type: schema.Map, Keys: []schema.Key{{Name: "kind", Type: schema.Enum, Enum: []string{"postgres", "greenplum"}, Required: true}}},
		{Name: "limit", Type: schema.Rate},
		{Name: "split", Type: schema.Size},
		{Name: "public", Type: schema.Bool},
		{Name: "dirs", Type: schema.List, Elem: &schema.Key{}},
		{Name: "settings", Type: schema.Map, Elem: &schema.Key{Type: schema.Int}},
		{Name: "input", Type: schema.Sections, Keys: []schema.Key{{Name: "source", Repeat: true, Type: schema.Map, Keys: []schema.Key{{Name: "file", Type: schema.List, Elem: &schema.Key{}}}}, {Name: "format"}}},
	}}
}

func TestCheckFindsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	file := `Name: dw1
prot: 5432
port: many
engine: {kind: postgras}
limit: 0MB/s
split: 3 bananas
public: maybe
name: again
settings: {a: x}
input:
  - source: {file: /a}
  - SOURCE: {fiel: /b}
  - format: csv
  - format: text
`
	_, problems := schema.Check("c.yaml", []byte(file), table())
	err := problems.Err()
	want := []string{
		`c.yaml:2:1: unknown key "prot": did you mean "port"?`,
		`c.yaml:3:7: port wants an integer, found "many"`,
		`c.yaml:4:16: engine.kind is "postgras", but must be one of postgres, greenplum: did you mean "postgres"?`,
		`c.yaml:5:8: limit: "0MB/s" would stop the load: write none for no limit, or pause the job`,
		`c.yaml:6:8: split: "3 bananas" is not a size: write a number and a unit, as 64MB or 1GiB`,
		`c.yaml:7:9: public wants true or false, found "maybe"`,
		`c.yaml:8:1: name is given twice, first in line 1`,
		`c.yaml:9:15: settings.a wants an integer, found "x"`,
		`c.yaml:12:14: unknown key "fiel" in input.source: did you mean "file"?`,
		`c.yaml:14:5: input.format is given twice, first in line 13`,
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	if fault.KindOf(err) != fault.Usage {
		t.Error("not a usage error")
	}
}

func TestCheckedTreeDecodes(t *testing.T) {
	t.Parallel()
	file := "NAME: 007\nEngine: {Kind: PostgreS}\ndirs: /data1\npublic: yes\ninput:\n- source: {FILE: /a}\n- source: {file: [/b, /c]}\n- Format: csv\n"
	node, problems := schema.Check("c.yaml", []byte(file), table())
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	var got struct {
		Name   string
		Engine struct{ Kind string }
		Dirs   []string
		Public bool
		Input  struct {
			Source []struct{ File []string }
			Format string
		}
	}
	if err := node.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "007" || got.Engine.Kind != "postgres" || len(got.Dirs) != 1 || !got.Public || len(got.Input.Source) != 2 || got.Input.Source[1].File[1] != "/c" || got.Input.Format != "csv" {
		t.Errorf("decoded %+v", got)
	}
}

func TestCheckNotYAML(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   "f: the file is empty",
		"a: [1":              "f:1:1: not valid YAML: did not find expected ',' or ']'",
		"name: a\n---\nb: c": "f:2:1: more than one document in the file: keep one",
		"- a":                `f:1:1: the file wants a mapping (key: value), found a list`,
		"port: 1":            "f:1:1: name is missing: add name: dw1",
		"name:":              "f:1:6: name wants a string, found nothing",
	} {
		_, problems := schema.Check("f", []byte(in), table())
		if err := problems.Err(); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", in, err, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte("name: a\ninput:\n- source: {file: [a]}\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("? [a]: b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		node, problems := schema.Check("f", data, table())
		if node == nil && len(problems) == 0 {
			t.Error("nothing came back")
		}
		for _, p := range problems {
			if p.Message == "" || p.File != "f" {
				t.Errorf("empty problem %+v", p)
			}
		}
	})
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"200MB/s": 200e6, "200MiB/s": 200 << 20, "1g": 1e9, "1.5 GB/s": 15e8, "512": 512, "none": 0, "OFF": 0, "64kbps": 64e3} {
		if got, err := schema.ParseRate(in); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "MB", "-1MB", "0", "1e3", "5 MB/h", "99999999TB"} {
		if got, err := schema.ParseRate(in); err == nil {
			t.Errorf("ParseRate(%q) = %d, want an error", in, got)
		}
	}
	for in, want := range map[int64]string{0: "0B", 999: "999B", 1500: "1.5kB", 200e6: "200MB", 12345678901: "12.3GB"} {
		if got := schema.FormatSize(in); got != want {
			t.Errorf("FormatSize(%d) = %s, want %s", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"tpye": "type", "delimeter": "delimiter", "zzzzzz": "", "TYPE": "type"} {
		if got := schema.Nearest(in, []string{"type", "delimiter"}); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestProblemsAreErrors(t *testing.T) {
	t.Parallel()
	if err := (schema.Problems{}).Err(); err != nil {
		t.Error("no problem is an error")
	}
	var ps schema.Problems
	if !errors.As(schema.Problems{{File: "f", Message: "m"}}.Err(), &ps) {
		t.Error("not Problems")
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "1.5d": 36 * time.Hour, "36h": 36 * time.Hour, " 5s ": 5 * time.Second, "0": 0, "0d": 0} {
		if d, err := schema.ParseSpan(text); err != nil || d != want {
			t.Errorf("%q: %s, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "-5s", "5", "NaNd", "Infd", "1e9d", "soon", "1h-3h"} {
		if d, err := schema.ParseSpan(text); err == nil {
			t.Errorf("%q is taken as %s", text, d)
		}
	}
	for want, d := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "10s": 10 * time.Second, "4h": 4 * time.Hour, "1m10s": 70 * time.Second, "500ms": time.Second / 2, "20m": 20 * time.Minute, "0s": 0, "10h0m10s": 10*time.Hour + 10*time.Second} {
		got := schema.FormatSpan(d)
		if back, err := schema.ParseSpan(got); got != want || err != nil || back != d {
			t.Errorf("%s: %s, read back %s, %v", d, got, back, err)
		}
	}
}
