package fdist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve starts a server and gives its address; it is stopped with the test.
func serve(t testing.TB, o Options) (*Server, string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// csvRows is n rows, some of whose last field has quotes and row ends in it.
func csvRows(from, n int) []byte {
	var b bytes.Buffer
	for i := from; i < from+n; i++ {
		switch i % 7 {
		case 3:
			fmt.Fprintf(&b, "%d,\"two\nlines, and \"\"quotes\"\"\"\n", i)
		case 5:
			fmt.Fprintf(&b, "%d,\"%s\"\n", i, strings.Repeat("long ", i%40))
		default:
			fmt.Fprintf(&b, "%d,plain text\n", i)
		}
	}
	return b.Bytes()
}

func csvScan(address, path string) *Scan {
	return &Scan{URL: "gpfdist://" + address + "/" + path, XID: "1-0000000001", CID: "1", SN: "0", Proto: 1, CSV: true, Quote: '"', Escape: '"'}
}

// segment is what one segment got.
type segment struct {
	data []byte
	err  error
}

// scanAll reads with n segments at once.
func scanAll(ctx context.Context, s Scan, n int) []segment {
	got := make([]segment, n)
	var wg sync.WaitGroup
	for i := range n {
		s := s
		s.Segment, s.Segments = i, n
		wg.Go(func() { got[i].data, got[i].err = scanOne(ctx, &s) })
	}
	wg.Wait()
	return got
}

func scanOne(ctx context.Context, s *Scan) ([]byte, error) {
	rows, err := new(Client).Get(ctx, s)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return io.ReadAll(rows)
}

// sortedRows is the rows of csvRows in all segments together, in order.
func sortedRows(t *testing.T, got []segment) []byte {
	t.Helper()
	rows := map[int][]byte{}
	d := dialect{csv: true, quote: '"', eol: []byte("\n")}
	for i, g := range got {
		if g.err != nil {
			t.Fatalf("segment %d: %v", i, g.err)
		}
		start := 0
		for _, end := range append(plainEnds(&d, g.data), len(g.data)) {
			row := g.data[start:end]
			if start = end; len(row) == 0 {
				continue
			}
			number, _, _ := bytes.Cut(row, []byte(","))
			n, err := strconv.Atoi(string(number))
			if err != nil || row[len(row)-1] != '\n' {
				t.Fatalf("segment %d: torn row %.60q", i, row)
			}
			if rows[n] != nil {
				t.Fatalf("row %d came twice", n)
			}
			rows[n] = row
		}
	}
	var all []byte
	for i := range len(rows) {
		if rows[i] == nil {
			t.Fatalf("row %d is missing", i)
		}
		all = append(all, rows[i]...)
	}
	return all
}

func TestSegmentsShareAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := csvRows(0, 60_000)
	write(t, dir+"/x.csv", want)
	for _, compress := range []bool{false, true} {
		s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir, BlockSize: 4096}, Compress: compress})
		scan := csvScan(address, "x.csv")
		scan.Zstd = compress
		got := scanAll(t.Context(), *scan, 8)
		if all := sortedRows(t, got); !bytes.Equal(all, want) {
			t.Errorf("%d bytes, want %d", len(all), len(want))
		}
		// A segment that comes late, again and again, gets nothing.
		for range 3 {
			if data, err := scanOne(t.Context(), scan); err != nil || len(data) > 0 {
				t.Errorf("late: %d bytes, %v", len(data), err)
			}
		}
		// Another scan begins anew, and so does a client of its own.
		scan.SN = "1"
		if all := sortedRows(t, scanAll(t.Context(), *scan, 2)); !bytes.Equal(all, want) {
			t.Error("second scan differs")
		}
		scan.XID = ""
		for proto := range 2 {
			scan.Proto = proto
			if data, err := scanOne(t.Context(), scan); err != nil || !bytes.Equal(data, want) {
				t.Errorf("on its own, proto %d: %d bytes, %v", proto, len(data), err)
			}
		}
		if n := s.Stats().Sessions.Load(); n != 4 {
			t.Errorf("%d sessions", n)
		}
	}
}

func TestSlowSegmentDelaysNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := csvRows(0, 400_000) // more than sockets take up
	write(t, dir+"/x.csv", want)
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	slow := csvScan(address, "x.csv")
	slow.Segments = 2
	rows, err := new(Client).Get(t.Context(), slow) // and does not read
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	fast := *slow
	fast.Segment = 1
	data, err := scanOne(t.Context(), &fast)
	if err != nil || len(data) == 0 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	rest, err := io.ReadAll(rows)
	if err != nil {
		t.Fatal(err)
	}
	if all := sortedRows(t, []segment{{data: data}, {data: rest}}); !bytes.Equal(all, want) {
		t.Errorf("%d bytes, want %d", len(all), len(want))
	}
}

func TestEarlyCloseEndsTheSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/x.csv", csvRows(0, 1_000_000))
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	scan := csvScan(address, "x.csv")
	scan.Segments = 3
	one, err := new(Client).Get(t.Context(), scan)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	scan.Segment = 1
	two, err := new(Client).Get(t.Context(), scan)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, two, 1000); err != nil {
		t.Fatal(err)
	}
	two.Close()
	waitFor(t, func() bool { return s.Sessions()[0].Ended })
	if _, err := io.Copy(io.Discard, one); err != nil {
		t.Errorf("the others see the end: %v", err)
	}
	scan.Segment = 2
	if data, err := scanOne(t.Context(), scan); err != nil || len(data) > 0 {
		t.Errorf("late: %d bytes, %v", len(data), err)
	}
}

// waitFor waits for what happens on its own, soon.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for range 2000 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it never happened")
}

func TestErrorsReachTheUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/ok.csv", csvRows(0, 10))
	write(t, dir+"/long.csv", append(csvRows(0, 2000), []byte(strings.Repeat("x", 40_000)+"\n")...))
	write(t, dir+"/long.head", []byte(strings.Repeat("x", 40_000)+"\n"))
	write(t, dir+"/open.csv", []byte("1,\"never closed\n"))
	write(t, dir+"/x.zip", nil)
	write(t, dir+"/x.Z", nil)
	write(t, dir+"/plain.gz", []byte("1,a\n"))
	write(t, dir+"/nested/in/x", nil)
	write(t, dir+"/empty/.hidden", nil)
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}})
	for _, c := range []struct {
		path   string
		header bool
		code   int // 0: an error frame
		want   string
	}{
		{"none.csv", false, 404, "file not found"},
		{"no*.csv", false, 404, "file not found"},
		{"ok.csv%20none.csv", false, 404, "file not found"},
		{"empty", false, 404, "No matching file(s) found"},
		{"nested", false, 403, "Reading a directory is forbidden."},
		{"ok.csv%20nested", false, 403, "Reading a directory is forbidden."},
		{"x.zip", false, 415, "Unsupported File Type"},
		{"x.Z", false, 415, "Unsupported File Type"},
		{"../x", false, 400, "invalid request due to relative path"},
		{"%2e%2e/x", false, 400, "invalid request due to relative path"},
		{"a%5Cb", false, 400, "invalid request, escape character backslash '\\' is not allowed."},
		{"", false, 400, "invalid request (unable to set path)"},
		{"ok.csv#transform=x", false, 400, "invalid request (unsupported input #transform)"},
		{strings.Repeat("x", 1100), false, 400, "path too long"},
		{"long.csv", false, 0, fmt.Sprintf("line too long in file %s/long.csv near (%d bytes)", dir, len(csvRows(0, 2000)))},
		{"long.head", true, 0, "line too long in file " + dir + "/long.head"},
		{"open.csv%20ok.csv", false, 0, "unterminated row at the end of file " + dir + "/open.csv near (0 bytes)"},
		{"plain.gz", false, 0, "cannot read file - " + dir + "/plain.gz: not compressed"},
	} {
		scan := csvScan(address, c.path)
		scan.Header = c.header
		_, err := scanOne(t.Context(), scan)
		var refused *RefusedError
		var said *ServerError
		switch {
		case c.code == 0 && (!errors.As(err, &said) || !strings.HasPrefix(said.Text, c.want)):
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		case c.code != 0 && (!errors.As(err, &refused) || refused.Code != c.code || refused.Reason != c.want):
			t.Errorf("%s: %v, want %d %s", c.path, err, c.code, c.want)
		}
		if c.code == 0 {
			// Who comes later hears it too.
			if _, err := scanOne(t.Context(), scan); !errors.As(err, &refused) || refused.Code != 500 || !strings.HasPrefix(refused.Reason, "session error: "+c.want) {
				t.Errorf("%s, later: %v", c.path, err)
			}
		}
	}
}
