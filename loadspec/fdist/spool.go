package fdist

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What a session writes is kept beside its target, under a hidden name, until
// it is published:
//
//	.NAME.cw-spool-RANDOM                  rows of a statement that is not done
//	.NAME.cw-publish-KEY-SIZE-RANDOM       rows that are to be in NAME
//
// Renaming the first to the second is the moment of publishing: from there on
// the rows will be in NAME, by this server or, if it is killed, by the next
// one that looks into the folder. KEY is the session's, so that the next one
// can also tell a segment that asks again. SIZE is what NAME had before, -1
// where there was none: then the rows take its place in one rename. Where
// there is one, they are appended; a server that is killed meanwhile leaves a
// part, which the next completes, and until then NAME is followed by the
// hidden file. A file is in use while it is locked (flock).
const (
	spoolMark   = ".cw-spool-"
	publishMark = ".cw-publish-"
)

// spool is the hidden file of one session.
type spool struct {
	f      *os.File
	target string

	mu   sync.Mutex
	size int64 // handed out to writers
}

func newSpool(target string) (*spool, error) {
	f, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+spoolMark+"*")
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return &spool{f: f, target: target}, nil
}

// write puts rows at a place of their own, several writers at once.
func (s *spool) write(b []byte) error {
	s.mu.Lock()
	at := s.size
	s.size += int64(len(b))
	s.mu.Unlock()
	_, err := s.f.WriteAt(b, at)
	return err
}

func (s *spool) remove() error {
	err := os.Remove(s.f.Name())
	_ = s.f.Close()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// publish makes the rows part of the target. durable also brings them to the
// disk.
func (s *spool) publish(key string, durable bool) (err error) {
	defer func() { _ = s.f.Close() }()
	if durable {
		if err := s.f.Sync(); err != nil {
			return err
		}
	}
	out, before, err := lockTarget(s.target, os.O_RDWR|os.O_APPEND)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if out != nil {
		defer func() { err = errors.Join(err, out.Close()) }()
	}
	name := s.f.Name()
	marked := filepath.Join(filepath.Dir(name), "."+filepath.Base(s.target)+publishMark+keyHash(key)+"-"+strconv.FormatInt(before, 10)+"-"+name[strings.LastIndexByte(name, '-')+1:])
	if err := os.Rename(name, marked); err != nil {
		return err
	}
	if out == nil {
		return place(s.f, marked, s.target, durable)
	}
	return appendTo(s.f, out, 0, before, marked, durable, false)
}

// lockTarget opens an existing file to append to it, when no other cw server
// does, and tells its size; -1 where there is none.
func lockTarget(name string, flags int) (*os.File, int64, error) {
	out, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, -1, err
	}
	if err := unix.Flock(int(out.Fd()), unix.LOCK_EX); err != nil {
		_ = out.Close()
		return nil, -1, err
	}
	st, err := out.Stat()
	if err != nil {
		_ = out.Close()
		return nil, -1, err
	}
	return out, st.Size(), nil
}

// keyHash is a session's key in a file name.
func keyHash(key string) string {
	h := fnv.New128a()
	_, _ = io.WriteString(h, key)
	return hex.EncodeToString(h.Sum(nil))
}

// place brings a file that is marked as published to where there was none.
func place(f *os.File, marked, target string, durable bool) (err error) {
	err = renameNew(marked, target)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		// A file system without it. Two statements may then race for a new
		// name.
		if _, statErr := os.Lstat(target); errors.Is(statErr, fs.ErrNotExist) {
			err = os.Rename(marked, target)
		} else {
			err = unix.EEXIST
		}
	}
	switch {
	case err == nil:
		return syncDir(target, durable)
	case !errors.Is(err, unix.EEXIST):
		return err
	}
	out, size, err := lockTarget(target, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return appendTo(f, out, 0, size, marked, durable, false)
}

