package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"cw/playground/cwtest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// TestBench measures cw load against what a DBA would type instead, in
// interleaved pairs on a throwaway PostgreSQL, and prints medians and ratios:
// with data and input on tmpfs, where the disk is no limit, and on the disk with
// its write-ahead log. CW_BENCH=1 runs it; CW_BENCH_MB (default 400) and
// CW_BENCH_PAIRS (default 5) size it. The goals are those of
// shared/reference/loading.md, section 6. Peers that are not in PATH are left
// out, with a word.
func TestBench(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	b := newBench(t, pgtest.Dir(t), "unlogged")
	psql := func() *exec.Cmd { return b.psql(`\copy lineitem from '` + b.csv + `' csv`) }
	ok := b.compare("one csv file", "psql", 2.5, psql, func() *exec.Cmd { return b.load(b.csv) })
	ok = b.compare("one session", "psql", 1.8, psql, func() *exec.Cmd { return b.load(b.csv, "  PARALLEL: {WORKERS: 1}") }) && ok
	ok = b.compare("one gzip file", "gunzip|psql", 1, func() *exec.Cmd {
		return b.command("sh", "-c", `gunzip -c "$1" | exec "$2" -X -q -c 'copy lineitem from stdin csv'`, "sh", b.gz, filepath.Join(b.pg.BinDir, "psql"))
	}, func() *exec.Cmd { return b.load(b.gz) }) && ok
	ok = b.parallelCopy() && ok
	ok = b.pgloader() && ok
	ok = b.firstRow() && ok
	ok = b.memory() && ok
	ok = b.limits() && ok
	d := newBench(t, pgtest.DiskDir(t), "", "fsync=on", "synchronous_commit=on", "wal_level=replica")
	ok = d.compare("on disk, with WAL", "psql", 2, func() *exec.Cmd { return d.psql(`\copy lineitem from '` + d.csv + `' csv`) }, func() *exec.Cmd { return d.load(d.csv) }) && ok
	if !ok {
		t.Error("a goal is missed")
	}
}

// parallelCopy is timescaledb-parallel-copy at its best number of workers.
func (b *bench) parallelCopy() bool {
	b.t.Helper()
	tool, err := exec.LookPath("timescaledb-parallel-copy")
	if err != nil {
		fmt.Println("timescaledb-parallel-copy is not in PATH: left out")
		return true
	}
	theirs := func(workers int) *exec.Cmd {
		return b.command(tool, "--connection", fmt.Sprintf("host=127.0.0.1 port=%d user=cw password=cw dbname=postgres sslmode=disable", b.pg.Port),
			"--table", "lineitem", "--file", b.csv, "--workers", strconv.Itoa(workers), "--batch-size", "50000")
	}
	best, fastest := 0, 0.0
	for _, workers := range []int{2, 3, 4, 8} {
		if wall, _ := b.timed(theirs(workers)); best == 0 || wall < fastest {
			best, fastest = workers, wall
		}
	}
	return b.compare("one csv file", fmt.Sprintf("ts-parallel-copy ×%d", best), 1.5, func() *exec.Cmd { return theirs(best) }, func() *exec.Cmd { return b.load(b.csv) })
}

