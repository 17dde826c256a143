package fdist

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// segmentHeader is what a segment of Greenplum 6 sends, in its words.
const segmentHeader = "Host: 127.0.0.1:8080\r\nAccept: */*\r\nX-GP-XID: 1700000000-0000000123\r\nX-GP-CID: 1f\r\nX-GP-SN: 2\r\n" +
	"X-GP-SEGMENT-ID: 3\r\nX-GP-SEGMENT-COUNT: 8\r\nX-GP-LINE-DELIM-STR: 0D0A\r\nX-GP-LINE-DELIM-LENGTH: 2\r\nX-GP-PROTO: 1\r\n" +
	"X-GP-MASTER_HOST: cdw\r\nX-GP-MASTER_PORT: 5432\r\nX-GP-CSVOPT: m1x 92q 34n3h1\r\nX-GP_SEG_PG_CONF: /x\r\nX-GP-DATABASE: dw\r\nX-GP-USER: etl\r\nX-GP-SESSION-ID: 77\r\n"

func TestParseRequest(t *testing.T) {
	t.Parallel()
	r, _, err := parseRequest([]byte("GET //data/a%20b.csv%20%20/c.csv HTTP/1.1\r\n"+segmentHeader+"\r\n"), nil, "")
	want := &Request{
		Method: "GET", Target: "//data/a%20b.csv%20%20/c.csv", Path: "data/a b.csv c.csv",
		XID: "1700000000-0000000123", CID: "1f", SN: "2", Segment: 3, Segments: 8, Proto: 1, CSV: true, Quote: '"', Escape: '\\', EOL: EOLCRLF, Header: true,
		LineDelim: []byte("\r\n"), Database: "dw", User: "etl", Session: "77", CoordinatorHost: "cdw", CoordinatorPort: "5432",
	}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if r.key() != "1700000000-0000000123.1f.2.1:data/a b.csv c.csv" {
		t.Error(r.key())
	}
	for _, c := range []struct {
		line, header string
		want         string // the error, or the path
	}{
		{"GET /x HTTP/1.0", "X-GP-PROTO: 0", "x"},
		{"GET /x HTTP/1.1", "x-gp-proto: 0", "x"},
		{"GET /x HTTP/1.1", "x-Gp-Proto:1\r\nX-GP-SN:\r\n", "x"},
		{"GET /x%zz%4 HTTP/1.1", "X-GP-PROTO: 0", "x%zz%4"},
		{"GET /gpfdist/status HTTP/1.1", "", statusPath},
		{"GET /x#transform=up HTTP/1.1", "X-GP-PROTO: 0", "x"},
		{"POST /x HTTP/1.1", "X-GP-PROTO: 0\r\nX-GP-SEQ: 1", "x"},
		{"GET /x HTTP/1.1", "X-GP-PROTO:\r\n 1", "x"},
		{"PUT /x HTTP/1.1", "X-GP-PROTO: 0", "invalid request"},
		{"GET /x", "X-GP-PROTO: 0", "invalid request"},
		{"GET /x y HTTP/1.1", "X-GP-PROTO: 0", "invalid request"},
		{"GET /x HTTP/2", "X-GP-PROTO: 0", "invalid request"},
		{"get /x HTTP/1.1", "X-GP-PROTO: 0", "invalid request"},
		{"GET / HTTP/1.1", "X-GP-PROTO: 0", "invalid request (unable to set path)"},
		{"GET /%20 HTTP/1.1", "X-GP-PROTO: 0", "invalid request (unable to set path)"},
		{"GET /a/../b HTTP/1.1", "X-GP-PROTO: 0", "invalid request due to relative path"},
		{"GET /a%2f%2e%2e HTTP/1.1", "X-GP-PROTO: 0", "invalid request due to relative path"},
		{"GET /a\\\\b HTTP/1.1", "X-GP-PROTO: 0", "invalid request, escape character backslash '\\' is not allowed."},
		{"GET /a%00b HTTP/1.1", "X-GP-PROTO: 0", "invalid request, control character in path"},
		{"GET /x HTTP/1.1", "", "invalid request (no gp-proto)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 2", "invalid request (invalid gp-proto)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-XID: 1", "invalid request (missing X-GP-* header)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-XID: 1\r\nX-GP-SN: 1", "invalid request (missing X-GP-* header)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-SEGMENT-ID: -1", "invalid request (invalid X-GP-SEGMENT-ID)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-SEGMENT-ID: 99999999", "invalid request (invalid X-GP-SEGMENT-ID)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-SEGMENT-ID: 2\r\nX-GP-SEGMENT-COUNT: 2", "invalid request (invalid X-GP-SEGMENT-COUNT)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-SEGMENT-COUNT: 1000000000", "invalid request (invalid X-GP-SEGMENT-COUNT)"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-LINE-DELIM-STR: 0", "invalid EOL encoding"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-LINE-DELIM-STR: zz", "invalid EOL encoding"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-LINE-DELIM-LENGTH: 1", "invalid EOL length"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-LINE-DELIM-STR: 0a0a\r\nX-GP-LINE-DELIM-LENGTH: 1", "invalid EOL length"},
		{"GET /x HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-LINE-DELIM-STR: " + strings.Repeat("0a", 600) + "\r\nX-GP-LINE-DELIM-LENGTH: 600", "invalid EOL length"},
		{"POST /x HTTP/1.1", "X-GP-PROTO: 0\r\nX-GP-SEQ: 0", "invalid sequence number"},
		{"POST /x HTTP/1.1", "X-GP-PROTO: 0\r\nX-GP-SEQ: x", "invalid sequence number"},
		{"GET /x HTTP/1.1", " X-GP-PROTO: 1", "invalid request"},
		{"GET /" + strings.Repeat("x", 1020) + " HTTP/1.1", "X-GP-PROTO: 1\r\nX-GP-XID: 1\r\nX-GP-SN: 1\r\nX-GP-CID: 1", "path too long"},
	} {
		r, _, err := parseRequest([]byte(c.line+"\r\n"+c.header+"\r\n\r\n"), nil, "")
		switch {
		case err != nil && err.Error() != c.want, err == nil && r.Path != c.want:
			t.Errorf("%s, %s: %+v, %v; want %s", c.line, c.header, r, err, c.want)
		}
	}
	one := 1
	r, _, err = parseRequest([]byte("GET / HTTP/1.1\r\nX-GP-PROTO: 0\r\n\r\n"), &one, "/abs/a b")
	if err != nil || r.Path != "/abs/a b" || r.Proto != 1 {
		t.Errorf("forced: %+v, %v", r, err)
	}
}

