package run

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

// probeSQL is a query as an application asks it all day; it is what the load
// is told to leave room for. Its table is nobody else's: one that pgbench
// changes would grow, and the query become slower by itself.
const probeSQL = "select count(*) from business where id between 1000 and 21000"

// TestBenchAdaptive runs a pgbench beside loads of a large file, without a
// limit and with SPEED: ADAPTIVE in turn, and measures the probe's latency by
// a session of its own: with the adaptive limit the 95th percentile of a second
// stays under the target in nine seconds of ten, without it does not.
func TestBenchAdaptive(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	b := newBench(t, pgtest.Dir(t), "")
	pgbench := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(b.pg.BinDir, "pgbench"), args...)
		cmd.Env = b.env
		return cmd
	}
	if out, err := pgbench("-i", "-q", "-s", "3").CombinedOutput(); err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	b.pg.Exec(t, "postgres", "create table business as select id, repeat('x', 50) as note from generate_series(1, 300000) id; create index on business (id); analyze business")
	b.pg.Exec(t, "postgres", "vacuum business")
	business := pgbench("-n", "-c", "2", "-R", "100", "-T", "3600")
	if err := business.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = business.Process.Signal(os.Interrupt); _ = business.Wait() })
	seconds := number("CW_BENCH_SECONDS", 30)
	base := quantileOf(b.latencies(time.Duration(seconds)*time.Second/3, nil), 0.95)
	target := max(2*base, 5*time.Millisecond)
	speed := fmt.Sprintf("  SPEED: {ADAPTIVE: {PROBE: '%s', TARGET: %s, MIN: 500kB/s, EVERY: 50ms}}\n", probeSQL, target)
	var free, kept, freeRate, keptRate []float64
	for range max(b.pairs/2, 2) {
		part, rate := b.besides("", target, seconds)
		free, freeRate = append(free, part), append(freeRate, rate)
		part, rate = b.besides(speed, target, seconds)
		kept, keptRate = append(kept, part), append(keptRate, rate)
	}
	fmt.Printf("adaptive: the probe takes %s (p95) without a load, target %s. Seconds within the target: unlimited %.0f %% at %.1f MB/s, adaptive %.0f %% at %.1f MB/s (goal 90 %%)  all: %.2f %.2f\n",
		base.Round(10*time.Microsecond), target.Round(10*time.Microsecond), 100*median(free), median(freeRate), 100*median(kept), median(keptRate), free, kept)
	if median(kept) < 0.9 || median(free) >= 0.9 {
		t.Error("a goal is missed")
	}
}

// besides loads for some seconds and returns the part of those in which the
// probe's 95th percentile was within the target, and the load's speed in MB/s.
func (b *bench) besides(speed string, target time.Duration, seconds int) (part, rate float64) {
	b.t.Helper()
	b.pg.Exec(b.t, "postgres", "truncate lineitem; checkpoint")
	spec := filepath.Join(b.dir, "beside.yaml")
	text := "VERSION: 1.0.0.1\nGPLOAD:\n  INPUT:\n    - SOURCE: {FILE: ['" + b.csv + "']}\n    - FORMAT: csv\n  OUTPUT:\n    - TABLE: lineitem\n" + speed
	if err := os.WriteFile(spec, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	stop := make(chan struct{})
	loaded := make(chan struct{})
	go func() { // again and again: without a limit the file does not last
		ctx, cancel := context.WithCancel(b.t.Context())
		go func() { <-stop; cancel() }()
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, b.cw, "load", "run", spec, "-q", "--again")
			cmd.Env = b.env
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			_ = cmd.Run()
		}
		close(loaded)
	}()
	conn := b.pg.Connect(b.t, "postgres")
	rows := func() float64 {
		var n float64
		if err := conn.QueryRow(b.t.Context(), "select count(*)::float8 from lineitem").Scan(&n); err != nil {
			b.t.Fatal(err)
		}
		return n
	}
	for rows() == 0 {
		time.Sleep(50 * time.Millisecond)
	}
	b.latencies(5*time.Second, nil) // finding out
	first, start := rows(), time.Now()
	good, all := 0, 0
	b.latencies(time.Duration(seconds)*time.Second, func(second []time.Duration) {
		if all++; quantileOf(second, 0.95) <= target {
			good++
		}
	})
	rate = (rows() - first) / time.Since(start).Seconds() * float64(b.size) / float64(b.rows) / 1e6
	close(stop)
	<-loaded
	return float64(good) / float64(all), rate
}

// latencies asks the probe twenty times a second; each second's are told.
func (b *bench) latencies(d time.Duration, each func([]time.Duration)) []time.Duration {
	b.t.Helper()
	conn := b.pg.Connect(b.t, "postgres")
	defer func() { _ = conn.Close(b.t.Context()) }()
	var all, second []time.Duration
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	mark := time.Now()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		began := time.Now()
		if _, err := conn.Exec(b.t.Context(), probeSQL, pgx.QueryExecModeSimpleProtocol); err != nil {
			b.t.Fatal(err)
		}
		took := time.Since(began)
		all, second = append(all, took), append(second, took)
		if time.Since(mark) >= time.Second {
			if each != nil {
				each(second)
			}
			second, mark = nil, time.Now()
		}
	}
	return all
}

func quantileOf(v []time.Duration, q float64) time.Duration {
	s := append([]time.Duration(nil), v...)
	sort.Slice(s, func(a, b int) bool { return s[a] < s[b] })
	return s[min(int(q*float64(len(s))), len(s)-1)]
}
