package tui

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// term is one condition of a filter.
type term struct {
	col    int // -1: any column
	not    bool
	fold   []byte // lower case, when the pattern is plain ASCII text
	expr   *regexp.Regexp
	tested string
}

// filter is what was typed after /: words that must all hold, each a regular
// expression that ignores case, with ! before it for the inverse and
// column: before it for one column.
type filter struct {
	text  string
	terms []term
}

func parseFilter(text string, columns []string) (filter, error) {
	f := filter{text: strings.TrimSpace(text)}
	for _, word := range strings.Fields(text) {
		t := term{col: -1}
		word, t.not = strings.CutPrefix(word, "!")
		if name, rest, ok := strings.Cut(word, ":"); ok {
			for i, c := range columns {
				if strings.EqualFold(c, name) {
					t.col, word = i, rest
				}
			}
		}
		if after, ok := strings.CutPrefix(word, "!"); ok && t.col >= 0 {
			t.not, word = true, after
		}
		if word == "" {
			continue
		}
		t.tested = word
		if regexp.QuoteMeta(word) == word && isASCII(word) {
			t.fold = []byte(strings.ToLower(word))
		} else {
			e, err := regexp.Compile("(?i)" + word)
			if err != nil {
				return f, fmt.Errorf("filter %q: %w", word, err)
			}
			t.expr = e
		}
		f.terms = append(f.terms, t)
	}
	return f, nil
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func (t *term) match(text []byte) bool {
	if t.expr != nil {
		return t.expr.Match(text)
	}
	return containsFold(text, t.fold)
}

// containsFold finds lower-case ASCII in text of any case, without memory.
func containsFold(text, low []byte) bool {
	first := low[0]
	upper := first
	if first >= 'a' && first <= 'z' {
		upper = first - 'a' + 'A'
	}
	for len(text) >= len(low) {
		i := bytes.IndexByte(text, first)
		if upper != first {
			window := text
			if i >= 0 {
				window = text[:i]
			}
			if j := bytes.IndexByte(window, upper); j >= 0 {
				i = j
			}
		}
		if i < 0 || len(text)-i < len(low) {
			return false
		}
		if equalFold(text[i:i+len(low)], low) {
			return true
		}
		text = text[i+1:]
	}
	return false
}

func equalFold(text, low []byte) bool {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != low[i] {
			return false
		}
	}
	return true
}
