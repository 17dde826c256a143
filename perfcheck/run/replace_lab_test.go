package run

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cloud/exec"
	"cw/perfcheck"
	"cw/perfcheck/replace"
	"cw/remote"
)

// Namespaced hosts with OpenSSH are the machines, the example program of the
// exec driver is the cloud.
func TestReplaceByAProgramOnNamespacedHosts(t *testing.T) {
	s := newSite(t, 2)
	dir := t.TempDir()
	example, err := filepath.Abs("../../cloud/exec/example.sh")
	if err != nil {
		t.Fatal(err)
	}
	var pool strings.Builder
	for i, h := range s.Hosts {
		fmt.Fprintf(&pool, "m%d %s:%d\n", i+1, h.Addr, h.Port)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "snap"), 0o755), os.WriteFile(filepath.Join(dir, "snap", "f"), []byte("data"), 0o644),
		os.WriteFile(filepath.Join(dir, "machines"), []byte(pool.String()), 0o644)); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "cloud.sh")
	write := osexec.CommandContext(t.Context(), "sh", "-c", `cat >"$0" && chmod 700 "$0"`, program)
	write.Stdin = strings.NewReader("#!/bin/sh\nCW_CLOUD_DIR=" + dir + " exec " + example + ` "$@"`)
	if err := write.Run(); err != nil {
		t.Fatal(err)
	}
	d, err := exec.New(exec.Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	target := s.target(1)
	target.Address, target.Port, target.Name = "", 0, ""
	report, err := Replace(t.Context(), ReplaceOptions{
		ID: "ptest", Cloud: "exec", Machines: d, Snapshots: d, Snapshot: "snap", Name: "new",
		Hooks:  ReplaceHooks{Fault: "touch " + dir + "/fault", Detect: "test -e " + dir + "/fault", Mount: `test -d "$CW_DEVICE"`, Up: "true"},
		Device: "/usr/bin", Rate: 50, ReadFor: time.Second, Target: target,
		Pool: func(dir string) *remote.Pool {
			return remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts")})
		},
		Repeat: 2, Poll: 100 * time.Millisecond, Timeout: time.Minute, Seed: 1, Reporter: &quietReporter{t: t},
		References: []perfcheck.Reference{{ID: "--require", Kind: perfcheck.KindRequirement, Bounds: []perfcheck.Bound{
			{Test: replace.DatabaseUp, Metric: replace.MetricSince, Direction: perfcheck.Lower, Value: 120, Level: perfcheck.GateFail},
			{Test: replace.FirstCommand, Metric: replace.MetricSeconds, Direction: perfcheck.Lower, Value: 1e-9, Level: perfcheck.GateFail},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Tests {
		got := &report.Tests[i]
		want := perfcheck.Pass
		if got.ID == replace.FirstCommand {
			want = perfcheck.Fail // nobody is that fast
		}
		t.Logf("%-26s %-6s %8.4f %s", got.ID, got.Verdict, got.Metrics[got.Main].Value, got.Reason)
		if got.Verdict != want || got.Metrics[got.Main].N != 2 {
			t.Errorf("%s: %s, want %s: %s", got.ID, got.Verdict, want, got.Reason)
		}
	}
	if report.Verdict != perfcheck.Fail || report.Hosts[0].Inventory == nil {
		t.Errorf("%s, %v", report.Verdict, report.Hosts)
	}
	left, _ := filepath.Glob(dir + "/*-*")
	if len(left) > 0 {
		t.Errorf("left %v", left)
	}
	s.nothingLeft()
}
