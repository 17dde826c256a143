package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck/kernel"
	"cw/schema"
)

// CopyOptions say how files are copied the way gpcheckperf does it: one
// stream per directory, all at the same time, the whole of them timed.
type CopyOptions struct {
	Dirs  []string `json:"dirs"`
	Block int64    `json:"block"` // bytes of a write or read; 0 is 32 KiB
	Bytes int64    `json:"bytes"` // per directory
	Seed  uint64   `json:"seed"`
	// Direct goes past the page cache. Without it what is read back has just
	// been written and may come from memory: that is what gpcheckperf does.
	Direct bool `json:"direct"`
	// KeepFree is as in PrepareOptions. AllowRootDisk and AllowMemory lift
	// what Prepare refuses: gpcheckperf measures what it is pointed at.
	KeepFree      int64 `json:"keep_free"`
	AllowRootDisk bool  `json:"allow_root_disk"`
	AllowMemory   bool  `json:"allow_memory"`
}

// CopyResult is one direction. Seconds are wall time, of which the end of the
// slowest directory is the total's.
type CopyResult struct {
	Bytes   int64     `json:"bytes"`
	Seconds float64   `json:"seconds"`
	Dirs    []CopyDir `json:"dirs"`
}

// CopyDir is the part of one directory.
type CopyDir struct {
	Dir     string  `json:"dir"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// shortest is the least time that a copy is said to have taken, as in
// gpcheckperf: a division by nearly nothing says nothing.
const shortest = 0.1

// CopySet is the files of a copy. Write comes before Read.
type CopySet struct {
	set *Set
	o   CopyOptions
}

// PrepareCopy makes a private folder in each directory.
func PrepareCopy(ctx context.Context, o CopyOptions) (*CopySet, error) {
	if o.Block == 0 {
		o.Block = 32 * kib
	}
	if o.Bytes <= 0 || o.Block < 0 || o.Block > 64*mib || o.Direct && (o.Block%pageSize != 0 || o.Bytes%pageSize != 0) {
		return nil, fault.New(fault.Usage, "", "copy: %d bytes in blocks of %d", o.Bytes, o.Block)
	}
	facts, err := inspectAll(ctx, o.Dirs)
	if err != nil {
		return nil, err
	}
	s := &Set{seed: o.Seed}
	var wrong []error
	for _, f := range facts {
		checked := f
		checked.InMemory = f.InMemory && (!o.AllowMemory || o.Direct)
		if err := checked.refuse(o.AllowRootDisk); err != nil {
			wrong = append(wrong, err)
			continue
		}
		keep := o.KeepFree
		if keep == 0 {
			keep = f.margin()
		}
		sharers := int64(0)
		for _, g := range facts {
			if g.dev == f.dev {
				sharers++
			}
		}
		if f.Free-keep < o.Bytes*sharers {
			wrong = append(wrong, fault.New(fault.Check, fmt.Sprintf("-S %dMB per host fits", max(f.Free-keep, 0)/mib), "%s: %s has room for %s and %s stay free: too small for %s",
				f.Dir, f.MountPoint, schema.FormatSize(f.Free), schema.FormatSize(keep), schema.FormatSize(o.Bytes*sharers)))
		}
		s.targets = append(s.targets, &target{facts: f})
	}
	if err := join(wrong); err != nil {
		return nil, err
	}
	for _, t := range s.targets {
		if t.folder, err = os.MkdirTemp(t.facts.Path, FolderPrefix); err == nil {
			t.lock, err = newMarker(t.folder)
		}
		if err != nil {
			return nil, join([]error{writeFailed(t.facts.Dir, err), s.Close()})
		}
	}
	return &CopySet{set: s, o: o}, nil
}

// Close removes the files.
func (c *CopySet) Close() error { return c.set.Close() }

// Facts tell what the directories lie on.
func (c *CopySet) Facts() []Facts { return c.set.Facts() }

// Write writes each directory's file from the beginning, and forces it to the
// disk within the time.
func (c *CopySet) Write(ctx context.Context) (CopyResult, error) {
	return c.each(ctx, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, func(ctx context.Context, fd int, b []byte, r *random) (int64, error) {
		var done int64
		for done < c.o.Bytes {
			if ctx.Err() != nil {
				return done, context.Cause(ctx)
			}
			part := b[:min(int64(len(b)), c.o.Bytes-done)]
			r.renew(part)
			if err := writeAt(fd, part, done); err != nil {
				return done, err
			}
			done += int64(len(part))
		}
		return done, unix.Fsync(fd)
	})
}

// Read reads what Write wrote.
func (c *CopySet) Read(ctx context.Context) (CopyResult, error) {
	return c.each(ctx, os.O_RDONLY, func(ctx context.Context, fd int, b []byte, _ *random) (int64, error) {
		var done int64
		for {
			if ctx.Err() != nil {
				return done, context.Cause(ctx)
			}
			n, err := unix.Read(fd, b)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n == 0 {
				return done, err
			}
			done += int64(n)
		}
	})
}

// each copies in all directories at the same time.
func (c *CopySet) each(ctx context.Context, flags int, fn func(context.Context, int, []byte, *random) (int64, error)) (CopyResult, error) {
	if c.o.Direct {
		flags |= kernel.Direct
	}
	out := CopyResult{Dirs: make([]CopyDir, len(c.set.targets))}
	errs := make([]error, len(c.set.targets))
	began := time.Now()
	var all sync.WaitGroup
	for i, t := range c.set.targets {
		all.Go(func() {
			out.Dirs[i], errs[i] = c.one(ctx, t, flags, mix(c.o.Seed, uint64(i)), fn)
			if errs[i] == nil && out.Dirs[i].Bytes != c.o.Bytes {
				errs[i] = fmt.Errorf("%s: %d bytes in place of %d", t.facts.Dir, out.Dirs[i].Bytes, c.o.Bytes)
			}
		})
	}
	all.Wait()
	out.Seconds = max(time.Since(began).Seconds(), shortest)
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	for _, d := range out.Dirs {
		out.Bytes += d.Bytes
	}
	return out, join(errs)
}

func (c *CopySet) one(ctx context.Context, t *target, flags int, seed uint64, fn func(context.Context, int, []byte, *random) (int64, error)) (CopyDir, error) {
	d := CopyDir{Dir: t.facts.Dir}
	b, err := newBuffer(c.o.Block)
	if err != nil {
		return d, err
	}
	defer freeBuffer(b)
	r := random(seed)
	r.fill(b)
	began := time.Now()
	fd, err := openFile(t.data(), flags)
	if err == nil {
		d.Bytes, err = fn(ctx, fd, b, &r)
		if e := unix.Close(fd); err == nil {
			err = e
		}
	}
	d.Seconds = max(time.Since(began).Seconds(), shortest)
	if err != nil {
		err = writeFailedOr(flags, t.facts.Dir, err)
	}
	return d, err
}

func writeFailedOr(flags int, dir string, err error) error {
	if flags&(os.O_WRONLY|os.O_RDWR) != 0 {
		return writeFailed(dir, err)
	}
	return fmt.Errorf("read %s: %w", dir, err)
}
