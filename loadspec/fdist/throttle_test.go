package fdist

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"cw/loadspec/throttle"
)

// gate is a limit that lets nothing through until it is opened.
type gate struct {
	open  chan struct{}
	waits atomic.Int64
}

func (g *gate) Quantum(*Request) int { return 1000 }

func (g *gate) Wait(ctx context.Context, _ *Request, _ int) error {
	g.waits.Add(1)
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TestSignsOfLife: a segment that has to wait hears something every now and
// then, and the rows are whole afterwards.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := csvRows(0, 3000)
	write(t, dir+"/x.csv", want)
	g := &gate{open: make(chan struct{})}
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Limits: g, Heartbeat: 10 * time.Millisecond})
	rows, err := new(Client).Get(t.Context(), csvScan(address, "x.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	waitFor(t, func() bool { return s.Stats().Heartbeats.Load() > 5 })
	close(g.open)
	got, err := io.ReadAll(rows)
	if err != nil || !bytes.Equal(got, want) || rows.Beats < 5 {
		t.Errorf("%d bytes, %d signs, %v", len(got), rows.Beats, err)
	}
	if n := g.waits.Load(); n < int64(len(want)/1000) {
		t.Errorf("%d waits: pieces are too large", n)
	}
}

// TestLeavingWhileWaiting: a segment that goes while there is nothing to send
// is noticed, and the input is closed.
func TestLeavingWhileWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(dir+"/p", 0o600); err != nil {
		t.Fatal(err)
	}
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Heartbeat: 10 * time.Millisecond})
	rows, err := new(Client).Get(t.Context(), csvScan(address, "p"))
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	waitFor(t, func() bool { return s.Stats().Open.Load() == 0 && s.Sessions()[0].Ended })
	// The pipe is free for the next statement.
	next := csvScan(address, "p")
	next.SN = "9"
	waitFor(t, func() bool {
		rows, err := new(Client).Get(t.Context(), next)
		if err == nil {
			rows.Close()
		}
		return err == nil
	})
}

// limiter is a plain throttle as Limits.
type limiter struct{ *throttle.Limiter }

func (l limiter) Wait(ctx context.Context, _ *Request, n int) error { return l.Limiter.Wait(ctx, n) }

func (l limiter) Quantum(*Request) int {
	if l.Rate() == 0 {
		return 0
	}
	return l.Limiter.Quantum()
}

// TestRate reads with several segments under a limit that changes.
func TestRate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/x.csv", csvRows(0, 1_000_000))
	write(t, dir+"/x.txt", bytes.Repeat([]byte("0123456789\n"), 3<<20))
	for _, path := range []string{"x.csv", "x.txt"} {
		l := throttle.New(3_000_000, nil)
		_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Limits: limiter{l}})
		ctx, cancel := context.WithCancel(t.Context())
		var got atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			scan := csvScan(address, path)
			scan.CSV, scan.Segment, scan.Segments = path == "x.csv", i, 8
			wg.Go(func() {
				rows, err := new(Client).Get(ctx, scan)
				if err != nil {
					t.Error(err)
					return
				}
				defer rows.Close()
				buf := make([]byte, 4096)
				for {
					n, err := rows.Read(buf)
					got.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
		}
		for _, rate := range []int64{3_000_000, 10_000_000, 1_000_000} {
			l.SetRate(rate)
			time.Sleep(200 * time.Millisecond) // what is on its way
			before, start := got.Load(), time.Now()
			time.Sleep(time.Second)
			is := float64(got.Load()-before) / time.Since(start).Seconds()
			least := 0.7 // a crowded machine may not keep up
			if underRace {
				least = 0.3
			}
			if is < least*float64(rate) || is > 1.15*float64(rate) {
				t.Errorf("%s: %.0f bytes/s, limit %d", path, is, rate)
			}
		}
		cancel()
		wg.Wait()
	}
}

// TestMemory holds 64 connections to a server in a process of its own, none of
// which reads at first.
func TestMemory(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no /proc on this machine")
	}
	if underRace {
		t.Skip("the race detector's own memory is a multiple of the server's")
	}
	dir := t.TempDir()
	write(t, dir+"/x.csv", csvRows(0, 1_500_000))
	b := &benchServer{start: func(_ *testing.T, port int) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestServerProcess$", "-test.timeout=0")
		cmd.Env = append(os.Environ(), "CW_FDIST_DIR="+dir, "CW_FDIST_PORT="+strconv.Itoa(port))
		return cmd
	}}
	b.up(t)
	var all []*Rows
	for i := range 64 {
		scan := csvScan(b.addr, "x.csv")
		scan.SN = strconv.Itoa(i) // each its own session
		rows, err := new(Client).Get(t.Context(), scan)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		all = append(all, rows)
	}
	var wg sync.WaitGroup
	for _, rows := range all {
		wg.Go(func() {
			if _, err := io.CopyN(io.Discard, rows, 20<<20); err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	kb, err := strconv.Atoi(strings.TrimSuffix(b.peak(), " kB"))
	if err != nil || kb > 200_000 {
		t.Errorf("%d kB, %v", kb, err)
	}
	t.Logf("peak memory %d kB", kb)
}
