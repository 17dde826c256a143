package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cw/playground/mytest"
	"cw/playground/pgtest"
)

// TestBenchOwnClients reads the same rows with this package and with the
// database's own client, by turns, each for a while: psql's COPY and mariadb
// --quick, whose output is counted by lines or by bytes. The text that they make
// of rows is work that cw has not, so the ratio is said, and only a cw that is
// clearly slower fails. CW_BENCH=1 turns it on.
func TestBenchOwnClients(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	pg, my := pgtest.Start(t), mytest.Start(t)
	target := Target{DSN: pg.DSN("postgres")}
	// A binary row has two fields: 2, 4 + 8 and 4 + 200 bytes.
	psql := exec.Command("psql", pg.DSN("postgres"), "-c", "copy (select generate_series(1::int8, 1000000000000::int8) as id, '"+payload()+"'::text) to stdout (format binary)")
	quick := exec.Command("mariadb", "--no-defaults", "--quick", "-N", "-B", "-h", "127.0.0.1", "-P", fmt.Sprint(my.Port), "-ucw", "-pcw", "-e", madeUp())
	for _, c := range []struct {
		name   string
		target Target
		peer   *exec.Cmd
		rows   func(bytes int64) float64
	}{
		{"postgres", target, psql, func(n int64) float64 { return float64(n) / (2 + 12 + 4 + payloadSize) }},
		{"mariadb", Target{DSN: my.DSN("warehouse")}, quick, func(n int64) float64 { return float64(n) / (payloadSize + 14) }},
	} {
		if _, err := exec.LookPath(c.peer.Path); err != nil {
			t.Logf("%s: no client: %v", c.name, err)
			continue
		}
		var ratios []float64
		for range 6 {
			m, err := Run(t.Context(), Job{Kind: Read, Streams: 1, Timing: timing(500*time.Millisecond, 3*time.Second), Target: c.target}, nil)
			if err != nil {
				t.Fatal(err)
			}
			peer := c.rows(1) * peerRate(t, c.peer, 3*time.Second)
			t.Logf("%s: cw %.0f rows/s, %s %.0f", c.name, m.Values["rows"], strings.Fields(c.peer.Path)[0], peer)
			ratios = append(ratios, m.Values["rows"]/peer)
		}
		slices.Sort(ratios)
		middle := (ratios[2] + ratios[3]) / 2
		t.Logf("%s: cw is %.2f of its client, %.2f to %.2f", c.name, middle, ratios[0], ratios[5])
		if middle < 0.85 {
			t.Errorf("%s: cw is slower than the client", c.name)
		}
	}
}

// peerRate is how many bytes per second a program writes.
func peerRate(t *testing.T, program *exec.Cmd, d time.Duration) float64 {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, program.Path, program.Args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	buffer := make([]byte, 1<<20)
	var n int64
	var began time.Time
	for warm := time.Now().Add(500 * time.Millisecond); ; {
		k, err := out.Read(buffer)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		now := time.Now()
		switch {
		case k == 0:
			t.Fatalf("%s ended", program.Path)
		case began.IsZero() && now.After(warm):
			began = now
		case !began.IsZero():
			n += int64(k)
			if took := now.Sub(began); took > d {
				return float64(n) / took.Seconds()
			}
		}
	}
}
