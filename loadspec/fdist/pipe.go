package fdist

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// openPipe takes a named pipe for this session alone. It does not wait for a
// writer: that is the first read's business, with the segments connected.
func openPipe(name, codec string) (Input, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Input{}, openError(name, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = unix.Close(fd)
		return Input{}, &StatusError{Code: 404, Reason: "Multiple reader to a pipe is forbidden.", Err: fmt.Errorf("%s: %w", name, err)}
	}
	p := &pipe{File: os.NewFile(uintptr(fd), name)}
	return Input{Name: name, Live: true, Open: func(ctx context.Context) (io.ReadCloser, error) {
		context.AfterFunc(ctx, func() { _ = p.Close() }) // reads end with the session
		if codec == codecNone {
			return p, nil // to look at its first bytes would be to wait for them
		}
		return decoder(p, codec)
	}, unused: p.Close}, nil
}

// closeUnused closes what was opened for an input that nobody will read.
func closeUnused(in Input) {
	if in.unused != nil {
		_ = in.unused()
	}
}

// pipe is a named pipe whose writer may still have to come.
type pipe struct {
	*os.File
	writer bool // has come
	once   sync.Once
}

func (p *pipe) Read(b []byte) (int, error) {
	if !p.writer {
		if err := p.await(); err != nil {
			return 0, err
		}
		p.writer = true
	}
	return p.File.Read(b)
}

// await waits until there is something to read, or somebody who had opened the
// pipe has closed it again. Before, reading would give the end at once.
func (p *pipe) await() error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		if err != nil && err != unix.EINTR {
			failed = err
		}
		return failed != nil || n > 0
	})
	if err != nil {
		return err
	}
	return failed
}

// Close closes the pipe once; the lock goes with it.
func (p *pipe) Close() error {
	err := os.ErrClosed
	p.once.Do(func() {
		err = p.File.Close()
	})
	return err
}
