package greenplum_test

import (
	"fmt"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/cluster"
)

// TestBench measures the cw commands against the stock tools on the same
// hosts, in interleaved pairs, and prints medians and ratios: coordinator,
// standby and four hosts with two primaries and two mirrors each, all on
// tmpfs, with the same max_connections and shared_buffers. A command is
// measured from its start to its end: cw's checks, its plan and its final
// status are in. CW_BENCH=1 runs it; CW_BENCH_PAIRS (default 5) sizes it.
func TestBench(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	w := newWorld(t, 6, true, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.stock()
	b := &versus{w: w, u: newCLI(t), pairs: 5}
	if n, err := strconv.Atoi(os.Getenv("CW_BENCH_PAIRS")); err == nil && n > 0 {
		b.pairs = n
	}
	b.init = initConfig{first: 3, standby: 2, primaries: []string{"/data/primary", "/data/primary"}, mirrorDirs: []string{"/data/mirror", "/data/mirror"}}
	ok := b.creates()
	ok = b.stopsAndStarts() && ok
	if !ok {
		t.Error("a goal is missed")
	}
}

type versus struct {
	w     *world
	u     *cli
	pairs int
	init  initConfig
	dir   string // the coordinator's data directory
}

// creates leaves a cluster of cw's running.
func (b *versus) creates() bool {
	b.cw("cluster", "create", "-f", b.w.file, "--yes")
	b.dir = b.coordinatorDir()
	b.init.maxConnections, b.init.sharedBuffers = b.setting("max_connections"), b.setting("shared_buffers")
	same := b.setting("fsync") // as both have it
	var cw, stock []float64
	for i := range b.pairs {
		b.clear()
		b.w.stockFolders(b.init)
		stock = append(stock, seconds(func() { b.w.initSystem(b.init) }))
		if i == 0 {
			for _, s := range []string{"max_connections=" + b.init.maxConnections, "shared_buffers=" + b.init.sharedBuffers, "fsync=" + same} {
				name, want, _ := strings.Cut(s, "=")
				if got := b.w.mustStock(stockMaster, "psql -XAtqc 'show "+name+"'"); strings.TrimSpace(got) != want {
					b.w.t.Fatalf("%s is %s with gpinitsystem and %s with cw", name, got, want)
				}
			}
		}
		b.clear()
		b.forget()
		cw = append(cw, b.cw("cluster", "create", "-f", b.w.file, "--yes"))
	}
	b.u.status(cluster.Up)
	return verdict("create", "gpinitsystem", stock, cw, 6, 8)
}

func (b *versus) stopsAndStarts() bool {
	var cwStop, stop, cwStart, start []float64
	for i := range b.pairs {
		stop = append(stop, seconds(func() { b.w.mustStock(b.dir, "gpstop -a -M fast") }))
		start = append(start, seconds(func() { b.w.mustStock(b.dir, "gpstart -a") }))
		cwStop = append(cwStop, b.cw("cluster", "stop", "gp", "--mode", "fast", "--yes"))
		cwStart = append(cwStart, b.cw("cluster", "start", "gp", "--yes"))
		if got := b.w.sql(1, "select count(distinct gp_segment_id) from gp_dist_random('gp_id')"); got != "8" {
			b.w.t.Fatalf("pair %d: %s segments answer", i, got)
		}
	}
	b.u.status(cluster.Up)
	ok := verdict("stop", "gpstop", stop, cwStop, 10, 10)
	return verdict("start", "gpstart", start, cwStart, 1.5, 1.5) && ok
}

// cw runs a command that must succeed; the result is in seconds.
func (b *versus) cw(args ...string) float64 {
	b.w.t.Helper()
	_, took := b.u.must(args...)
	return took.Seconds()
}

func (b *versus) coordinatorDir() string {
	b.w.t.Helper()
	return strings.TrimSpace(b.w.lab.Run(1, "sh", "-c", "ls -d /data/a/gp/n*/gpseg-1"))
}

func (b *versus) setting(name string) string {
	b.w.t.Helper()
	return strings.TrimSpace(b.w.mustStock(b.dir, "psql -XAtqc 'show "+name+"'"))
}

// clear ends and removes whatever cluster is on the hosts, with a power cut:
// what is measured begins on bare hosts.
func (b *versus) clear() {
	b.w.t.Helper()
	var wg sync.WaitGroup
	for i := range b.w.lab.Hosts {
		wg.Go(func() {
			b.w.lab.Off(i + 1)
			b.w.lab.On(i + 1)
			b.w.lab.Run(i+1, "sh", "-c", "rm -rf /data/* /var/lib/cw /home/gpadmin/gpAdminLogs")
		})
	}
	wg.Wait()
}

// forget has the user begin anew: cw knows no cluster and no host.
func (b *versus) forget() { b.u = newCLI(b.w.t) }

func seconds(fn func()) float64 {
	started := time.Now()
	fn()
	return time.Since(started).Seconds()
}

// verdict prints medians and their ratio, and says whether the goal is met.
func verdict(what, tool string, theirs, cw []float64, goal, moonshot float64) bool {
	ratio := median(theirs) / median(cw)
	fmt.Printf("%-8s %-12s %6.2f s   cw %6.2f s   ratio %5.2f (goal %.1f, moonshot %.1f)  load %s  all: %s %.2f cw %.2f\n",
		what, tool, median(theirs), median(cw), ratio, goal, moonshot, load(), tool, theirs, cw)
	return ratio >= goal
}

func median(v []float64) float64 {
	s := append([]float64(nil), v...)
	sort.Float64s(s)
	return s[len(s)/2]
}

// load is the machine's load average over the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return regexp.MustCompile(`^\S*`).FindString(string(text))
}
