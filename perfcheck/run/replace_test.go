package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cw/cloud"
	"cw/cloud/fake"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/replace"
	"cw/playground/pgtest"
	"cw/remote"
	"cw/remote/sshtest"
)

// site of replacements: a cloud whose machines are SSH servers of this
// process, whose snapshot is a stopped PostgreSQL, and whose volumes are
// copies of it.
type replacePlace struct {
	t    *testing.T
	root string
	key  string
	pub  ssh.PublicKey
	cred *syscall.Credential
	pg   *pgtest.Server
	*fake.Cloud

	mu      sync.Mutex
	servers map[string]*sshtest.Server
}

func newReplacePlace(t *testing.T) *replacePlace {
	t.Helper()
	p := &replacePlace{t: t, root: pgtest.DiskDir(t), cred: pgtest.Unprivileged(t), servers: map[string]*sshtest.Server{}}
	p.pg = pgtest.StartIn(t, p.root)
	p.pg.Exec(t, "postgres", "create table t as select i, repeat('x', 500) from generate_series(1, 4000) i; checkpoint")
	p.pg.StopServer(t, "fast")
	p.key = filepath.Join(t.TempDir(), "key")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", p.key).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen: %v %s", err, out)
	}
	text, err := os.ReadFile(p.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if p.pub, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
		t.Fatal(err)
	}
	const soon = 30 * time.Millisecond
	p.Cloud = fake.New(fake.Options{
		Delays:   map[fake.Op]time.Duration{fake.Launch: soon, fake.Restore: soon, fake.Attach: soon},
		OnLaunch: p.launch, OnStop: p.stop, OnDeleteMachine: p.stop, OnRestore: p.restore,
		OnAttach:       func(_ context.Context, v cloud.Volume, _ cloud.Machine) (string, error) { return p.volume(v.ID), nil },
		OnDeleteVolume: func(_ context.Context, v cloud.Volume) error { return os.RemoveAll(p.volume(v.ID)) },
	})
	p.AddSnapshot("snap", "vol", 1<<20)
	p.AddMachine("old", "192.0.2.1")
	t.Cleanup(func() {
		for id := range p.servers {
			_ = p.stop(context.WithoutCancel(t.Context()), cloud.Machine{ID: id})
		}
	})
	return p
}

func (p *replacePlace) volume(id string) string { return filepath.Join(p.root, id) }

// as runs a command as the unprivileged user.
func (p *replacePlace) as(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.cred}
	cmd.Dir = p.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

func (p *replacePlace) launch(_ context.Context, m cloud.Machine) (string, error) {
	tmp := filepath.Join(p.root, "tmp-"+m.ID)
	if err := p.as(context.Background(), "mkdir", "-p", tmp); err != nil {
		return "", err
	}
	s, err := sshtest.Listen(sshtest.Options{AuthorizedKeys: []ssh.PublicKey{p.pub}, Home: tmp, Env: []string{"TMPDIR=" + tmp}, Credential: p.cred})
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers[m.ID] = s
	return fmt.Sprintf("%s:%d", s.Addr(), s.Port()), nil
}

