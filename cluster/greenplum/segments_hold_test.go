package greenplum_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// TestExpandInterrupted interrupts an expand in each of its phases, changes
// the catalogue, which the copy of the phase before does not have, and
// resumes. While the catalogue is held nobody can change it.
func TestExpandInterrupted(t *testing.T) {
	w := newWorld(t, 4, false, "segments_per_host: 1, mirrors: group, data_dirs: [/data/a]")
	w.stock()
	small := *w.top
	small.Hosts = small.Hosts[:3]
	small.Layout.Mirrors = cluster.MirrorsNone
	full := *w.top
	full.Layout.Mirrors = cluster.MirrorsNone
	w.top = &small
	w.create()
	w.sql(1, fill)
	want := w.sql(1, sums)

	t.Log("what cannot be grown is not touched")
	w.everywhere("sh", "-c", "mkdir -p /data/space && chown gpadmin: /data/space")
	w.sql(1, "create tablespace space location '/data/space';")
	if _, err := w.try(w.m.Expand(t.Context(), &full)); err == nil || !strings.Contains(err.Error(), "tablespaces space of the coordinator") {
		t.Errorf("with a tablespace: %v", err)
	}
	w.sql(1, "drop tablespace space;")
	w.do(w.m.UndoExpand(t.Context(), "gp"))
	w.status(cluster.Up)
	if got := w.lab.Run(4, "sh", "-c", "find /data -mindepth 1 ! -path /data/space"); got != "" {
		t.Errorf("left after the undoing: %s", got)
	}

	op, err := w.m.Expand(t.Context(), &full)
	tables := 0
	for i, at := range []string{"claim@", "hold@n1", "template@db1", "template@db4", "make@", "start-primaries@", "register", "announce"} {
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var once sync.Once
		_, err = op.Run(ctx, func(e step.Event) {
			if e.State != step.Running || !strings.HasPrefix(e.Step.ID, at) {
				return
			}
			once.Do(func() {
				if at == "start-primaries@" {
					w.refused()
				}
				time.AfterFunc(time.Duration(30*(i%4))*time.Millisecond, stop)
			})
		})
		stop()
		t.Logf("interrupted at %s: %v", at, err)
		w.canChange()
		tables++
		w.sql(1, fmt.Sprintf("create table between_%[1]d (a int) distributed by (a); insert into between_%[1]d select generate_series(1, 100);", i))
		w.mustStock(w.node(cluster.NodeCoordinator).DataDir, fmt.Sprintf("createdb between_%d", i))
		op, err = w.m.Resume(t.Context(), "gp")
	}
	w.do(op, err)
	w.status(cluster.Up)
	if got := w.segments(); got != "3 of 3" {
		t.Errorf("segments: %s", got)
	}
	if got := w.sql(1, sums); got != want {
		t.Errorf("rows %s, not %s", got, want)
	}
	for i := range tables {
		script := fmt.Sprintf("alter table between_%[1]d set distributed randomly; insert into between_%[1]d select generate_series(1, 100); select count(*) from between_%[1]d;", i)
		if got := w.sql(1, script); got != "200" {
			t.Errorf("table %d: %s rows", i, got)
		}
	}
	dir := w.node(cluster.NodeCoordinator).DataDir
	if out := w.mustStock(dir, "gpcheckcat -A -O"); !strings.Contains(out, "Found no catalog issue") || strings.Contains(out, "Found a total of") {
		t.Errorf("gpcheckcat: %s", tail(out, 60))
	}
	if _, err := w.m.UndoExpand(t.Context(), "gp"); err == nil || !strings.Contains(err.Error(), "nothing to take back") {
		t.Errorf("undoing what is done: %v", err)
	}
	w.nothingExtra()
}

