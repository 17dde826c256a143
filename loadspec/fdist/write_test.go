package fdist

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// writeServer serves writes and returns its address.
func writeServer(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	s := New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended: %v", err)
		}
	})
	return s, l.Addr().String()
}

func scanOf(addr, path string, segment int) *Scan {
	return &Scan{URL: "gpfdist://" + addr + "/" + path, XID: "1700000000-0000000007", CID: "1", SN: "0", Segment: segment, Segments: 8}
}

// rawPost is one POST as bytes; the answer's status line is returned.
func rawPost(t *testing.T, conn net.Conn, path, headers, body string) string {
	t.Helper()
	_, err := fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nX-GP-PROTO: 0\r\n%sContent-Length: %d\r\n\r\n%s", path, headers, len(body), body)
	if err != nil {
		t.Fatal(err)
	}
	return answerOf(t, conn)
}

func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	for {
		h, err := r.ReadString('\n')
		if err != nil || strings.TrimSpace(h) == "" {
			return strings.TrimSpace(line)
		}
	}
}

func dialTo(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

const segmentHeaders = "X-GP-XID: 1700000000-0000000007\r\nX-GP-CID: 1\r\nX-GP-SN: 0\r\nX-GP-SEGMENT-ID: 0\r\nX-GP-SEGMENT-COUNT: 2\r\n"

func seq(n int) string { return segmentHeaders + fmt.Sprintf("X-GP-SEQ: %d\r\n", n) }

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

func unpacked(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var r io.Reader = f
	switch filepath.Ext(name) {
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".zst":
		r, err = zstd.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Segments write at once; the file has every row once and whole, and is not
// there before all have ended. A second statement appends.
func TestWriteFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"t.csv", "t.csv.gz", "sub/t.zst"} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
		target := filepath.Join(dir, name)
		var want []string
		for statement := range 2 {
			var group sync.WaitGroup
			var mu sync.Mutex
			writers := make([]*RowsWriter, 4)
			for seg := range writers {
				s := scanOf(addr, name, seg)
				s.CID = fmt.Sprint(statement)
				w, err := new(Client).Post(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				writers[seg] = w
				group.Go(func() {
					for i := range 30 {
						var b bytes.Buffer
						for j := range 1 + i%20 {
							row := fmt.Sprintf("%d,%d,%d,%d,%s\n", statement, seg, i, j, strings.Repeat("x", 7*j*i))
							b.WriteString(row)
							mu.Lock()
							want = append(want, row)
							mu.Unlock()
						}
						if err := w.Send(t.Context(), b.Bytes()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			group.Wait()
			for i, w := range writers {
				if statement == 0 && exists(target) {
					t.Errorf("%s is there while %d segments have not ended", name, len(writers)-i)
				}
				if err := w.Done(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.SplitAfter(unpacked(t, target), "\n")
			got = got[:len(got)-1]
			sort.Strings(got)
			sort.Strings(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%s, statement %d: %d rows, want %d", name, statement, len(got), len(want))
			}
		}
		if st, err := os.Stat(target); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(target), ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// What a segment sends again is stored once; what cannot be is refused with
// gpfdist's words and leaves the session as it was.
func TestWriteSequence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	for i, c := range []struct{ headers, body, want string }{
		{seq(2), "2\n", "HTTP/1.0 400 invalid request due to wrong sequence number"},
		{segmentHeaders + "X-GP-SEQ: 0\r\n", "", "HTTP/1.0 400 invalid sequence number"},
		{segmentHeaders + "X-GP-SEQ: x\r\n", "", "HTTP/1.0 400 invalid sequence number"},
		{seq(1), "", "HTTP/1.0 200 ok"},
		{seq(1), "", "HTTP/1.0 200 ok"},
		{seq(2), "2\n", "HTTP/1.0 200 ok"},
		{seq(2), "2\n", "HTTP/1.0 200 ok"},
		{seq(1), "", "HTTP/1.0 200 ok"},
		{seq(4), "4\n", "HTTP/1.0 400 invalid request due to wrong sequence number"},
		{segmentHeaders, "0\n", "HTTP/1.0 400 invalid request due to missing sequence number"},
		{seq(3), "no end", "HTTP/1.0 500 no complete data row found for writing"},
		{seq(3) + "Transfer-Encoding: chunked\r\n", "", "HTTP/1.0 411 the body needs a Content-Length"},
		{seq(3), "3\nhalf", "HTTP/1.0 200 ok"},
		{seq(4), "4\n", "HTTP/1.0 200 ok"},
		{seq(3) + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 400 invalid request due to wrong sequence number"},
		{seq(4) + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 200 ok"},
		{seq(4) + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 200 ok"}, // its answer was lost
		{segmentHeaders + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 200 ok"},
		{strings.ReplaceAll(seq(4), "0000000007", "8") + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 500 no session of this statement is known"},
		{strings.ReplaceAll(seq(1), "0000000007", "9") + "X-GP-DONE: 1\r\n", "", "HTTP/1.0 200 ok"},
	} {
		if got := rawPost(t, dialTo(t, addr), "t", c.headers, c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
	if got := content(t, filepath.Join(dir, "t")); got != "2\n3\nhalf\n4\n" {
		t.Errorf("%q", got)
	}
}

// slowOutput holds each body until it is told to go on.
type slowOutput struct {
	gate    chan struct{}
	entered chan struct{}
	mu      sync.Mutex
	rows    []string
	state   string
	fail    error
	late    Late
}

func (o *slowOutput) Create(context.Context, *Request) (Output, error) { return o, nil }

func (o *slowOutput) Append(_ context.Context, _ int, rows []byte) error {
	if o.entered != nil {
		o.entered <- struct{}{}
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	o.rows = append(o.rows, string(rows))
	return nil
}

func (o *slowOutput) set(state string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state += state
	return nil
}

func (o *slowOutput) get() (string, []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state, o.rows
}

func (o *slowOutput) Publish(context.Context) error { return o.set("published") }
func (o *slowOutput) Abort(context.Context) error   { return o.set("aborted") }
func (o *slowOutput) Late() Late                    { return o.late }

// A segment loses its connection while its body is being stored and sends it
// again before that has ended.
func TestWriteRetryWhileFirstRuns(t *testing.T) {
	t.Parallel()
	out := &slowOutput{gate: make(chan struct{}), entered: make(chan struct{}, 8)}
	_, addr := writeServer(t, Options{Outputs: out})
	if got := rawPost(t, dialTo(t, addr), "t", seq(1), ""); got != "HTTP/1.0 200 ok" {
		t.Fatal(got)
	}
	first := dialTo(t, addr)
	_, _ = fmt.Fprintf(first, "POST /t HTTP/1.1\r\nX-GP-PROTO: 0\r\n%sContent-Length: 2\r\n\r\n2\n", seq(2))
	<-out.entered
	_ = first.Close()
	again := make(chan string, 1)
	go func() { again <- rawPost(t, dialTo(t, addr), "t", seq(2), "2\n") }()
	select {
	case got := <-again:
		t.Errorf("answered %q before the body is stored", got)
	case <-time.After(50 * time.Millisecond):
	}
	close(out.gate)
	if got := <-again; got != "HTTP/1.0 200 ok" {
		t.Error(got)
	}
	if _, rows := out.get(); !slices.Equal(rows, []string{"2\n"}) {
		t.Errorf("stored %q", rows)
	}
}

// Half a body is not stored, and the segment may send it again.
func TestWriteShortBody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	for _, end := range []func(*net.TCPConn){
		func(c *net.TCPConn) { _ = c.Close() },
		func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		func(c *net.TCPConn) { _ = c.CloseWrite() },
	} {
		conn := dialTo(t, addr)
		_, _ = fmt.Fprintf(conn, "POST /t HTTP/1.1\r\nX-GP-PROTO: 0\r\n%sContent-Length: 1000\r\n\r\nhalf a body\n", seq(2))
		end(conn.(*net.TCPConn))
	}
	rawPost(t, dialTo(t, addr), "t", seq(2), "whole\n")
	rawPost(t, dialTo(t, addr), "t", seq(2)+"X-GP-DONE: 1\r\n", "")
	if got := content(t, filepath.Join(dir, "t")); got != "whole\n" {
		t.Errorf("%q", got)
	}
}

// A header that promises a large body costs no memory, and one that promises
// too much is refused.
func TestWriteHugePromise(t *testing.T) {
	t.Parallel()
	_, addr := writeServer(t, Options{Outputs: &slowOutput{}, MaxBody: 1 << 20})
	conn := dialTo(t, addr)
	_, _ = fmt.Fprintf(conn, "POST /t HTTP/1.1\r\nX-GP-PROTO: 0\r\n%sContent-Length: 1048577\r\n\r\n", seq(1))
	if got := answerOf(t, conn); !strings.HasPrefix(got, "HTTP/1.0 413 ") {
		t.Error(got)
	}
	for _, n := range []string{"-1", "1e3", "99999999999999999999", ""} {
		conn := dialTo(t, addr)
		_, _ = fmt.Fprintf(conn, "POST /t HTTP/1.1\r\nX-GP-PROTO: 0\r\n%sContent-Length: %s\r\n\r\n", seq(1), n)
		if got := answerOf(t, conn); got != "HTTP/1.0 400 invalid Content-Length" {
			t.Errorf("%q: %s", n, got)
		}
	}
}

// One connection carries a segment's requests one after the other, with 100
// Continue where it is expected.
func TestWriteKeepsConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 5 * time.Second}}
	defer client.CloseIdleConnections()
	post := func(n int, done bool, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/t", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"X-GP-PROTO": "0", "X-GP-XID": "1", "X-GP-CID": "1", "X-GP-SN": "0", "X-GP-SEGMENT-ID": "0", "X-GP-SEGMENT-COUNT": "1", "X-GP-SEQ": fmt.Sprint(n)} {
			req.Header[k] = []string{v}
		}
		if done {
			req.Header["X-GP-DONE"] = []string{"1"}
		}
		if body != "" {
			req.Header.Set("Expect", "100-continue")
		}
		began := time.Now()
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 200 || time.Since(began) > 3*time.Second {
			t.Errorf("%s after %s", res.Status, time.Since(began))
		}
	}
	want := ""
	post(1, false, "")
	for i := range 10 {
		row := fmt.Sprintf("%d,%s\n", i, strings.Repeat("x", 100_000))
		post(i+2, false, row)
		want += row
	}
	post(11, true, "")
	if got := content(t, filepath.Join(dir, "t")); got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if n := s.Stats().Connections.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// A client of its own, without a statement: stored and published at once.
func TestWriteByCurl(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	for range 2 {
		if got := rawPost(t, dialTo(t, addr), "t", "", "a\nb\n"); got != "HTTP/1.0 200 ok" {
			t.Error(got)
		}
	}
	if got := content(t, filepath.Join(dir, "t")); got != "a\nb\na\nb\n" {
		t.Errorf("%q", got)
	}
}

func TestWriteRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a1", "a2", "locked"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}})
	cases := []struct{ path, headers, want string }{
		{"a*", "", "404 More than 1 file found for writing. Unsupported operation."},
		{"a1%20a2", "", "404 More than 1 file found for writing. Unsupported operation."},
		{"d", "", "404 file open failure " + dir + "/d: Is a directory"},
		{"nowhere/t", "", "404 file open failure " + dir + "/nowhere/t: No such file or directory"},
		{"t.bz2", "", "415 Unsupported File Type"},
		{"t.zip", "", "415 Unsupported File Type"},
		{"t", "X-GP-TRANSFORM: x\r\n", "400 invalid request (unsupported output #transform)"},
	}
	if os.Getuid() != 0 {
		cases = append(cases, struct{ path, headers, want string }{"locked", "", "404 file open failure " + dir + "/locked: Permission denied"})
	}
	for _, c := range cases {
		if got := rawPost(t, dialTo(t, addr), c.path, seq(1)+c.headers, ""); got != "HTTP/1.0 "+c.want {
			t.Errorf("%s: %q, want %q", c.path, got, c.want)
		}
	}
	_, addr = writeServer(t, Options{})
	if got := rawPost(t, dialTo(t, addr), "t", seq(1), ""); got != "HTTP/1.0 404 this server does not take writes" {
		t.Error(got)
	}
}
