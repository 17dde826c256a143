package fdist

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// globOrSelf is the names that match a pattern; itself if there are none.
func globOrSelf(fixed int, pattern string) []string {
	if strings.ContainsAny(pattern[fixed:], "*?[") {
		if found := glob(fixed, pattern); len(found) > 0 {
			return found
		}
	}
	return []string{pattern}
}

// glob is the C library's: names that match a pattern, in order. Its first
// fixed bytes are no pattern. Wildcards do not match a leading dot.
func glob(fixed int, pattern string) []string {
	found := []string{pattern[:fixed]}
	parts := strings.Split(pattern[fixed:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		var next []string
		for _, dir := range found {
			next = append(next, globPart(dir, part, last)...)
		}
		found = next
	}
	return found
}

// globPart is the names in a folder that match one part of a pattern; those
// before the last part end in a slash.
func globPart(dir, part string, last bool) []string {
	slash := "/"
	if last {
		slash = ""
	}
	if !strings.ContainsAny(part, "*?[") {
		if _, err := os.Lstat(dir + part); err != nil && part != "" {
			return nil
		}
		return []string{dir + part + slash}
	}
	folder := dir
	if folder == "" {
		folder = "."
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(part, ".") {
			continue
		}
		if ok, err := filepath.Match(goPattern(part), name); err != nil || !ok {
			continue
		}
		names = append(names, dir+name+slash)
	}
	slices.Sort(names)
	return names
}

// goPattern writes a C pattern as Go's: [!a] is [^a], a [ that is never
// closed stands for itself.
func goPattern(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '[' {
			b.WriteByte(p[i])
			continue
		}
		rest := p[i+1:]
		negate := strings.HasPrefix(rest, "!") || strings.HasPrefix(rest, "^")
		if negate {
			rest = rest[1:]
		}
		end := strings.IndexByte(rest[min(1, len(rest)):], ']')
		if end < 0 {
			b.WriteString(`\[`)
			continue
		}
		set := rest[:end+1]
		b.WriteByte('[')
		if negate {
			b.WriteByte('^')
		}
		b.WriteString(strings.NewReplacer(`]`, `\]`, `^`, `\^`).Replace(set))
		b.WriteByte(']')
		i = len(p) - len(rest) + end + 1
	}
	return b.String()
}
