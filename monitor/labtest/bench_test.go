package labtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/monitor/metrics"
	"cw/monitor/run"
	"cw/playground/lab"
	"cw/remote"
)

// What a monitor of sixteen hosts costs where nothing happens: the share of a
// core and the memory of this process, which does nothing else. Hosts and
// database are processes of their own.
func TestBenchMonitorAtRest(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("set CW_BENCH=1, or use make bench")
	}
	const hosts = 16
	s := newSite(t, hosts, func(l *lab.Lab) string {
		text := fmt.Sprintf(`apiVersion: cw/v1
kind: Cluster
name: lab
engine: {kind: postgres}
node_type: low-speed
network: {allow: [10.77.0.0/16]}
ssh: {user: %s, identity_file: %s}
layout: {data_dirs: [/data/pg]}
hosts:
`, lab.User, l.Key)
		for i, h := range l.Hosts {
			role := "standby"
			if i == 0 {
				role = "primary"
			}
			text += fmt.Sprintf("  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Addr, role)
		}
		return text
	})
	known := t.TempDir() + "/known_hosts"
	views := make(chan metrics.View, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Run(ctx, run.Options{
			Store: s.m.Store, Manager: s.m, Config: monitor.Defaults(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Pool: func(string) (*remote.Pool, error) {
				return remote.NewPool(remote.Options{KnownHosts: known, ConnectTimeout: 5 * time.Second, KeepAlive: 2 * time.Second}), nil
			},
			OnView: func(v metrics.View) {
				select {
				case <-views:
				default:
				}
				views <- v
			},
		})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for up := false; !up; {
		v := <-views
		up = len(v.Clusters) == 1 && v.Clusters[0].Cluster.State == cluster.Up && len(v.Clusters[0].Hosts.Items) == hosts
		for _, c := range v.Clusters {
			for _, h := range c.Hosts.Items {
				up = up && !h.SampledAt.IsZero()
			}
		}
	}
	const window = 90 * time.Second
	<-time.After(20 * time.Second) // what is asked once has been asked
	before, began := spent(t), time.Now()
	<-time.After(window)
	share := (spent(t) - before).Seconds() / time.Since(began).Seconds()
	t.Logf("%d hosts, %d nodes: %.2f %% of a core, %d MB resident, %d MB at its highest", hosts, hosts, 100*share, resident(t, "VmRSS")/1000, resident(t, "VmHWM")/1000)
	if share > 0.02 || resident(t, "VmHWM") > 100_000 {
		t.Error("more than 2 % of a core or 100 MB")
	}
}

// spent is the processor time of this process.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is a line of /proc/self/status in kB.
func resident(t *testing.T, name string) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		if rest, ok := strings.CutPrefix(string(line), name+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no " + name)
	return 0
}