// stop ends the machine's server and its database, as a power failure would.
func (p *replacePlace) stop(ctx context.Context, m cloud.Machine) error {
	p.mu.Lock()
	s := p.servers[m.ID]
	delete(p.servers, m.ID)
	p.mu.Unlock()
	if s != nil {
		s.Close()
		if _, err := os.Stat(filepath.Join(p.root, "mnt", "postmaster.pid")); err == nil {
			if err := p.as(ctx, filepath.Join(p.pg.BinDir, "pg_ctl"), "-D", filepath.Join(p.root, "mnt"), "-m", "immediate", "-w", "-s", "stop"); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(p.root, "stopped-"+m.ID), nil, 0o600)
}

func (p *replacePlace) restore(ctx context.Context, _ cloud.Snapshot, v cloud.Volume) error {
	return p.as(ctx, "cp", "-a", p.pg.DataDir, p.volume(v.ID))
}

func (p *replacePlace) options(q *quietReporter) ReplaceOptions {
	pg := func(args string) string { return p.pg.BinDir + "/" + args }
	return ReplaceOptions{
		ID: "ptest", Cloud: "fake", Machines: p.Cloud, Snapshots: p.Cloud, Snapshot: "snap", Victim: "old", Name: "new",
		Hooks: ReplaceHooks{
			Detect: "test -e " + p.root + `/stopped-"$CW_MACHINE"`,
			Mount:  `ln -sfn "$CW_DEVICE" ` + p.root + "/mnt",
			Start:  pg("pg_ctl -D "+p.root+"/mnt -l "+p.root+"/log -W -s start") + " >/dev/null 2>&1",
			Up:     pg(fmt.Sprintf("pg_isready -q -h 127.0.0.1 -p %d", p.pg.Port)),
		},
		Read: p.root + "/mnt", Rate: 100, ReadFor: 300 * time.Millisecond,
		Target: remote.Target{User: "cw", IdentityFile: p.key},
		Pool: func(dir string) *remote.Pool {
			return remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir, "known_hosts")})
		},
		Repeat: 3, Poll: 20 * time.Millisecond, Timeout: time.Minute, Seed: 1, Reporter: q,
	}
}

// tidy fails the test when anything of the replacements is left.
func (p *replacePlace) tidy(want ...string) {
	p.t.Helper()
	left := p.Left()
	slices.Sort(left)
	if !slices.Equal(left, want) {
		p.t.Errorf("left in the cloud: %v, want %v", left, want)
	}
	if len(p.servers) > 0 {
		p.t.Errorf("machines still run: %v", p.servers)
	}
	folders, _ := filepath.Glob(p.root + "/tmp-*/*")
	volumes, _ := filepath.Glob(p.root + "/vol-*")
	if len(folders)+len(volumes) > 0 {
		p.t.Errorf("left behind: %v %v", folders, volumes)
	}
}

// Three times a node with PostgreSQL is stopped and replaced; the machine that
// is stopped is the last replacement.
func TestReplaceANodeWithPostgreSQL(t *testing.T) {
	t.Parallel()
	p := newReplacePlace(t)
	q := &quietReporter{t: t}
	report, err := Replace(t.Context(), p.options(q))
	if err != nil {
		t.Fatal(err)
	}
	for i := range report.Tests {
		got := &report.Tests[i]
		main := got.Metrics[got.Main]
		t.Logf("%-26s %-6s %8.4f s (max %.4f), %.4f s after the fault %v", got.ID, got.Verdict, main.Value, got.Metrics["max"].Value, got.Metrics["since_fault"].Value, got.Flags)
		if got.Verdict != perfcheck.Pass || main.N != 3 {
			t.Errorf("%s: %s, %d repetitions: %s", got.ID, got.Verdict, main.N, got.Reason)
		}
		if mx := got.Metrics[replace.MetricMax]; got.ID != replace.ColdReads && mx.Value != slices.Max(main.Reps) {
			t.Errorf("%s: max %v of %v", got.ID, mx.Value, main.Reps)
		}
	}
	if len(report.Tests) != len(replace.Tests()) || report.Verdict != perfcheck.Pass {
		t.Errorf("%d tests, %s: %s", len(report.Tests), report.Verdict, report.Reason)
	}
	all := find(t, report, replace.Hydrated, "fake")
	if all.Metrics["bytes"].Value < 2<<20 || all.Metrics["throughput"].Value <= 0 {
		t.Errorf("read %v", all.Metrics)
	}
	if n := find(t, report, replace.ColdReads, "fake").Histograms["response"].Count(); n != 90 {
		t.Errorf("%d random reads in three repetitions", n)
	}
	var stopped []string
	for _, line := range p.Log() {
		if s, ok := strings.CutPrefix(line, "stop "); ok {
			stopped = append(stopped, s)
		}
	}
	if len(stopped) != 3 || stopped[0] != "old" || !strings.HasPrefix(stopped[1], "vm-") || stopped[1] == stopped[2] {
		t.Errorf("stopped %v", stopped)
	}
	p.tidy("old", "snap")
}

