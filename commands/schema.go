package commands

import (
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cw/monitor/inspect"
	"cw/monitor/report"
	"cw/perfcheck"
	"cw/schema"
)

func newSchema(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "schema FILE-KIND", Short: "Print the JSON Schema of one of cw's files or reports", Args: args(1, 1),
		Long: `Print the JSON Schema (draft-07) of one of cw's files, made from the table that
the parser uses, for editors that complete and check YAML by it; or of a report,
made from what writes it: perf-report (cw perf … -o json) and report (cw report
-o json). The kinds: ` + strings.Join(schemaKinds(), ", ") + `.

Keys of control files are valid in upper and lower case alike, as for the parser;
editors offer them as the table spells them. What takes more than one value to
judge (two hosts with one port, say) is not in the schema: cw cluster check, cw
load check and cw monitor test know that. The init commands write the schema for
editors, and its place into the first line of their file.` + exitHelp(),
		Example: `  cw schema loadspec > loadspec.schema.json
  cw schema perf-report > perf-report.schema.json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.schema(args[0]) },
	}
}

// reportType is a document whose schema comes from the Go type that it is
// written from.
type reportType struct {
	kind string // of the document
	of   reflect.Type
}

// reportTypes are by the name that cw schema knows them by.
func reportTypes() map[string]reportType {
	return map[string]reportType{
		"perf-report": {"PerfReport", reflect.TypeFor[perfcheck.Report]()},
		"report":      {report.Kind, reflect.TypeFor[report.Report]()},
	}
}

// enums are the values of the named strings in reports.
func enums() map[reflect.Type][]string {
	return map[reflect.Type][]string{
		reflect.TypeFor[perfcheck.Verdict](): texts(perfcheck.Pass, perfcheck.Skipped, perfcheck.Warn, perfcheck.Inconclusive, perfcheck.Fail, perfcheck.Error),
		reflect.TypeFor[perfcheck.Area]():    texts(perfcheck.Disk, perfcheck.Net, perfcheck.Memory, perfcheck.CPU, perfcheck.Snapshot, perfcheck.VIP, perfcheck.Replace, perfcheck.Object, perfcheck.DB),
		reflect.TypeFor[inspect.Unit]():      texts(inspect.Plain, inspect.Bytes, inspect.Seconds, inspect.Share),
		reflect.TypeFor[inspect.Severity]():  texts(inspect.Notice, inspect.Warning, inspect.Critical),
		reflect.TypeFor[perfcheck.Better]():  texts(perfcheck.Higher, perfcheck.Lower, perfcheck.Neither),
	}
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// schemaKinds are all that cw schema knows.
func schemaKinds() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(explained())), maps.Keys(reportTypes()))
	slices.Sort(names)
	return names
}

// schemaOf makes the schema of a kind, nil of one that there is not.
func schemaOf(kind string) *schema.JSONSchema {
	id := "https://cw.invalid/schema/" + kind + ".json"
	if key, ok := explained()[kind]; ok {
		return schema.ToJSONSchema(key, id, "cw "+kind)
	}
	r, ok := reportTypes()[kind]
	if !ok {
		return nil
	}
	s := schema.OfType(r.of, enums(), id, "cw "+kind)
	// What the printer adds where the type has it not.
	for name, value := range map[string]string{"apiVersion": apiVersion, "kind": r.kind} {
		s.Properties[name] = &schema.JSONSchema{Const: value}
		if !slices.Contains(s.Required, name) {
			s.Required = append(s.Required, name)
		}
	}
	slices.Sort(s.Required)
	return s
}

func (a *App) schema(kind string) error {
	s := schemaOf(strings.ToLower(kind))
	if s == nil {
		names := schemaKinds()
		hint := "known kinds: " + strings.Join(names, ", ")
		if near := schema.Nearest(kind, names); near != "" {
			hint = "did you mean: cw schema " + near
		}
		return usagef(hint, "there is no file kind %q", kind)
	}
	return writeSchema(a.IO.Out, s)
}

func writeSchema(w io.Writer, s *schema.JSONSchema) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(s)
}
