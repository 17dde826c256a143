package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/playground/cwtest"
	"cw/playground/gptest"
)

// greenplumCLI is the real program on a Greenplum of its own.
type greenplumCLI struct {
	t   *testing.T
	gp  *gptest.Cluster
	cw  string
	dir string
	env []string
}

func newGreenplumCLI(t *testing.T) *greenplumCLI {
	t.Helper()
	gp := gptest.Start(t, 2)
	c := &greenplumCLI{t: t, gp: gp, dir: t.TempDir()}
	c.cw = filepath.Join(c.dir, "cw")
	cwtest.At(t, c.cw)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PG") && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "HOME=") {
			c.env = append(c.env, v)
		}
	}
	c.env = append(c.env, "HOME="+c.dir, "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", gp.Port), "PGUSER=cw", "PGDATABASE=postgres")
	gp.Exec(t, "postgres", "create table items (id int, name text) distributed by (id)")
	return c
}

func (c *greenplumCLI) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), c.cw, args...)
	cmd.Env, cmd.Dir = c.env, c.dir
	return cmd
}

func (c *greenplumCLI) run(code int, args ...string) (stdout, stderr string) {
	c.t.Helper()
	cmd := c.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		c.t.Fatalf("cw %v: exit code %d, want %d\n%s%s", args, got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func (c *greenplumCLI) write(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *greenplumCLI) scalar(sql string) string {
	c.t.Helper()
	var v string
	if err := c.gp.Connect(c.t, "postgres").QueryRow(c.t.Context(), sql).Scan(&v); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (c *greenplumCLI) lastJob() jobDoc {
	c.t.Helper()
	out, _ := c.run(0, "load", "list", "-o", "json")
	var doc struct{ Items []jobDoc }
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Items) == 0 {
		c.t.Fatalf("%v\n%s", err, out)
	}
	return doc.Items[0]
}

func rowsOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,\"name, %d\"\n", i, i)
	}
	return b.String()
}

const gpLoad = "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: ['%s']}\n    - FORMAT: csv\n%s  OUTPUT:\n    - TABLE: items\n  PARALLEL: {COMMIT: 200kB}\n"

func TestGreenplumCommands(t *testing.T) {
	t.Parallel()
	c := newGreenplumCLI(t)
	file := c.write("x.csv", rowsOf(20_000)+"bad,row\n")
	spec := c.write("l.yaml", fmt.Sprintf(gpLoad, file, "    - ERROR_LIMIT: 5\n"))
	out, errs := c.run(0, "load", "check", spec)
	if !strings.Contains(errs, "to 2 segments from 127.0.0.1") || !strings.Contains(out, "x.csv") {
		t.Errorf("%s%s", out, errs)
	}
	_, errs = c.run(3, "load", "run", spec)
	if !strings.Contains(errs, "1 rows were rejected") && !strings.Contains(errs, "1 row was rejected") {
		t.Error(errs)
	}
	job := c.lastJob()
	if job.State != "partial" || job.Rejected != 1 || job.Rows != 20_000 || job.Kind != kindLoad {
		t.Errorf("%+v", job)
	}
	out, _ = c.run(0, "load", "errors", job.ID, "-o", "csv")
	if !strings.Contains(out, "20001") || !strings.Contains(out, `"bad,row"`) {
		t.Error(out)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "out"), 0o755); err != nil {
		t.Fatal(err)
	}
	unload := c.write("u.yaml", "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - QUERY: select * from items where id < 10\n  OUTPUT:\n    - SINK: {FILE: out/ten.csv}\n    - FORMAT: csv\n    - MERGE: true\n")
	c.run(0, "unload", "run", unload)
	names, _ := filepath.Glob(filepath.Join(c.dir, "out", "ten.*.csv"))
	if len(names) != 1 {
		t.Fatalf("objects: %v", names)
	}
	if data, err := os.ReadFile(names[0]); err != nil || bytes.Count(data, []byte("\n")) != 10 {
		t.Errorf("%v\n%s", err, data)
	}
	c.run(2, "unload", "run", spec) // a load control file
	_, errs = c.run(2, "load", "run", unload)
	if !strings.Contains(errs, "cw unload run") {
		t.Errorf("the way to unload is not shown: %s", errs)
	}
}

// TestGreenplumKilled kills cw with -9 at random moments of a load and goes on
// with it.
func TestGreenplumKilled(t *testing.T) {
	t.Parallel()
	c := newGreenplumCLI(t)
	const n = 60_000
	file := c.write("x.csv", rowsOf(n))
	spec := c.write("l.yaml", fmt.Sprintf(gpLoad, file, ""))
	args := []string{"load", "run", spec, "--limit", "600kB/s"}
	killed := 0
	for range 6 {
		cmd := c.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(time.Duration(200+rand.IntN(600)) * time.Millisecond):
			_ = cmd.Process.Kill()
			<-ended
			killed++
		}
		if got := c.lastJob(); args[1] == "run" && got.ID != "" {
			args = []string{"load", "resume", got.ID}
		}
	}
	if killed < 4 {
		t.Errorf("killed %d times only", killed)
	}
	c.run(0, "load", "resume", args[2], "--limit", "none")
	if got := c.scalar("select count(*) || ' ' || count(distinct id) || ' ' || sum(id) from items"); got != fmt.Sprintf("%d %d %d", n, n, n*(n-1)/2) {
		t.Errorf("%s", got)
	}
	if got := c.scalar("select count(*)::text from pg_class where relname like 'cw_load_l%'"); got != "0" {
		t.Errorf("%s external tables are left behind", got)
	}
}

// TestGreenplumUnloadKilled kills an unload with -9 and goes on with it.
func TestGreenplumUnloadKilled(t *testing.T) {
	t.Parallel()
	c := newGreenplumCLI(t)
	c.gp.Exec(t, "postgres", "insert into items select i, 'name ' || i from generate_series(1, 50000) i")
	out := filepath.Join(c.dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := c.write("u.yaml", "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: [{TABLE: items}]\n  OUTPUT:\n    - SINK: {FILE: out/items.csv}\n    - FORMAT: csv\n")
	args := []string{"unload", "run", spec, "--limit", "300kB/s"}
	for i := range 3 {
		cmd := c.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // until it has written something
			if parts, _ := filepath.Glob(filepath.Join(out, ".*")); len(parts) > 0 || time.Now().After(deadline) {
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if parts, _ := filepath.Glob(filepath.Join(out, "[^.]*")); len(parts) > 0 {
			t.Fatalf("kill %d: published already: %v", i, parts)
		}
		args = []string{"load", "resume", c.lastJob().ID}
	}
	c.run(0, append(args, "--limit", "none")...)
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var rows int
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", e.Name())
		}
		if data, err := os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Error(err)
		} else if strings.HasSuffix(e.Name(), ".csv") {
			rows += bytes.Count(data, []byte("\n"))
		}
	}
	if rows != 50_000 || len(entries) != 3 {
		t.Errorf("%d rows in %v", rows, entries)
	}
}
