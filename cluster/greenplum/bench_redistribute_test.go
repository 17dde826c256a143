package greenplum_test

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"cw/cluster"
	"cw/cluster/redistribute"
)

// TestBenchRedistribution measures the move of many small tables from two
// segments to four: phase 2 of gpexpand and the controller of cw, on the same
// cluster and the same tables. gpexpand makes its segments itself, which is not
// measured; cw then takes the tables back to two segments and moves them
// again. Both move two tables at a time. CW_BENCH=1 runs it; CW_BENCH_TABLES
// (default 1000) sizes it.
func TestBenchRedistribution(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	tables := 1000
	if n, err := strconv.Atoi(os.Getenv("CW_BENCH_TABLES")); err == nil && n > 0 {
		tables = n
	}
	w := newWorld(t, 3, false, "segments_per_host: 2, mirrors: none, data_dirs: [/data]")
	w.stock()
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	small := path.Join(w.dir, "small.yaml")
	if err := os.WriteFile(small, []byte(strings.Join(lines[:len(lines)-1], "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	top, err := cluster.Load(small)
	if err != nil {
		t.Fatal(err)
	}
	w.do(w.m.Create(t.Context(), top))
	b := &versus{w: w, pairs: 1}
	b.dir = strings.TrimSpace(w.lab.Run(1, "sh", "-c", "ls -d /data/gp/n*/gpseg-1"))
	w.sql(1, fmt.Sprintf("do $$ begin for i in 1..%d loop execute 'create table s' || i || ' as select generate_series(1, 20) a, ''x''::text b distributed by (a)'; end loop; end $$;", tables))
	input := b.expansion(small, w.file)
	w.lab.Run(3, "sh", "-c", "mkdir -p $(dirname $(dirname "+strings.Split(input, "|")[3]+")) && chown -R gpadmin: /data")
	for _, line := range strings.Fields(input) {
		f := strings.Split(line, "|")
		w.lab.Run(w.index(f[0]), "sh", "-c", "mkdir -p "+path.Dir(f[3])+" && chown -R gpadmin: /data")
	}
	b.w.mustStock(b.dir, "printf '"+strings.ReplaceAll(input, "\n", `\n`)+"' >new.txt && rm -rf gpexpand_* && gpexpand -i new.txt")
	where := func() string {
		return w.sql(1, "select count(*) || ' on ' || numsegments from gp_distribution_policy where localoid::regclass::text ~ '^s[0-9]+$' group by numsegments;")
	}
	if got := where(); got != fmt.Sprintf("%d on 2", tables) {
		t.Fatalf("before: %s", got)
	}
	theirs := seconds(func() { b.w.mustStock(b.dir, "gpexpand -n 2") })
	if got := where(); got != fmt.Sprintf("%d on 4", tables) {
		t.Fatalf("after gpexpand: %s", got)
	}
	b.w.mustStock(b.dir, "psql -X -q -c 'drop schema gpexpand cascade' postgres")
	down := seconds(func() {
		if _, err := w.m.Redistribute(t.Context(), "gp", redistribute.Options{Target: 2, Parallel: 2}, nil); err != nil {
			t.Fatal(err)
		}
	})
	ours := seconds(func() {
		if _, err := w.m.Redistribute(t.Context(), "gp", redistribute.Options{Target: 4, Parallel: 2}, nil); err != nil {
			t.Fatal(err)
		}
	})
	if got := where(); got != fmt.Sprintf("%d on 4", tables) {
		t.Fatalf("after cw: %s", got)
	}
	fmt.Printf("%d tables to fewer segments with cw: %.1f s\n", tables, down)
	if !verdict("move", "gpexpand", []float64{theirs}, []float64{ours}, 1, 2.5) {
		t.Error("gpexpand is quicker")
	}
}
