package manage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cw/cluster"
	"cw/fault"
)

// running are the values of a setting on all nodes.
func (l *lab) running(name string) string {
	l.t.Helper()
	got, err := l.m.Settings(l.t.Context(), "lab", []string{name})
	if err != nil {
		l.t.Fatal(err)
	}
	var out []string
	for _, s := range got {
		text := s.Value
		if s.PendingRestart {
			text += ">" + s.Configured
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestConfigure(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.create()
	set := func(c cluster.ConfigChange) { l.t.Helper(); l.run(l.m.Configure(t.Context(), "lab", c)) }
	want := func(name, want string) {
		l.t.Helper()
		if got := l.running(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	work := l.running("work_mem")

	_, err := l.m.Configure(t.Context(), "lab", cluster.ConfigChange{
		Set:   map[string]string{"work_mem": "lots", "work_men": "64MB", "port": "1", "enable_seqscan": "maybe", "random_page_cost": "-3", "wal_sync_method": "magic", "statement_timeout": "5GB", "block_size": "1", "max_connections": "1000000000"},
		Reset: []string{"work_mem"},
	})
	wantFault(t, err, fault.Usage, "work_mem: both set and reset", "work_men: there is no such setting; did you mean work_mem?", "port: cw decides it",
		"enable_seqscan: ", "neither on nor off", "random_page_cost: ", "outside of 0 to", "wal_sync_method: ", "none of: ", "statement_timeout: ", "not a unit of it", "block_size: nobody can change it", "max_connections: ", "nothing was changed")
	_, err = l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Scope: cluster.ScopeSegments, Set: map[string]string{"work_mem": "64MB"}})
	wantFault(t, err, fault.Usage, "no segments")
	_, err = l.m.Settings(t.Context(), "lab", []string{"work_men"})
	wantFault(t, err, fault.Usage, "did you mean work_mem?")

	set(cluster.ConfigChange{Set: map[string]string{"work_mem": "65536kB", "shared_preload_libraries": "pg_stat_statements, auto_explain", "log_line_prefix": `it's \ %m `}})
	want("work_mem", "64MB 64MB")
	want("log_line_prefix", `it's \ %m  it's \ %m `)
	want("shared_preload_libraries", `>pg_stat_statements, auto_explain >pg_stat_statements, auto_explain`)
	if op := l.must(l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"work_mem": "64MB"}})); op.Nothing == "" {
		t.Error("what is set already is set again")
	}
	l.run(l.m.Restart(t.Context(), "lab", cluster.Fast))
	want("shared_preload_libraries", "pg_stat_statements, auto_explain pg_stat_statements, auto_explain")
	set(cluster.ConfigChange{Set: map[string]string{"work_mem": "5MB"}})
	want("work_mem", "5MB 5MB")

	// Rollback goes back one change at a time.
	l.run(l.m.Rollback(t.Context(), "lab"))
	want("work_mem", "64MB 64MB")
	l.run(l.m.Rollback(t.Context(), "lab"))
	want("work_mem", work)
	want("shared_preload_libraries", "pg_stat_statements, auto_explain> pg_stat_statements, auto_explain>")
	_, err = l.m.Rollback(t.Context(), "lab")
	wantFault(t, err, fault.Usage, "no change of settings")

	// A profile is kept with the cluster and can be taken back.
	before := l.running("checkpoint_timeout")
	set(cluster.ConfigChange{Profile: "loading"})
	if got := l.running("checkpoint_timeout"); got == before {
		t.Errorf("profile loading leaves checkpoint_timeout %s", got)
	}
	if top, _, err := l.m.Topology(t.Context(), "lab"); err != nil || top.Profile != "loading" {
		t.Errorf("profile of the store = %s %v", top.Profile, err)
	}
	l.run(l.m.Rollback(t.Context(), "lab"))
	want("checkpoint_timeout", before)
	if top, _, err := l.m.Topology(t.Context(), "lab"); err != nil || top.Profile != "default" {
		t.Errorf("profile of the store = %s %v", top.Profile, err)
	}

	// Without names, what files set; none of it is out of force.
	l.run(l.m.Reload(t.Context(), "lab"))
	all, err := l.m.Settings(t.Context(), "lab", nil)
	if err != nil || len(all) < 40 {
		t.Fatalf("%d settings: %v", len(all), err)
	}
	for _, s := range all {
		if s.Configured != "" && !s.PendingRestart {
			t.Errorf("%s of %s runs as %q, its file says %q", s.Name, s.Node, s.Value, s.Configured)
		}
	}

	// A node that is down: nothing is changed anywhere; its values are not known.
	l.fell("n2")
	_, err = l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"work_mem": "77MB"}})
	wantFault(t, err, fault.Check, "n2 on h2", "stopped", "cw cluster recover lab")
	if got, err := l.m.Settings(t.Context(), "lab", []string{"work_mem"}); err != nil || len(got) != 2 || got[1].Error == "" || got[0].Value == "77MB" {
		t.Errorf("settings = %+v %v", got, err)
	}
	l.recover(cluster.RecoverOptions{})
	logs, err := l.m.Logs(t.Context(), "lab", []cluster.Node{{ID: 2, Host: "h2", Dir: filepath.Join(l.data, "lab", "n2"), DataDir: l.dataDir("n2")}}, 50)
	if err != nil || !strings.Contains(logs[0].Text, "database system is ready to accept") {
		t.Errorf("log of n2: %+v %v", logs, err)
	}
	l.aChangeIsTakenBack()
	l.run(l.m.Delete(t.Context(), "lab"))
	l.empty()
}

// aChangeIsTakenBack when one node cannot take it.
func (l *lab) aChangeIsTakenBack() {
	t := l.t
	t.Helper()
	l.run(l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"work_mem": "10MB"}}))
	op := l.must(l.m.Configure(t.Context(), "lab", cluster.ConfigChange{Set: map[string]string{"work_mem": "20MB", "log_min_duration_statement": "1s"}}))
	// A line of the administrator's own that the server cannot use.
	mine := filepath.Join(l.dataDir("n2"), "conf.d", "mine.conf")
	if err := os.WriteFile(mine, []byte("enable_seqscan = plenty\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := op.Run(t.Context(), nil)
	wantFault(t, err, fault.Check, "n2 on h2", "mine.conf line 1")
	if err := os.Remove(mine); err != nil {
		t.Fatal(err)
	}
	// The second node could not even read what was taken back.
	l.run(l.m.Reload(t.Context(), "lab"))
	if got := l.running("work_mem"); got != "10MB 10MB" {
		t.Errorf("work_mem = %s", got)
	}
	if got := l.running("log_min_duration_statement"); got != "-1 -1" {
		t.Errorf("log_min_duration_statement = %s", got)
	}
	// A failed change is none that a rollback takes back.
	l.run(l.m.Rollback(t.Context(), "lab"))
	if got := l.running("work_mem"); strings.Contains(got, "10MB") {
		t.Errorf("after the rollback: %s", got)
	}
}
