package disk

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"cw/perfcheck/kernel"
)

// pageSize is what buffers, offsets and lengths are aligned to at least:
// enough for disks with sectors of 4 KiB.
const pageSize = 4096

// newBuffer makes a buffer outside Go's heap, aligned to a page as direct I/O
// wants it, present in memory.
func newBuffer(size int64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|kernel.Populate)
	if err != nil {
		return nil, fmt.Errorf("make a buffer of %d bytes: %w", size, err)
	}
	return b, nil
}

func freeBuffer(b []byte) {
	if b != nil {
		_ = unix.Munmap(b)
	}
}

// readAt reads the whole buffer.
func readAt(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, off)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			b, off = b[n:], off+int64(n)
		}
	}
	return nil
}

// writeAt writes the whole buffer.
func writeAt(fd int, b []byte, off int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(fd, b, off)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		default:
			b, off = b[n:], off+int64(n)
		}
	}
	return nil
}

// openFile opens an existing file, never through a symbolic link.
func openFile(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
