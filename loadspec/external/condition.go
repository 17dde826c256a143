package external

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"cw/loadspec"
)

// tokenKind is what a piece of an SQL expression is.
type tokenKind int

const (
	other tokenKind = iota // operators, parentheses, numbers
	space                  // blanks and comments
	word                   // identifier or keyword, quoted or not
	text                   // string constant
)

type token struct {
	kind tokenKind
	text string
}

// aliasColumns puts alias. before the columns of a condition that stand
// without a table. gpload does that with regular expressions, which also
// change texts, types and names that are longer; here the condition is read
// as the database reads it. A name after a dot or before one, a function's, a
// type's after :: or AS or before a text constant, and names in front of FROM
// in extract() stay.
func aliasColumns(condition, alias string, columns []string) string {
	tokens := scanSQL(condition)
	known := map[string]bool{}
	for _, c := range columns {
		known[c] = true
	}
	var b strings.Builder
	for i, t := range tokens {
		if t.kind == word && known[loadspec.FoldName(t.text)] && isColumn(tokens, i) {
			b.WriteString(alias + ".")
		}
		b.WriteString(t.text)
	}
	if strings.Contains(lastLine(condition), "--") {
		b.WriteByte('\n')
	}
	return b.String()
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

// isColumn tells by its neighbours whether the word at i is a column that
// stands alone.
func isColumn(tokens []token, i int) bool {
	before, after := neighbour(tokens, i, -1), neighbour(tokens, i, 1)
	quoted := strings.HasPrefix(tokens[i].text, `"`)
	switch {
	case before.text == "." || after.text == ".": // of a table
		return false
	case after.text == "(": // function
		return false
	case before.text == "::" || strings.EqualFold(before.text, "as") && before.kind == word: // type
		return false
	case after.kind == text && !quoted: // date '2020-01-01'
		return false
	case before.text == "(" && strings.EqualFold(after.text, "from") && !quoted: // extract(year from …)
		return false
	case !quoted && reserved[strings.ToLower(tokens[i].text)]:
		return false
	}
	return true
}

// neighbour is the nearest token before or after i that is no space.
func neighbour(tokens []token, i, step int) token {
	for i += step; i >= 0 && i < len(tokens); i += step {
		if tokens[i].kind != space {
			return tokens[i]
		}
	}
	return token{}
}

// scanSQL cuts an expression into tokens whose texts together are the
// expression again. What is not closed goes to the end.
func scanSQL(s string) []token {
	var out []token
	for len(s) > 0 {
		kind, n := next(s)
		out = append(out, token{kind, s[:n]})
		s = s[n:]
	}
	return out
}

func next(s string) (tokenKind, int) {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case unicode.IsSpace(r):
		return space, size
	case strings.HasPrefix(s, "--"):
		return space, until(s, "\n", 2)
	case strings.HasPrefix(s, "/*"):
		return space, blockComment(s)
	case r == '\'':
		return text, quoted(s, 0, '\'', false)
	case r == '"':
		return word, quoted(s, 0, '"', false)
	case len(s) > 1 && s[1] == '\'' && strings.ContainsRune("eE", r):
		return text, quoted(s, 1, '\'', true)
	case len(s) > 1 && s[1] == '\'' && strings.ContainsRune("bBxXnN", r):
		return text, quoted(s, 1, '\'', false)
	case len(s) > 2 && strings.EqualFold(s[:2], "u&") && (s[2] == '\'' || s[2] == '"'):
		return text, quoted(s, 2, s[2], false)
	case r == '$':
		return dollar(s)
	case r == '_' || unicode.IsLetter(r):
		return word, run(s, func(r rune) bool {
			return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
		})
	case unicode.IsDigit(r):
		return other, run(s, func(r rune) bool { return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) })
	case strings.HasPrefix(s, "::"):
		return other, 2
	default:
		return other, size
	}
}

func run(s string, in func(rune) bool) int {
	for i, r := range s {
		if !in(r) {
			return i
		}
	}
	return len(s)
}

// until is the index after the first end at or after from.
func until(s, end string, from int) int {
	if i := strings.Index(s[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}

// quoted is the length of a constant or name whose quote stands at start.
func quoted(s string, start int, quote byte, backslash bool) int {
	for i := start + 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

// blockComment is the length of a comment; they nest.
func blockComment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
		}
		if depth == 0 {
			return i + 1
		}
	}
	return len(s)
}

// dollar reads a dollar-quoted text, or the dollar of a parameter.
func dollar(s string) (tokenKind, int) {
	n := 1 + run(s[1:], func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) })
	if n == len(s) || s[n] != '$' || n > 1 && unicode.IsDigit(rune(s[1])) {
		return other, n
	}
	tag := s[:n+1]
	return text, until(s, tag, n+1)
}
