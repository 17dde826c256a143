package greenplum_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cw/cluster"
)

// A recover that is killed at any moment is finished by resume: a primary that
// was killed (even rounds) and a whole host that was lost and is back (odd
// rounds). CW_KILLS is how many kills, 2 unless it is set.
func TestKillRecoverThenResume(t *testing.T) {
	w := newWorld(t, 4, true, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	u := newCLI(t)
	u.must("cluster", "create", "-f", w.file, "--yes")
	w.sql(1, fill)
	w.sql(1, fillMore)
	want := w.checksums()

	kills := 2
	if n, err := strconv.Atoi(os.Getenv("CW_KILLS")); err == nil {
		kills = n
	}
	damage := []func(round int){w.loseProcess, w.loseHost}
	var whole [2]time.Duration // how long a recover of each damage takes
	done := 0
	for round := 0; done < kills; round++ {
		if round == 3*kills+6 {
			t.Fatalf("only %d kills in %d rounds", done, round)
		}
		kind := round % len(damage)
		damage[kind](round)
		if whole[kind] == 0 { // one whole run tells how long the window is
			_, whole[kind] = u.must("cluster", "recover", "gp", "--rebalance", "--yes")
			u.status(cluster.Up)
			damage[kind](round)
		}
		after := time.Duration(rand.Float64() * float64(whole[kind])) //nolint:gosec // no secret
		killed := u.killAfter(after, "cluster", "recover", "gp", "--rebalance", "--yes")
		t.Logf("round %d: killed=%v after %v of %v", round, killed, after.Round(time.Millisecond), whole[kind].Round(time.Millisecond))
		if killed {
			done++
		}
		u.must("cluster", "resume", "gp", "--yes")
		u.must("cluster", "recover", "gp", "--rebalance", "--yes")
		u.status(cluster.Up)
		if got := w.checksums(); got != want {
			t.Fatalf("round %d: after the recovery\n%s\nnot\n%s", round, got, want)
		}
		w.nothingExtra()
	}
	t.Logf("%d of %d kills survived", done, kills)
}

// row is an instance as the catalogue has it.
type row struct{ host, port, dir, role string }

func (w *world) rows(where string) []row {
	w.t.Helper()
	var out []row
	for _, line := range strings.Fields(w.sql(1, "select hostname, port, datadir, role from gp_segment_configuration where "+where+" order by dbid;")) {
		f := strings.Split(line, "|")
		out = append(out, row{f[0], f[1], f[2], f[3]})
	}
	if len(out) == 0 {
		w.t.Fatalf("no instance with %s", where)
	}
	return out
}

// loseProcess kills a primary, after which its mirror takes over and writes.
func (w *world) loseProcess(round int) {
	w.t.Helper()
	primaries := w.rows("content >= 0 and role = 'p'")
	p := primaries[round/2%len(primaries)]
	w.lab.Run(w.index(p.host), "sh", "-c", "kill -9 $(head -n 1 "+p.dir+"/postmaster.pid)")
	w.failover()
}

// loseHost cuts the power of a segment host and turns it on again when the
// rest of the cluster has gone on without it.
func (w *world) loseHost(round int) {
	w.t.Helper()
	host := 3 + round/2%2
	w.lab.Off(host)
	w.failover()
	w.lab.On(host)
}

// failover waits until what is lost is out, and writes on.
func (w *world) failover() {
	w.t.Helper()
	for range 60 {
		if w.sql(1, "select gp_request_fts_probe_scan();\nselect count(*) > 0 from gp_segment_configuration where content >= 0 and status = 'd';") == "t\nt" {
			w.sql(1, "insert into heap select g, 'meanwhile' from generate_series(1, 3000) g; delete from heap where b = 'meanwhile'; insert into aoco select g, 0 from generate_series(1, 500) g; delete from aoco where b = 0; vacuum heap;")
			return
		}
	}
	w.t.Fatal("no instance is marked down")
}

// checksums are the number of rows and a sum over all columns of all tables.
func (w *world) checksums() string {
	w.t.Helper()
	var b strings.Builder
	for _, table := range []string{"heap", "aoco", "parts", "aorow", "random_rows", "copies"} {
		fmt.Fprintf(&b, "select '%[1]s ' || count(*) || ' ' || sum(hashtext(t::text)::bigint) from %[1]s t;\n", table)
	}
	// The index has to agree with its table.
	b.WriteString("set enable_seqscan = off; set optimizer = off;\nselect 'index ' || count(*) || ' ' || sum(a) from heap where b >= 'row 1' and b < 'row 2';\n")
	return w.sql(1, b.String())
}

// nothingExtra wants no process and no file of the cluster's user that a
// run should have taken away. What a killed cw had running ends within seconds,
// but for the clock of a watcher, which may be a minute.
func (w *world) nothingExtra() {
	w.t.Helper()
	running := map[string]int{}
	for _, r := range w.rows("true") {
		running[r.host]++
	}
	for i, h := range w.lab.Hosts {
		script := `find /data \( -name '*.cw-new*' -o -name 'cw-re*' -o -name '*.log' -o -name template \) ! -path '*/pg_log/*'
n=0
for p in $(pgrep -u gpadmin); do
  exe=$(readlink /proc/$p/exe) || continue
  case $exe in */bin/postgres) ;; *) echo "process $p $(tr '\0' ' ' </proc/$p/cmdline | cut -c1-300)";; esac
  d=$(readlink /proc/$p/cwd)
  [ "$(head -n 1 "$d/postmaster.pid" 2>/dev/null)" = $p ] && n=$((n+1))
done
[ $n = $1 ] || echo "$n postmasters, not $1"`
		var out string
		deadline := time.Now().Add(75 * time.Second)
		for time.Now().Before(deadline) {
			out = strings.TrimSpace(w.lab.Run(i+1, "sh", "-c", script, "sh", strconv.Itoa(running[h.Name])))
			if out == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if out != "" {
			w.t.Errorf("left on %s:\n%s", h.Name, out)
		}
	}
}
