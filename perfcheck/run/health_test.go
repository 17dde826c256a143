package run

import (
	"slices"
	"testing"
	"time"

	"cw/perfcheck"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	then := usage{at: time.Unix(100, 0), total: 1000, idle: 500, steal: 10}
	now := usage{at: time.Unix(110, 0), total: 3000, idle: 1000, steal: 210, own: 5 * time.Second, pressure: 2 * time.Second}
	h := then.until(now)
	if h.CPU != 0.75 || h.Steal != 0.1 || h.Pressure != 0.2 || h.Own <= 0 {
		t.Errorf("%+v", h)
	}
	if u := readUsage(); u.total <= 0 || u.idle <= 0 || u.own <= 0 {
		t.Errorf("this machine's counters: %+v", u)
	}
	for _, c := range []struct {
		area perfcheck.Area
		h    perfcheck.Health
		want []string
	}{
		{perfcheck.Disk, perfcheck.Health{CPU: 0.95, Own: 0.9}, []string{perfcheck.FlagClientLimited}},
		{perfcheck.Disk, perfcheck.Health{CPU: 0.9, Own: 0.2}, nil},
		{perfcheck.CPU, perfcheck.Health{CPU: 1, Own: 1}, nil},
		{perfcheck.CPU, perfcheck.Health{CPU: 1, Own: 0.5}, []string{perfcheck.FlagOtherLoad}},
		{perfcheck.Net, perfcheck.Health{Steal: 0.2, StartSkew: 1}, []string{perfcheck.FlagSteal, perfcheck.FlagStartSkew}},
	} {
		if got := healthFlags(c.area, c.h); !slices.Equal(got, c.want) {
			t.Errorf("%s %+v: %v, want %v", c.area, c.h, got, c.want)
		}
	}
}
