package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"cw/schema"
	"cw/template"
)

// templateFuncs are what templates have beside the language's own.
func templateFuncs() map[string]any {
	return map[string]any{
		"json": func(v any) (string, error) { // quotes: for documents in JSON
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			err := enc.Encode(v)
			return strings.TrimSuffix(b.String(), "\n"), err
		},
		"upper":    strings.ToUpper,
		"lower":    strings.ToLower,
		"join":     strings.Join,
		"line":     func(s string) string { return OneLine(s, 1000) },
		"short":    func(n int, s string) string { return OneLine(s, max(n, 1)) },
		"time":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"duration": func(seconds int64) string { return schema.FormatSpan(time.Duration(seconds) * time.Second) },
	}
}

// ofTime are the methods of moments, for those who write them otherwise than
// the function time does.
func ofTime(v any, name string) any {
	t, ok := v.(time.Time)
	if !ok {
		return nil
	}
	switch name {
	case "Format":
		return t.Format
	case "UTC":
		return t.UTC
	case "Local":
		return t.Local
	case "Unix":
		return t.Unix
	case "IsZero":
		return t.IsZero
	}
	return nil
}

// templateMost is how long the result of a template may be.
const templateMost = 1 << 20

// Render fills a template with a notice.
func Render(name, text string, n Notice) (string, error) {
	t, err := template.Parse(name, text, template.Options{Funcs: templateFuncs(), Method: ofTime})
	if err != nil {
		return "", templateError(err)
	}
	b := &bounded{}
	if err := t.Execute(b, n); err != nil {
		return "", templateError(err)
	}
	return b.String(), nil
}

// RenderJSON is Render for a document, which has to be valid then.
func RenderJSON(name, text string, n Notice) ([]byte, error) {
	out, err := Render(name, text, n)
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(out)) {
		return nil, fmt.Errorf("%s makes no valid JSON: quote values with json, as {\"text\": {{json .Text}}}", name)
	}
	return []byte(out), nil
}

func templateError(err error) error {
	return fmt.Errorf("not a template that works: %s", strings.TrimPrefix(err.Error(), "template: "))
}

// bounded is a buffer that does not grow without end.
type bounded struct{ bytes.Buffer }

// Write refuses what is too much.
func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > templateMost {
		return 0, errors.New("the text becomes too long")
	}
	return b.Buffer.Write(p)
}

// Fill puts a receiver's own title and text into a notice that is made for it.
func (r Receiver) Fill(n Notice) (Notice, error) {
	own := n
	for _, t := range []struct {
		name, text string
		into       *string
	}{{"title", r.Title, &own.Title}, {"body", r.Body, &own.Text}} {
		if t.text == "" {
			continue
		}
		out, err := Render(t.name, t.text, n)
		if err != nil {
			return n, err
		}
		*t.into = out
	}
	own.Title = OneLine(own.Title, titleMost)
	return own, nil
}
