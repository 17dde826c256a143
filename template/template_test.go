package template

import (
	"bytes"
	"errors"
	htmltemplate "html/template"
	"regexp"
	"strings"
	"testing"
	gotemplate "text/template"
	"time"
)

type inner struct {
	ID    string
	Count int64
}

type alert struct {
	inner
	*Extra
	Labels map[string]string
	At     time.Time
}

// Extra is promoted from a pointer, which may be nil.
type Extra struct{ Remark string }

// Inner is exported and embedded.
type Inner struct{ Promoted string }

type notice struct {
	Inner
	Title  string
	Text   any
	N      int
	U      uint8
	F      float64
	Yes    bool
	Alerts []alert
	Group  map[string]string
	ByN    map[int]string
	Next   *notice
	hidden string
}

func data() notice {
	return notice{
		Inner: Inner{"up"}, Title: "a <b> & 'c'", Text: "any", N: 3, U: 200, F: 1.5, Yes: true,
		Alerts: []alert{{inner: inner{"one", 7}, Extra: &Extra{"r"}, Labels: map[string]string{"k": "v"}}, {inner: inner{"two", 0}}},
		Group:  map[string]string{"cluster": "dw", "b": "2", "a": "1"}, ByN: map[int]string{3: "c", 1: "a"}, hidden: "x",
	}
}

func funcs() map[string]any {
	return map[string]any{
		"upper": strings.ToUpper, "join": strings.Join,
		"short": func(n int, s string) string { return s[:max(0, min(n, len(s)))] },
		"span":  func(seconds int64) string { return (time.Duration(seconds) * time.Second).String() },
		"half":  func(f float64) float64 { return f / 2 },
		"must": func(s string) (string, error) {
			if s == "" {
				return "", errIncomparable
			}
			return s, nil
		},
	}
}

func samples() []string {
	return []string{
		"", "plain", "{{.Title}}", "{{ .N }}{{.U}}{{.F}}{{.Yes}}", "{{.Promoted}} {{.Text}}", "a {{- 3 -}} b", "{{/* no */}}x",
		`{{"q"}}{{1.5}}{{'a'}}{{0x10}}{{1e3}}{{true}}{{-7}}{{2i}}`, `{{if .Yes}}y{{else}}n{{end}}`, `{{if .Next}}y{{else if eq .N 3}}three{{else}}n{{end}}`,
		`{{with .Text}}<{{.}}>{{end}}{{with .Next}}x{{else}}none{{end}}{{with $x := .N}}{{$x}}{{end}}`,
		`{{range .Alerts}}{{.ID}}={{.Count}};{{end}}`, `{{range $i, $a := .Alerts}}{{$i}}{{$a.ID}}{{end}}`, `{{range $a := .Alerts}}{{$a.ID}}{{end}}`,
		`{{range $k, $v := .Group}}{{$k}}={{$v}},{{end}}`, `{{range $k, $v := .ByN}}{{$k}}={{$v}},{{end}}`, `{{range .N}}{{.}}{{end}}`, `{{range 3}}.{{end}}`,
		`{{range .Alerts}}{{if eq .ID "two"}}{{break}}{{end}}{{.ID}}{{end}}`,
		`{{range .Alerts}}{{if eq .ID "one"}}{{continue}}{{end}}{{.ID}}{{end}}`, `{{$x := 1}}{{range .Alerts}}{{$x = .Count}}{{end}}{{$x}}`,
		`{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}`, `{{define "t"}}[{{.}}{{$}}]{{end}}{{template "t" .N}}{{template "t"}}`, `{{block "b" .Title}}{{.}}{{end}}`,
		`{{.Title | upper}}`, `{{.Title | short 3 | upper | printf "%s-%d" }}`, `{{printf "%s %d %v" .Title .N .Group}}`, `{{print 1 2 "x"}}{{println "y"}}`,
		`{{len .Alerts}}{{len .Title}}{{len .Group}}`, `{{index .Alerts 0 | printf "%T"}}`, `{{(index .Alerts 1).ID}}`, `{{index .Group "cluster"}}{{index .Group "none"}}{{index .ByN 3}}`,
		`{{(index .Alerts 0).Labels.k}}{{(index .Alerts 0).Labels.none}}`, `{{slice .Title 2}}{{slice .Title 2 5}}`, `{{.Group.cluster}}{{.Group.none}}|`,
		`{{and 1 0}}{{and .Yes .N}}{{or "" "x"}}{{or 0 ""}}{{not .Yes}}{{not 0}}`, `{{eq 1 1}}{{eq .N 1 2 3}}{{ne .Title "x"}}{{lt 1 2}}{{le 2 2}}{{gt .F 1.0}}{{ge "b" "a"}}`,
		`{{eq .U 200}}{{lt -1 .U}}{{gt .U 5}}`, `{{eq .Yes true}}{{eq .Next nil}}`, `{{html .Title}}{{js .Title}}{{urlquery .Title}}`, `{{span 90}}{{range .Alerts}}{{span .Count}}{{end}}`,
		`{{half 3}}{{half 2.5}}`, `{{must "x"}}`, `{{$.Title}}{{range .Alerts}}{{$.N}}{{end}}`, `{{(printf "%d" 3) | upper}}`, `{{.Next}}`, `{{range .Alerts}}{{.Labels}}{{end}}`,
		`{{or .Next.Title "x"}}`, `{{if and .Next .Next.Title}}x{{end}}`, `{{with .Alerts}}{{len .}}{{end}}`, `{{(index .Alerts 0).Remark}}`, `{{range .Alerts}}{{.Remark}}{{end}}`,
		// What does not work.
		"{{", "{{if}}", "{{.Titel}}", "{{.Title.X}}", "{{nope}}", `{{template "none"}}`, `{{index .Alerts 9}}`, `{{index .Title "x"}}`, `{{len 3}}`, `{{.N 3}}`, `{{3 | 4}}`, `{{$y}}`,
		`{{span "x"}}`, `{{upper 3}}`, `{{upper}}`, `{{upper "a" "b"}}`, `{{must ""}}`, `{{eq .Alerts .Alerts}}`, `{{lt .Yes true}}`, `{{nil}}`, `{{range .F}}{{end}}`,
		`{{.Next.Title}}`, `{{define "r"}}{{template "r"}}{{end}}{{template "r"}}`, `{{short}}`, `{{slice .N 1}}`, `{{.hidden}}`, `{{.Group.a.b}}`, `{{eq 1 "x"}}`, `{{index .Alerts nil}}`, `{{join .Title ","}}`, `{{and}}`, `{{.Alerts.ID}}`,
	}
}

