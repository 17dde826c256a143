package fdist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// streamOutput is an output that cannot be taken back: a named pipe or a
// device. Bodies go through one after the other, each whole.
type streamOutput struct {
	name string
	late Late

	mu   sync.Mutex
	f    *os.File
	w    io.Writer
	z    io.Closer // compressor before it
	over bool
	err  error
}

// openPipeOut opens a named pipe when it has a reader, and waits for one until
// the request ends.
func openPipeOut(ctx context.Context, name, codec string) (Output, error) {
	for {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil {
			return newStream(name, codec, os.NewFile(uintptr(fd), name), LateOpen)
		}
		if !errors.Is(err, unix.ENXIO) && !errors.Is(err, unix.EINTR) {
			return nil, fileFailure(name, err)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return nil, fmt.Errorf("pipe %s has no reader: %w", name, context.Cause(ctx))
		}
	}
}

func openDevice(name string) (Output, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fileFailure(name, err)
	}
	return newStream(name, "", f, LateAgain)
}

func newStream(name, codec string, f *os.File, late Late) (Output, error) {
	o := &streamOutput{name: name, late: late, f: f, w: f}
	switch codec {
	case ".gz":
		z := gzip.NewWriter(f)
		o.w, o.z = z, z
	case ".zst":
		z, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		o.w, o.z = z, z
	}
	return o, nil
}

// Late says that a pipe is kept open for segments that come late: its reader
// would take the close for the end.
func (o *streamOutput) Late() Late { return o.late }

// Append writes rows whole. It ends with the session, also when nobody reads.
func (o *streamOutput) Append(ctx context.Context, _ int, rows []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return errSessionOver
	}
	stop := context.AfterFunc(ctx, func() { _ = o.f.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if o.err == nil {
		_, o.err = o.w.Write(rows)
	}
	if o.err != nil {
		text := o.err.Error()
		if errors.Is(o.err, syscall.EPIPE) {
			text = "its reader has closed it"
		}
		return &StatusError{Code: 500, Reason: "cannot write into pipe " + o.name + ": " + text, Err: o.err}
	}
	return nil
}

// Publish closes the pipe.
func (o *streamOutput) Publish(context.Context) error { return o.close() }

// Abort closes the pipe; what is through cannot be taken back.
func (o *streamOutput) Abort(context.Context) error {
	_ = o.f.SetWriteDeadline(time.Unix(1, 0))
	_ = o.close()
	return nil
}

func (o *streamOutput) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return nil
	}
	o.over = true
	var err error
	if o.z != nil {
		err = o.z.Close()
	}
	if err = errors.Join(err, o.f.Close()); err != nil {
		return &StatusError{Code: 500, Reason: "cannot write into pipe " + o.name + ": " + err.Error(), Err: err}
	}
	return nil
}
