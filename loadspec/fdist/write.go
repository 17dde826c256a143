package fdist

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// bodySilence is how long a sender may be silent in the middle of a body
	// before its connection counts as dead. It will send the body again.
	bodySilence = 60 * time.Second
	// ackDelay is the longest that the answer to a write is held back to keep
	// a speed limit; a segment gives a whole POST 300 s (gpfdist_retry_timeout)
	// and then sends it again.
	ackDelay = 90 * time.Second
	// keptIdle is how long a connection without a request stays open.
	keptIdle = 120 * time.Second

	firstBody = 256 << 10 // bytes of memory before the first byte of a body has come
	keptBody  = 4 << 20   // larger bodies' memory is not kept
)

// post answers one request of a segment that writes. It reports whether the
// connection can carry another request.
func (s *Server) post(ctx context.Context, c *conn, r *Request) (keep bool) {
	n, err := c.contentLength()
	if err == nil && n > s.o.MaxBody {
		err = &StatusError{Code: 413, Reason: "the body has " + strconv.FormatInt(n, 10) + " bytes, at most " + strconv.FormatInt(s.o.MaxBody, 10) + " are taken"}
	}
	if err == nil && s.reads.live(r) {
		err = bad("can't write to and read from the same gpfdist server simultaneously")
	}
	if err != nil {
		c.fail(err)
		return false
	}
	ws, gone := s.writes.join(ctx, s, r)
	if ws == nil {
		return s.postGone(c, r, gone, n)
	}
	defer ws.leave(ctx)
	c.where.Session, r.session = ws.id, ws.id
	if err := ws.wait(ctx); err != nil {
		c.fail(err)
		return false
	}
	if strings.EqualFold(c.header["EXPECT"], "100-continue") && int64(len(c.rest)) < n {
		if c.carryOn() != nil {
			return false
		}
	}
	body := newBody()
	defer body.release()
	if err := c.readBody(body, n); err != nil {
		// Not applied; the segment sends it again.
		c.logf(LevelWarn, "handle_post_request receive: %v after %d of %d bytes", err, len(body.data), n)
		return false
	}
	if r.Done {
		err = ws.done(ctx, r)
	} else {
		err = s.apply(ctx, c, r, ws, body)
	}
	if err != nil {
		if ctx.Err() == nil {
			c.fail(err)
		}
		return false
	}
	return c.wrote(r, r.Zstd && s.o.Compress)
}

// postGone answers a request whose session is over, or never was.
func (s *Server) postGone(c *conn, r *Request, gone *tombstone, n int64) bool {
	switch {
	case gone != nil && gone.err != nil:
		c.fail(&StatusError{Code: 500, Reason: "session error: " + reason(gone.err), Err: gone.err})
	case r.Done && (gone != nil || r.Seq <= 1) && n == 0:
		c.empty()
	case r.Done:
		// The rows it means to end were never published.
		c.fail(&StatusError{Code: 500, Reason: "no session of this statement is known: the server was restarted, or the session was idle for too long; the rows of this statement are lost, run it again"})
	default:
		c.logf(LevelInfo, "got an out of order request, sequence number is %d, expected sequence number is 1.", r.Seq)
		c.fail(bad("invalid request due to wrong sequence number (no session of this statement is known: the server was restarted, or the session was idle for too long)"))
	}
	return false
}

// apply stores a body once, whatever number of times it is sent.
func (s *Server) apply(ctx context.Context, c *conn, r *Request, ws *writeSession, body *body) error {
	rows := body.data
	if r.Zstd && s.o.Compress && len(rows) > 0 {
		var err error
		if rows, err = body.unpack(s.o.MaxBody); err != nil {
			return bad("the body is no zstd frame: " + err.Error())
		}
	}
	rows, err := wholeRows(rows, delimOf(r, c.header), body)
	if err != nil {
		return err
	}
	stored, err := ws.append(ctx, c, r, rows)
	if err != nil || !stored || len(rows) == 0 {
		return err
	}
	s.stats.Received.Add(int64(len(rows)))
	ws.meter.add(int64(len(rows)), 1)
	// The answer waits, not the data: a segment sends its next body after it.
	slow, cancel := context.WithTimeout(ctx, ackDelay)
	defer cancel()
	if err := s.o.Limits.Wait(slow, r, len(rows)); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// contentLength is the length of the body; segments always give it.
func (c *conn) contentLength() (int64, error) {
	if _, ok := c.header["TRANSFER-ENCODING"]; ok {
		return 0, &StatusError{Code: 411, Reason: "the body needs a Content-Length"}
	}
	v, ok := c.header["CONTENT-LENGTH"]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, bad("invalid Content-Length")
	}
	return int64(n), nil
}

