package disk

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

const (
	prefillBlock = mib
	prefillDepth = 4
	prefillTells = 200 * time.Millisecond
)

// prefill writes the files of all directories at the same time.
func (s *Set) prefill(ctx context.Context, on func(done, total int64)) error {
	var done atomic.Int64
	var total int64
	for _, t := range s.targets {
		total += t.sizes.data + t.sizes.wal
	}
	errs := make([]error, len(s.targets))
	var all sync.WaitGroup
	ended := make(chan struct{})
	for i, t := range s.targets {
		all.Go(func() { errs[i] = t.prefill(ctx, mix(s.seed, uint64(i)), &done) })
	}
	go func() { all.Wait(); close(ended) }()
	tick := time.NewTicker(prefillTells)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			if on != nil {
				on(done.Load(), total)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return join(errs)
		case <-tick.C:
			if on != nil {
				on(done.Load(), total)
			}
		}
	}
}

func (t *target) prefill(ctx context.Context, seed uint64, done *atomic.Int64) error {
	if err := fillFile(ctx, t.wal(), t.sizes.wal, mix(seed, 1), done); err != nil {
		return writeFailed(t.facts.Dir, err)
	}
	if err := fillFile(ctx, t.data(), t.sizes.data, seed, done); err != nil {
		return writeFailed(t.facts.Dir, err)
	}
	return nil
}

// allocate makes a file of a size whose blocks are reserved, where the
// filesystem can, so that it lies in one piece.
func allocate(path string, size int64) (int, error) {
	fd, err := openFile(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|kernel.Direct)
	if err != nil {
		return -1, err
	}
	for {
		err = kernel.Allocate(fd, size)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = unix.Ftruncate(fd, size)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// fillFile writes a file of random data through direct I/O, so that each of
// its extents is really written, and forces it to the disk.
func fillFile(ctx context.Context, path string, size int64, seed uint64, done *atomic.Int64) error {
	fd, err := allocate(path, size)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, prefillDepth)
	var all sync.WaitGroup
	for i := range prefillDepth {
		all.Go(func() {
			var b []byte
			if b, errs[i] = newBuffer(prefillBlock); errs[i] != nil {
				return
			}
			defer freeBuffer(b)
			for ctx.Err() == nil && !failed.Load() {
				off := next.Add(prefillBlock) - prefillBlock
				if off >= size {
					return
				}
				part := b[:min(prefillBlock, size-off)]
				r := random(mix(seed, uint64(off)))
				r.fill(part)
				if errs[i] = writeAt(fd, part, off); errs[i] != nil {
					failed.Store(true)
					return
				}
				done.Add(int64(len(part)))
			}
		})
	}
	all.Wait()
	if err := join(errs); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return unix.Fsync(fd)
}