// firstRow loads an object of 5 TB, of which only the beginning is there, and
// looks when the first rows are in the table.
func (b *bench) firstRow() bool {
	b.t.Helper()
	const size, goal = 5_000_000_000_000, 2.0
	huge := filepath.Join(pgtest.DiskDir(b.t), "huge.csv")
	if out, err := b.command("cp", b.csv, huge).CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	if err := os.Truncate(huge, size); err != nil {
		fmt.Println("first row: this file system has no files of 5 TB: left out:", err)
		return true
	}
	conn := b.pg.Connect(b.t, "postgres")
	var times []float64
	for range b.pairs {
		b.pg.Exec(b.t, "postgres", "truncate lineitem; checkpoint")
		cmd := b.load(huge, "  SPEED: {LIMIT: 100MB/s}") // not beyond what is there
		began := time.Now()
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
		for there := false; !there; time.Sleep(5 * time.Millisecond) {
			if err := conn.QueryRow(b.t.Context(), "select exists (select from lineitem)").Scan(&there); err != nil {
				b.t.Fatal(err)
			}
		}
		times = append(times, time.Since(began).Seconds())
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	fmt.Printf("%-18s of 5 TB: %.2f s from the start of cw to the first row in the table (goal %.1f)  all: %.2f\n", "first row", median(times), goal, times)
	return median(times) <= goal
}

// memory loads from a store with as many sessions as there may be, and looks
// at the most memory that it took.
func (b *bench) memory() bool {
	b.t.Helper()
	srv := s3test.Start(b.t, "bucket")
	const objects, workers, goal = 64, 64, 512
	f, err := os.Open(b.csv)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	// No more than that is read: what a child process has had at most begins
	// with what its parent had when it was forked.
	part := make([]byte, 6<<20)
	n, err := io.ReadFull(f, part)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		b.t.Fatal(err)
	}
	part = part[:bytes.LastIndexByte(part[:n], '\n')+1]
	for i := range objects {
		srv.Put(b.t, "bucket", fmt.Sprintf("m/%02d.csv", i), part)
	}
	small := *b
	small.rows = objects * int64(bytes.Count(part, []byte("\n")))
	small.env = append(append([]string{}, b.env...), "AWS_ACCESS_KEY_ID="+srv.Access, "AWS_SECRET_ACCESS_KEY="+srv.Secret, "AWS_EC2_METADATA_DISABLED=true")
	spec := filepath.Join(b.dir, "memory.yaml")
	text := fmt.Sprintf("VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {URL: ['s3://bucket/m/*'], ENDPOINT: '%s'}\n    - FORMAT: csv\n  OUTPUT:\n    - TABLE: lineitem\n  PARALLEL: {WORKERS: %d}\n", srv.Endpoint, workers)
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	cmd := small.command(b.cw, "load", "run", spec, "-q", "--again")
	wall, _ := small.timed(cmd)
	fmt.Printf("%-18s %d sessions, %d objects of %d MB from a store in %.1f s: at most %d MiB (goal %d)\n", "memory", workers, objects, len(part)/1e6, wall, small.rss, goal)
	return small.rss <= goal
}

