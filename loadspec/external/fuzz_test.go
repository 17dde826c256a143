package external

import (
	"strings"
	"testing"
)

// The pieces of an expression are the expression again.
func FuzzScanSQL(f *testing.F) {
	for _, s := range []string{"a = 'x''y' and b > 3", `"Q""q" || $$a$$ -- c`, "/* /* */ */ e'\\'' u&'x'", "$a$ $b$ $a$", "'", "\xff::text", "/*", "U&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b strings.Builder
		for _, tok := range scanSQL(s) {
			if tok.text == "" {
				t.Fatalf("%q has a piece that is empty", s)
			}
			b.WriteString(tok.text)
		}
		if b.String() != s {
			t.Errorf("%q became %q", s, b.String())
		}
	})
}
