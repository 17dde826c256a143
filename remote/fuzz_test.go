package remote

import (
	"strings"
	"testing"
)

// A host as people write it has a name without what would be an option or a
// second word, and a port that there is.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"h", "u@h:22", "ssh://u@[::1]:2222/", "a@b@c", ":22", "h:0", "h:99999", "[", "u@", "fe80::1%eth0", "-oProxyCommand=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTarget(s)
		if err == nil && (got.Address == "" || strings.ContainsAny(got.Address, " \t/@") || got.Port < 0 || got.Port > 65535 || got.Name != got.Address) {
			t.Errorf("%q: %+v", s, got)
		}
	})
}
