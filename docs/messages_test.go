package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// literals are all strings in cw's own sources, those of a sum put together.
func literals(t *testing.T) []string {
	t.Helper()
	var found []string
	eachSource(t, func(_ string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if text, ok := constant(e); ok {
					found = append(found, text)
					return false
				}
			}
			return true
		})
	})
	return found
}

// eachSource parses every file of Go that is in cw itself.
func eachSource(t *testing.T, do func(path string, file *ast.File)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tools" || d.Name() == "testdata" || d.Name() == "docs" || len(d.Name()) > 2 && d.Name()[0] == '.'):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err == nil {
			do(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// constant is the text of a literal, or of a sum whose parts that are none are
// a verb.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			x, okX := constant(e.X)
			y, okY := constant(e.Y)
			if !okX {
				x = "%v"
			}
			if !okY {
				y = "%v"
			}
			return x + y, okX || okY
		}
	}
	return "", false
}

var (
	messageRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	verb       = regexp.MustCompile(`%(\[\d+\])?[+#.\d]*[a-zA-Z]`)
)

// TestMessages wants every message of the troubleshooting page in the sources:
// one that is worded in another way now has to be there in that way.
func TestMessages(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := messageRow.FindAllStringSubmatch(string(data), -1)
	if len(rows) < 40 {
		t.Fatalf("%d messages were found on the page", len(rows))
	}
	known := map[string]bool{}
	for _, text := range literals(t) {
		known[text] = true
	}
	for _, row := range rows {
		if !said(row[1], known) {
			t.Errorf("no source says %q", row[1])
		}
	}
}

// said tells whether a text of the sources, its verbs taken for "…", has all
// parts of a message.
func said(message string, known map[string]bool) bool {
	parts := strings.Split(message, "…")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	re := regexp.MustCompile(strings.Join(parts, "…"))
	for text := range known {
		if re.MatchString(verb.ReplaceAllString(strings.ReplaceAll(text, "%q", "…"), "…")) {
			return true
		}
	}
	return false
}
