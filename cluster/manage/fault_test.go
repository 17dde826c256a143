package manage

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote/sshtest"
	"cw/state"
)

// wantFault fails unless err is of a kind and says all of texts.
func wantFault(t *testing.T, err error, kind fault.Kind, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if fault.KindOf(err) != kind {
		t.Errorf("kind is %v, want %v: %v", fault.KindOf(err), kind, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error()+"\nhint: "+fault.HintOf(err), text) {
			t.Errorf("error lacks %q: %v\nhint: %s", text, err, fault.HintOf(err))
		}
	}
}

func TestHostsThatCannotCarryTheCluster(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func(t *testing.T, l *lab)
		kind  fault.Kind
		texts []string
	}{
		{"data directory not empty", func(t *testing.T, l *lab) {
			dir := filepath.Join(l.data, "lab", "n1")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, fault.Check, []string{"h1", "/lab/n1 is not empty", "precious", "layout.data_dirs"}},
		{"port taken", func(t *testing.T, l *lab) {
			s, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.top.Hosts[0].Address, l.top.Database.Port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
		}, fault.Check, []string{"h1: port:", "is taken by another server", "ss -ltnp"}},
		{"sudo refused", func(t *testing.T, l *lab) {
			l.top.OSUser, l.top.SSH.Become = "nobody", "sudo"
			if l.user == "nobody" {
				t.Skip("runs as nobody")
			}
			// Whoever runs this may well be allowed to use the real one.
			bin := filepath.Join(l.data, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\necho sudo: a password is required >&2\nexit 1\n"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, fault.Auth, []string{"h1", "nobody"}},
		{"no such user and no root", func(t *testing.T, l *lab) { l.top.OSUser, l.top.SSH.Become = "cw-nobody-has-this", "none" }, fault.Usage, []string{"user cw-nobody-has-this does not exist", "root"}},
		{"host key changed", func(t *testing.T, l *lab) {
			if _, err := l.m.Check(t.Context(), l.top); err != nil {
				t.Fatal(err)
			}
			key, err := sshtest.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			l.servers[0].SetHostKeys(key)
		}, fault.Auth, []string{"h1", "key"}},
		{"login refused", func(_ *testing.T, l *lab) { l.servers[0].RefuseAuth(true) }, fault.Auth, []string{"h1", "refuses user"}},
		{"host down", func(_ *testing.T, l *lab) { l.down(0) }, fault.Unreachable, []string{"h1", "refused"}},
		{"version not installed", func(_ *testing.T, l *lab) { l.top.Engine.Version = "13" }, fault.Check, []string{"PostgreSQL 13 is not installed", "engine.install: true"}},
		{"locale missing", func(_ *testing.T, l *lab) { l.top.Database.Locale = "xx_YY.UTF-8" }, fault.Check, []string{"h1: locale", "xx_YY.UTF-8"}},
		{"data folder not writable", func(_ *testing.T, l *lab) { l.top.Layout.DataDirs = []string{"/proc/cw"} }, fault.Check, []string{"/proc/cw/lab/n1 cannot be made", "install -d"}},
		{"password file missing", func(_ *testing.T, l *lab) { l.top.Database.PasswordFile = "/nowhere/pass" }, fault.Usage, []string{"/nowhere/pass"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.name == "version not installed" {
				if _, err := os.Stat("/usr/lib/postgresql/13"); err == nil {
					t.Skip("PostgreSQL 13 is installed")
				}
			}
			l := newLab(t, 1)
			tt.spoil(t, l)
			_, err := l.m.Create(t.Context(), l.top)
			wantFault(t, err, tt.kind, tt.texts...)
			if all, err := l.m.List(t.Context()); err != nil || len(all) > 0 {
				t.Errorf("the store knows of it: %v %v", all, err)
			}
			if len(l.processes()) > 0 {
				t.Error("something was started")
			}
		})
	}
}

func TestCreateOfAChangedTopologyNamesTheVerb(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.top.Network.Public = true
	l.create()
	if out, err := l.psql(0, "show listen_addresses"); err != nil || out != "*" {
		t.Errorf("a public cluster listens on %s %v", out, err)
	}
	changed := *l.top
	changed.Hosts = append(append([]cluster.Host(nil), l.top.Hosts...), cluster.Host{Name: "h9", Address: "127.0.0.9", Roles: []string{"standby"}})
	changed.Profile = "loading"
	changed.Database.Port++
	_, err := l.m.Create(t.Context(), &changed)
	wantFault(t, err, fault.Usage, "hosts.h9: nothing, now standby (cw cluster expand lab)", "profile: default, now loading (cw cluster config set lab)", "database.port", "only in a new cluster")

	reached := *l.top
	reached.Protected = true
	op := l.must(l.m.Create(t.Context(), &reached))
	if !strings.Contains(op.Nothing, "1 changed settings") {
		t.Errorf("nothing = %q", op.Nothing)
	}
	_, err = l.m.Delete(t.Context(), "lab")
	wantFault(t, err, fault.Usage, "protected")
}

func TestOneHostDown(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.create()
	for _, how := range []struct {
		name     string
		down, up func()
	}{
		{"refuses connections", func() { l.down(2) }, func() { l.up(2) }},
		{"is silent", func() { l.servers[2].Stall(true) }, func() { l.servers[2].Stall(false) }},
	} {
		how.down()
		began := time.Now()
		st := l.want(cluster.Degraded)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a host that %s: status took %s", how.name, took)
		}
		if text := strings.Join(st.Problems, "\n"); len(st.Problems) != 1 || !strings.Contains(text, "host h3 does not answer") {
			t.Errorf("a host that %s: problems = %q", how.name, st.Problems)
		}
		if st.Hosts[2].Reachable || !st.Hosts[0].Reachable {
			t.Errorf("hosts = %+v", st.Hosts)
		}
		how.up()
		l.want(cluster.Up)
	}

	// Delete does what it can, names the rest, and can be repeated.
	l.down(2)
	op := l.must(l.m.Delete(t.Context(), "lab"))
	_, err := op.Run(t.Context(), nil)
	wantFault(t, err, fault.Partial, "n3 on host h3", "cw cluster resume lab")
	if strings.Contains(err.Error(), "h1") || strings.Contains(err.Error(), "h2") {
		t.Errorf("hosts that were cleaned are named: %v", err)
	}
	if _, err := os.Stat(filepath.Join(l.data, "lab", "n1")); err == nil {
		t.Error("n1 is still there")
	}
	l.up(2)
	l.run(l.m.Resume(t.Context(), "lab"))
	l.empty()
}

func TestDeleteLeavesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	n2 := filepath.Join(l.data, "lab", "n2")
	if err := os.Remove(filepath.Join(n2, "cw-node.json")); err != nil {
		t.Fatal(err)
	}
	out := l.run(l.m.Delete(t.Context(), "lab"))
	if len(out.Left) != 1 || !strings.Contains(out.Left[0], n2+" was left alone") {
		t.Errorf("left = %q", out.Left)
	}
	if _, err := os.Stat(filepath.Join(n2, "data", "PG_VERSION")); err != nil {
		t.Errorf("a folder without our marker was touched: %v", err)
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	other, err := state.Open(t.Context(), filepath.Join(l.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	_, lease, err := other.Acquire(t.Context(), leaseName("lab"), "create")
	if err != nil {
		t.Fatal(err)
	}
	op := l.must(l.m.Create(t.Context(), l.top))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Locked, "create", "cw cluster unlock lab")
	held, err := l.m.Holder(t.Context(), "lab")
	if err != nil || held == nil {
		t.Fatalf("holder = %v %v", held, err)
	}
	if err := l.m.Unlock(t.Context(), "lab"); err != nil {
		t.Fatal(err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	stale := l.must(l.m.Create(t.Context(), l.top))
	l.run(op, nil)
	_, err = stale.Run(t.Context(), nil)
	wantFault(t, err, fault.Locked, "changed by another run", "run the command again")
}

func TestAnotherMachineBehindAnAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.create()
	rec, err := l.m.Store.Cluster(t.Context(), "lab")
	if err != nil {
		t.Fatal(err)
	}
	if rec.Facts[factMachine+"h1"] == "" {
		t.Skip("this machine has no machine-id")
	}
	real := rec.Facts[factMachine+"h1"]
	rec.Facts[factMachine+"h1"] = "0123456789abcdef0123456789abcdef"
	if err := l.m.Store.PutCluster(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	op := l.must(l.m.Stop(t.Context(), "lab", cluster.Fast))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "another machine")
	op = l.must(l.m.Delete(t.Context(), "lab"))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Partial, "another machine")
	if len(l.processes()) == 0 {
		t.Error("the wrong machine was touched")
	}
	if rec, err = l.m.Store.Cluster(t.Context(), "lab"); err != nil {
		t.Fatal(err)
	}
	rec.Facts[factMachine+"h1"] = real
	if err := l.m.Store.PutCluster(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	l.run(l.m.Resume(t.Context(), "lab"))
	l.empty()
}

func TestAFailedStartShowsTheServersLog(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.create()
	l.run(l.m.Stop(t.Context(), "lab", cluster.Fast))
	s, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.top.Hosts[0].Address, l.top.Database.Port))
	if err != nil {
		t.Fatal(err)
	}
	op := l.must(l.m.Start(t.Context(), "lab"))
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Failed, "server log:", "could not", "Address already in use", "cw cluster resume lab")
	_ = s.Close()
	l.run(l.m.Resume(t.Context(), "lab"))
	l.want(cluster.Up)
	if op := l.must(l.m.Resume(t.Context(), "lab")); op.Nothing == "" {
		t.Error("there is something to resume after a resume")
	}
}

func TestConnectionsDropDuringCreate(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	failures := 0
	for drop := 3; ; drop += 7 {
		l.servers[drop%2].DropAtCommand(drop)
		op, err := l.m.Create(t.Context(), l.top)
		if err == nil {
			_, err = op.Run(t.Context(), nil)
		}
		l.servers[drop%2].DropAtCommand(0)
		if err == nil {
			break
		}
		failures++
		if kind := fault.KindOf(err); kind != fault.Unreachable && kind != fault.Failed {
			t.Errorf("a dropped connection is of kind %v: %v", kind, err)
		}
		if drop > 300 {
			t.Fatalf("no end after %d drops: %v", failures, err)
		}
	}
	t.Logf("%d runs failed", failures)
	if failures < 2 {
		t.Errorf("only %d runs saw a dropped connection", failures)
	}
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

func TestInterruptedCreateLeavesNoProcessAndIsResumed(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"claim@h1", "init@h1", "clone@h2"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			ctx, cancel := context.WithCancel(t.Context())
			op := l.must(l.m.Create(ctx, l.top))
			_, err := op.Run(ctx, func(e step.Event) {
				if e.Step.ID == at && e.State == step.Running {
					cancel()
				}
			})
			wantFault(t, err, fault.Interrupted, "stopped after", "cw cluster resume lab", "cw cluster delete lab --confirm lab")
			for _, pid := range l.processes() {
				args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				if !strings.HasPrefix(filepath.Base(strings.Split(string(args), "\x00")[0]), "postgres") {
					t.Errorf("%q runs on", strings.ReplaceAll(string(args), "\x00", " "))
				}
			}
			l.run(l.m.Resume(t.Context(), "lab"))
			l.want(cluster.Up)
			l.run(l.m.Delete(t.Context(), "lab"))
			l.empty()
		})
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	l := newLab(t, 1)
	mount := func(size string) {
		t.Helper()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=0777,size="+size, "cw-test", l.data).CombinedOutput(); err != nil {
			t.Skipf("cannot mount a tmpfs: %v: %s", err, out)
		}
		t.Cleanup(func() { _ = exec.Command("umount", l.data).Run() })
	}
	mount("100m")
	_, err := l.m.Create(t.Context(), l.top)
	wantFault(t, err, fault.Check, "h1: disk space", "free some")

	mount("260m")
	op := l.must(l.m.Create(t.Context(), l.top))
	filler := filepath.Join(l.data, "filler")
	if err := os.WriteFile(filler, make([]byte, 240<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = op.Run(t.Context(), nil)
	wantFault(t, err, fault.Failed, "init@h1", "no space left on the device", "df -h")
	if _, err := os.Stat(filepath.Join(l.data, "lab", "n1", "data.cw-new")); err == nil {
		t.Error("the half-made data directory was not undone")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.run(l.m.Resume(t.Context(), "lab"))
	l.want(cluster.Up)
	l.run(l.m.Delete(t.Context(), "lab"))
}
