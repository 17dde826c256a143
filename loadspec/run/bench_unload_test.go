package run

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"cw/playground/cwtest"
	"cw/playground/pgtest"
)

// TestBenchUnload measures cw unload beside psql's \copy … to, in interleaved
// pairs on a throwaway PostgreSQL whose data and output are on tmpfs.
// CW_BENCH=1 runs it; CW_BENCH_ROWS (default 1000000) and CW_BENCH_PAIRS
// (default 5) size it.
func TestBenchUnload(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	b := &bench{t: t, dir: pgtest.Dir(t), pairs: number("CW_BENCH_PAIRS", 5)}
	b.pg = pgtest.Start(t, "shared_buffers='1GB'", "max_wal_size='16GB'", "checkpoint_timeout='1h'", "autovacuum=off")
	rows := number("CW_BENCH_ROWS", 1_000_000)
	b.pg.Exec(t, "postgres", lineitem)
	b.pg.Exec(t, "postgres", fmt.Sprintf(`insert into lineitem select i / 4, i %% 200000, i %% 10000, i %% 7, i %% 50, (i %% 1000000) / 100.0, 0.05, 0.02, 'N', 'O', date '1995-01-01' + i %% 2000,
		date '1995-01-20' + i %% 2000, date '1995-02-01' + i %% 2000, 'DELIVER IN PERSON', 'TRUCK', 'carefully final deposits "wake" blithely, ' || md5(i::text) from generate_series(1, %d) i`, rows))
	b.pg.Exec(t, "postgres", "vacuum (freeze, analyze) lineitem")
	b.cw = filepath.Join(b.dir, "cw")
	cwtest.At(t, b.cw)
	b.env = append(os.Environ(), "PGHOST="+b.pg.Dir, "PGPORT="+strconv.Itoa(b.pg.Port), "PGUSER=cw", "PGPASSWORD=cw", "PGDATABASE=postgres",
		"HOME="+b.dir, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=")
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("load of the machine at the start: %s", load)
	out := filepath.Join(b.dir, "out")
	for _, c := range []struct {
		name, file, format, more, peer string
	}{
		{"csv, 1 worker", "l.csv", "csv", "  PARALLEL: {WORKERS: 1}\n", `exec "$1/psql" -X -q -c "\copy lineitem to '$2/psql.csv' csv"`},
		{"csv", "l.csv", "csv", "", `exec "$1/psql" -X -q -c "\copy lineitem to '$2/psql.csv' csv"`},
		{"csv.gz", "l.csv.gz", "csv", "", `"$1/psql" -X -q -c "copy lineitem to stdout csv" | gzip >"$2/psql.csv.gz"`},
		{"csv.zst (psql: csv)", "l.csv.zst", "csv", "", `exec "$1/psql" -X -q -c "\copy lineitem to '$2/psql.csv' csv"`},
		{"json", "l.jsonl", "json", "", `exec "$1/psql" -X -q -c "\copy (select row_to_json(l) from lineitem l) to '$2/psql.csv'"`},
		{"parquet (psql: csv)", "l.parquet", "parquet", "", `exec "$1/psql" -X -q -c "\copy lineitem to '$2/psql.csv' csv"`},
	} {
		var ours, theirs []float64
		var size int64
		var cpu float64
		for i := range b.pairs + 1 {
			peer := exec.CommandContext(t.Context(), "sh", "-c", c.peer, "sh", b.pg.BinDir, out)
			spec := filepath.Join(b.dir, "u.yaml")
			text := fmt.Sprintf("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT: [{TABLE: lineitem}]\n  OUTPUT:\n    - SINK: {FILE: '%s/%s'}\n    - FORMAT: %s\n%s", out, c.file, c.format, c.more)
			if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			run := func(cmd *exec.Cmd) float64 {
				if err := os.RemoveAll(out); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(out, 0o700); err != nil {
					t.Fatal(err)
				}
				cmd.Env = b.env
				begun := time.Now()
				if text, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", cmd, err, text)
				}
				if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					b.rss = usage.Maxrss >> 10
				}
				cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
				return time.Since(begun).Seconds()
			}
			p := run(peer)
			o := run(exec.CommandContext(t.Context(), b.cw, "unload", "run", spec, "-q", "--progress", "off"))
			// Not the objects: a child's largest memory is not less than its
			// parent's was when it was started.
			names, _ := filepath.Glob(filepath.Join(out, "*.manifest.json"))
			var m Manifest
			if text, err := os.ReadFile(names[0]); err != nil || json.Unmarshal(text, &m) != nil {
				t.Fatal(err)
			}
			if m.Rows != int64(rows) {
				t.Fatalf("%d rows, want %d", m.Rows, rows)
			}
			size = m.Bytes
			if i > 0 { // the first warms up
				ours, theirs = append(ours, o), append(theirs, p)
			}
		}
		o, p := median(ours), median(theirs)
		fmt.Printf("%-19s %4.0f MB of rows  psql %6.2f s  cw %6.2f s %6.1f MB/s  cw/psql %.2f  client CPU of cw %.2f s, %d MiB  all: psql %.2f cw %.2f\n", c.name, float64(size)/1e6, p, o, float64(size)/1e6/o, p/o, cpu, b.rss, theirs, ours)
	}
}
