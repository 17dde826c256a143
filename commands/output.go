package commands

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const apiVersion = "cw/v1"

func outputFormats() []string { return []string{"table", "wide", "json", "yaml", "csv"} }

// document is the envelope of every JSON result.
type document struct {
	kind  string
	items any // set for lists
	body  any
}

// list makes the document {apiVersion, kind, items}.
func list(kind string, items any) document { return document{kind: kind, items: items} }

// object makes a document of body's own fields beside apiVersion and kind.
func object(kind string, body any) document { return document{kind: kind, body: body} }

// MarshalJSON writes apiVersion and kind first, then the body's fields.
func (d document) MarshalJSON() ([]byte, error) {
	head := fmt.Sprintf(`{"apiVersion":%q,"kind":%q`, apiVersion, d.kind)
	if d.body == nil {
		items, err := json.Marshal(d.items)
		return fmt.Appendf(nil, `%s,"items":%s}`, head, items), err
	}
	body, err := json.Marshal(d.body)
	if err != nil || len(body) < 2 || body[0] != '{' {
		return nil, fmt.Errorf("result %s is not an object: %w", d.kind, err)
	}
	if string(body) == "{}" {
		return []byte(head + "}"), nil
	}
	return []byte(head + "," + string(body[1:])), nil
}

// column is a column of a table; wide ones show with -o wide and csv only.
type column struct {
	name string
	wide bool
}

func cols(names ...string) []column {
	out := make([]column, len(names))
	for i, n := range names {
		out[i] = column{name: strings.TrimPrefix(n, "+"), wide: strings.HasPrefix(n, "+")}
	}
	return out
}

// table is the tabular form of a result. Column names that begin with + are
// wide ones.
type table struct {
	cols []column
	rows [][]string
	note string // a sentence under the table, on terminals
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes a result in the format the user chose.
func (a *App) print(doc document, t table) error {
	switch a.flags.output {
	case "json":
		return printJSON(a.IO.Out, doc)
	case "yaml":
		return printYAML(a.IO.Out, doc)
	case "csv":
		return printCSV(a.IO.Out, t)
	default:
		if err := printTable(a.IO.Out, t, a.flags.output == "wide"); err != nil {
			return err
		}
		if t.note != "" && a.IO.OutTTY {
			_, err := fmt.Fprintln(a.IO.Out, t.note)
			return err
		}
		return nil
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printYAML goes through JSON, so that both have the same keys in the same order.
func printYAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(data, &node); err != nil {
		return err
	}
	plainStyle(&node)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&node); err != nil {
		return err
	}
	return enc.Close()
}

// plainStyle drops the flow style and quotes that the JSON text brought.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
}

func printCSV(w io.Writer, t table) error {
	cw := csv.NewWriter(w)
	names := make([]string, len(t.cols))
	for i, c := range t.cols {
		names[i] = strings.ToLower(strings.ReplaceAll(c.name, " ", "_"))
	}
	if err := cw.Write(names); err != nil {
		return err
	}
	return cw.WriteAll(t.rows)
}

func printTable(w io.Writer, t table, wide bool) error {
	var show []int
	for i, c := range t.cols {
		if wide || !c.wide {
			show = append(show, i)
		}
	}
	width := make([]int, len(t.cols))
	for _, i := range show {
		width[i] = utf8.RuneCountInString(t.cols[i].name)
		for _, r := range t.rows {
			width[i] = max(width[i], utf8.RuneCountInString(r[i]))
		}
	}
	line := func(cell func(i int) string) error {
		var b strings.Builder
		for n, i := range show {
			text := cell(i)
			b.WriteString(text)
			if n < len(show)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(text)+2))
			}
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		return err
	}
	if err := line(func(i int) string { return t.cols[i].name }); err != nil {
		return err
	}
	for _, r := range t.rows {
		if err := line(func(i int) string { return r[i] }); err != nil {
			return err
		}
	}
	return nil
}
