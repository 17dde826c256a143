package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// What differs from run to run is compared as what it is: that there is a
// time, an id, a size, but not which.
var variable = []struct {
	re *regexp.Regexp
	is string
}{
	{regexp.MustCompile(`held up most by .* on average`), "held up"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-]\d\d:\d\d)?`), "TIME"},
	{regexp.MustCompile(`\b[luprs][0-9a-z]{7}\b`), "ID"},
	{regexp.MustCompile(`\b(\d+(\.\d+)? ?(ns|µs|ms|s|m|h|d|B|kB|MB|GB|TB|KiB|MiB|GiB|TiB))+(/s)?\b`), "AMOUNT"},
	{regexp.MustCompile(`\b(postgres|PostgreSQL) \d+(\.\d+)?`), "$1 VERSION"},
	{regexp.MustCompile(`\b\d{5}\b`), "NUMBER"},
	{regexp.MustCompile(`(:|--port )\d{4,5}\b`), "${1}NUMBER"},
	{regexp.MustCompile(`\s+`), " "},
}

// around are the blanks beside a …, which it may be, too.
var around = regexp.MustCompile(` ?… ?`)

func plain(line string) string {
	line = strings.TrimSpace(line)
	for _, v := range variable {
		line = v.re.ReplaceAllString(line, v.is)
	}
	return line
}

// matches tells whether an answer is what a page shows: line by line, where
// "…" in a line is anything and "…" alone any number of lines.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) == "…" {
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && lineMatches(want[0], got[0]) && matches(want[1:], got[1:])
}

func lineMatches(want, got string) bool {
	parts := strings.Split(around.ReplaceAllString(plain(want), "…"), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	ok, err := regexp.MatchString("^"+strings.Join(parts, ".*")+"$", plain(got))
	return ok && err == nil
}

func answerLines(out string) []string {
	out = strings.TrimRight(out, "\n ")
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a\nc", false},
		{"a", "a\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"…\nc", "a\nb\nc", true},
		{"…\nd", "a\nb\nc", false},
		{"load l7q2mx4a in 3.4 s, 12MB/s at 2026-11-22T01:31:32Z", "load lz0aaaaa in 120ms, 1.1GB/s at 2027-01-01T00:00:00Z", true},
		{"200000 rows", "100000 rows", false},
		{"state  up", "state down", false},
		{"n1 … up", "n1 primary up", true},
		{"n1 … up", "n1 up", true},
		{"done; held up most by the source (50 % of it), 1MB/s on average", "done; held up most by the limit, 2MB/s on average", true},
	} {
		if got := matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); got != c.ok {
			t.Errorf("%q and %q: %v", c.want, c.got, got)
		}
	}
}
