package fdist

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"cw/fault"
)

// RowsWriter is one segment that writes. Its requests have the numbers and
// repetitions that segments give them.
type RowsWriter struct {
	c    *Client
	s    *Scan
	seq  int64
	enc  *zstd.Encoder
	zstd bool
	kept *answer // whose connection carries the next request
}

// Post begins a write as one segment: an empty request, numbered 1.
func (c *Client) Post(ctx context.Context, s *Scan) (*RowsWriter, error) {
	w := &RowsWriter{c: c, s: s}
	a, err := w.send(ctx, false, nil)
	if err != nil {
		return nil, err
	}
	w.zstd = a.header["X-GP-ZSTD"] == "1"
	return w, nil
}

// Send writes whole rows.
func (w *RowsWriter) Send(ctx context.Context, rows []byte) error {
	if w.zstd {
		if w.enc == nil {
			w.enc, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		}
		rows = w.enc.EncodeAll(rows, nil)
	}
	_, err := w.send(ctx, false, rows)
	return err
}

// Done says that this segment has nothing more.
func (w *RowsWriter) Done(ctx context.Context) error {
	_, err := w.send(ctx, true, nil)
	w.Close()
	return err
}

// send repeats a request with the same number as long as it gets no answer,
// or the answer that it took too long.
func (w *RowsWriter) send(ctx context.Context, done bool, body []byte) (*answer, error) {
	if !done {
		w.seq++
	}
	extra := []string{"X-GP-SEQ: " + strconv.FormatInt(w.seq, 10)}
	if done {
		extra = append(extra, "X-GP-DONE: 1")
	}
	tries, wait := w.c.Tries, w.c.Backoff
	if tries == 0 {
		tries = 5
	}
	if wait == 0 {
		wait = 100 * time.Millisecond
	}
	for try := 1; ; try++ {
		a, err := w.once(ctx, extra, body)
		var refused *RefusedError
		switch {
		case err == nil:
			return a, nil
		case errors.As(err, &refused) && refused.Code != 408, fault.KindOf(err) == fault.Usage, ctx.Err() != nil:
			return nil, err
		case try >= tries:
			return nil, fmt.Errorf("error when writing data to gpfdist %s, quit after %d tries: %w", w.s.URL, try, err)
		case !sleep(ctx, wait):
			return nil, context.Cause(ctx)
		}
		wait *= 2
	}
}

// once sends a request one time, over the last one's connection if that lives.
func (w *RowsWriter) once(ctx context.Context, extra []string, body []byte) (*answer, error) {
	over := w.kept
	w.kept = nil
	a, err := w.c.exchange(ctx, w.s, "POST", extra, body, over)
	if err != nil && over != nil && ctx.Err() == nil {
		// The server had given the connection up.
		a, err = w.c.exchange(ctx, w.s, "POST", extra, body, nil)
	}
	if err != nil {
		return nil, err
	}
	err = a.refused(w.s.URL)
	if err != nil || !a.keeps() {
		a.close()
		return a, err
	}
	a.rest()
	w.kept = a
	return a, nil
}

// Close gives up the connection, if there is one; without Done before, the
// segment has failed.
func (w *RowsWriter) Close() {
	if w.kept != nil {
		w.kept.close()
		w.kept = nil
	}
}
