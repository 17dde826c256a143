package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files")

// The three forms of a report with something in every section are as they
// were looked at.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(io.Writer, *Report) error{"report.txt": WriteText, "report.md": WriteMarkdown, "report.html": WriteHTML} {
		var b bytes.Buffer
		if err := write(&b, sample()); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s is not as it was; look at it, then: go test ./monitor/report -run TestGolden -update\n%s", name, diff(string(want), b.String()))
		}
	}
}

// diff is the first line that differs.
func diff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "was: " + a[i] + "\nis:  " + b[i]
		}
	}
	return "one is longer"
}

// What comes from a database stays text in every form: no markup, no control
// characters, no line of its own.
func TestNothingGetsOut(t *testing.T) {
	t.Parallel()
	var page, text, md bytes.Buffer
	for w, write := range map[*bytes.Buffer]func(io.Writer, *Report) error{&page: WriteHTML, &text: WriteText, &md: WriteMarkdown} {
		if err := write(w, sample()); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"<script", `href="http`, "javascript:", " src=", "@import", "url("} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.Count(page.String(), "<svg") < 5 || strings.Count(page.String(), "</table>") != strings.Count(page.String(), "<table>") {
		t.Error("the page is broken")
	}
	columns := 0 // of the table that it is in
	for line := range strings.Lines(md.String()) {
		if strings.Contains(line, "<script") || strings.Contains(strings.ReplaceAll(line, `\]`, ""), "](") || strings.ContainsRune(line, '\x1b') {
			t.Errorf("Markdown: %q", line)
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if n != 0 && columns != 0 && n != columns {
			t.Errorf("a row has other columns: %q", line)
		}
		columns = n
	}
	for line := range strings.Lines(text.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > textWidth {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.ContainsAny(line, "\x1b\r\t") {
			t.Errorf("text: %q", line)
		}
	}
}

// A report of nothing can be printed, too.
func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, r := range []*Report{{}, {Cluster: "x", Summary: Summary{Verdict: OK}, Health: &Health{}, Capacity: &Capacity{}, Backup: &Backup{}}} {
		for _, write := range []func(io.Writer, *Report) error{WriteText, WriteMarkdown, WriteHTML} {
			if err := write(io.Discard, r); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzCell(f *testing.F) {
	f.Add(evil)
	f.Add("a\u2028b\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := cell(s)
		if strings.ContainsAny(got, "\n\r\x1b<>") || !utf8.ValidString(got) || strings.Contains(got, "://") {
			t.Errorf("%q", got)
		}
		for _, line := range wrap(oneLine(s), 20) {
			if utf8.RuneCountInString(line) > 20 {
				t.Errorf("%q is too long", line)
			}
		}
	})
}
