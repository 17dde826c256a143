package fdist

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/klauspost/compress/zstd"
)

// turnBytes is the most that one connection takes from the cursor at a time.
// It begins with one block and doubles, so that small inputs are dealt evenly
// and large ones cost few system calls.
const turnBytes = 512 << 10

// get answers one segment of a read session.
func (s *Server) get(ctx context.Context, c *conn, r *Request) {
	if s.writes.live(r) {
		c.fail(bad("can't write to and read from the same gpfdist server simultaneously"))
		return
	}
	rs, mine := s.reads.join(s, r)
	c.where.Session, r.session = rs.id, rs.id
	if mine {
		_ = rs.open(ctx, s.o.Inputs)
	}
	select {
	case <-rs.opened:
	case <-ctx.Done():
		return
	}
	if rs.openErr != nil {
		c.logf(LevelWarn, "reject request from %s, path %s", r.Peer, r.Path)
		c.fail(rs.openErr)
		return
	}
	switch ended, err := rs.attach(); {
	case err != nil:
		c.fail(&StatusError{Code: 500, Reason: "session error: " + reason(err), Err: err})
		return
	case ended:
		c.logf(LevelInfo, "session already ended. return empty response (OK)")
		c.empty()
		return
	}
	c.logf(LevelVerbose, "joined session (%s, %s)", r.Path, r.tid())
	err := s.stream(ctx, c, r, rs)
	if err == nil {
		c.ended = true
		c.logf(LevelInfo, "sent EOF: succeed")
	}
	rs.detach(err == nil)
	c.logf(LevelVerbose, "request end")
}

// stream sends blocks until the session's end; nil means that the segment was
// told of the regular end.
func (s *Server) stream(ctx context.Context, c *conn, r *Request, rs *readSession) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &blockWriter{c: c, r: r, s: s, rs: rs, compress: r.Zstd && s.o.Compress && r.Proto == 1}
	defer w.close()
	if err := c.ok(r, w.compress); err != nil {
		return w.lost(ctx, err)
	}
	w.pulse = newPulse(c, r, s.o.Heartbeat, cancel)
	defer w.pulse.close()
	// A segment that leaves while the input is waited for ends the waiting.
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = w.lost(ctx, context.Cause(ctx))
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	for {
		want := w.turn(s.o.Limits.Quantum(r) > 0)
		w.pulse.begin()
		blocks, err := rs.take(ctx, w.blocks[:0], want)
		w.pulse.end()
		w.blocks = blocks
		if len(blocks) > 0 {
			err = w.send(ctx, blocks)
			release(blocks)
			if err != nil {
				return w.lost(ctx, err)
			}
			continue
		}
		switch {
		case errors.Is(err, io.EOF):
			return w.finish(ctx)
		case ctx.Err() != nil:
			return w.lost(ctx, context.Cause(ctx))
		default:
			w.tell(err)
			return err
		}
	}
}

func release(blocks []*Block) {
	for i, b := range blocks {
		if b.Release != nil {
			b.Release()
		}
		blocks[i] = nil
	}
}

// blockWriter sends blocks to one segment.
type blockWriter struct {
	c        *conn
	r        *Request
	s        *Server
	rs       *readSession
	pulse    *pulse
	compress bool
	encoder  *zstd.Encoder

	want   int
	blocks []*Block
	heads  []byte
	vec    net.Buffers
	parts  [][]byte
	packed []byte
	plain  []byte
}

// turn is how much to take this time. Under a limit a block at a time is
// quick enough, and nothing waits in the hands of one segment.
func (w *blockWriter) turn(limited bool) int {
	if limited {
		w.want = 0
		return 1
	}
	want := max(w.want, 1)
	w.want = min(max(2*w.want, 32<<10), turnBytes)
	return want
}

// send writes blocks, all at once or, under a limit, in pieces that each have
// waited for their share.
func (w *blockWriter) send(ctx context.Context, blocks []*Block) error {
	quantum := w.s.o.Limits.Quantum(w.r)
	total := 0
	for _, b := range blocks {
		total += b.Len()
	}
	if quantum <= 0 {
		if err := w.wait(ctx, total); err != nil {
			return err
		}
		if err := w.write(blocks); err != nil {
			return err
		}
	} else if err := w.trickle(ctx, blocks, quantum); err != nil {
		return err
	}
	w.rs.meter.add(int64(total), int64(len(blocks)))
	w.s.stats.SentBytes.Add(int64(total))
	return nil
}

func (w *blockWriter) wait(ctx context.Context, n int) error {
	w.pulse.begin()
	defer w.pulse.end()
	return w.s.o.Limits.Wait(ctx, w.r, n)
}

