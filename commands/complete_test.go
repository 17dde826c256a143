package commands

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cw/cluster"
	"cw/state"
)

// asked is what a shell gets for the words typed so far, the last one being
// written, without descriptions.
func asked(t *testing.T, env map[string]string, words ...string) (got []string, directive string) {
	t.Helper()
	streams, out, errOut := TestStreams("")
	argv := append([]string{"cw", "__complete"}, words...)
	if code := mainWith(t.Context(), streams, func(n string) string { return env[n] }, argv); code != 0 {
		t.Errorf("%q: exit code %d", words, code)
	}
	if errOut.Len() > 0 {
		t.Errorf("%q wrote to standard error: %s", words, errOut)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, l := range lines[:len(lines)-1] {
		word, _, _ := strings.Cut(l, "\t")
		got = append(got, word)
	}
	return got, lines[len(lines)-1]
}

// completionHome is a home with two clusters, jobs in all states, a run of cw
// perf and a baseline.
func completionHome(t *testing.T) (env map[string]string, jobs map[string]string) {
	t.Helper()
	home := t.TempDir()
	store := filepath.Join(home, ".local/state/cw/state.db")
	s, err := state.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, name := range []string{"dw1", "dw2"} {
		sample := cluster.SampleFor(cluster.SampleOptions{Name: name, Kind: cluster.Postgres, Hosts: []string{"10.0.0.1", "10.0.0.2"}})
		topology, err := cluster.Parse(name, []byte(sample))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(topology) // as cluster/manage keeps it
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutCluster(t.Context(), state.Cluster{Name: name, Engine: "postgres", State: state.ClusterUp, Topology: string(kept)}); err != nil {
			t.Fatal(err)
		}
	}
	jobs = map[string]string{}
	for _, how := range []string{state.Done, state.Failed, state.Pending} {
		j, err := s.CreateJob(t.Context(), state.Job{Kind: "load", SpecFile: "/loads/" + how + ".yaml", Target: "w.t"})
		if err != nil {
			t.Fatal(err)
		}
		if how != state.Pending {
			if err := s.FinishJob(t.Context(), j.ID, how, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		jobs[how] = j.ID
	}
	for _, dir := range []string{".local/state/cw/perf/p3fk2q", ".config/cw/baselines"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, ".config/cw/baselines/c4.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"HOME": home}, jobs
}

func TestCompletionKnowsNames(t *testing.T) {
	t.Parallel()
	env, jobs := completionHome(t)
	for _, c := range []struct {
		words []string
		want  []string
	}{
		{[]string{"cluster", "status", ""}, []string{"dw1", "dw2"}},
		{[]string{"cluster", "status", "dw1", ""}, nil},
		{[]string{"cluster", "config", "get", "d"}, []string{"dw1", "dw2"}},
		{[]string{"cluster", "expand", "status", ""}, []string{"dw1", "dw2"}},
		{[]string{"top", ""}, []string{"dw1", "dw2"}},
		{[]string{"report", ""}, []string{"dw1", "dw2"}},
		{[]string{"events", "--cluster", ""}, []string{"dw1", "dw2"}},
		{[]string{"cluster", "recover", "dw2", "--host", ""}, []string{"db1", "db2"}},
		{[]string{"cluster", "recover", "dw2", "--host", "db1,"}, []string{"db1,db1", "db1,db2"}},
		{[]string{"load", "limit", ""}, []string{jobs[state.Pending], jobs[state.Failed], jobs[state.Done]}},
		{[]string{"load", "resume", ""}, []string{jobs[state.Failed], jobs[state.Pending], jobs[state.Done]}},
		{[]string{"load", "limit", "x", ""}, []string{"none"}},
		{[]string{"perf", "compare", ""}, []string{"p3fk2q"}},
		{[]string{"perf", "baseline", "show", ""}, []string{"c4"}},
		{[]string{"perf", "disk", "--baseline", ""}, []string{"c4"}},
		{[]string{"perf", "disk", "--profile", ""}, []string{"quick", "standard", "qualify", "soak"}},
		{[]string{"cluster", "stop", "dw1", "--mode", ""}, []string{"smart", "fast", "immediate"}},
		{[]string{"explain", "topology.lay"}, []string{"topology.layout"}},
		{[]string{"explain", "loadspec.GPLOAD.INPUT.FO"}, []string{"loadspec.GPLOAD.INPUT.FORMAT", "loadspec.GPLOAD.INPUT.FORCE_NOT_NULL"}},
		{[]string{"schema", ""}, schemaKinds()},
		{[]string{"-o", ""}, []string{"table", "wide", "json", "yaml", "csv"}},
		{[]string{"load", "run", "x.yaml", "--li"}, []string{"--limit"}},
	} {
		got, _ := asked(t, env, c.words...)
		slices.Sort(got)
		want := slices.Clone(c.want)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
		if c.words[0] == "load" && len(c.want) == 3 {
			if got, _ := asked(t, env, c.words...); !slices.Equal(got, c.want) {
				t.Errorf("%q: order %q, want %q", c.words, got, c.want)
			}
		}
	}
	if got, directive := asked(t, env, "load", "run", ""); directive != ":8" || !slices.Equal(got, []string{"yaml", "yml"}) {
		t.Errorf("load run: %q %s, want YAML files", got, directive)
	}
	topics, _ := asked(t, env, "help", "")
	if !slices.Contains(topics, "environment") || !slices.Contains(topics, "cluster") {
		t.Errorf("help: %q", topics)
	}
}

// TestCompletionLeavesNoTrace is what stands for "read-only, here, and at
// once": nothing is made in an empty home, nothing changes in a full one, and
// what is not a file on this machine is not looked at.
func TestCompletionLeavesNoTrace(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	full, _ := completionHome(t)
	before := snapshotOf(t, full["HOME"])
	words := [][]string{{"cluster", "status", ""}, {"load", "show", ""}, {"events", "--job", ""}, {"perf", "compare", ""}, {"cluster", "push", "--host", ""}}
	for _, w := range words {
		if got, _ := asked(t, map[string]string{"HOME": empty}, w...); len(got) > 0 {
			t.Errorf("%q in an empty home: %q", w, got)
		}
		asked(t, full, w...)
		// Port 1 answers nobody; a connection would be an error in the log at least.
		shared := map[string]string{"HOME": full["HOME"], "CW_STORE": "postgres://nobody@127.0.0.1:1/x"}
		if got, _ := asked(t, shared, w...); len(got) > 0 && w[0] != "perf" {
			t.Errorf("%q of a shared store: %q", w, got)
		}
	}
	if left := snapshotOf(t, empty); len(left) > 0 {
		t.Errorf("completion made %q", left)
	}
	if after := snapshotOf(t, full["HOME"]); !slices.Equal(before, after) {
		t.Errorf("completion changed files:\n%q\n%q", before, after)
	}
	if err := os.WriteFile(filepath.Join(full["HOME"], ".local/state/cw/state.db"), []byte("no database at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full["HOME"], ".config/cw/config.yaml"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := asked(t, full, "cluster", "status", ""); len(got) > 0 {
		t.Errorf("of a spoilt store: %q", got)
	}
}

// snapshotOf is every file below a folder with its size, time and mode.
func snapshotOf(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && path != dir {
			all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String()+" "+strings.Repeat("x", int(info.Size()%97)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// shellCompletion are ways to have a shell complete a line without a terminal.
func shellCompletion() map[string]string {
	return map[string]string{
		"bash": `source /usr/share/bash-completion/bash_completion; source "$DIR/cw.bash"
COMP_WORDS=(cw cluster status d); COMP_CWORD=3; COMP_LINE='cw cluster status d'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=63
__start_cw; printf '%s\n' "${COMPREPLY[@]}"`,
		"zsh": `autoload -U compinit; compinit -D -u; source "$DIR/cw.zsh"
compdef() { :; }; _describe() { shift; for a in "${(@P)${@[-1]:-completions}}"; do print -r -- "$a"; done }
words=(cw cluster status d); CURRENT=4; _cw`,
		"fish": `source "$DIR/cw.fish"; complete -C'cw cluster status d'`,
	}
}

// TestCompletionInShells runs the scripts in the shells that are here, with
// this test binary as cw.
func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	env, _ := completionHome(t)
	dir := t.TempDir()
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Under the name cw it is cw: see TestMain.
	if err := os.Symlink(bin, filepath.Join(dir, "cw")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"bash", "zsh", "fish"} {
		streams, out, _ := TestStreams("")
		if code := mainWith(t.Context(), streams, func(n string) string { return env[n] }, []string{"cw", "completion", s}); code != 0 {
			t.Fatal(s)
		}
		if err := os.WriteFile(filepath.Join(dir, "cw."+s), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, script := range shellCompletion() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				t.Skip(name + " is not installed")
			}
			if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); name == "bash" && err != nil {
				t.Skip("bash-completion is not installed")
			}
			c := exec.CommandContext(t.Context(), name, "-c", script)
			c.Env = []string{"HOME=" + env["HOME"], "DIR=" + dir, "PATH=" + dir + ":" + os.Getenv("PATH"), "TERM=dumb"}
			out, err := c.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "dw1") || !strings.Contains(string(out), "dw2") || strings.Contains(string(out), "rror") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
