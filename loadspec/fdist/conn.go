package fdist

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	headerStart = 4 << 10
	headerMax   = 64 << 10
)

// conn is one connection and the request it carries. Only a segment that writes
// sends several over one.
type conn struct {
	net.Conn
	s       *Server
	where   Where
	rest    []byte // what was read beyond the header
	header  header
	kept    bool   // it has carried a request before
	target  string // method and target, for log lines
	version string // HTTP/1.x of the request
	ended   bool   // the answer is whole: closing needs no haste
}

func (s *Server) serveConn(ctx context.Context, nc net.Conn) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tune(nc)
	c := &conn{Conn: nc, s: s, where: Where{Request: s.nextRequest.Add(1), Socket: descriptor(nc)}}
	// A connection of a server that stops is cut off wherever it is.
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		stop()
		c.finish(ctx)
	}()
	for keep := true; keep; {
		r := s.readRequest(c)
		if r == nil {
			return
		}
		switch {
		case r.Path == statusPath:
			s.status(ctx, c, r)
			keep = false
		case r.Method == "GET":
			s.get(ctx, c, r)
			keep = false
		default:
			if keep = s.post(ctx, c, r); keep {
				c.where = Where{Request: s.nextRequest.Add(1), Socket: c.where.Socket}
				c.kept = true
			}
		}
	}
}

// readRequest reads and checks a request; nil means it was answered, or that
// nobody is there to get an answer.
func (s *Server) readRequest(c *conn) *Request {
	head, err := c.readHeader()
	if err != nil {
		var status *StatusError
		switch {
		case errors.As(err, &status):
			c.fail(err)
		case errors.Is(err, os.ErrDeadlineExceeded) && c.kept:
			c.logf(LevelDebug, "no further request of %s", c.RemoteAddr())
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.fail(&StatusError{Code: 408, Reason: "time out"})
		case errors.Is(err, io.EOF):
			c.logf(LevelDebug, "closed by the peer %s before a request", c.RemoteAddr())
		case tlsCause(err) != "":
			c.logf(LevelWarn, "SSL accept failed: %s: %s", c.RemoteAddr(), tlsCause(err))
		default:
			c.logf(LevelWarn, "%s: %v", c.RemoteAddr(), err)
		}
		return nil
	}
	c.ended = false
	s.stats.Requests.Add(1)
	r, h, err := parseRequest(head, s.o.ForceProto, s.o.ForcePath)
	c.header = h
	if r != nil {
		r.Peer = c.RemoteAddr().String()
		c.where.Segment, c.where.Write = r.Segment, r.Method == "POST"
		c.target = r.Method + " " + r.Target
		c.version = strings.ToUpper(lastWord(head))
	}
	if err != nil {
		c.fail(err)
		return nil
	}
	c.logf(LevelVerbose, "%s requests %s", r.Peer, r.Target)
	return r
}

// readHeader reads up to the empty line that ends a header; what came after
// it is kept in c.rest.
func (c *conn) readHeader() ([]byte, error) {
	t := c.s.o.HeaderTimeout
	if c.kept {
		t = keptIdle
	}
	if t > 0 {
		_ = c.SetReadDeadline(time.Now().Add(t))
	}
	buf := append(make([]byte, 0, max(headerStart, 2*len(c.rest))), c.rest...)
	if end := headerEnd(buf, 0); end > 0 {
		c.rest = buf[end:]
		_ = c.SetReadDeadline(time.Time{})
		return buf[:end], nil
	}
	for {
		if len(buf) == cap(buf) {
			if cap(buf) >= headerMax {
				return nil, &StatusError{Code: 400, Reason: "forbidden"}
			}
			buf = append(make([]byte, 0, 4*cap(buf)), buf...)
		}
		n, err := c.Read(buf[len(buf):cap(buf)])
		from := max(0, len(buf)-3)
		buf = buf[:len(buf)+n]
		if end := headerEnd(buf, from); end > 0 {
			c.rest = buf[end:]
			_ = c.SetReadDeadline(time.Time{})
			return buf[:end], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// lastWord is the last word of the first line.
func lastWord(head []byte) string {
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	line = bytes.TrimSpace(line)
	return string(line[bytes.LastIndexAny(line, " \t")+1:])
}

// headerEnd is the position after the empty line, 0 when there is none yet.
func headerEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch {
		case from < len(b) && b[from] == '\n':
			return from + 1
		case from+1 < len(b) && b[from] == '\r' && b[from+1] == '\n':
			return from + 2
		}
	}
}

// finish ends the connection as gpfdist does: half-close, wait until the peer
// has taken everything and closed, then close. A connection whose answer is
// not whole is reset, so that the peer does not take what it has for all.
func (c *conn) finish(ctx context.Context) {
	defer func() { _ = c.Close() }()
	if !c.ended || ctx.Err() != nil {
		c.reset()
		return
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(c.s.o.CloseTimeout))
	var scrap [512]byte
	for range 64 << 10 { // a peer that talks on for ever is not waited for
		if _, err := c.Read(scrap[:]); err != nil {
			return
		}
	}
}

// reset makes the close that follows a reset of the connection.
func (c *conn) reset() {
	nc := c.Conn
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	if t, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
}

// descriptor is the socket's number, for log lines as gpfdist has them.
func descriptor(nc net.Conn) int {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok {
		nc = t.NetConn()
	}
	number := 0
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { number = int(fd) })
		}
	}
	return number
}

// gone tells whether an error means that the peer has closed or reset.
func gone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) ||
		err != nil && strings.Contains(err.Error(), "tls: ")
}
