// Package html prints a performance report as one page that needs nothing
// else: no network, no script, no font. Charts are inline SVG whose colours
// come from the page's style, so that light and dark both fit; the page's own
// security policy forbids it to load anything.
package html

import (
	_ "embed"
	"fmt"
	"io"

	"cw/perfcheck"
	"cw/template"
)

//go:embed page.html.tmpl
var pageTemplate string

//go:embed style.css
var style string

// Write writes the page of a report. With an earlier run it shows both side by
// side: what changed, and the earlier run's lines dashed in the charts.
func Write(w io.Writer, r, earlier *perfcheck.Report) error {
	t, err := template.Parse("page", pageTemplate, template.Options{
		Funcs:  map[string]any{"sign": sign, "clock": clock},
		Escape: template.EscapeHTML,
	})
	if err != nil {
		return fmt.Errorf("the page's template: %w", err)
	}
	return t.Execute(w, newPage(r, earlier))
}
