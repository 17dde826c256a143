package commands

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/manage"
	"cw/loadspec/fdist"
	"cw/monitor/report"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/perfcheck/size"
	"cw/schema"
	"cw/state"
	"cw/tui/source"
)

// documents are all results in JSON: the kind and what its body, or each of
// its items, is written from.
func documents() map[string][]reflect.Type {
	of := func(types ...any) []reflect.Type {
		out := make([]reflect.Type, len(types))
		for i, v := range types {
			out[i] = reflect.TypeOf(v)
		}
		return out
	}
	return map[string][]reflect.Type{
		"AlertList":          of(alertDoc{}),
		"CheckReport":        of(hostprep.Report{}),
		"ClusterList":        of(manage.Summary{}),
		"ClusterStatus":      of(cluster.Status{}),
		"Conversion":         of(convertDoc{}),
		"CopyList":           of(copyResult{}),
		"EngineCheck":        of(run.EngineCheck{}),
		"EventList":          of(state.Event{}),
		"EventTypeList":      of(state.EventKind{}),
		"ExecResultList":     of(execResult{}),
		"GroupList":          of(groupDoc{}),
		"InspectionReport":   of(report.Report{}),
		"InspectionRuleList": of(ruleDoc{}),
		"Job":                of(jobDoc{}),
		"JobList":            of(jobDoc{}),
		"KeyList":            of(keyDoc{}),
		"LimitList":          of(fdist.Limit{}),
		"LoadPlan":           of(loadPlan{}),
		"LogLineList":        of(logLine{}),
		"MeasuredSizing":     of(size.Answer{}),
		"MonitorStatus":      of(monitorStatusDoc{}),
		"ObjectList":         of(objectProgressDoc{}),
		"Paths":              of(map[string]string{}),
		"PerfBaseline":       of(shownBaselineDoc{}),
		"PerfBaselineList":   of(baselineDoc{}),
		"PerfComparison":     of(perfcheck.Difference{}),
		"PerfPlan":           of(run.Plan{}),
		"PerfReport":         of(perfcheck.Report{}),
		"PerfSnapshotPlan":   of(snapshotStepDoc{}),
		"PerfTestList":       of(testDoc{}),
		"PerfVIPPlan":        of(""),
		"Plan":               of(plan{}),
		"Playground":         of(playgroundStatus{}),
		"PreparationPlan":    of(preparationPlan{}),
		"ReceiverTestList":   of(triedDoc{}),
		"Redistribution":     of(redistribution{}),
		"RejectedRowList":    of(rejectedDoc{}),
		"ReplacePlan":        of(replacePlanDoc{}),
		"Server":             of(serverDoc{}),
		"ServerCheck":        of(checkDoc{}),
		"ServerStatus":       of(fdist.Status{}),
		"SettingDiffList":    of(settingDiff{}),
		"SettingList":        of(cluster.NodeSetting{}, setting{}), // of a cluster, and of cw itself
		"Silence":            of(state.Silence{}),
		"SilenceList":        of(state.Silence{}),
		"Sizing":             of(cluster.Sizing{}),
		"Snapshot":           of(source.Snapshot{}),
		"UnloadPlan":         of(unloadPlanDoc{}),
		"Version":            of(versionInfo{}),
		"WorkerList":         of(workerDoc{}),
	}
}

// otherKinds are printed without object or list, or by a constant's name.
func otherKinds() []string {
	return []string{"PerfReport", "PerfComparison", "MeasuredSizing", "InspectionReport"}
}

// TestSurfaceIsFrozen holds everything that scripts may rely on against
// testdata/surface.txt. What disappears or changes there breaks somebody's
// script; what is added is written there by -update, and then it is frozen.
func TestSurfaceIsFrozen(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, e := range exitCodes {
		lines = append(lines, fmt.Sprintf("exit %d %s", e.code, e.meaning))
	}
	walk(referenceTree(t), func(c *cobra.Command) {
		if !c.Hidden {
			lines = append(lines, surfaceOf(c)...)
		}
	})
	for kind, types := range documents() {
		for _, typ := range types {
			lines = append(lines, "json "+kind)
			lines = append(lines, keysOf("json "+kind, typ, nil)...)
		}
	}
	for kind, key := range explained() {
		lines = append(lines, fileKeys("file "+kind, key)...)
	}
	for _, k := range state.EventKinds() {
		lines = append(lines, "event "+k.Kind)
	}
	for _, k := range schemaKinds() {
		lines = append(lines, "schema "+k)
	}
	slices.Sort(lines)
	golden(t, filepath.Join("testdata", "surface.txt"), strings.Join(slices.Compact(lines), "\n")+"\n")
}

