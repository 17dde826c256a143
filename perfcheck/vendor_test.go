package perfcheck_test

import (
	"strings"
	"testing"

	"cw/perfcheck"
	"cw/perfcheck/disk"
)

// What the vendors' numbers are held against is measured.
func TestVendorsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, d := range disk.Tests() {
		for _, m := range d.Metrics {
			known[d.ID+"."+m.Name] = m.Gate == perfcheck.GateFail || m.Gate == perfcheck.GateWarn
		}
	}
	v, err := perfcheck.BuiltinVendor()
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Reference("general-ssd", 500e9)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.ID, "qingcloud.general-ssd:500GB") || len(r.Bounds) < 6 {
		t.Errorf("%+v", r)
	}
	for _, b := range r.Bounds {
		if !known[b.Test+"."+b.Metric] {
			t.Errorf("%s.%s is no metric that is judged", b.Test, b.Metric)
		}
	}
}