func TestParseCSVOpt(t *testing.T) {
	t.Parallel()
	for opt, want := range map[string]*Request{
		"m1x 34q 34n0h1":        {CSV: true, Escape: '"', Quote: '"', Header: true},
		"m0x 92q  0n0h0":        {Escape: '\\'},
		"m1x 92q 39n3h0":        {CSV: true, Escape: '\\', Quote: '\'', EOL: EOLCRLF},
		"m1x34q34h1n2":          {CSV: true, Escape: '"', Quote: '"', Header: true, EOL: EOLCR},
		"":                      {},
		"m1x34q34":              nil,
		"m1x34q34n0":            nil,
		"m1x34q34n0h0n0":        nil,
		"m1x34q34n9h0":          nil,
		"m1x999q34n0h0":         nil,
		"m1x-1q34n0h0":          nil,
		"x34m1q34n0h0":          nil,
		"mxqnh":                 nil,
		"nonsense":              nil,
		"m1x 34q 34n0h1trailer": nil,
	} {
		r := &Request{}
		err := r.parseCSVOpt(header{"X-GP-CSVOPT": opt})
		if (want == nil) != (err != nil) || want != nil && !reflect.DeepEqual(r, want) {
			t.Errorf("%s: %+v, %v", opt, r, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("GET /x%20y HTTP/1.1\r\n" + segmentHeader + "\r\n"))
	f.Add([]byte("POST / HTTP/1.1\n X\n:\n\n"))
	f.Fuzz(func(t *testing.T, head []byte) {
		r, _, err := parseRequest(head, nil, "")
		var status *StatusError
		if err != nil && (!errors.As(err, &status) || status.Code != 400) {
			t.Errorf("%v", err)
		}
		if err == nil && (r.Path == "" || strings.Contains(r.Path, "..") || strings.HasPrefix(r.Path, "/") || r.Segment < 0 || r.Segment >= r.Segments) {
			t.Errorf("%+v", r)
		}
	})
}

// raw sends bytes and gives all that comes back.
func raw(t testing.TB, address, request string, half bool) (string, error) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, request)
	if half {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// TestAnswersByteByByte: segments compare header names byte by byte.
func TestAnswersByteByByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/x", []byte("1,a\n"))
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, Version: "6.24.3"})
	head := "HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nExpires: 0\r\nX-GPFDIST-VERSION: 6.24.3\r\nX-GP-PROTO: %d\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"
	for _, c := range []struct{ request, want string }{
		{"GET /x HTTP/1.1\r\nX-GP-PROTO: 0\r\n\r\n", fmt.Sprintf(head, 0) + "1,a\n"},
		{"GET /x HTTP/1.1\nX-GP-PROTO: 0\n\n", fmt.Sprintf(head, 0) + "1,a\n"},
		{"GET /x HTTP/1.1\r\nX-GP-PROTO: 1\r\n\r\n", fmt.Sprintf(head, 1) + "F\x00\x00\x00" + string(rune(len(dir)+2)) + dir + "/x" +
			"O\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00L\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01D\x00\x00\x00\x041,a\nD\x00\x00\x00\x00"},
		{"GET /y HTTP/1.1\r\nX-GP-PROTO: 1\r\n\r\n", "HTTP/1.0 404 file not found\r\nContent-length: 0\r\nExpires: 0\r\nX-GPFDIST-VERSION: 6.24.3\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n"},
	} {
		if got, err := raw(t, address, c.request, false); err != nil || got != c.want {
			t.Errorf("%q: %q, %v; want %q", c.request, got, err, c.want)
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/x", []byte("1,a\n"))
	_, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, HeaderTimeout: 300 * time.Millisecond})
	many := strings.Repeat("X-Filler: "+strings.Repeat("y", 100)+"\r\n", 200)
	if got, err := raw(t, address, "GET /x HTTP/1.1\r\n"+many+"X-GP-PROTO: 0\r\n\r\n", false); err != nil || !strings.HasSuffix(got, "\r\n\r\n1,a\n") {
		t.Errorf("200 headers: %q, %v", got, err)
	}
	if got, _ := raw(t, address, "GET /x HTTP/1.1\r\n"+strings.Repeat(many, 5), false); !strings.HasPrefix(got, "HTTP/1.0 400 forbidden\r\n") {
		t.Errorf("endless header: %.100q", got)
	}
	if got, err := raw(t, address, "GET /x HTTP/1.1\r\nX-GP-PROTO: 0\r\n", false); err != nil || !strings.HasPrefix(got, "HTTP/1.0 408 time out\r\n") {
		t.Errorf("unfinished header: %q, %v", got, err)
	}
}

