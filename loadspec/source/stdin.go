package source

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"

	"cw/fault"
	"cw/loadspec/throttle"
)

// StdinURL is standard input among the objects.
const StdinURL = "stdin:"

// stdin is standard input, which can be read once.
type stdin struct {
	in io.Reader

	mu     sync.Mutex
	tag    string // of this run; another one has another input
	opened bool
}

func (s *stdin) list() ([]Object, error) {
	if s.in == nil {
		return nil, fault.New(fault.Usage, "name a file under FILE", "standard input cannot be read here")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tag == "" {
		s.tag = rand.Text()
	}
	return []Object{{URL: StdinURL, ETag: s.tag}}, nil
}

func (s *stdin) open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.ETag != s.tag || s.opened || offset > 0 {
		return nil, fault.New(fault.Failed, "what is committed stays: remove those rows, and load the data from a file, which can be resumed", "standard input cannot be read a second time")
	}
	s.opened = true
	r, w := io.Pipe()
	// A read of a terminal or a pipe cannot be cut off: who reads it may be
	// left behind, with nobody to give the bytes to.
	go func() {
		_, err := io.Copy(w, s.in)
		_ = w.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { _ = r.CloseWithError(context.Cause(ctx)) })
	return &limited{Reader: l.Reader(ctx, &stdinReader{ctx, r}), Closer: closer(func() error {
		stop()
		return r.Close()
	})}, nil
}

type stdinReader struct {
	ctx context.Context //nolint:containedctx // io.Reader has no other way to be cancelled
	r   io.Reader
}

func (s *stdinReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case s.ctx.Err() != nil:
		return n, context.Cause(s.ctx)
	default:
		return n, fault.New(fault.Failed, "", "standard input: %w", err)
	}
}

type closer func() error

func (c closer) Close() error { return c() }