// appendTo appends what follows the first have bytes of f to a file of a known
// size, and removes f; after an error only without keep.
func appendTo(f, out *os.File, have, size int64, marked string, durable, keep bool) error {
	buf := make([]byte, 1<<20)
	rest := io.NewSectionReader(f, have, 1<<62)
	_, err := io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{rest}, buf)
	if err == nil && durable {
		err = out.Sync()
	}
	if err != nil {
		// Nothing of it is to be seen, as with any statement that fails.
		if cut := out.Truncate(size - have); cut != nil {
			return fmt.Errorf("%w; half of the rows are at its end, from byte %d, all of them in %s: %w", err, size-have, marked, cut)
		}
		if keep {
			return err
		}
		return errors.Join(err, os.Remove(marked))
	}
	if err := os.Remove(marked); err != nil {
		return err
	}
	return syncDir(out.Name(), durable)
}

// resume completes what a server that was killed had begun to append to a file
// of the size before, or had yet to begin; -1: there was no file.
func resume(f *os.File, marked, target string, before int64) (err error) {
	if before < 0 {
		return place(f, marked, target, false)
	}
	out, size, err := lockTarget(target, os.O_RDWR|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have := int64(0)
	if size > before {
		if have, err = begun(f, out, before, size-before); err != nil {
			return err
		}
	}
	return appendTo(f, out, have, size, marked, false, true)
}

// begun tells how many bytes of f stand at the end of out since it had the
// size before. Bytes of others there mean that none of f do.
func begun(f, out *os.File, before, n int64) (int64, error) {
	st, err := f.Stat()
	if err != nil || n > st.Size() {
		return 0, err
	}
	a, b := make([]byte, 256<<10), make([]byte, 256<<10)
	for done := int64(0); done < n; {
		k := min(int64(len(a)), n-done)
		if _, err := f.ReadAt(a[:k], done); err != nil {
			return 0, err
		}
		if _, err := out.ReadAt(b[:k], before+done); err != nil {
			return 0, err
		}
		if !bytes.Equal(a[:k], b[:k]) {
			return 0, nil
		}
		done += k
	}
	return n, nil
}

func syncDir(name string, durable bool) error {
	if !durable {
		return nil
	}
	d, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// sweepFile clears up after a server that was killed: name is one of the two
// kinds above, and nobody has it locked. It returns the hash of the key of
// what it published.
func sweepFile(dir, name string) (published string, err error) {
	base, mark, ok := hidden(name)
	if !ok {
		return "", nil
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return "", nil // in use
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || !sameFile(f, path) {
		return "", err // its owner has just finished with it
	}
	if mark == "" {
		return "", os.Remove(path)
	}
	parts := strings.SplitN(mark, "-", 2) // KEY, SIZE-RANDOM; SIZE may be -1
	if len(parts) != 2 {
		return "", nil
	}
	end := strings.LastIndexByte(parts[1], '-')
	if end < 0 {
		return "", nil
	}
	before, err := strconv.ParseInt(parts[1][:end], 10, 64)
	if err != nil {
		return "", nil //nolint:nilerr // somebody else's file with a name like ours
	}
	return parts[0], resume(f, path, filepath.Join(dir, base), before)
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// hidden takes a name apart: its target's and, of one that is to be published,
// what follows the mark.
func hidden(name string) (base, mark string, ok bool) {
	if !strings.HasPrefix(name, ".") {
		return "", "", false
	}
	if i := strings.LastIndex(name, publishMark); i > 1 {
		return name[1:i], name[i+len(publishMark):], name[i+len(publishMark):] != ""
	}
	if i := strings.LastIndex(name, spoolMark); i > 1 {
		_, err := strconv.ParseUint(name[i+len(spoolMark):], 10, 64)
		return name[1:i], "", err == nil
	}
	return "", "", false
}

// sweepMax bounds the look through a large tree at the start; other folders
// are looked at when they are written to first.
const sweepMax = 200_000

// sweepTree sweeps a folder and those below it.
func sweepTree(ctx context.Context, root string, found func(path, published string, err error)) {
	n := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if n++; n > sweepMax || ctx.Err() != nil {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return nil //nolint:nilerr // folders that cannot be read hold nothing of ours
		}
		if _, _, ok := hidden(d.Name()); ok {
			published, err := sweepFile(filepath.Dir(path), d.Name())
			found(path, published, err)
		}
		return nil
	})
}