// readBody reads n bytes, in memory that grows as they come: what a header
// promises costs nothing.
func (c *conn) readBody(b *body, n int64) error {
	taken := min(int64(len(c.rest)), n)
	b.data = append(b.data[:0], c.rest[:taken]...)
	c.rest = c.rest[taken:]
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var deadline time.Time
	for int64(len(b.data)) < n {
		if now := time.Now(); deadline.Sub(now) < bodySilence/2 {
			deadline = now.Add(bodySilence)
			_ = c.SetReadDeadline(deadline)
		}
		if len(b.data) == cap(b.data) {
			b.data = append(make([]byte, 0, min(int64(max(2*cap(b.data), firstBody)), max(n, firstBody))), b.data...)
		}
		k, err := c.Read(b.data[len(b.data):min(int64(cap(b.data)), n)])
		b.data = b.data[:len(b.data)+k]
		if err != nil && int64(len(b.data)) < n {
			if errors.Is(err, io.EOF) {
				err = errors.New("socket closed by peer")
			}
			return err
		}
	}
	return nil
}

// delimOf is what rows end in; nil: nothing, as rows of fixed width can have
// it.
func delimOf(r *Request, h header) []byte {
	if len(r.LineDelim) > 0 {
		return r.LineDelim
	}
	if h["X-GP-LINE-DELIM-LENGTH"] == "0" {
		return nil
	}
	return []byte{'\n'}
}

// wholeRows gives a last row its end where that is missing: another segment's
// row may follow it.
func wholeRows(rows, delim []byte, b *body) ([]byte, error) {
	switch {
	case len(rows) == 0 || len(delim) == 0 || bytes.HasSuffix(rows, delim):
		return rows, nil
	case !bytes.Contains(rows, delim):
		return nil, &StatusError{Code: 500, Reason: "no complete data row found for writing"}
	}
	rows = append(rows, delim...)
	b.grown(rows)
	return rows, nil
}

// wrote answers that a request is done, in a way that lets the connection
// carry the segment's next: 6.24 sends one for every 64 KB.
func (c *conn) wrote(r *Request, zstd bool) bool {
	// libcurl turns to HTTP/1.0 on a connection that was answered so.
	asked := c.header["CONNECTION"]
	keep := strings.EqualFold(asked, "keep-alive") || !strings.EqualFold(asked, "close") && (c.version != "HTTP/1.0" || c.kept)
	connection := "close"
	if keep {
		connection = "keep-alive"
	}
	h := "HTTP/1.0 200 ok\r\nContent-type: text/plain\r\nContent-length: 0\r\nExpires: 0\r\nX-GPFDIST-VERSION: " + c.s.o.Version +
		"\r\nX-GP-PROTO: " + strconv.Itoa(r.Proto) + "\r\n"
	if zstd {
		h += "X-GP-ZSTD: 1\r\n"
	}
	c.whole(h + "Cache-Control: no-cache\r\nConnection: " + connection + "\r\n\r\n")
	c.logf(LevelVerbose, "%s %s - OK", c.RemoteAddr(), c.target)
	return keep && c.ended
}

// body is the memory of one body, used again for others.
type body struct {
	data     []byte
	unpacked []byte
}

var bodies = sync.Pool{New: func() any { return &body{} }} //nolint:gochecknoglobals // memory of all servers

func newBody() *body { return bodies.Get().(*body) }

func (b *body) release() {
	if cap(b.data) > keptBody {
		b.data = nil
	}
	if cap(b.unpacked) > keptBody {
		b.unpacked = nil
	}
	bodies.Put(b)
}

// grown keeps the memory of rows that append may have moved.
func (b *body) grown(rows []byte) {
	if len(b.unpacked) > 0 {
		b.unpacked = rows
		return
	}
	b.data = rows
}

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} //nolint:gochecknoglobals // constant

var unpackers = sync.Pool{New: func() any { //nolint:gochecknoglobals // memory of all servers
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return err
	}
	return d
}}

// unpack undoes the compression of a body that is one zstd frame. Rows that
// came as they are stay so.
func (b *body) unpack(limit int64) ([]byte, error) {
	b.unpacked = b.unpacked[:0]
	if !bytes.HasPrefix(b.data, zstdMagic) {
		return b.data, nil
	}
	d, ok := unpackers.Get().(*zstd.Decoder)
	if !ok {
		return nil, errors.New("no decoder")
	}
	defer unpackers.Put(d)
	var h zstd.Header
	if err := h.Decode(b.data); err != nil {
		return nil, err
	}
	if h.HasFCS && h.FrameContentSize > uint64(limit) {
		return nil, errors.New("its rows are larger than a body may be")
	}
	var err error
	b.unpacked, err = d.DecodeAll(b.data, b.unpacked)
	if err == nil && int64(len(b.unpacked)) > limit {
		err = errors.New("its rows are larger than a body may be")
	}
	return b.unpacked, err
}
