package labtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/monitor/run"
	"cw/playground/lab"
	"cw/remote"
	"cw/state"
)

// A Greenplum: a mirror that dies is one alert, and a host with several nodes
// is one alert, too, whatever the fault tolerance server makes of it.
func TestGreenplumIsWatched(t *testing.T) {
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME does not name a Greenplum 6 installation")
	}
	t.Parallel()
	s := newSite(t, 3, func(l *lab.Lab) string {
		return fmt.Sprintf(`apiVersion: cw/v1
kind: Cluster
name: gp
engine: {kind: greenplum, home: %q}
database: {name: warehouse, port: 5432, locale: C.UTF-8}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
ssh: {user: %s, identity_file: %q}
layout: {data_dirs: [/data], segments_per_host: 1, mirrors: group}
hosts:
  - {name: db1, address: %s, roles: [coordinator]}
  - {name: db2, address: %s, roles: [segment]}
  - {name: db3, address: %s, roles: [segment]}
`, home, lab.User, l.Key, l.Hosts[0].Addr, l.Hosts[1].Addr, l.Hosts[2].Addr)
	})
	known := t.TempDir() + "/known_hosts"
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Run(ctx, run.Options{
			Store: s.m.Store, Manager: s.m, Config: monitor.Defaults(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Pool: func(string) (*remote.Pool, error) {
				return remote.NewPool(remote.Options{KnownHosts: known, ConnectTimeout: 5 * time.Second, KeepAlive: 2 * time.Second}), nil
			},
		})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	w := &guarded{Lab: s.Lab, t: t, m: s.m, store: s.m.Store, times: map[string][]time.Duration{}}
	w.calm()

	var mirror cluster.NodeStatus
	for _, n := range s.status(cluster.Up).Nodes {
		if n.Role == cluster.NodeMirror && n.Content == 0 {
			mirror = n
		}
	}
	killed := time.Now()
	s.fell(mirror)
	if a := w.fires("a mirror that is killed", monitor.NodeDown, mirror.Host, killed); a.Object != mirror.ID {
		t.Errorf("%+v", a)
	}
	s.run(s.m.Recover(t.Context(), "gp", cluster.RecoverOptions{}))
	w.ends("a mirror that is killed", monitor.NodeDown, mirror.Host)
	w.calm()
	w.count(1)

	off := time.Now()
	s.Off(3)
	a := w.fires("a segment host without power", monitor.HostSilent, "db3", off)
	if !strings.Contains(a.Message, "primary") || !strings.Contains(a.Message, "mirror") || a.Severity != state.Warning {
		t.Errorf("%+v", a)
	}
	// Until the mirror on the other host acts, and for longer.
	w.until("the mirror acts", 3*time.Minute, func() bool {
		st, err := s.m.Status(t.Context(), "gp")
		if err != nil {
			return false
		}
		for _, n := range st.Nodes {
			if n.Host == "db2" && n.PreferredRole == cluster.NodeMirror && n.Role == cluster.NodePrimary && n.State == cluster.NodeUp {
				return true
			}
		}
		return false
	})
	time.Sleep(35 * time.Second) // longer than any rule waits
	w.count(2)
}