// bounded is where a template that never ends writes to.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > 1<<16 {
		return 0, errors.New("too long")
	}
	return b.Buffer.Write(p)
}

func both(text string) (want string, wantErr error, got string, err error) {
	var a, b bounded
	with := data()
	theirs, wantErr := gotemplate.New("n").Funcs(funcs()).Option("missingkey=zero").Parse(text)
	if wantErr == nil {
		wantErr = theirs.Execute(&a, with)
	}
	ours, err := Parse("n", text, Options{Funcs: funcs()})
	if err == nil {
		err = ours.Execute(&b, with)
	}
	return a.String(), wantErr, b.String(), err
}

// place is where an error says that it is.
func place(err error) string {
	return regexp.MustCompile(`n:\d+(:\d+)?`).FindString(err.Error())
}

// Go's own package is the referee: what it fills is filled to the same text,
// what it refuses is refused at the same place.
func TestAsTextTemplate(t *testing.T) {
	t.Parallel()
	for _, text := range samples() {
		want, wantErr, got, err := both(text)
		switch {
		case (wantErr == nil) != (err == nil):
			t.Errorf("%s: %v, want %v", text, err, wantErr)
		case err == nil && got != want:
			t.Errorf("%s: %q, want %q", text, got, want)
		case err != nil && (place(err) == "" || place(err) != place(wantErr)):
			t.Errorf("%s:\n%v\nis elsewhere than\n%v", text, err, wantErr)
		}
	}
}

// Whatever Go's package fills is filled to the same text, and no text makes
// either panic.
func FuzzAsTextTemplate(f *testing.F) {
	for _, text := range samples() {
		f.Add(text)
	}
	huge := regexp.MustCompile(`[0-9_]{4}|0[xX]|[eEpP][+0-9]|call|\d'|range '`) // loops and widths without end; what is left out
	f.Fuzz(func(t *testing.T, text string) {
		if huge.MatchString(text) {
			t.Skip()
		}
		want, wantErr, got, err := both(text)
		if wantErr == nil && (err != nil || got != want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	})
}

// A method is only called where it is offered.
func TestMethods(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	fill := func(text string) (string, error) {
		tmpl, err := Parse("n", text, Options{Method: func(v any, name string) any {
			if at, ok := v.(time.Time); ok && name == "Format" {
				return at.Format
			}
			return nil
		}})
		if err != nil {
			return "", err
		}
		var b bytes.Buffer
		err = tmpl.Execute(&b, map[string]any{"At": at})
		return b.String(), err
	}
	for text, want := range map[string]string{`{{.At.Format "15:04"}}`: "01:02", `{{"2006" | .At.Format}}`: "2026", `{{$x := .At}}{{$x.Format "05"}}`: "03"} {
		if got, err := fill(text); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"{{.At.Unix}}", "{{.At.Format}}", "{{.At.Format 3}}"} {
		if got, err := fill(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// Nothing that is filled in becomes a tag or ends an attribute, but what is
// trusted stays what it is.
func FuzzEscape(f *testing.F) {
	f.Add(`"><script>alert(1)</script>`, "a")
	f.Add("' onload='x", "\x00+&")
	f.Fuzz(func(t *testing.T, text, key string) {
		tmpl, err := Parse("n", `{{range $k, $v := .}}<a b="{{$k}}" c='{{$v}}'>{{$v}}{{printf "%s" $k}}</a>{{end}}`, Options{Escape: EscapeHTML})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := tmpl.Execute(&b, map[string]any{key: text, key + "x": &text, key + "y": []string{text}, key + "z": Trusted("<hr>")}); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if strings.Count(got, "<") != 10 || strings.Count(got, ">") != 10 || strings.Count(got, `"`) != 8 || strings.Count(got, "'") != 8 || strings.Count(got, "<hr>") != 2 {
			t.Errorf("%q", got)
		}
	})
}

// The referee's own escaping is what texts become.
func TestEscapeAsHTMLTemplate(t *testing.T) {
	t.Parallel()
	for c := range rune(0x300) {
		var b bytes.Buffer
		if err := htmltemplate.Must(htmltemplate.New("n").Parse(`{{.}}`)).Execute(&b, string(c)); err != nil {
			t.Fatal(err)
		}
		if got := EscapeHTML(string(c)); got != b.String() {
			t.Errorf("%U: %q, want %q", c, got, b.String())
		}
	}
}