// Wherever it is stopped, the cloud, the machines and this one are tidy.
func TestAnInterruptedReplacementIsTidy(t *testing.T) {
	t.Parallel()
	for _, at := range []string{replace.Requested, replace.FirstCommand, replace.Mounted, replace.DatabaseUp} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			p := newReplacePlace(t)
			stop := errors.New("the person stopped it")
			ctx, cancel := context.WithCancelCause(t.Context())
			o := p.options(&quietReporter{t: t})
			o.Reporter = stopAt{o.Reporter, at, func() { cancel(stop) }}
			report, err := Replace(ctx, o)
			if !errors.Is(err, stop) || report.Run.Complete {
				t.Errorf("%v, complete: %v", err, report.Run.Complete)
			}
			p.tidy("old", "snap")
		})
	}
}

type stopAt struct {
	Reporter
	at   string
	stop func()
}

func (s stopAt) Phase(text string) {
	if strings.Contains(text, s.at) {
		s.stop()
	}
	s.Reporter.Phase(text)
}

func TestAReplacementThatFails(t *testing.T) {
	t.Parallel()
	p := newReplacePlace(t)
	o := p.options(&quietReporter{t: t})
	o.Hooks.Mount = "echo wrong fs type >&2; exit 32"
	o.Hooks.Detect, o.Victim = "", ""
	report, err := Replace(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "wrong fs type") {
		t.Errorf("%v", err)
	}
	for id, want := range map[string]perfcheck.Verdict{replace.Detected: perfcheck.Skipped, replace.Attached: perfcheck.Pass, replace.Mounted: perfcheck.Error, replace.Hydrated: perfcheck.Error} {
		if got := find(t, report, id, "fake"); got.Verdict != want || want != perfcheck.Pass && got.Reason == "" {
			t.Errorf("%s: %s %s", id, got.Verdict, got.Reason)
		}
	}
	p.tidy("old", "snap")
}

func TestNothingIsBegunInVain(t *testing.T) {
	t.Parallel()
	c := fake.New(fake.Options{Delays: map[fake.Op]time.Duration{fake.Create: time.Hour}})
	c.AddVolume("vol", "", "", 1)
	made, err := c.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"vol"}})
	if err != nil {
		t.Fatal(err)
	}
	c.AddMachine("down", "192.0.2.1")
	if err := c.StopMachine(t.Context(), "down"); err != nil {
		t.Fatal(err)
	}
	before := len(c.Log())
	for _, o := range []ReplaceOptions{{Snapshot: made[0].ID}, {Snapshot: "none"}, {Victim: "down"}, {Victim: "none"}} {
		o.Cloud, o.Machines, o.Snapshots, o.Repeat, o.Poll, o.Rate, o.ReadFor = "fake", c, c, 1, time.Millisecond, 1, time.Second
		o.Reporter = &quietReporter{t: t}
		if r, err := Replace(t.Context(), o); fault.KindOf(err) != fault.Check || len(r.Tests) > 0 {
			t.Errorf("%q %q: %v", o.Snapshot, o.Victim, err)
		}
	}
	if len(c.Log()) != before {
		t.Errorf("begun: %v", c.Log()[before:])
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	p := newReplacePlace(t)
	q := &quietReporter{t: t}
	o := p.options(q)
	o.Keep, o.Repeat, o.Victim, o.Hooks = true, 2, "", ReplaceHooks{}
	o.Read, o.Snapshot = "", ""
	if _, err := Replace(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if left := p.Left(); len(left) != 3 || len(q.warnings) != 1 || !strings.Contains(q.warnings[0], "kept: machine vm-2") {
		t.Errorf("left %v, told %v", left, q.warnings)
	}
}