func surfaceOf(c *cobra.Command) []string {
	path := c.CommandPath()
	var codes []string
	for line := range strings.Lines(strings.TrimSpace(ExitCodes(c))) {
		codes = append(codes, strings.Fields(line)[0])
	}
	lines := []string{"command " + path + ": " + strings.Join(Usage(c), " | ") + "; exits " + strings.Join(codes, " ")}
	flags := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		short := ""
		if f.Shorthand != "" {
			short = " -" + f.Shorthand
		}
		lines = append(lines, fmt.Sprintf("flag %s --%s%s %s = %q", path, f.Name, short, f.Value.Type(), f.DefValue))
	}
	c.LocalNonPersistentFlags().VisitAll(flags)
	if !c.HasParent() {
		c.PersistentFlags().VisitAll(flags)
	}
	return lines
}

// keysOf are the keys below a type, by their paths, with their types in JSON.
func keysOf(path string, t reflect.Type, above []reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array {
		if t.Kind() != reflect.Pointer {
			path += "[]"
		}
		t = t.Elem()
	}
	if t.Kind() == reflect.Map {
		return keysOf(path+".*", t.Elem(), above)
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()) {
		return []string{path + " " + jsonType(t)}
	}
	if slices.Contains(above, t) {
		return []string{path + " as above"}
	}
	var lines []string
	for _, f := range schema.Fields(t) {
		optional := ""
		if f.Optional {
			optional = "?"
		}
		lines = append(lines, keysOf(path+"."+f.Name+optional, f.Type, append(above, t))...)
	}
	return lines
}

func jsonType(t reflect.Type) string {
	switch k := t.Kind(); {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case k == reflect.String, k == reflect.Bool:
		return k.String()
	case k == reflect.Float32, k == reflect.Float64:
		return "number"
	case k == reflect.Interface:
		return "any"
	case k == reflect.Struct:
		return "in its own words"
	default:
		return "integer"
	}
}

// fileKeys are the keys of a file.
func fileKeys(path string, k schema.Key) []string {
	var lines []string
	for _, sub := range k.Keys {
		name := path + "." + sub.Name
		required := ""
		if sub.Required {
			required = " required"
		}
		lines = append(lines, fmt.Sprintf("%s %s%s = %q", name, TypeName(sub), required, sub.Default))
		lines = append(lines, fileKeys(name, sub)...)
	}
	if k.Elem != nil {
		lines = append(lines, fileKeys(path+"[]", *k.Elem)...)
	}
	return lines
}

// TestDocumentsAreAllFrozen reads the sources: every kind that is printed has
// to be in documents, or its keys could disappear unseen.
func TestDocumentsAreAllFrozen(t *testing.T) {
	t.Parallel()
	printed := map[string]bool{}
	for _, k := range otherKinds() {
		printed[k] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			if f, ok := call.Fun.(*ast.Ident); ok && (f.Name == "object" || f.Name == "list") {
				switch kind := call.Args[0].(type) {
				case *ast.BasicLit:
					text, _ := strconv.Unquote(kind.Value)
					printed[text] = true
				case *ast.SelectorExpr: // in otherKinds
					if kind.Sel.Name != "KindMeasured" && kind.Sel.Name != "Kind" {
						t.Errorf("%s: the kind %s.%s: add it to otherKinds and documents", name, kind.X, kind.Sel)
					}
				}
			}
			return true
		})
	}
	known := documents()
	for kind := range printed {
		if known[kind] == nil {
			t.Errorf("documents() has no %s", kind)
		}
	}
	for kind := range known {
		if !printed[kind] {
			t.Errorf("nothing prints %s any more", kind)
		}
	}
	if report.Kind != "InspectionReport" || cluster.KindMeasured != "MeasuredSizing" {
		t.Error("otherKinds names kinds that were renamed")
	}
}