// refused wants changes of the catalogue refused, and rows read and written.
func (w *world) refused() {
	for _, change := range []string{"create database meanwhile", "create table meanwhile (a int) distributed by (a)", "drop table parts", "alter table heap add column c int", "create role meanwhile"} {
		if out, err := w.gp(1, `psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "`+change+`"`); err == nil || !strings.Contains(out, "gpexpand in progress") {
			w.t.Errorf("%s while the catalogue is held: %v %s", change, err, out)
		}
	}
	if out, err := w.gp(1, `psql -X -q -A -t -v ON_ERROR_STOP=1 -d warehouse -c "insert into heap values (0, 'x'); delete from heap where a = 0; analyze heap; select count(*) from heap"`); err != nil || strings.TrimSpace(out) != "20000" {
		w.t.Errorf("rows while the catalogue is held: %v %s", err, out)
	}
}

// TestUndoForgets takes an expand back whose new host is lost.
func TestUndoForgets(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 1, mirrors: none, data_dirs: [/data/a]")
	full := *w.top
	w.top = w.smaller(2)
	w.create()
	op, err := w.m.Expand(t.Context(), &full)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	_, _ = op.Run(ctx, func(e step.Event) {
		if e.Step.ID == "register" && e.State == step.Running || e.Step.ID == "start-primaries@db3" && e.State == step.Running {
			stop()
		}
	})
	stop()
	w.lab.Off(3)
	if _, err := w.try(w.m.UndoExpand(t.Context(), "gp")); err == nil || !strings.Contains(fault.HintOf(err), "--undo --forget") {
		t.Errorf("with the host gone: %v", err)
	}
	w.status(cluster.Degraded)
	op, err = w.m.UndoExpand(t.Context(), "gp")
	if err != nil {
		t.Fatal(err)
	}
	op.Forget = true
	if _, err := w.try(op, nil); fault.KindOf(err) != fault.Partial || !strings.Contains(err.Error(), "/data/a/gp/n3 on host db3") {
		t.Errorf("forgetting: %v", err)
	}
	if st := w.status(cluster.Up); len(st.Nodes) != 2 || len(st.Hosts) != 2 {
		t.Errorf("%d nodes on %d hosts", len(st.Nodes), len(st.Hosts))
	}
}

// TestExpandWaitsForChanges: a transaction that has changed the catalogue is
// waited for, and what it did is on the new segments. An expand whose session
// with the lock is ended by somebody enters nothing.
func TestExpandWaitsForChanges(t *testing.T) {
	w := newWorld(t, 3, false, "segments_per_host: 1, mirrors: none, data_dirs: [/data/a]")
	full := *w.top
	w.top = w.smaller(2)
	w.create()
	s := w.talk()
	s.say("begin; create table open_one (a int) distributed by (a); insert into open_one select generate_series(1, 100); select count(*) from open_one;")
	s.hear("100")
	op, err := w.m.Expand(t.Context(), &full)
	if err != nil {
		t.Fatal(err)
	}
	var lost sync.Once
	_, err = op.Run(t.Context(), func(e step.Event) {
		switch {
		case e.State == step.Running && e.Step.ID == "hold@n1":
			s.say("commit; select count(*) from open_one;")
		case e.State == step.Done && e.Step.ID == "make@n3":
			lost.Do(func() {
				w.sql(1, "select pg_terminate_backend(pid) from pg_locks where locktype = 'userlock' and granted;")
			})
		}
	})
	if err == nil || !strings.Contains(err.Error(), "lock was lost") && !strings.Contains(err.Error(), "terminat") {
		t.Errorf("without its lock: %v", err)
	}
	s.hear("100")
	w.sql(1, "create table after_it (a int) distributed by (a);")
	s.say("begin; create table open_two (a int) distributed by (a); select count(*) from open_two;")
	s.hear("0")
	op, err = w.m.Resume(t.Context(), "gp")
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	_, err = op.Run(t.Context(), func(e step.Event) {
		if e.State == step.Running && e.Step.ID == "hold@n1" {
			once.Do(func() {
				time.AfterFunc(time.Second, func() {
					s.say("commit; select count(*) from open_one;")
				})
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.hear("100")
	s.end()
	w.status(cluster.Up)
	if got := w.sql(1, "alter table open_one expand table; select count(*), count(distinct gp_segment_id) from open_one; insert into after_it values (1), (2), (3); alter table after_it expand table; alter table open_two expand table; select count(*) from after_it, open_two;"); got != "100|2\n0" {
		t.Errorf("the tables are %s", got)
	}
}
