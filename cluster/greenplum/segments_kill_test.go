package greenplum_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cw/cluster"
)

// smallerFile writes the topology without its last hosts.
func (w *world) smallerFile(without int) string {
	w.t.Helper()
	text, err := os.ReadFile(w.file)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	name := filepath.Join(w.dir, "small.yaml")
	if err := os.WriteFile(name, []byte(strings.Join(lines[:len(lines)-without], "\n")+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// bare waits until nothing of the cluster is on a host: what a cw that was
// killed had running ends within a minute.
func (w *world) bare(host int) {
	w.t.Helper()
	left := ""
	for end := time.Now().Add(75 * time.Second); time.Now().Before(end); {
		if left = w.left(host); left == "" {
			return
		}
	}
	w.t.Errorf("left on host %d:\n%s", host, left)
}

// canChange wants the catalogue to be free soon: the lock of a cw that was
// killed goes with it.
func (w *world) canChange() {
	w.t.Helper()
	out := ""
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if out, err = w.gp(1, `psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "create table if_free (a int) distributed by (a)" -d warehouse && psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "drop table if_free"`); err == nil {
			return
		}
	}
	w.t.Errorf("no table can be made: %s", out)
}

// An expand and a shrink that are killed at any moment are finished by resume,
// or the expand taken back; sessions read and write all the while. No table is
// moved meanwhile. CW_KILLS is how many kills of each, 2 unless it is set.
func TestKillSegmentsThenResume(t *testing.T) {
	w := newWorld(t, 6, true, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a, /data/b]")
	u := newCLI(t)
	u.must("cluster", "create", "-f", w.smallerFile(2), "--yes")
	w.sql(1, fill)
	w.sql(1, fillMore)
	w.busyTable("busy")
	want := w.checksums()
	expand := []string{"cluster", "expand", "-f", w.file, "--no-redistribute", "--yes"}
	shrink := []string{"cluster", "shrink", "gp", "--host", "db5,db6", "--confirm", "gp"}

	_, whole := u.must(expand...)
	w.is(u, want, 4)
	_, wholeShrink := u.must(shrink...)
	w.is(u, want, 2)
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("CW_KILLS")); err == nil {
		kills = n
	}
	undone, done := 0, 0
	for round := 0; done < kills; round++ {
		if round == 3*kills+6 {
			t.Fatalf("only %d kills in %d rounds", done, round)
		}
		stop := w.traffic("busy")
		after := time.Duration(rand.Float64() * float64(whole)) //nolint:gosec // no secret
		killed := u.killAfter(after, expand...)
		t.Logf("round %d: expand killed=%v after %v of %v", round, killed, after.Round(time.Millisecond), whole.Round(time.Millisecond))
		if killed {
			done++
			w.canChange()
		}
		if killed && round%2 == 1 && w.takenBack(u) {
			undone++
			w.is(u, want, 2)
		}
		u.must("cluster", "resume", "gp", "--yes")
		u.must(expand...) // where the kill came before anything was noted
		w.is(u, want, 4)

		after = time.Duration(rand.Float64() * float64(wholeShrink)) //nolint:gosec // no secret
		killed = u.killAfter(after, shrink...)
		t.Logf("round %d: shrink killed=%v after %v of %v", round, killed, after.Round(time.Millisecond), wholeShrink.Round(time.Millisecond))
		w.canChange()
		u.must("cluster", "resume", "gp", "--yes")
		if st := u.state(); len(st.Hosts) == 6 {
			u.must(shrink...)
		}
		w.is(u, want, 2)
		t.Logf("%d rounds of traffic", stop())
		w.bare(5)
		w.bare(6)
		w.nothingExtra()
	}
	t.Logf("%d kills of expand survived, %d of them taken back", done, undone)
}

// takenBack takes an expand back, which is refused when it is too late or
// when there is none.
func (w *world) takenBack(u *cli) bool {
	w.t.Helper()
	out, err := u.command("cluster", "expand", "gp", "--undo", "--yes").CombinedOutput()
	w.t.Logf("undo: %v %s", err, tail(string(out), 3))
	if err != nil && !strings.Contains(string(out), "point of no return") && !strings.Contains(string(out), "nothing to take back") {
		w.t.Fatalf("undo: %v\n%s", err, out)
	}
	return err == nil
}

// is wants a cluster that is up, with so many segments and the same rows.
func (w *world) is(u *cli, want string, segments int) {
	w.t.Helper()
	u.status(cluster.Up)
	n := strconv.Itoa(segments)
	if got := w.segments(); got != n+" of "+n {
		w.t.Fatalf("segments: %s, not %d", got, segments)
	}
	if got := w.sql(1, "select localoid::regclass, numsegments from gp_distribution_policy where numsegments <> "+n); got != "" {
		w.t.Fatalf("not on %d segments: %s", segments, got)
	}
	if got := w.checksums(); got != want {
		w.t.Fatalf("rows\n%s\nnot\n%s", got, want)
	}
	if got := w.sql(1, "create table fresh (a int) distributed by (a); insert into fresh select generate_series(1, 10000); select count(distinct gp_segment_id) from fresh; drop table fresh;"); got != n {
		w.t.Fatalf("a new table is on %s segments, not %d", got, segments)
	}
}

// state is the cluster's status.
func (u *cli) state() cluster.Status {
	u.t.Helper()
	out, _ := u.must("cluster", "status", "gp", "-o", "json")
	var st cluster.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		u.t.Fatal(err)
	}
	return st
}
