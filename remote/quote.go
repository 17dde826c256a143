package remote

import (
	"fmt"
	"strings"
)

// Quote turns an argv into one line that a POSIX shell splits back into
// exactly these words. It is the only place in cw that quotes for a shell.
// Words without special characters stay bare, so that the line reads well in
// messages and hints. A word must not hold a NUL byte: no argv can.
func Quote(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = quoteWord(a)
	}
	return strings.Join(words, " ")
}

func quoteWord(s string) string {
	if s != "" && strings.IndexFunc(s, needsQuotes) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// needsQuotes is true for every rune that is not known to be harmless
// everywhere in a shell word. "=" and "~" are not harmless at every place of
// every shell, so they are left out.
func needsQuotes(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("@%+:,./_-", r)
}

// loginQuote quotes words for a login shell of unknown kind: sh, bash, zsh,
// ksh, csh, tcsh and fish agree on single quotes around printable ASCII
// without a quote, "!", or a backslash before one of "\\'" or the end. ok is
// false when a word is not like that.
func loginQuote(words []string) (line string, ok bool) {
	quoted := make([]string, len(words))
	for i, w := range words {
		if !loginSafe(w) {
			return "", false
		}
		quoted[i] = "'" + w + "'"
	}
	return strings.Join(quoted, " "), true
}

func loginSafe(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '\'', c == '!':
			return false
		case c == '\\' && (i+1 == len(s) || s[i+1] == '\\'):
			return false
		}
	}
	return true
}

// printfFormat encodes s as a format for the shell's printf that is safe
// inside single quotes of any login shell and prints s.
func printfFormat(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '%':
			b.WriteString("%%")
		case c < ' ' || c > '~' || strings.IndexByte(`'!\`, c) >= 0:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
