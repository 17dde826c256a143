package greenplum_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cluster/manage"
	"cw/cluster/redistribute"
	"cw/remote"
	"cw/state"
)

// managerOf is the library over what a user of the binary has.
func (u *cli) managerOf() *manage.Manager {
	u.t.Helper()
	home := ""
	for _, kv := range u.env {
		if v, ok := strings.CutPrefix(kv, "HOME="); ok {
			home = filepath.Join(v, ".local", "state", "cw")
		}
	}
	store, err := state.Open(u.t.Context(), filepath.Join(home, "state.db"))
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = store.Close() })
	dir := func(name string) string { return filepath.Join(home, "clusters", name) }
	pool := remote.NewPool(remote.Options{KnownHosts: filepath.Join(dir("gp"), "known_hosts")})
	u.t.Cleanup(pool.Close)
	return &manage.Manager{Store: store, Pool: func(string) (*remote.Pool, error) { return pool, nil }, Dir: dir}
}

// TestKillRedistribution kills cw at random moments while it moves tables to
// fewer segments and back, and goes on, while rows are written. CW_KILLS is how
// many kills, 2 unless it is set.
func TestKillRedistribution(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data]")
	u := newCLI(t)
	u.must("cluster", "create", "-f", w.file, "--yes")
	w.sql(1, fill)
	w.sql(1, fillMore)
	w.sql(1, "create table written(n int8, v int) distributed by (n); do $$ begin for i in 1..100 loop execute 'create table s' || i || ' as select generate_series(1, 50) a distributed by (a)'; end loop; end $$;")
	small := func() string {
		return w.sql(1, "select sum(n) from (select 's' || i as t, (xpath('/row/c/text()', query_to_xml('select count(*) as c from s' || i, false, true, '')))[1]::text::int n from generate_series(1, 100) i) x;")
	}
	want := w.checksums()
	m := u.managerOf()
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("CW_KILLS")); err == nil {
		kills = n
	}
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	wrote := 0
	writer.Go(func() {
		for ctx.Err() == nil {
			if out, err := w.gp(1, fmt.Sprintf("psql -X -q -d warehouse -v ON_ERROR_STOP=1 -c 'insert into written select %d, i from generate_series(1, 20) i'", wrote)); err != nil {
				t.Errorf("write: %v %s", err, out)
				return
			}
			wrote++
		}
	})
	// begin records a redistribution and does nothing of it.
	begin := func(target int) {
		t.Helper()
		ended, cancel := context.WithCancel(ctx)
		if _, err := m.Redistribute(ended, "gp", redistribute.Options{Target: target, Parallel: 2}, func(redistribute.Progress) { cancel() }); err == nil {
			t.Log("it was over at once")
		}
		cancel()
	}
	done := 0
	for round, target := 0, 2; done < kills; round, target = round+1, 6-target {
		if round == 2*kills+4 {
			t.Fatalf("only %d kills in %d rounds", done, round)
		}
		begin(target)
		for range 3 {
			after := time.Duration((0.1 + 0.9*rand.Float64()) * float64(4*time.Second)) //nolint:gosec // no secret
			if !u.killAfter(after, "cluster", "expand", "continue", "gp", "--parallel", "2") {
				break
			}
			done++
			t.Logf("killed after %s on the way to %d segments", after.Round(time.Millisecond), target)
			if got := w.checksums(); got != want {
				t.Fatalf("after a kill\n%s\nnot\n%s", got, want)
			}
		}
		u.must("cluster", "resume", "gp", "--yes")
		c, err := m.Redistribution(ctx, "gp")
		if err == nil {
			err = redistribute.Verify(ctx, c, target)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := w.checksums(); got != want {
			t.Fatalf("on %d segments\n%s\nnot\n%s", target, got, want)
		}
		if got := small(); got != "5000" {
			t.Fatalf("small tables hold %s rows", got)
		}
		if out, _ := u.must("cluster", "expand", "status", "gp"); !strings.Contains(out, ": done, ") {
			t.Errorf("status: %s", out)
		}
	}
	stop()
	writer.Wait()
	if got := w.sql(1, "select count(*), count(distinct n), sum(v) from written;"); got != fmt.Sprintf("%d|%d|%d", 20*wrote, wrote, 210*wrote) || wrote == 0 {
		t.Errorf("%d writes left %s", wrote, got)
	}
	t.Logf("%d of %d kills survived, %d writes meanwhile", done, kills, wrote)
}
