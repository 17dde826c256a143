package fdist

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cw/fault"
)

// Client speaks to a server as segments do. The zero value is ready.
type Client struct {
	TLS  *tls.Config // for gpfdists URLs
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Tries and Backoff are how often a POST is sent before it is given up and
	// the first wait in between, doubled each time; 0: 5 times, 100 ms.
	Tries   int
	Backoff time.Duration
}

// Scan is what a segment says of itself and of its table.
type Scan struct {
	URL          string // gpfdist://host:port/path#transform=name
	XID, CID, SN string
	Segment      int
	Segments     int // 0: 1
	Proto        int // of reads; segments ask for 1
	CSV          bool
	Quote        byte
	Escape       byte
	EOL          EOL
	Header       bool
	LineDelim    []byte
	Zstd         bool
	Database     string
	User         string
}

// RefusedError is an answer of a server that is no success.
type RefusedError struct {
	URL    string
	Code   int
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("http response code %d from gpfdist (%s): %s", e.Code, e.URL, e.Reason)
}

// ServerError is what a server says in an error frame.
type ServerError struct {
	URL  string
	Text string
}

func (e *ServerError) Error() string { return "gpfdist error - " + e.Text + " (" + e.URL + ")" }

// ErrCut says that a server's answer has no end.
var ErrCut = errors.New("gpfdist server closed connection")

// answer is what a server said, its body still to be read.
type answer struct {
	conn   net.Conn
	r      *bufio.Reader
	header map[string]string // names as sent
	code   int
	reason string
	rest   func() bool // ends the connection's ties to the context
}

func (a *answer) close() {
	a.rest()
	_ = a.conn.Close()
}

// keeps tells whether the connection takes another request.
func (a *answer) keeps() bool {
	return strings.EqualFold(a.header["Connection"], "keep-alive") && a.header["Content-length"] == "0"
}

const clientBuffer = 64 << 10

// exchange sends a request, over the connection of an answer before or a new
// one, and reads the answer's header. The connection ends with the context.
func (c *Client) exchange(ctx context.Context, s *Scan, method string, extra []string, body []byte, over *answer) (*answer, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Scheme != "gpfdist" && u.Scheme != "gpfdists" {
		return nil, fault.New(fault.Usage, "write it like gpfdist://etl1:8080/folder/*.csv", "%q is no gpfdist URL", s.URL)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "8080")
	}
	a := over
	if a == nil {
		conn, err := c.dial(ctx, u.Scheme, u.Hostname(), host)
		if err != nil {
			return nil, fault.New(fault.Unreachable, "look whether it runs: curl -s http://"+host+"/gpfdist/status", "connection with gpfdist failed for %q: %w", s.URL, err)
		}
		a = &answer{conn: conn, r: bufio.NewReaderSize(conn, clientBuffer)}
	}
	a.rest = context.AfterFunc(ctx, func() { _ = a.conn.SetDeadline(time.Unix(1, 0)) })
	head := s.request(method, u, host, extra)
	if method == "POST" {
		head += "Content-Type: text/xml\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	bufs := net.Buffers{[]byte(head + "\r\n"), body}
	_, werr := bufs.WriteTo(a.conn)
	if err := a.readHeader(); err != nil {
		a.close()
		return nil, fmt.Errorf("%s: %w", s.URL, errors.Join(ErrCut, err, werr, context.Cause(ctx)))
	}
	return a, nil
}

func (c *Client) dial(ctx context.Context, scheme, name, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	conn, err := dial(ctx, address)
	if err != nil || scheme != "gpfdists" {
		return conn, err
	}
	conf := c.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if conf.ServerName == "" {
		conf.ServerName = name
	}
	t := tls.Client(conn, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return t, nil
}

// request is the header as segments write it.
func (s *Scan) request(method string, u *url.URL, host string, extra []string) string {
	var b strings.Builder
	set := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	target := u.EscapedPath()
	if target == "" {
		target = "/"
	}
	b.WriteString(method + " " + target + " HTTP/1.1\r\n")
	set("Host", host)
	set("Accept", "*/*")
	if s.XID != "" {
		set("X-GP-XID", s.XID)
		set("X-GP-CID", s.CID)
		set("X-GP-SN", s.SN)
	}
	set("X-GP-SEGMENT-ID", strconv.Itoa(s.Segment))
	set("X-GP-SEGMENT-COUNT", strconv.Itoa(max(s.Segments, s.Segment+1)))
	if s.LineDelim != nil {
		set("X-GP-LINE-DELIM-STR", strings.ToUpper(hex.EncodeToString(s.LineDelim)))
		set("X-GP-LINE-DELIM-LENGTH", strconv.Itoa(len(s.LineDelim)))
	} else {
		set("X-GP-LINE-DELIM-LENGTH", "-1")
	}
	if method == "GET" {
		set("X-GP-PROTO", strconv.Itoa(s.Proto))
		set("X-GP-CSVOPT", fmt.Sprintf("m%1dx%3dq%3dn%1dh%1d", digit(s.CSV), s.Escape, s.Quote, s.EOL, digit(s.Header)))
		set("X-GP-DATABASE", s.Database)
		set("X-GP-USER", s.User)
	} else {
		set("X-GP-PROTO", "0")
	}
	if name, ok := strings.CutPrefix(u.Fragment, "transform="); ok {
		set("X-GP-TRANSFORM", name)
	}
	if s.Zstd {
		set("X-GP-ZSTD", "1")
	}
	for _, line := range extra {
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

func digit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// readHeader reads status line and header lines; 100 Continue is passed over.
func (a *answer) readHeader() error {
	for {
		status, err := a.line()
		if err != nil {
			return err
		}
		version, rest, _ := strings.Cut(status, " ")
		code, text, _ := strings.Cut(rest, " ")
		if a.code, err = strconv.Atoi(code); err != nil || !strings.HasPrefix(version, "HTTP/1.") {
			return fmt.Errorf("answer %q is no HTTP", status)
		}
		a.reason, a.header = text, map[string]string{}
		for {
			line, err := a.line()
			if err != nil {
				return err
			}
			if line == "" {
				break
			}
			name, value, _ := strings.Cut(line, ":")
			a.header[name] = strings.TrimSpace(value)
		}
		if a.code >= 200 {
			return nil
		}
	}
}

func (a *answer) line() (string, error) {
	line, err := a.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

func (a *answer) refused(url string) error {
	if a.code >= 200 && a.code < 300 {
		return nil
	}
	return &RefusedError{URL: url, Code: a.code, Reason: a.reason}
}