// pgloader gets a tenth of the rows, for it takes its time.
func (b *bench) pgloader() bool {
	b.t.Helper()
	tool, err := exec.LookPath("pgloader")
	if err != nil {
		fmt.Println("pgloader is not in PATH: left out")
		return true
	}
	small := *b
	small.rows, small.size = 0, 0
	small.dir = pgtest.Dir(b.t)
	small.pairs = min(b.pairs, 3)
	small.generate(b.size / 10)
	command := filepath.Join(small.dir, "l.load")
	text := fmt.Sprintf("LOAD CSV FROM '%s' INTO postgresql://cw:cw@127.0.0.1:%d/postgres TARGET TABLE lineitem WITH fields optionally enclosed by '\"', fields terminated by ',', workers = 4, concurrency = 1;\n", small.csv, b.pg.Port)
	if err := os.WriteFile(command, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return small.compare("a tenth of it", "pgloader", 35, func() *exec.Cmd { return small.command(tool, "--root-dir", small.dir, command) }, func() *exec.Cmd { return small.load(small.csv) })
}

const lineitem = `create %s table lineitem (l_orderkey bigint, l_partkey int, l_suppkey int, l_linenumber int, l_quantity numeric, l_extendedprice numeric,
	l_discount numeric, l_tax numeric, l_returnflag char(1), l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date,
	l_shipinstruct text, l_shipmode text, l_comment text)`

type bench struct {
	t       *testing.T
	pg      *pgtest.Server
	cw      string
	dir     string
	csv, gz string
	size    int64
	rows    int64
	pairs   int
	rss     int64 // MiB, of the last command
	env     []string
}

// newBench starts a server with its data below dir; kind is unlogged or "".
func newBench(t *testing.T, dir, kind string, settings ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: pgtest.Dir(t), pairs: number("CW_BENCH_PAIRS", 5)}
	b.pg = pgtest.StartIn(t, dir, append([]string{"shared_buffers='1GB'", "max_wal_size='16GB'", "checkpoint_timeout='1h'", "autovacuum=off"}, settings...)...)
	b.pg.Exec(t, "postgres", fmt.Sprintf(lineitem, kind))
	b.cw = filepath.Join(b.dir, "cw")
	cwtest.At(t, b.cw)
	b.env = append(os.Environ(), "PGHOST="+b.pg.Dir, "PGPORT="+strconv.Itoa(b.pg.Port), "PGUSER=cw", "PGPASSWORD=cw", "PGDATABASE=postgres",
		"HOME="+b.dir, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=")
	b.generate(int64(number("CW_BENCH_MB", 400)) * 1_000_000)
	return b
}

func number(env string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil && n > 0 {
		return n
	}
	return fallback
}

func (b *bench) generate(size int64) {
	b.csv, b.gz = filepath.Join(b.dir, "lineitem.csv"), filepath.Join(b.dir, "lineitem.csv.gz")
	f, err := os.Create(b.csv)
	if err != nil {
		b.t.Fatal(err)
	}
	g, err := os.Create(b.gz)
	if err != nil {
		b.t.Fatal(err)
	}
	z, _ := gzip.NewWriterLevel(g, 6)
	rng := rand.New(rand.NewPCG(1, 2))
	w := bufio.NewWriterSize(f, 1<<20)
	comments := []string{"carefully final deposits wake blithely", "quickly ironic requests", "furiously regular foxes nag", `"pending, ""silent"" accounts"`, "slyly even packages"}
	for b.size < size {
		line := fmt.Sprintf("%d,%d,%d,%d,%d.00,%d.%02d,0.0%d,0.0%d,%c,%c,199%d-0%d-1%d,199%d-0%d-2%d,199%d-1%d-0%d,DELIVER IN PERSON,TRUCK,%s\n",
			b.rows/4, rng.IntN(2e5), rng.IntN(1e4), 1+b.rows%7, 1+rng.IntN(50), rng.IntN(1e5), rng.IntN(100), rng.IntN(10), rng.IntN(9),
			"ANR"[rng.IntN(3)], "OF"[rng.IntN(2)], 2+rng.IntN(7), 1+rng.IntN(9), rng.IntN(10), 2+rng.IntN(7), 1+rng.IntN(9), rng.IntN(9),
			2+rng.IntN(7), rng.IntN(3), 1+rng.IntN(9), comments[rng.IntN(len(comments))])
		n, _ := w.WriteString(line)
		_, _ = z.Write([]byte(line))
		b.size += int64(n)
		b.rows++
	}
	for _, err := range []error{w.Flush(), f.Close(), z.Close(), g.Close(), os.Chmod(b.csv, 0o644)} {
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.t.Context(), name, args...)
	cmd.Env = b.env
	return cmd
}

func (b *bench) psql(sql string) *exec.Cmd {
	return b.command(filepath.Join(b.pg.BinDir, "psql"), "-X", "-q", "-c", sql)
}

// load is cw load run of a control file with more lines at its end.
func (b *bench) load(file string, more ...string) *exec.Cmd {
	spec := filepath.Join(b.dir, "bench.yaml")
	text := "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: ['" + file + "']}\n    - FORMAT: csv\n  OUTPUT:\n    - TABLE: lineitem\n" + strings.Join(more, "\n") + "\n"
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return b.command(b.cw, "load", "run", spec, "-q", "--again")
}

// timed empties the table, runs a command and checks that all rows are there.
// The client's CPU time tells what a noisy machine hides.
func (b *bench) timed(cmd *exec.Cmd) (wall, cpu float64) {
	b.t.Helper()
	b.pg.Exec(b.t, "postgres", "truncate lineitem; checkpoint")
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(start).Seconds()
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	var n int64
	if err := b.pg.Connect(b.t, "postgres").QueryRow(b.t.Context(), "select count(*) from lineitem").Scan(&n); err != nil || n != b.rows {
		b.t.Fatalf("%s: %d rows, want %d (%v)", cmd, n, b.rows, err)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.rss = usage.Maxrss >> 10
	}
	return took, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// compare runs interleaved pairs after one of each to warm up.
func (b *bench) compare(name, peer string, goal float64, other, ours func() *exec.Cmd) bool {
	b.t.Helper()
	var cw, theirs, cwCPU, theirCPU []float64
	for i := range b.pairs + 1 {
		t, tc := b.timed(other())
		c, cc := b.timed(ours())
		if i > 0 {
			theirs, cw, theirCPU, cwCPU = append(theirs, t), append(cw, c), append(theirCPU, tc), append(cwCPU, cc)
		}
	}
	mb := float64(b.size) / 1e6
	m, o := median(cw), median(theirs)
	fmt.Printf("%-18s %5.0f MB  %s %.2f s %.1f MB/s   cw %.2f s %.1f MB/s   ratio %.2f (goal %.2f)  client CPU s: %.2f, cw %.2f; cw %d MiB  all: %.2f cw %.2f\n",
		name, mb, peer, o, mb/o, m, mb/m, o/m, goal, median(theirCPU), median(cwCPU), b.rss, theirs, cw)
	return o/m >= goal
}

func median(v []float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[len(s)/2]
}

// limits loads with a limit that is changed, and measures what was committed
// in windows of ten seconds and how soon the new limit shows.
func (b *bench) limits() bool {
	b.t.Helper()
	b.pg.Exec(b.t, "postgres", "truncate lineitem, cw.load_ledger")
	base := float64(b.size) / 100 // so that the object lasts for all windows
	cmd := b.load(b.csv, fmt.Sprintf("  SPEED: {LIMIT: %.0fB/s}", 2*base))
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	conn := b.pg.Connect(b.t, "postgres")
	loaded := func() float64 {
		var n float64
		if err := conn.QueryRow(b.t.Context(), "select coalesce(sum(source_bytes), 0)::float8 from cw.load_ledger where kind = 'split'").Scan(&n); err != nil {
			b.t.Fatal(err)
		}
		return n
	}
	for loaded() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	var job string
	if err := conn.QueryRow(b.t.Context(), "select job from cw.load_ledger limit 1").Scan(&job); err != nil {
		b.t.Fatal(err)
	}
	ok := true
	for _, limit := range []float64{2 * base, 4 * base, base} {
		set := exec.CommandContext(b.t.Context(), b.cw, "load", "limit", job, fmt.Sprintf("%.0fB/s", limit), "-q")
		set.Env = b.env
		if out, err := set.CombinedOutput(); err != nil {
			b.t.Fatalf("%v\n%s", err, out)
		}
		time.Sleep(time.Second) // the time allowed for it to be in force
		first, start := loaded(), time.Now()
		time.Sleep(10 * time.Second)
		rate := (loaded() - first) / time.Since(start).Seconds()
		deviation := (rate/limit - 1) * 100
		fmt.Printf("%-16s %8.1f MB/s wanted %8.2f MB/s measured over 10 s, from 1 s after the change: %+.1f %% (goal within 5 %%)\n", "limit", limit/1e6, rate/1e6, deviation)
		ok = ok && deviation > -5 && deviation < 5
	}
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "130") {
		b.t.Errorf("interrupted load ended with %v", err)
	}
	return ok
}
