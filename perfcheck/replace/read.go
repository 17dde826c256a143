package replace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
)

// Kind is how things are read.
type Kind string

// The kinds.
const (
	ReadFirst  Kind = "first"  // one block
	ReadRandom Kind = "random" // blocks anywhere, at a rate
	ReadAll    Kind = "all"    // everything once
)

// Job is one reading of a device, a file, or all files of a directory.
type Job struct {
	perfcheck.Timing
	Kind Kind    `json:"kind"`
	Path string  `json:"path"`
	Rate float64 `json:"rate"` // random reads per second
	Seed uint64  `json:"seed"`
}

// FlagBuffered says that the filesystem takes no direct I/O: a cache may have
// answered.
const FlagBuffered = "buffered"

const (
	block    = 8192    // of random reads: PostgreSQL's page
	chunk    = 1 << 20 // of reading everything
	readers  = 16      // that read everything
	maxAtOne = 64      // random reads under way at once
	page     = 4096    // alignment
)

// part is a file or device to read.
type part struct {
	path string
	size int64
}

// Read runs a job. on hears the throughput of reading everything by seconds.
func Read(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	m := perfcheck.Measurement{Values: map[string]float64{}, Histograms: map[string]*perfcheck.Histogram{}}
	parts, total, err := partsOf(j.Path, j.Kind == ReadFirst)
	if err != nil {
		return m, explain(j.Path, err)
	}
	if err := j.Await(ctx); err != nil {
		return m, err
	}
	m.Began = time.Now()
	switch j.Kind {
	case ReadFirst:
		err = readFirst(parts[0], &m)
	case ReadRandom:
		err = readRandom(ctx, j, parts, total, &m)
	case ReadAll:
		err = readAll(ctx, parts, &m, on)
	default:
		err = fault.New(fault.Usage, "", "kind %q is not known", j.Kind)
	}
	return m, explain(j.Path, err)
}

// explain names what was read, and what to do about missing rights.
func explain(path string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("read %s: %w", path, err)
	if errors.Is(err, fs.ErrPermission) {
		return fault.Wrap(fault.Failed, "--ssh-user root, or --read a directory that the SSH user may read", err)
	}
	return err
}

// partsOf lists what is to be read; one is enough when only the first byte is
// wanted. What cannot be read is an error: a part that is left out would make
// the figure a lie.
func partsOf(path string, first bool) (parts []part, total int64, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.IsDir() {
		size := info.Size()
		if info.Mode()&fs.ModeDevice != 0 {
			if size, err = deviceSize(path); err != nil {
				return nil, 0, err
			}
		}
		if size == 0 {
			return nil, 0, errors.New("it is empty")
		}
		return []part{{path, size}}, size, nil
	}
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a database removes files as it goes
		}
		if err != nil || info.Size() == 0 {
			return err
		}
		parts, total = append(parts, part{p, info.Size()}), total+info.Size()
		if first {
			return fs.SkipAll
		}
		return nil
	})
	if err == nil && len(parts) == 0 {
		err = errors.New("there is no file with anything in it")
	}
	return parts, total, err
}

func deviceSize(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return f.Seek(0, io.SeekEnd)
}

// open opens a part past the page cache where that can be.
func open(p part) (f *os.File, direct bool, err error) {
	f, err = os.OpenFile(p.path, os.O_RDONLY|kernel.Direct, 0)
	if err == nil {
		return f, true, nil
	}
	if !errors.Is(err, unix.EINVAL) {
		return nil, false, err
	}
	f, err = os.Open(p.path)
	return f, false, err
}

// buffer makes an aligned buffer outside Go's heap.
func buffer(size int) ([]byte, func(), error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|kernel.Populate)
	if err != nil {
		return nil, nil, fmt.Errorf("make a buffer: %w", err)
	}
	return b, func() { _ = unix.Munmap(b) }, nil
}

// readFirst reads one block.
func readFirst(p part, m *perfcheck.Measurement) error {
	b, free, err := buffer(page)
	if err != nil {
		return err
	}
	defer free()
	began := time.Now()
	f, direct, err := open(p)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if n, err := f.ReadAt(b, 0); n == 0 {
		return fmt.Errorf("%s: %w", p.path, err)
	}
	m.Values["first_byte"] = time.Since(began).Seconds()
	if !direct {
		m.Flags = append(m.Flags, FlagBuffered)
	}
	return nil
}

// pick chooses a block anywhere, every block as likely as the others.
func pick(r *rand.Rand, parts []part, total int64) (part, int64) {
	at := r.Int64N(total)
	for _, p := range parts {
		if at < p.size {
			return p, at / block * block
		}
		at -= p.size
	}
	return parts[0], 0
}