// TestMalformedRequests sends a thousand damaged requests; the server lives,
// holds nothing back and goes on serving.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := csvRows(0, 100)
	write(t, dir+"/x.csv", want)
	s, address := serve(t, Options{Inputs: &FileInputs{Dir: dir}, HeaderTimeout: 100 * time.Millisecond, CloseTimeout: 100 * time.Millisecond})
	rng := rand.New(rand.NewPCG(5, 5))
	good := []string{
		"GET /x.csv HTTP/1.1\r\n" + segmentHeader + "\r\n",
		"POST /y.csv HTTP/1.1\r\nX-GP-PROTO: 0\r\nX-GP-SEQ: 1\r\nX-GP-XID: 1\r\nX-GP-CID: 1\r\nX-GP-SN: 0\r\nContent-Length: 5\r\n\r\n1,a\n\n",
		"GET /gpfdist/status HTTP/1.1\r\n\r\n",
	}
	work := make(chan string)
	done := make(chan struct{})
	for range 8 {
		go func() {
			for request := range work {
				answer, _ := raw(t, address, request, len(request)%2 == 0)
				if answer != "" && !strings.HasPrefix(answer, "HTTP/1.") {
					t.Errorf("%q: %.60q", request, answer)
				}
			}
			done <- struct{}{}
		}()
	}
	for range 1000 {
		work <- damage(rng, good[rng.IntN(len(good))])
	}
	close(work)
	for range 8 {
		<-done
	}
	waitFor(t, func() bool { return s.Stats().Open.Load() == 0 })
	if data, err := scanOne(t.Context(), csvScan(address, "x.csv")); err != nil || string(data) != string(want) {
		t.Errorf("afterwards: %d bytes, %v", len(data), err)
	}
	if n := runtime.NumGoroutine(); n > 2000 {
		t.Errorf("%d goroutines", n)
	}
}

// damage changes, drops, repeats or cuts some of a request.
func damage(rng *rand.Rand, request string) string {
	b := []byte(request)
	for range 1 + rng.IntN(4) {
		if len(b) == 0 {
			break
		}
		i := rng.IntN(len(b))
		j := i + rng.IntN(len(b)-i)
		switch rng.IntN(5) {
		case 0:
			b[i] = byte(rng.IntN(256))
		case 1:
			b = append(b[:i:i], b[j:]...)
		case 2:
			b = append(b[:j:j], b[i:]...)
		case 3:
			b = b[:i]
		case 4:
			b = append(b[:i:i], append([]byte("\r\n\x00%%  -99999999999999999999"), b[i:]...)...)
		}
	}
	return string(b)
}
