package greenplum_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/step"
)

func TestCreateAndDelete(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.create()
	w.status(cluster.Up)
	if got := w.sql(1, "create table t (a int, b text) distributed by (a); insert into t select g, 'x'||g from generate_series(1,10000) g; select count(*), count(distinct gp_segment_id) from t;"); got != "10000|4" {
		t.Errorf("got %s", got)
	}
	w.do(w.m.Delete(t.Context(), "gp"))
	for i := range w.lab.Hosts {
		if l := w.left(i + 1); l != "" {
			t.Errorf("host %d: left:\n%s", i+1, strings.TrimSpace(l))
		}
	}
}

// TestPackage makes a cluster on one bare host: no software, and no owner that
// the test made.
func TestPackage(t *testing.T) {
	w := newWorld(t, 1, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data/a]")
	w.top.Engine.Home = "/usr/local/cw-gp-test"
	w.top.Engine.Package = filepath.Join(t.TempDir(), "greenplum-db-6.24.3.tar.gz")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", os.Getenv("CW_TEST_GPHOME"), "-czf", w.top.Engine.Package, ".").CombinedOutput(); err != nil {
		t.Fatal(string(out), err)
	}
	w.create()
	w.status(cluster.Up)
	if got := w.sql(1, "create table t (a int) distributed by (a); insert into t select generate_series(1,1000); select count(*), count(distinct gp_segment_id) from t;"); got != "1000|2" {
		t.Errorf("got %s", got)
	}
	if exe := w.lab.Run(1, "sh", "-c", "readlink /proc/$(head -n 1 /data/a/gp/n1/gpseg-1/postmaster.pid)/exe"); !strings.HasPrefix(exe, "/usr/local/cw-gp-test/") {
		t.Errorf("the server is %s", exe)
	}
	w.do(w.m.Delete(t.Context(), "gp"))
}

// TestFailedStartSaysWhy: an instance that does not start is an error with what
// its log says, and the cluster can be given up.
func TestFailedStartSaysWhy(t *testing.T) {
	w := newWorld(t, 1, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data/a]")
	w.top.Overrides = map[string]string{"shared_preload_libraries": "no_such_library"}
	_, err := w.try(w.m.Create(t.Context(), w.top))
	if err == nil || !strings.Contains(err.Error(), "no_such_library") || !strings.Contains(err.Error(), "db1") {
		t.Errorf("error: %v", err)
	}
	w.do(w.m.Delete(t.Context(), "gp"))
	if l := w.left(1); l != "" {
		t.Errorf("left:\n%s", l)
	}
}

// TestCreateResumed interrupts a create in each of its phases, one after the
// other, and resumes it.
func TestCreateResumed(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	op, err := w.m.Create(t.Context(), w.top)
	for i, at := range []string{"claim@", "init@", "template@", "make@n1", "make@", "start-primaries@", "start-mirrors@", "start@n1", "database"} {
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var once sync.Once
		_, err = op.Run(ctx, func(e step.Event) {
			if e.State == step.Running && strings.HasPrefix(e.Step.ID, at) {
				once.Do(func() { time.AfterFunc(time.Duration(20*(i%4))*time.Millisecond, stop) })
			}
		})
		stop()
		t.Logf("interrupted at %s: %v", at, err)
		op, err = w.m.Resume(t.Context(), "gp")
	}
	w.do(op, err)
	w.status(cluster.Up)
	if got := w.sql(1, "create table t (a int) distributed by (a); insert into t select generate_series(1,1000); select count(*), count(distinct gp_segment_id) from t;"); got != "1000|4" {
		t.Errorf("got %s", got)
	}
	for i := range w.lab.Hosts {
		if out := w.lab.Run(i+1, "sh", "-c", "ls -d /data/*/gp/*/* | grep -E 'cw-new|template|log$' || :"); out != "" {
			t.Errorf("host %d: left over:\n%s", i+1, out)
		}
	}
	w.do(w.m.Delete(t.Context(), "gp"))
	for i := range w.lab.Hosts {
		// A claim that was cut off may leave an empty folder above the nodes'.
		if l := w.lab.Run(i+1, "sh", "-c", "ps -u gpadmin -o comm= | grep -Ex 'postgres|initdb|pg_.*|tar|cp'; find /data ! -type d; ls -d /data/*/* 2>/dev/null; :"); l != "" {
			t.Errorf("host %d: left:\n%s", i+1, l)
		}
	}
}
