package greenplum_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
	"cw/playground/lab"
	"cw/remote"
	"cw/state"
)

func TestMain(m *testing.M) {
	code := lab.Main(m)
	removeBinary()
	os.Exit(code)
}

// world is a lab of hosts, a store and a topology of Greenplum on them.
type world struct {
	t    testing.TB
	lab  *lab.Lab
	m    *manage.Manager
	top  *cluster.Topology
	file string
	dir  string
}

// gpHome is the Greenplum to test with; without one the test is skipped.
func gpHome(t testing.TB) string {
	t.Helper()
	home := os.Getenv("CW_TEST_GPHOME")
	if home == "" {
		t.Skip("CW_TEST_GPHOME does not name a Greenplum 6 installation")
	}
	if testing.Short() {
		t.Skip("-short: makes real clusters")
	}
	return home
}

// newWorld makes hosts and a topology: host 1 is the coordinator, with standby
// host 2 the standby, all others carry segments. extra lines come last.
func newWorld(t testing.TB, hosts int, standby bool, layout string) *world {
	t.Helper()
	return newWorldWith(t, hosts, standby, layout, lab.Config{})
}

func newWorldWith(t testing.TB, hosts int, standby bool, layout string, o lab.Config) *world {
	t.Helper()
	return newWorldVia(t, hosts, standby, layout, o, cluster.ViaNative)
}

func newWorldVia(t testing.TB, hosts int, standby bool, layout string, o lab.Config, via string) *world {
	t.Helper()
	home := gpHome(t)
	w := &world{t: t, lab: lab.UpWith(t, hosts, o), dir: t.TempDir()}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: cw/v1\nkind: Cluster\nname: gp\nengine: {kind: greenplum, home: %q, via: %s}\n", home, via)
	fmt.Fprintf(&b, "database: {name: warehouse, port: 5432, locale: C.UTF-8}\nnode_type: low-speed\nnetwork: {allow: [10.77.0.0/16]}\n")
	fmt.Fprintf(&b, "ssh: {user: %s, identity_file: %q}\n", lab.User, w.lab.Key)
	fmt.Fprintf(&b, "layout: {%s}\nhosts:\n", layout)
	for i, h := range w.lab.Hosts {
		role := "segment"
		switch {
		case i == 0:
			role = "coordinator"
		case i == 1 && standby:
			role = "standby"
		}
		if hosts == 1 {
			role = "coordinator, segment"
		}
		fmt.Fprintf(&b, "  - {name: %s, address: %s, roles: [%s]}\n", h.Name, h.Addr, role)
	}
	w.file = filepath.Join(w.dir, "gp.yaml")
	if err := os.WriteFile(w.file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := cluster.Load(w.file)
	if err != nil {
		t.Fatal(err)
	}
	w.top = top
	store, err := state.Open(context.Background(), filepath.Join(w.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w.m = w.manager(store)
	return w
}

func (w *world) manager(store *state.Store) *manage.Manager {
	var pools []*remote.Pool
	w.t.Cleanup(func() {
		for _, p := range pools {
			p.Close()
		}
	})
	return &manage.Manager{
		Store: store,
		Pool: func(string) (*remote.Pool, error) {
			p := remote.NewPool(remote.Options{KnownHosts: filepath.Join(w.dir, "known_hosts")})
			pools = append(pools, p)
			return p, nil
		},
		Dir: func(name string) string { return filepath.Join(w.dir, "clusters", name) },
	}
}

// do runs an operation; it must succeed.
func (w *world) do(op *manage.Operation, err error) manage.Outcome {
	w.t.Helper()
	out, err := w.try(op, err)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) try(op *manage.Operation, err error) (manage.Outcome, error) {
	if err != nil || op.Nothing != "" {
		return manage.Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // the stock utilities take theirs
	defer cancel()
	return op.Run(ctx, func(e step.Event) {
		switch {
		case !testing.Verbose() || e.State == step.Running:
		case e.State == step.Said:
			w.t.Logf("%s", e.Observed)
		default:
			w.t.Logf("%-8s %-22s %5.2f s %s", e.State, e.Step.ID, e.Duration.Seconds(), errText(e.Err))
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (w *world) create() {
	w.t.Helper()
	w.do(w.m.Create(w.t.Context(), w.top))
}

// status must be as wanted.
func (w *world) status(want string) cluster.Status {
	w.t.Helper()
	st, err := w.m.Status(w.t.Context(), "gp")
	if err != nil {
		w.t.Fatal(err)
	}
	if st.State != want {
		w.t.Fatalf("state %s, not %s: %s", st.State, want, strings.Join(st.Problems, "\n  "))
	}
	return st
}

// gp runs a shell script as the database's owner on host i, with the
// environment that the stock tools want.
func (w *world) gp(i int, script string) (string, error) {
	home := os.Getenv("CW_TEST_GPHOME")
	return w.lab.Try(i, "sudo", "-H", "-u", "gpadmin", "bash", "-c", ". "+home+"/greenplum_path.sh; export LC_ALL=C.UTF-8; cd /tmp; "+script)
}

// sql runs statements on the coordinator at host i, in database warehouse.
func (w *world) sql(i int, statements string) string {
	w.t.Helper()
	out, err := w.gp(i, "psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse <<'END'\n"+statements+"\nEND\n")
	if err != nil {
		w.t.Fatalf("%s: %v: %s", statements, err, out)
	}
	return strings.TrimSpace(out)
}

// left are the processes and files of the cluster on host i. The far side of
// a command that is over may sleep out its second, so it looks again.
func (w *world) left(i int) string {
	out, err := w.lab.Try(i, "sh", "-c", `for n in 1 2 3 4 5 6; do pgrep -u gpadmin >/dev/null || break; sleep 0.5; done; pgrep -u gpadmin -l; find /data /var/lib/cw -mindepth 1 2>/dev/null; ls /tmp/.s.PGSQL* 2>/dev/null; :`)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// index is the number of a host in the lab.
func (w *world) index(name string) int {
	w.t.Helper()
	for i, h := range w.lab.Hosts {
		if h.Name == name {
			return i + 1
		}
	}
	w.t.Fatalf("no host %s", name)
	return 0
}
