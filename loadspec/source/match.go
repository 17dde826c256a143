package source

import (
	"regexp"
	"strings"
)

// literalPrefix is the part of a key pattern before its first wildcard, with
// escapes taken out; plain is true when there is no wildcard at all.
func literalPrefix(pattern string) (prefix string, plain bool) {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?', '[':
			return b.String(), false
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			b.WriteByte(pattern[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// matcher compiles a key pattern: * and ? stay within a folder, ** crosses
// folders, [abc], [a-z] and [!a] are sets, a backslash takes the next
// character as it is. A pattern that ends in / matches everything below.
func matcher(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if strings.HasPrefix(pattern[i:], "**/") {
				b.WriteString(`(?:.*/)?`)
				i += 2
			} else if strings.HasPrefix(pattern[i:], "**") {
				b.WriteString(`.*`)
				i++
			} else {
				b.WriteString(`[^/]*`)
			}
		case '?':
			b.WriteString(`[^/]`)
		case '[':
			end := strings.IndexByte(pattern[min(i+2, len(pattern)):], ']')
			if end < 0 {
				b.WriteString(`\[`)
				continue
			}
			set := pattern[i+1 : i+2+end]
			i += 2 + end
			negate := ""
			if set[0] == '!' || set[0] == '^' {
				negate, set = "^", set[1:]
			}
			b.WriteString("[" + negate + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(set) + "]")
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			// Byte by byte would cut characters in two.
			j := i + 1
			for j < len(pattern) && !strings.ContainsRune(`*?[\`, rune(pattern[j])) {
				j++
			}
			b.WriteString(regexp.QuoteMeta(pattern[i:j]))
			i = j - 1
		}
	}
	if strings.HasSuffix(pattern, "/") {
		b.WriteString(`.*`)
	}
	b.WriteString(`\z`)
	return regexp.Compile(b.String())
}
