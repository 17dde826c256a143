package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var link = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)

// TestLinks wants a file behind every relative link, and a heading behind
// every anchor; there are no links out of the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		data, err := os.ReadFile(p.path)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				file, anchor, _ := strings.Cut(m[1]+m[2], "#")
				if strings.Contains(file, "://") {
					t.Errorf("%s:%d: a link that no test can follow: %s", p.path, i+1, file)
					continue
				}
				to := p.path
				if file != "" {
					to = filepath.Join(filepath.Dir(p.path), file)
				}
				text, err := os.ReadFile(to)
				if st, statErr := os.Stat(to); statErr == nil && st.IsDir() {
					err = nil
				}
				switch {
				case err != nil:
					t.Errorf("%s:%d: %v", p.path, i+1, err)
				case anchor != "" && !hasHeading(string(text), anchor):
					t.Errorf("%s:%d: %s has no heading #%s", p.path, i+1, to, anchor)
				}
			}
		}
	}
}

// hasHeading makes anchors of headings as GitHub does.
func hasHeading(text, anchor string) bool {
	for _, line := range strings.Split(text, "\n") {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(strings.TrimLeft(line, "#")))
		if slug == anchor {
			return true
		}
	}
	return false
}

// TestIndex wants every page in the list of pages.
func TestIndex(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f != "README.md" && !generated(f) && !strings.Contains(string(index), "]("+f+")") {
			t.Errorf("docs/README.md does not name %s", f)
		}
	}
}
