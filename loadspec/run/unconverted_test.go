package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2/ocf"

	"cw/loadspec/copy"
	"cw/playground/gptest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// badEvery is how often a row of the spoiled objects cannot be converted.
const badEvery = 1000

// spoiled are objects of n rows (id, name) of which some cannot be converted;
// one more is refused by the database.
func spoiled(n int) []formatted {
	var lines, dump, fixed, file bytes.Buffer
	dump.WriteString("CREATE TABLE `items` (\n  `id` int,\n  `name` text\n);\nINSERT INTO `items` VALUES ")
	w, err := ocf.NewEncoder(`{"type":"record","name":"item","fields":[{"name":"id","type":"string"},{"name":"name","type":"string"}]}`, &file, ocf.WithBlockLength(300))
	if err != nil {
		panic(err)
	}
	for i := range n {
		id, name := fmt.Sprint(i), fmt.Sprintf("name %d", i)
		if i == n/2 {
			id = "x"
		}
		sep := ","
		if i == n-1 {
			sep = ";\n"
		}
		if i%badEvery == 7 {
			fmt.Fprintf(&lines, "{\"id\":%s,,\n", id)
			fmt.Fprintf(&dump, "('%s')%s", id, sep)
			fmt.Fprintf(&fixed, "%10s\n", id)
			name = "\x00"
		} else {
			fmt.Fprintf(&lines, "{\"id\":%q,\"name\":%q}\n", id, name)
			fmt.Fprintf(&dump, "('%s','%s')%s", id, name, sep)
			fmt.Fprintf(&fixed, "%10s%-15s\n", id, name)
		}
		_ = w.Encode(map[string]any{"id": id, "name": name})
	}
	_ = w.Close()
	return []formatted{
		{name: "x.jsonl", format: "json", data: lines.Bytes()},
		{name: "x.sql", format: "mysqldump", data: dump.Bytes()},
		{name: "x.dat", format: "fixed", more: "    - FIXED: {id: 10, name: 15}\n", data: fixed.Bytes()},
		{name: "x.avro", format: "avro", data: file.Bytes()},
	}
}

const spoiledItems = "create table items (id int primary key, name text not null)"

// unconverted checks what a load of a spoiled object has left.
func unconverted(t *testing.T, n int, format string, scalar func(string) string) {
	t.Helper()
	bad := n / badEvery
	if got, want := scalar("select count(*) || ' ' || count(distinct id) || ' ' || count(*) filter (where name <> ('name ' || id)) from items"), fmt.Sprintf("%d %d 0", n-bad-1, n-bad-1); got != want {
		t.Errorf("%s: rows, different ids, wrong names: %s, not %s", format, got, want)
	}
	got := scalar(fmt.Sprintf("select count(*) || ' ' || count(*) filter (where loaded and line %% %d = 8 and reason like '%%%s%%') || ' ' || count(distinct line) from cw.load_errors", badEvery, format))
	if want := fmt.Sprintf("%d %d %d", bad+1, bad, bad+1); got != want {
		t.Errorf("%s: rejected, with line and reason, different lines: %s, not %s\n%s", format, got, want, scalar("select string_agg(line || ' ' || reason, e'\\n') from (select line, reason from cw.load_errors order by line limit 20) x"))
	}
}

func TestUnconverted(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const n = 20_000
	for _, f := range spoiled(n) {
		t.Run(f.format, func(t *testing.T) {
			t.Parallel()
			for limit, fails := range map[string]bool{"21": false, "20": true, "0.2%": false, "0.05%": true, "": true} {
				e := newEnv(t, pg, spoiledItems)
				more := f.more
				if limit != "" {
					more += "    - ERROR_LIMIT: " + limit + "\n"
				}
				spec := e.spec(simple(e.file(f.name, f.data), f.format, "items", more)+smallSplits, 0)
				res, err := Run(t.Context(), e.options(spec, "j"))
				if fails {
					var over *copy.LimitError
					if err == nil || limit != "" && !errors.As(err, &over) || !strings.Contains(err.Error(), f.format+":") && !strings.Contains(err.Error(), `"x"`) {
						t.Errorf("limit %s: %v", limit, err)
					}
					continue
				}
				if err != nil || res.Rejected != n/badEvery+1 || res.Rows != n-res.Rejected {
					t.Errorf("limit %s: %+v, %v", limit, res, err)
				}
				unconverted(t, n, f.format, e.scalar)
				if rep, err := Check(t.Context(), e.options(spec, "check")); err != nil || !strings.Contains(strings.Join(rep.Warnings, "\n"), "would be rejected: ") || rep.Sampled == 0 {
					t.Errorf("check: %+v, %v", rep, err)
				}
			}
		})
	}
}

