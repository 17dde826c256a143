package greenplum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"cw/remote"
)

// template is a compressed data directory on its way from the coordinator to
// the other hosts: about 10 MB of a new cluster, more where there are many
// tables. It is read once, into a file, and written from there to all hosts
// while it is still being read.
type template struct {
	mu    sync.Mutex
	spool *spool
}

// unpack writes the coordinator's template to another host.
func (e *Engine) unpack(ctx context.Context, host string) error {
	s, err := e.fetchTemplate(ctx)
	if err != nil {
		return err
	}
	_, err = e.Fleet.Host(host).Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", unpackScript, "cw", e.templateDir(host)}, Stdin: s.reader(), As: e.top.OSUser, Dir: "/"})
	if err != nil {
		return fmt.Errorf("unpacking the template: %w", err)
	}
	return nil
}

// fetchTemplate begins to read the template from the coordinator, unless that
// has begun.
func (e *Engine) fetchTemplate(ctx context.Context) (*spool, error) {
	t := &e.template
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spool != nil && t.spool.failed() == nil {
		return t.spool, nil
	}
	s, err := newSpool(e.Dir)
	if err != nil {
		return nil, err
	}
	host := e.coordinator().Host
	go func() {
		res, err := e.Fleet.Host(host).Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", `cd -- "$1" && tar -cSf - . | gzip -1`, "cw", e.templateDir(host)}, As: e.top.OSUser, Dir: "/", Stdout: s})
		if err == nil && len(res.Stderr) > 0 {
			err = errors.New(clean(string(res.Stderr))) // the status is gzip's
		}
		if err != nil {
			err = fmt.Errorf("reading the template: %w", err)
		}
		s.end(err)
	}()
	t.spool = s
	return s, nil
}

// forget drops what was read: the template is another one from now on.
func (t *template) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spool = nil
}

// spool is a file that is read while it is written. It has no name any more,
// so that it goes with this process, and is closed when nobody refers to it.
type spool struct {
	f    *os.File
	mu   sync.Mutex
	more sync.Cond
	size int64
	done bool
	err  error
}

func newSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "template")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s := &spool{f: f}
	s.more.L = &s.mu
	return s, nil
}

// Write appends to the file; there is one writer.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.f.Write(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size += int64(n)
	s.more.Broadcast()
	return n, err
}

// end says that all is written, or why it is not.
func (s *spool) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.err = true, err
	s.more.Broadcast()
}

func (s *spool) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// reader reads the file from its beginning and waits for what is not written
// yet.
func (s *spool) reader() io.Reader { return &spoolReader{s: s} }

type spoolReader struct {
	s  *spool
	at int64
}

func (r *spoolReader) Read(p []byte) (int, error) {
	s := r.s
	s.mu.Lock()
	for r.at == s.size && !s.done {
		s.more.Wait()
	}
	left, err := s.size-r.at, s.err
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case left == 0:
		return 0, io.EOF
	}
	n, err := s.f.ReadAt(p[:min(int64(len(p)), left)], r.at)
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}
