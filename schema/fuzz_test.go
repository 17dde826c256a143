package schema

import (
	"math"
	"strings"
	"testing"
)

// What is read is never negative, and is read again from how cw writes it.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"64MB", "1GiB", "512", "1.5t", "200MB/s", "none", "5%", "100", "90d", "1.5d", "36h", "1h30m", " 3 kB ", "-1", "9223372036854775807", "1e3", ".", "0", "NaNd", "9e99d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil {
			again, err := ParseSize(FormatSize(n))
			if n < 0 || err != nil || math.Abs(float64(again)-float64(n)) > float64(n)/10 {
				t.Errorf("size %q: %d, written %q, again %d, %v", s, n, FormatSize(n), again, err)
			}
		}
		if n, err := ParseRate(s); err == nil {
			if again, err := ParseRate(FormatRate(n)); n < 0 || err != nil || (again == 0) != (n == 0) {
				t.Errorf("rate %q: %d, written %q, again %d, %v", s, n, FormatRate(n), again, err)
			}
		}
		if n, percent, err := ParseCount(s); err == nil && (n != 0 && percent != 0 || percent < 0 || percent > 100 || strings.Contains(s, "%") == (percent == 0)) {
			t.Errorf("count %q: %d, %g %%", s, n, percent)
		}
		if d, err := ParseSpan(s); err == nil {
			if again, err := ParseSpan(FormatSpan(d)); d < 0 || err != nil || again != d {
				t.Errorf("span %q: %s, written %q, again %s, %v", s, d, FormatSpan(d), again, err)
			}
		}
	})
}
