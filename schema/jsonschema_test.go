package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"cw/cluster"
	"cw/loadspec"
	"cw/schema"
)

// compiled is the JSON Schema of a table, as a validator of somebody else's
// understands it.
func compiled(t *testing.T, key schema.Key) *jsonschema.Schema {
	t.Helper()
	data, err := json.Marshal(schema.ToJSONSchema(key, "https://cw.invalid/x.json", "x"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("https://cw.invalid/x.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("https://cw.invalid/x.json")
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return s
}

func document(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

const head = "VERSION: 1.0.0.1\nGPLOAD:\n"

// TestJSONSchemaAgreesWithCheck puts files to both: what the one refuses for a
// key or a value, the other must refuse.
func TestJSONSchemaAgreesWithCheck(t *testing.T) {
	t.Parallel()
	load := compiled(t, loadspec.Root())
	const in, out = "  INPUT:\n    - SOURCE: {FILE: [x]}\n", "  OUTPUT:\n    - TABLE: t\n"
	for _, text := range []string{
		head + in + out,
		"version: 1.0.0.1\ngpload:\n  input:\n    - source: {file: x}\n    - Format: CSV\n  output: [{table: t}]\n",
		head + "  INPUT: {SOURCE: {FILE: [x]}, FORMAT: csv}\n  OUTPUT: {TABLE: t}\n",
		head + in + "    - HEADER: yes\n    - DELIMITER: 1\n    - COLUMNS: [{a: int}, {b: }]\n" + out + "    - MAPPING: {a: b, c: 1}\n  SPEED: {LIMIT: 200MiB/s}\n  PARALLEL: {SPLIT: 64MB, WORKERS: 3}\n",
		head + in + "    - SOURCE: {URL: 's3://b/k'}\n" + out + "  SPEED: {ADAPTIVE: {PROBE: select 1, TARGET: 1m30s}, LIMIT: none}\n  PRELOAD:\n  NOTIFY: [{EXEC: x, ON: failed}]\n",
		// and what is wrong
		head + in,
		head + out,
		"GPLOAD:\n" + in + out,
		head + in + "    - FORMATT: csv\n" + out,
		head + in + "    - FORMAT: exl\n" + out,
		head + in + "    - HEADER: maybe\n" + out,
		head + in + out + "  SPEED: {LIMIT: fast}\n",
		head + in + out + "  PARALLEL: {WORKERS: many}\n",
		head + in + out + "  PARALLEL: {SPLIT: -3}\n",
		head + in + out + "  PARALLEL: [a]\n",
		head + in + out + "  SPEED: {ADAPTIVE: {TARGET: soon}}\n",
		head + "  INPUT: x\n" + out,
		head + "  INPUT:\n    - SOURCE: {FILE: {a: b}}\n" + out,
	} {
		_, problems := schema.Check("x", []byte(text), loadspec.Root())
		err := load.Validate(document(t, text))
		if (err == nil) != (len(problems) == 0) {
			t.Errorf("%s\ncheck: %v\nschema: %v", text, problems, err)
		}
	}
}

// TestJSONSchemaTakesOurOwnFiles validates what cw itself writes.
func TestJSONSchemaTakesOurOwnFiles(t *testing.T) {
	t.Parallel()
	load, topology := compiled(t, loadspec.Root()), compiled(t, cluster.Keys())
	if err := load.Validate(document(t, loadspec.Template("public.t", "s3://b/*.csv"))); err != nil {
		t.Errorf("the template: %v", err)
	}
	if err := topology.Validate(document(t, cluster.Sample())); err != nil {
		t.Errorf("the sample topology: %v", err)
	}
}
