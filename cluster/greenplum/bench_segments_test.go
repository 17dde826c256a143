package greenplum_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"cw/cluster"
)

// TestBenchExpand measures cw cluster expand against phase 1 of gpexpand:
// an empty cluster of two hosts with two primaries each gets two more hosts,
// without mirrors and with them. Both begin with a cluster that cw made, on the
// same hosts, in interleaved pairs; what is measured ends when all new segments
// and mirrors are up and in sync. CW_BENCH=1 runs it; CW_BENCH_PAIRS (default
// 5) sizes it.
func TestBenchExpand(t *testing.T) {
	if os.Getenv("CW_BENCH") == "" {
		t.Skip("CW_BENCH=1 runs the benchmark")
	}
	w := newWorld(t, 6, true, "segments_per_host: 2, mirrors: group, data_dirs: [/data/a, /data/b]")
	w.stock()
	b := &versus{w: w, u: newCLI(t), pairs: 5}
	if n, err := strconv.Atoi(os.Getenv("CW_BENCH_PAIRS")); err == nil && n > 0 {
		b.pairs = n
	}
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	ok := true
	for _, mirrors := range []string{"none", "group"} {
		lines := strings.Split(strings.TrimSpace(strings.Replace(string(text), "mirrors: group", "mirrors: "+mirrors, 1)), "\n")
		var files [2]string
		for i, n := range []int{len(lines) - 2, len(lines)} {
			files[i] = filepath.Join(w.dir, fmt.Sprintf("%s%d.yaml", mirrors, i))
			if err := os.WriteFile(files[i], []byte(strings.Join(lines[:n], "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ok = b.expands(mirrors, files[0], files[1]) && ok
	}
	if !ok {
		t.Error("a goal is missed")
	}
}

func (b *versus) expands(mirrors, small, full string) bool {
	b.w.t.Helper()
	var cw, stock []float64
	input := b.expansion(small, full)
	fresh := func() {
		b.clear()
		b.forget()
		b.cw("cluster", "create", "-f", small, "--yes")
		b.dir = b.coordinatorDir()
	}
	for range b.pairs {
		fresh()
		for _, line := range strings.Fields(input) {
			f := strings.Split(line, "|")
			b.w.lab.Run(b.w.index(f[0]), "sh", "-c", "mkdir -p "+path.Dir(f[3])+" && chown -R gpadmin: /data")
		}
		stock = append(stock, seconds(func() {
			b.w.mustStock(b.dir, "printf '"+strings.ReplaceAll(input, "\n", `\n`)+"' >new.txt && rm -rf gpexpand_* && gpexpand -i new.txt")
		}))
		b.grown()
		fresh()
		cw = append(cw, b.cw("cluster", "expand", "-f", full, "--no-redistribute", "--yes"))
		b.grown()
	}
	return verdict("expand", "gpexpand "+mirrors, stock, cw, 2.5, 5)
}

// grown wants twice the segments, all up and in sync.
func (b *versus) grown() {
	b.w.t.Helper()
	if got := b.w.segments(); got != "8 of 8" {
		b.w.t.Fatalf("segments: %s", got)
	}
	if got := b.w.sql(1, "select count(*) from gp_segment_configuration c where content >= 0 and (status = 'd' or mode = 'n' and exists (select 1 from gp_segment_configuration m where m.content = c.content and m.role = 'm'));"); got != "0" {
		b.w.t.Fatalf("%s instances are not up and in sync", got)
	}
}

// expansion is gpexpand's input for what cw would add.
func (b *versus) expansion(small, full string) string {
	b.w.t.Helper()
	var lay *cluster.Layout
	have := 0
	for _, name := range []string{small, full} {
		if lay != nil {
			have = len(lay.Nodes)
		}
		top, err := cluster.Load(name)
		if err == nil {
			lay, err = cluster.Expand(top, lay)
		}
		if err != nil {
			b.w.t.Fatal(err)
		}
	}
	var out strings.Builder
	for _, n := range lay.Nodes[have:] {
		fmt.Fprintf(&out, "%[1]s|%[1]s|%[2]d|%[3]s|%[4]d|%[5]d|%[6]s\n", n.Host, n.Port, n.DataDir, n.ID, n.Content, map[string]string{cluster.NodePrimary: "p", cluster.NodeMirror: "m"}[n.Role])
	}
	return out.String()
}
