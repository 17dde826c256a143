package commands

import (
	"testing"
	"time"
)

// Times that people write: --since is in the past, --until is ahead, a speed
// is above zero.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{"30m", "2h", "7d", "2026-11-21T08:00:00Z", "06:00", "+4h", "99999.9d", "NaNd", "4x", "0.5x", "Infx", "2026-11-21", "24:00", "-0s"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if at, err := parseSince(s, now); err == nil && len(s) < 10 && s[len(s)-1] >= 'a' && at.After(now) {
			t.Errorf("--since %q is %s", s, at)
		}
		if at, err := parseUntil(s, now); err == nil && len(s) < 10 && !at.After(now) {
			t.Errorf("--until %q is %s", s, at)
		}
		if x, err := parseSpeed(s); err == nil && !(x > 0 && x <= 1e6) {
			t.Errorf("--speed %q is %g", s, x)
		}
	})
}
