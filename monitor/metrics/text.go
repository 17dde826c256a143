package metrics

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// The kinds of a metric.
const (
	gauge   = "gauge"
	counter = "counter"
)

// family is one metric with all its series.
type family struct {
	name, kind, help string
	labels           []string // names, the same of all series
	series           []series
}

type series struct {
	values []string // of the labels
	value  float64
}

func (f *family) add(value float64, labels ...string) {
	f.series = append(f.series, series{labels, value})
}

func (f *family) addIf(ok bool, value float64, labels ...string) {
	if ok {
		f.add(value, labels...)
	}
}

// flag adds 1 or 0.
func (f *family) flag(on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	f.add(v, labels...)
}

// write writes families in the text format, version 0.0.4. Of series with the
// same labels the last counts: two would spoil the whole page.
func write(w io.Writer, families []*family) error {
	var b strings.Builder
	for _, f := range families {
		if len(f.series) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpEscape.Replace(f.help), f.name, f.kind)
		at := map[string]int{}
		var lines []string
		for _, s := range f.series {
			id := f.name + f.labelText(s.values)
			line := id + " " + number(s.value) + "\n"
			if i, twice := at[id]; twice {
				lines[i] = line
				continue
			}
			at[id] = len(lines)
			lines = append(lines, line)
		}
		b.WriteString(strings.Join(lines, ""))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *family) labelText(values []string) string {
	if len(f.labels) == 0 {
		return ""
	}
	var b strings.Builder
	for i, name := range f.labels {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		value := ""
		if i < len(values) {
			value = strings.ToValidUTF8(values[i], "\uFFFD")
		}
		b.WriteString(sep + name + `="` + valueEscape.Replace(value) + `"`)
	}
	return b.String() + "}"
}

var (
	valueEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`) //nolint:gochecknoglobals // constant table
	helpEscape  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)            //nolint:gochecknoglobals // constant table
)

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
