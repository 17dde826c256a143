package loadspec

import (
	"fmt"
	"strings"
)

// SplitName reads [schema.]table as PostgreSQL does: parts in double quotes
// are kept, others folded to lower case.
func SplitName(s string) (schemaName, table string, err error) {
	var parts []string
	rest := strings.TrimSpace(s)
	for {
		part, tail, err := ident(rest)
		if err != nil {
			return "", "", fmt.Errorf("%q is not a table name: %w", s, err)
		}
		parts = append(parts, part)
		if tail == "" {
			break
		}
		if tail[0] != '.' {
			return "", "", fmt.Errorf("%q is not a table name: unexpected %q", s, tail)
		}
		rest = tail[1:]
	}
	switch len(parts) {
	case 1:
		return "", parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	default:
		return "", "", fmt.Errorf("%q is not a table name: more than schema and table", s)
	}
}

// ident takes one identifier off the front of s.
func ident(s string) (name, tail string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, `."`)
		if end < 0 {
			end = len(s)
		}
		name = strings.ToLower(strings.TrimSpace(s[:end]))
		if name == "" {
			return "", "", fmt.Errorf("a part of it is empty")
		}
		return name, s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		if b.Len() == 0 {
			return "", "", fmt.Errorf("a part of it is empty")
		}
		return b.String(), s[i+1:], nil
	}
	return "", "", fmt.Errorf("a quote is not closed")
}

// FoldName gives a column name as the database stores it: quoted as it
// stands, else in lower case. A name that is no identifier stays as written.
func FoldName(s string) string {
	s = strings.TrimSpace(s)
	if !strings.HasPrefix(s, `"`) {
		return strings.ToLower(s)
	}
	if name, tail, err := ident(s); err == nil && tail == "" {
		return name
	}
	return s
}