// TestUnconvertedInterrupted: rows that cannot be converted are kept exactly
// once as well.
func TestUnconvertedInterrupted(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	const n = 40_000
	for _, f := range spoiled(n) {
		t.Run(f.format, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, pg, spoiledItems)
			srv := s3test.Start(t, "data")
			srv.Put(t, "data", f.name, f.data)
			e.o.Credentials = srv.Credentials()
			spec := e.spec(fmt.Sprintf("  INPUT:\n    - SOURCE: {URL: ['s3://data/%s'], ENDPOINT: '%s'}\n    - FORMAT: %s\n    - ERROR_LIMIT: 50\n%s  OUTPUT:\n    - TABLE: items\n", f.name, srv.Endpoint, f.format, f.more)+smallSplits, 0)
			rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 10))
			runs := e.runToEnd(e.options(spec, "j"), 300, func(i int) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(30+rng.IntN(60+15*i))*time.Millisecond, cancel)
				return ctx, cancel
			})
			unconverted(t, n, f.format, e.scalar)
			if runs < 3 {
				t.Errorf("only %d runs: nothing was interrupted", runs)
			}
		})
	}
}

func TestUnconvertedOnGreenplum(t *testing.T) {
	gp := gptest.Start(t, 2)
	const n = 20_000
	for _, f := range spoiled(n) {
		for limit, fails := range map[string]bool{"30": false, "10": true, "5%": false} {
			e := newGPEnv(t, gp)
			gp.Exec(t, e.db, "drop table items; create table items (id int, name text) distributed by (id)")
			spec := e.spec(simple(e.file(f.name, f.data), f.format, "items", f.more+"    - ERROR_LIMIT: "+limit+"\n") + "  PARALLEL: {COMMIT: 100kB}\n")
			res, err := Run(t.Context(), e.options(spec))
			if fails {
				var over *copy.LimitError
				if !errors.As(err, &over) {
					t.Errorf("%s, limit %s: %v", f.format, limit, err)
				}
				continue
			}
			if err != nil || res.Rejected != n/badEvery+1 || res.Rows != n-res.Rejected {
				t.Errorf("%s, limit %s: %+v, %v", f.format, limit, res, err)
			}
			unconverted(t, n, f.format, e.query)
		}
	}
	e := newGPEnv(t, gp)
	_, err := Run(t.Context(), e.options(e.spec(simple(e.file("x.csv", []byte("1,a,2,b\n")), "csv", "items", "    - ERROR_LIMIT: 2.5%\n"))))
	if err == nil || !strings.Contains(err.Error(), "test.yaml:") || !strings.Contains(err.Error(), "whole percentages") {
		t.Errorf("half percentages: %v", err)
	}
}

// TestPercent: few bad rows among few are found at the end.
func TestPercent(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	for limit, fails := range map[string]bool{"50%": false, "20%": true} {
		e := newEnv(t, pg, items)
		spec := e.spec(simple(e.file("x.csv", []byte("1,a,1,n\nx,a,1,n\n2,a,1,n\n")), "csv", "items", "    - ERROR_LIMIT: "+limit+"\n"), 0)
		res, err := Run(t.Context(), e.options(spec, "j"))
		if fails != (err != nil) || res.Rows != 2 || res.Rejected != 1 || fails && !strings.Contains(err.Error(), "ERROR_LIMIT 20% allows; one of them: 1 of 3 rows") {
			t.Errorf("%s: %+v, %v", limit, res, err)
		}
	}
}
