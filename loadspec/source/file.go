package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cw/fault"
	"cw/loadspec/throttle"
)

// fileStore reads local files.
type fileStore struct{}

func (fileStore) list(_ context.Context, location string) ([]Object, error) {
	pattern := strings.TrimPrefix(location, "file://")
	pattern, err := filepath.Abs(pattern)
	if err != nil {
		return nil, fault.New(fault.Failed, "", "%s: %w", location, err)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "%s: %w", location, err)
	}
	if _, statErr := os.Lstat(pattern); statErr == nil {
		names = []string{pattern} // a file whose name has wildcards in it
	}
	var objects []Object
	for _, name := range names {
		found, err := statFile(name, true)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since it was seen
		}
		if err != nil {
			return nil, err
		}
		objects = append(objects, found...)
	}
	if len(objects) == 0 {
		return nil, &NoMatchError{Location: location, Hint: "look at it: ls -ld " + filepath.Dir(pattern) + "; cw reads files of the machine it runs on"}
	}
	return objects, nil
}

// stat looks up one file.
func (fileStore) stat(location string) (Object, error) {
	name, err := filepath.Abs(strings.TrimPrefix(location, "file://"))
	if err != nil {
		return Object{}, fault.New(fault.Failed, "", "%s: %w", location, err)
	}
	st, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Object{}, &NoMatchError{Location: location, Hint: "look at it: ls -ld " + filepath.Dir(name)}
	case err != nil:
		return Object{}, fileError(name, err)
	case !st.Mode().IsRegular():
		return Object{}, fault.New(fault.Failed, "name the files in it", "%s: is no regular file", name)
	}
	return Object{URL: "file://" + name, ETag: fileTag(st), Size: st.Size(), Modified: st.ModTime()}, nil
}

// statFile makes an object of a file; a folder stands for the files in it,
// one level deep and without hidden ones, as for gpfdist.
func statFile(name string, expand bool) ([]Object, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fileError(name, err)
	}
	if st.Mode().IsRegular() {
		return []Object{{URL: "file://" + name, ETag: fileTag(st), Size: st.Size(), Modified: st.ModTime()}}, nil
	}
	if !st.IsDir() {
		return nil, fault.New(fault.Failed, "copy it to a file first", "%s: is no regular file (%s)", name, st.Mode().Type())
	}
	if !expand {
		return nil, fault.New(fault.Failed, "name its files: "+name+"/*", "%s: is a folder inside a folder", name)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fileError(name, err)
	}
	var all []Object
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		found, err := statFile(filepath.Join(name, e.Name()), false)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func fileError(name string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = fmt.Sprintf("let user id %d read it: chmod a+r %s", os.Getuid(), name)
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fault.New(fault.Failed, hint, "%s: %w", name, err)
}

// fileTag stands in for an ETag.
func fileTag(st fs.FileInfo) string {
	return fmt.Sprintf("%d-%x", st.Size(), st.ModTime().UnixNano())
}

func (fileStore) open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	name := strings.TrimPrefix(o.URL, "file://")
	f, err := os.Open(name) //nolint:gosec // the control file names it
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &ChangedError{URL: o.URL, Old: o.ETag}
	}
	if err != nil {
		return nil, fileError(name, err)
	}
	r := &fileReader{f: f, o: o, left: o.Size - offset}
	if err := r.unchanged(); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, fileError(name, err)
	}
	return &limited{Reader: l.Reader(ctx, r), Closer: f}, nil
}

type limited struct {
	io.Reader
	io.Closer
}

// fileReader reads exactly the listed bytes and looks again at the end.
type fileReader struct {
	f    *os.File
	o    Object
	left int64
}

func (r *fileReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		if err := r.unchanged(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := r.f.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if errors.Is(err, io.EOF) {
		if err := r.unchanged(); err != nil {
			return n, err
		}
		return n, fault.New(fault.Failed, "", "%s: ends %d bytes before its size", r.f.Name(), r.left)
	}
	if err != nil {
		return n, fileError(r.f.Name(), err)
	}
	return n, nil
}

func (r *fileReader) unchanged() error {
	st, err := r.f.Stat()
	if err != nil {
		return fileError(r.f.Name(), err)
	}
	if tag := fileTag(st); tag != r.o.ETag {
		return &ChangedError{URL: r.o.URL, Old: r.o.ETag, New: tag}
	}
	return nil
}
