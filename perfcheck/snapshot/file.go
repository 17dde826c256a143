package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck/kernel"
)

// openDirect opens a file past the page cache.
func openDirect(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|kernel.Direct|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.EINVAL) {
		return nil, fault.New(fault.Check, "give a directory on a disk of its own", "%s: its filesystem does not take direct I/O: the page cache would be measured", path)
	}
	return f, err
}

// newBuffer makes a buffer aligned to a page, as direct I/O wants it.
func newBuffer(size int) ([]byte, func(), error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|kernel.Populate)
	if err != nil {
		return nil, nil, fmt.Errorf("make a buffer of %d bytes: %w", size, err)
	}
	return b, func() { _ = unix.Munmap(b) }, nil
}

// atOnce is how many requests write a data set.
const atOnce = 4

// writeParts calls fill for each part of a file, whose offsets at tells, and
// writes what it filled; several at once.
func writeParts(ctx context.Context, f *os.File, size int, parts int64, at func(i int64) int64, fill func(b []byte, off int64), done *atomic.Int64) error {
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, atOnce)
	var all sync.WaitGroup
	for w := range atOnce {
		all.Go(func() {
			b, free, err := newBuffer(size)
			if err != nil {
				errs[w] = err
				return
			}
			defer free()
			for ctx.Err() == nil && !failed.Load() {
				i := next.Add(1) - 1
				if i >= parts {
					return
				}
				off := at(i)
				fill(b, off)
				if _, err := f.WriteAt(b, off); err != nil {
					errs[w] = writeFailed(err)
					failed.Store(true)
					return
				}
				done.Add(int64(size))
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f.Sync()
}

func writeFailed(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fault.New(fault.Failed, "free some space, or write less: --size 1GiB", "write the data set: %w", err)
	}
	return fmt.Errorf("write the data set: %w", err)
}

// readWhole reads a file to its end in large direct reads. Its size must be
// what is expected.
func readWhole(ctx context.Context, path string, size int64, on func(b []byte, off int64)) error {
	f, err := openDirect(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	b, free, err := newBuffer(ReadBlock)
	if err != nil {
		return err
	}
	defer free()
	var off int64
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := f.ReadAt(b, off)
		on(b[:n], off)
		off += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	if off != size {
		return fmt.Errorf("%s has %d bytes and not %d", path, off, size)
	}
	return nil
}
