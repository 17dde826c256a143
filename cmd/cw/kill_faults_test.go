package main_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// faultRows are the rows (id, word) of a source in several formats.
func faultRows(n int) (rows map[string][]byte, sum int64) {
	var csv, json, dump bytes.Buffer
	dump.WriteString("-- MariaDB dump 10.19\nCREATE TABLE `t` (\n  `id` bigint(20) NOT NULL,\n  `word` text DEFAULT NULL\n);\n")
	for i := range n {
		word := []string{"plain", "with, comma", "two\nlines", `a "quote"`, `back\slash`}[i%5]
		sum += int64(i) * int64(len(word))
		fmt.Fprintf(&csv, "%d,\"%s\"\n", i, strings.ReplaceAll(word, `"`, `""`))
		fmt.Fprintf(&json, "{\"id\": %d, \"word\": %q}\n", i, word)
		if i%100 == 0 {
			if i > 0 {
				dump.WriteString(";\n")
			}
			dump.WriteString("INSERT INTO `t` VALUES ")
		} else {
			dump.WriteString(",")
		}
		fmt.Fprintf(&dump, "(%d,'%s')", i, strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(word))
	}
	dump.WriteString(";\n")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(csv.Bytes())
	_ = w.Close()
	return map[string][]byte{"csv": csv.Bytes(), "csv.gz": z.Bytes(), "json": json.Bytes(), "mysqldump": dump.Bytes()}, sum
}

// randomFault is what a store in trouble does to a request now and then.
func randomFault() s3test.Fault {
	switch rand.IntN(9) { //nolint:gosec // no secret
	case 0:
		return s3test.Fault{Status: http.StatusInternalServerError}
	case 1:
		return s3test.Fault{Status: http.StatusServiceUnavailable}
	case 2:
		return s3test.Fault{Truncate: 1 + rand.Int64N(200_000)} //nolint:gosec // no secret
	case 3:
		return s3test.Fault{Truncate: -1}
	case 4:
		return s3test.Fault{Delay: time.Duration(rand.Int64N(int64(300 * time.Millisecond)))} //nolint:gosec // no secret
	case 5:
		return s3test.Fault{Rate: 500_000}
	}
	return s3test.Fault{}
}

// A load whose store fails, whose database is restarted, and that is killed at
// any moment, in turn with every format, ends with exactly the rows of its
// source.
func TestKillLoadAmongFaults(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	srv := s3test.Start(t, "bucket")
	const rows = 120_000
	objects, sum := faultRows(rows)
	for name, data := range objects {
		srv.Put(t, "bucket", "in/t."+name, data)
	}
	proxy := srv.Proxy(t)
	proxy.Set(func(*http.Request) s3test.Fault { return randomFault() })
	u := newUser(t)
	u.env = append(u.env, "PGPASSWORD=cw", "PGSSLMODE=disable", "AWS_ACCESS_KEY_ID="+srv.Access, "AWS_SECRET_ACCESS_KEY="+srv.Secret, "AWS_EC2_METADATA_DISABLED=true")
	formats := []string{"csv", "json", "csv.gz", "mysqldump"}
	kills, restarts := 0, 0
	for round := range rounds(t, 4) {
		format := formats[round%len(formats)]
		table := fmt.Sprintf("t%d", round)
		mode := "- MODE: insert"
		if round%3 == 2 {
			mode = "- MODE: merge\n    - MATCH_COLUMNS: [id]\n    - UPDATE_COLUMNS: [word]"
		}
		dump := ""
		if format == "mysqldump" {
			dump = "    - MYSQLDUMP: {TABLE: t}\n"
		}
		pg.Exec(t, "postgres", "create table public."+table+" (id bigint, word text)")
		spec := filepath.Join(u.home, table+".yaml")
		writeFile(t, spec, fmt.Sprintf(`VERSION: 1.0.0.1
HOST: 127.0.0.1
PORT: %d
USER: cw
DATABASE: postgres
GPLOAD:
  INPUT:
    - SOURCE: {URL: ["s3://bucket/in/t.%s"], ENDPOINT: "%s"}
    - FORMAT: %s
%s  SPEED: {LIMIT: 3MB/s}
  PARALLEL: {WORKERS: 3, SPLIT: 256KB}
  OUTPUT:
    - TABLE: public.%s
    %s
`, pg.Port, format, proxy.Endpoint, strings.TrimSuffix(format, ".gz"), dump, table, mode))
		restart := round%2 == 1
		id := ""
		for attempt := 0; ; attempt++ {
			if attempt > 20 {
				t.Fatalf("round %d: %s does not come to its end", round, id)
			}
			args := []string{"load", "run", spec, "--yes"}
			if id != "" {
				args = []string{"load", "resume", id}
			}
			if attempt < 3 {
				var wait sync.WaitGroup
				unreachable := 0
				if restart && attempt == 1 {
					restarts++
					unreachable = 5 // where it begins while the database is away
					wait.Go(func() {
						time.Sleep(time.Duration(rand.Int64N(int64(time.Second)))) //nolint:gosec // a fault at any moment
						pg.StopServer(t, "immediate")
						pg.StartServer(t)
					})
				}
				if u.killAfterUnless(time.Duration(rand.Int64N(int64(1500*time.Millisecond))), unreachable, args...) { //nolint:gosec // no secret
					kills++
				}
				wait.Wait()
			} else {
				u.must(args...)
			}
			var state string
			if id, state = u.jobOf(table); state == "done" {
				break
			}
		}
		var got, distinct, have int64
		conn := pg.Connect(t, "postgres")
		if err := conn.QueryRow(t.Context(), "select count(*), count(distinct id), coalesce(sum(id * length(word)), 0)::bigint from public."+table).Scan(&got, &distinct, &have); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close(t.Context())
		t.Logf("round %d, %s: %d kills so far, %d rows", round, format, kills, got)
		if got != rows || distinct != rows || have != sum {
			t.Errorf("round %d, %s: %d rows, %d distinct, sum %d; want %d rows, sum %d", round, format, got, distinct, have, rows, sum)
		}
	}
	if kills == 0 {
		t.Error("no load was killed: the test proves nothing")
	}
	t.Logf("%d kills, %d restarts of the database, %d requests to the store", kills, restarts, proxy.Requests())
	wantProcesses(t, u.home, 0)
}

// jobOf finds the job that loads a table; empty before there is one.
func (u *user) jobOf(table string) (id, state string) {
	u.t.Helper()
	var jobs struct {
		Items []struct{ ID, State, Target string }
	}
	u.read(&jobs, "load", "list")
	for _, j := range jobs.Items {
		if strings.HasSuffix(j.Target, "."+table) {
			return j.ID, j.State
		}
	}
	return "", ""
}
