package playground_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cw/cluster"
	"cw/fault"
	"cw/playground"
	"cw/playground/pgtest"
	"cw/remote"
)

// The test binary is the serving process when it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "playground" && os.Args[2] == "serve" {
		err := playground.Serve(context.Background(), os.Args[4], os.NewFile(3, "ready"), slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func options(t *testing.T) playground.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return playground.Options{Dir: filepath.Join(pgtest.Dir(t), "play"), Name: "play", Hosts: 2, Executable: self}
}

func TestUpServesHostsAndDownLeavesNothing(t *testing.T) {
	t.Parallel()
	o := options(t)
	s, err := playground.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // of a test that failed half-way
		if s.Running() {
			_, _ = playground.Down(context.WithoutCancel(t.Context()), s)
		}
	})
	if _, err := playground.Up(t.Context(), o); !errors.Is(err, playground.ErrUp) {
		t.Errorf("up twice: %v", err)
	}
	top, err := cluster.Load(s.Topology())
	if err != nil {
		t.Fatalf("its own topology: %v", err)
	}
	pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(t.TempDir(), "known_hosts"), ConnectTimeout: 5 * time.Second})
	t.Cleanup(pool.Close)
	var hosts []*remote.Host
	for _, h := range top.Hosts {
		host := pool.Host(remote.Target{Name: h.Name, Address: h.Address, Port: top.SSH.Port, User: top.SSH.User, IdentityFile: top.SSH.IdentityFile})
		res, err := host.Run(t.Context(), remote.Cmd{Args: []string{"sh", "-c", "id -un; echo $CW_PLAYGROUND_HOST; pwd"}})
		hosts = append(hosts, host)
		want := s.User + "\n" + h.Name + "\n" + filepath.Join(o.Dir, h.Name) + "\n"
		if err != nil || string(res.Stdout) != want {
			t.Errorf("%s: %q, %v; want %q", h.Name, res.Stdout, err, want)
		}
	}
	// What is left running inside goes with it.
	if _, err := hosts[0].Run(t.Context(), remote.Cmd{Args: []string{"sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &"}}); err != nil {
		t.Fatal(err)
	}
	ended, err := playground.Down(t.Context(), s)
	if err != nil || ended < 1 {
		t.Errorf("down: ended %d, %v; want the sleep at least", ended, err)
	}
	if _, err := os.Stat(o.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	if s.Running() {
		t.Error("still running")
	}
	if _, err := playground.Read(o.Dir); !errors.Is(err, fs.ErrNotExist) || fault.HintOf(err) == "" {
		t.Errorf("read after down: %v", err)
	}
}

func TestUpRefusesForeignFolders(t *testing.T) {
	t.Parallel()
	o := options(t)
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(o.Dir, "precious")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := playground.Up(t.Context(), o); fault.KindOf(err) != fault.Usage {
		t.Errorf("up in a folder with files: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	o.Dir, o.Hosts = filepath.Join(o.Dir, "new"), 10
	if _, err := playground.Up(t.Context(), o); fault.KindOf(err) != fault.Usage {
		t.Errorf("ten hosts: %v", err)
	}
}