// trickle sends each block in data frames of quantum bytes. Segments take
// rows from the frames' payloads as from one stream.
func (w *blockWriter) trickle(ctx context.Context, blocks []*Block, quantum int) error {
	for _, b := range blocks {
		head := w.heads[:0]
		if w.r.Proto == 1 {
			head = appendBlockHead(head, b)
		}
		for left := b.Len(); left > 0; head = head[:0] {
			n := min(left, quantum)
			if err := w.wait(ctx, n); err != nil {
				return err
			}
			if err := w.piece(b, head, b.Len()-left, n); err != nil {
				return err
			}
			left -= n
			if quantum = w.s.o.Limits.Quantum(w.r); quantum <= 0 {
				quantum = regionMax
			}
		}
	}
	return nil
}

// piece sends n bytes of a block, from one position on, as one data frame with
// what goes before it.
func (w *blockWriter) piece(b *Block, head []byte, from, n int) error {
	head = w.data(head, n)
	w.heads = head
	if g := b.region; g != nil {
		if !w.compress {
			if done, err := sendRegion(w.c.Conn, head, g, n); done {
				return err
			}
		}
		if cap(w.plain) < n {
			w.plain = make([]byte, n)
		}
		if err := g.load(w.plain[:n]); err != nil {
			return err
		}
		w.parts = append(w.parts[:0], head, w.payload(w.plain[:n]))
	} else {
		w.parts = append(w.parts[:0], head, w.payload(b.Data[from:from+n]))
	}
	return w.writev()
}

// data begins the frame of a payload of n bytes, in protocol 1. The length is
// that before compression.
func (w *blockWriter) data(head []byte, n int) []byte {
	if w.r.Proto == 0 {
		return head
	}
	return appendData(head, frameData, n)
}

// payload is data as it goes over the wire. It is valid until the next call.
func (w *blockWriter) payload(data []byte) []byte {
	if !w.compress {
		return data
	}
	if w.encoder == nil {
		// Options of constant value are not refused.
		w.encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	}
	w.packed = w.encoder.EncodeAll(data, w.packed[:0])
	return w.packed
}

// write sends blocks, those that are in memory in one system call as far as
// the kernel takes them.
func (w *blockWriter) write(blocks []*Block) error {
	w.parts = w.parts[:0]
	heads := w.heads[:0]
	for _, b := range blocks {
		from := len(heads)
		if w.r.Proto == 1 {
			// A head that does not fit moves the buffer; those before stay
			// where they are, in the old one.
			heads = appendBlockHead(heads, b)
		}
		if w.compress || b.region != nil {
			if err := w.writev(); err != nil {
				return err
			}
			if err := w.piece(b, heads[from:], 0, b.Len()); err != nil {
				return err
			}
			w.parts, heads = w.parts[:0], w.heads[:0]
			continue
		}
		heads = w.data(heads, b.Len())
		w.parts = append(w.parts, heads[from:], b.Data)
	}
	w.heads = heads
	return w.writev()
}

func (w *blockWriter) writev() error {
	if len(w.parts) == 0 {
		return nil
	}
	w.vec = net.Buffers(w.parts)
	_, err := w.vec.WriteTo(w.c.Conn)
	w.parts = w.parts[:0]
	return err
}

// finish tells the segment the end.
func (w *blockWriter) finish(ctx context.Context) error {
	if w.r.Proto == 0 {
		return nil
	}
	if _, err := w.c.Write(appendData(nil, frameData, 0)); err != nil {
		return w.lost(ctx, err)
	}
	return nil
}

// tell gives the segment an error to show to its user. Protocol 0 has no
// words for it; the connection is then reset.
func (w *blockWriter) tell(err error) {
	text := clip(reason(err), maxError)
	w.c.logf(LevelWarn, "send error message: %s", text)
	if w.r.Proto == 0 {
		return
	}
	_, werr := w.c.Write(appendFrame(nil, frameError, text))
	w.c.ended = werr == nil
}

// lost ends the session because this segment cannot be reached any more: it
// has had its fill, or has failed and so has its statement.
func (w *blockWriter) lost(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case gone(err) || gone(cause):
		w.c.logf(LevelWarn, "gpfdist_send failed - the connection was terminated by the client (%v)", err)
		w.rs.end(nil)
	case cause != nil:
		w.rs.end(cause)
	default:
		w.c.logf(LevelWarn, "gpfdist_send failed - due to (%v)", err)
		w.rs.end(err)
	}
	return err
}

func (w *blockWriter) close() {
	if w.encoder != nil {
		_ = w.encoder.Close()
	}
}
