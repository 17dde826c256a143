package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net/http"
	"strings"
	"time"

	"cw/fault"
	"cw/loadspec/throttle"
)

// whole reads an object of a server that knows no ranges: as one stream, and
// from the beginning again when that breaks off. What was read before is read
// once more and left out; where the server does not say which version it
// sends, it is compared as well.
type whole struct {
	ctx     context.Context         //nolint:containedctx // io.Reader has no other way to be cancelled
	cancel  context.CancelCauseFunc // of the request
	s       *httpStore
	o       Object
	body    io.ReadCloser
	request context.Context //nolint:containedctx // of body
	watch   *time.Timer
	at      int64
	sum     hash.Hash // of the bytes up to at; nil where the version is known
	b       backoff
	err     error
}

func newWhole(ctx context.Context, s *httpStore, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	w := &whole{ctx: ctx, s: s, o: o, b: backoff{o: s.o}}
	if strings.HasPrefix(o.ETag, tagWhole+tagNothing) {
		w.sum = sha256.New()
	}
	if offset > 0 {
		if _, err := io.CopyN(io.Discard, w, offset); err != nil {
			_ = w.Close()
			if errors.Is(err, io.EOF) {
				err = &ChangedError{URL: o.URL, Old: o.ETag, New: "a shorter one"}
			}
			return nil, err
		}
	}
	return &limited{Reader: l.Reader(ctx, w), Closer: w}, nil
}

// Read gives the next bytes, over as many requests as it takes.
func (w *whole) Read(p []byte) (int, error) {
	for w.err == nil {
		if w.body == nil {
			ctx, cancel := context.WithCancelCause(w.ctx)
			w.cancel, w.watch = cancel, time.AfterFunc(w.s.o.Stall, func() { cancel(errStalled) })
			if err := w.reopen(ctx); err != nil {
				w.failed(stalledOr(ctx, err))
				continue
			}
			w.request = ctx
		}
		w.watch.Reset(w.s.o.Stall)
		n, err := w.body.Read(p)
		w.watch.Stop() // how long the reader takes is not the server's silence
		err = stalledOr(w.request, err)
		if n > 0 {
			w.b.tries = 0
			w.at += int64(n)
			if w.sum != nil {
				_, _ = w.sum.Write(p[:n])
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			w.err = io.EOF // net/http has compared it with Content-Length
		case err != nil:
			w.failed(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, w.err
}

// failed waits before the next try, or gives up.
func (w *whole) failed(err error) {
	w.drop()
	if w.ctx.Err() != nil {
		w.err = context.Cause(w.ctx)
		return
	}
	again, err := w.s.explain(w.o.URL, err)
	if !again || !w.b.wait(w.ctx, w.o.URL, err) {
		w.err = err
	}
}

// reopen asks for the object again and goes to where reading broke off.
func (w *whole) reopen(ctx context.Context) error {
	resp, err := w.s.get(ctx, w.o.URL, "", "") //nolint:bodyclose // drop does
	if err != nil {
		return err
	}
	w.body = resp.Body
	if resp.StatusCode != http.StatusOK {
		return &statusError{resp: resp}
	}
	if tag := httpTag(resp.Header); !sameVersion(w.o.ETag, tag) {
		return &ChangedError{URL: w.o.URL, Old: w.o.ETag, New: tag}
	}
	if w.o.Size > 0 && resp.ContentLength >= 0 && resp.ContentLength != w.o.Size {
		return &ChangedError{URL: w.o.URL, Old: w.o.ETag, New: "one of another size"}
	}
	if w.at == 0 {
		return nil
	}
	to, again := io.Discard, sha256.New()
	if w.sum != nil {
		to = again
	}
	n, err := io.CopyN(to, &watched{r: w.body, t: w.watch, d: w.s.o.Stall}, w.at)
	if errors.Is(err, io.EOF) || err == nil && w.sum != nil && string(again.Sum(nil)) != string(w.sum.Sum(nil)) {
		return fault.New(fault.Failed, "put it where its server says ETag or Last-Modified, or into a store",
			"%s: the connection was lost after %d bytes, and of these the server sends others now (%d): the rows of the two cannot be told apart", w.o.URL, w.at, n)
	}
	return err
}

func (w *whole) drop() {
	if w.cancel != nil {
		w.watch.Stop()
		w.cancel(nil)
		w.cancel = nil
	}
	if w.body != nil {
		_ = w.body.Close()
		w.body = nil
	}
}

// Close ends the stream.
func (w *whole) Close() error {
	w.drop()
	return nil
}

// watched keeps the clock of a silent server from running while it sends.
type watched struct {
	r io.Reader
	t *time.Timer
	d time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.t.Reset(w.d)
	return w.r.Read(p)
}
