package binary

import (
	"io"
	"sync/atomic"
)

// chunk is how much is encoded at a time: more than one read of the
// connection's, and little enough to stay in the cache.
const chunk = 256 << 10

// Reader is the binary form of records as COPY FROM STDIN reads it.
type Reader struct {
	e       *Encoder
	data    []byte // still to be encoded
	buf     []byte // encoded
	at      int    // what was read of buf
	ended   bool
	unusual atomic.Pointer[Unusual]
	taken   int
}

// Reader encodes data, which holds whole records, while it is read. buf, which
// may be nil, is used and given back by Buffer.
func (e *Encoder) Reader(data, buf []byte) *Reader {
	e.newline = unknown
	return &Reader{e: e, data: data, buf: append(buf[:0], signature...)}
}

// Unusual is the record that ended it with an error; nil for none. It may be
// asked while another goroutine reads.
func (r *Reader) Unusual() *Unusual { return r.unusual.Load() }

// Buffer is the reader's buffer, for the next one.
func (r *Reader) Buffer() []byte { return r.buf }

// Read encodes as much as is asked for; a record that it cannot encode ends it
// with an *Unusual.
func (r *Reader) Read(p []byte) (int, error) {
	for r.at == len(r.buf) {
		if r.ended {
			return 0, io.EOF
		}
		if u := r.unusual.Load(); u != nil {
			return 0, u
		}
		r.fill()
	}
	n := copy(p, r.buf[r.at:])
	r.at += n
	return n, nil
}

func (r *Reader) fill() {
	r.buf, r.at = r.buf[:0], 0
	if len(r.data) == 0 {
		r.buf, r.ended = append(r.buf, trailer...), true
		return
	}
	var n int
	var err error
	r.buf, n, err = r.e.Append(r.buf, r.data, chunk)
	r.data, r.taken = r.data[n:], r.taken+n
	if u, ok := err.(*Unusual); ok { //nolint:errorlint // Append gives no other
		u.Offset += r.taken - n
		r.unusual.Store(u)
	}
}
