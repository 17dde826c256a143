package infer

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest name that a database keeps, in bytes.
const maxName = 63

// headings makes column names of a header row: letters and digits in lower
// case with underscores between, so that they need no quotes, each different.
func headings(fields []string) []string {
	taken := map[string]bool{}
	names := make([]string, len(fields))
	for i, f := range fields {
		name := heading(f)
		if name == "" {
			name = "c" + strconv.Itoa(i+1)
		}
		names[i] = free(name, taken)
	}
	return names
}

func heading(s string) string {
	if !utf8.ValidString(s) {
		return ""
	}
	var b strings.Builder
	gap := false
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' {
			gap = true
			continue
		}
		if gap && b.Len() > 0 && !strings.HasSuffix(b.String(), "_") {
			b.WriteByte('_')
		}
		gap = false
		b.WriteRune(unicode.ToLower(r))
	}
	name := cut(b.String(), maxName)
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = cut("c"+name, maxName)
	}
	return name
}

// free takes a name that nobody has.
func free(name string, taken map[string]bool) string {
	try := name
	for n := 2; taken[try]; n++ {
		end := "_" + strconv.Itoa(n)
		try = cut(name, maxName-len(end)) + end
	}
	taken[try] = true
	return try
}

// cut shortens at a character's end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// numbered are the names of columns that have none.
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "c" + strconv.Itoa(i+1)
	}
	return names
}
