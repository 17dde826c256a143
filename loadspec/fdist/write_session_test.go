package fdist

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A body that cannot be stored fails the statement, for all its segments, with
// the reason; nothing is published.
func TestWriteFailureEndsSession(t *testing.T) {
	t.Parallel()
	out := &slowOutput{fail: errors.New("no space left on device")}
	s, addr := writeServer(t, Options{Outputs: out})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	for i, c := range []struct{ headers, body, want string }{
		{seq(2), "2\n", "HTTP/1.0 500 no space left on device"},
		{seq(2), "2\n", "HTTP/1.0 500 session error: no space left on device"},
		{strings.ReplaceAll(seq(1), "SEGMENT-ID: 0", "SEGMENT-ID: 1"), "", "HTTP/1.0 500 session error: no space left on device"},
		{seq(1) + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 500 session error: no space left on device"},
	} {
		if got := rawPost(t, dialTo(t, addr), "t", c.headers, c.body); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
	if state, rows := out.get(); state != "aborted" || len(rows) > 0 {
		t.Errorf("%s, %q", state, rows)
	}
	if n := s.Stats().Failed.Load(); n != 1 {
		t.Errorf("%d sessions failed", n)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Nobody comes any more: the rows are thrown away, and who comes then is told.
func TestWriteIdleSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}, SessionIdle: 10 * time.Millisecond})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(2), "2\n")
	if n := len(s.Sessions()); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	await(t, "the session to be given up", func() bool { return len(s.Sessions()) == 0 })
	if got := rawPost(t, dialTo(t, addr), "t", seq(3), "3\n"); !strings.Contains(got, "no segment has come for 10ms") {
		t.Error(got)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The server is stopped: what is not published is thrown away.
func TestWriteServerStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := New(Options{Outputs: &FileOutputs{Dir: dir}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	rawPost(t, dialTo(t, l.Addr().String()), "t", seq(1), "")
	rawPost(t, dialTo(t, l.Addr().String()), "t", seq(2), "2\n")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func other(headers string) string {
	return strings.ReplaceAll(headers, "SEGMENT-ID: 0", "SEGMENT-ID: 1")
}

// A segment that begins when all others have ended joins within the linger
// time; the answer to the last one says that all is published.
func TestWriteLinger(t *testing.T) {
	t.Parallel()
	out := &slowOutput{}
	_, addr := writeServer(t, Options{Outputs: out, Linger: time.Second})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(2), "a\n")
	first := make(chan string, 1)
	go func() { first <- rawPost(t, dialTo(t, addr), "t", seq(2)+"X-GP-DONE: 1\r\n", "") }()
	select {
	case got := <-first:
		t.Errorf("%q before the linger time is over", got)
	case <-time.After(100 * time.Millisecond):
	}
	rawPost(t, dialTo(t, addr), "t", other(seq(1)), "")
	if got := <-first; got != "HTTP/1.0 200 ok" { // others go on: it is their end that publishes
		t.Error(got)
	}
	if state, _ := out.get(); state != "" {
		t.Error(state)
	}
	rawPost(t, dialTo(t, addr), "t", other(seq(2)), "b\n")
	rawPost(t, dialTo(t, addr), "t", other(seq(2))+"X-GP-DONE: 1\r\n", "")
	if state, rows := out.get(); state != "published" || len(rows) != 2 {
		t.Errorf("%s %q", state, rows)
	}
}

// A pipe stays open for the linger time, its writers do not wait for it.
func TestWriteLingerOpen(t *testing.T) {
	t.Parallel()
	out := &slowOutput{late: LateOpen}
	s, addr := writeServer(t, Options{Outputs: out, Linger: 300 * time.Millisecond})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(1)+"X-GP-DONE: 1\r\n", "")
	if state, _ := out.get(); state != "" {
		t.Errorf("%s at once", state)
	}
	await(t, "the pipe to be closed", func() bool { state, _ := out.get(); return state == "published" && len(s.Sessions()) == 0 })
}

func TestWriteAndReadOneStatement(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}, Inputs: &FileInputs{Dir: dir}})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	conn := dialTo(t, addr)
	_, _ = fmt.Fprintf(conn, "GET /t HTTP/1.1\r\nX-GP-PROTO: 1\r\n%s\r\n", segmentHeaders)
	if got := answerOf(t, conn); got != "HTTP/1.0 400 can't write to and read from the same gpfdist server simultaneously" {
		t.Error(got)
	}
}

func TestWriteZstdOnTheWire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}, Compress: true})
	s := scanOf(addr, "t", 0)
	s.Zstd = true
	w, err := new(Client).Post(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if !w.zstd {
		t.Error("the server does not confirm zstd")
	}
	row := strings.Repeat("row,", 1000) + "\n"
	for range 3 {
		if err := w.Send(t.Context(), []byte(row)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Done(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, filepath.Join(dir, "t")); got != row+row+row {
		t.Errorf("%d bytes", len(got))
	}
	if got := rawPost(t, dialTo(t, addr), "u", "X-GP-ZSTD: 1\r\n", string(zstdMagic)+"damaged"); !strings.HasPrefix(got, "HTTP/1.0 400 the body is no zstd frame") {
		t.Error(got)
	}
}

func TestWriteDelimiters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	for i, c := range []struct{ headers, body, want string }{
		{"X-GP-LINE-DELIM-STR: 0D0A\r\nX-GP-LINE-DELIM-LENGTH: 2\r\n", "a\r\nb", "a\r\nb\r\n"},
		{"X-GP-LINE-DELIM-LENGTH: -1\r\n", "a\n", "a\n"},
		{"X-GP-LINE-DELIM-LENGTH: 0\r\n", "fixedwidth", "fixedwidth"},
		{"X-GP-LINE-DELIM-STR: 456E64\r\nX-GP-LINE-DELIM-LENGTH: 3\r\n", "aEndbEnd", "aEndbEnd"},
	} {
		name := fmt.Sprint(i)
		if got := rawPost(t, dialTo(t, addr), name, c.headers, c.body); got != "HTTP/1.0 200 ok" {
			t.Error(got)
		}
		if got := content(t, filepath.Join(dir, name)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
