package fdist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
)

const defaultBlockSize = 32 << 10

// FileInputs is gpfdist's own kind of Inputs: files below a directory.
type FileInputs struct {
	Dir       string // names are below it; absolute names, which only ForcePath can have, are taken as they are
	BlockSize int    // longest row and largest block in bytes (gpfdist -m); 0: 32 KiB
	// Transform opens the input of a request that names a transformation,
	// given the files that its path matches. nil refuses all of them.
	Transform func(ctx context.Context, r *Request, files []string) ([]Input, error)
	// Mounts puts other places below the directory; the longest prefix wins.
	Mounts []Mount

	pool chunkPool
}

// Mount is a place that is not in the file system.
type Mount struct {
	Prefix string // first folders of the paths it serves, without slashes around
	// List gives the inputs that the rest of a path matches, at least one, or
	// a *StatusError.
	List func(ctx context.Context, rest string) ([]Input, error)
}

var errNoMatch = &StatusError{Code: 404, Reason: "No matching file(s) found"}

// Open finds the files of a request's path and makes sure that all of them
// can be read.
func (f *FileInputs) Open(ctx context.Context, r *Request) (Blocks, error) {
	size := f.BlockSize
	if size <= 0 {
		size = defaultBlockSize
	}
	if r.Transform != "" {
		inputs, err := f.transform(ctx, r)
		if err != nil {
			return nil, err
		}
		return newCutter(ctx, inputs, r, size, &f.pool), nil
	}
	var inputs []Input
	err := f.each(r.Path, func(m *Mount, name string) error {
		if m == nil {
			return nil
		}
		found, err := m.List(ctx, name)
		inputs = append(inputs, found...)
		return err
	})
	if err != nil {
		return nil, err
	}
	names, err := f.match(r.Path)
	if err != nil {
		return nil, err
	}
	local, err := openFiles(names)
	if err != nil {
		return nil, err
	}
	inputs = append(inputs, local...)
	if len(inputs) == 0 {
		return nil, errNoMatch
	}
	return newCutter(ctx, inputs, r, size, &f.pool), nil
}

// each calls for every name of a path, with the mount it belongs to and what
// of the name is left, or without and the name in the file system.
func (f *FileInputs) each(path string, do func(m *Mount, name string) error) error {
	for name := range strings.SplitSeq(path, " ") {
		if name == "" {
			continue
		}
		m, rest := f.mount(name)
		if m == nil && !filepath.IsAbs(name) {
			rest = f.dir() + name
		}
		if err := do(m, rest); err != nil {
			return err
		}
	}
	return nil
}

func (f *FileInputs) mount(name string) (*Mount, string) {
	var best *Mount
	rest := name
	for i := range f.Mounts {
		m := &f.Mounts[i]
		if m.Prefix == "" && best == nil && !filepath.IsAbs(name) {
			best, rest = m, name
		}
		if after, ok := strings.CutPrefix(name, m.Prefix+"/"); ok && m.Prefix != "" && (best == nil || len(m.Prefix) > len(best.Prefix)) {
			best, rest = m, after
		}
	}
	return best, rest
}

// match is the files in the file system that a path names: wildcards in order
// of the alphabet; if all are folders, what is in them.
func (f *FileInputs) match(path string) ([]string, error) {
	var names []string
	folders, given := true, false
	err := f.each(path, func(m *Mount, name string) error {
		if m != nil {
			return nil
		}
		given = true
		found := globOrSelf(f.fixed(name), name)
		for _, n := range found {
			st, err := os.Stat(n)
			folders = folders && err == nil && st.IsDir()
		}
		names = append(names, found...)
		return nil
	})
	if err != nil || !given || !folders {
		return names, err
	}
	var inside []string
	for _, n := range names {
		n = strings.TrimRight(n, "/") + "/"
		inside = append(inside, glob(len(n), n+"*")...)
	}
	if len(inside) == 0 {
		return nil, errNoMatch
	}
	return inside, nil
}

// fixed is how much of a name is no pattern: the server's own folder.
func (f *FileInputs) fixed(name string) int {
	if strings.HasPrefix(name, f.dir()) {
		return len(f.dir())
	}
	return 0
}

// dir is the server's folder, with a slash behind.
func (f *FileInputs) dir() string {
	if f.Dir == "" {
		return "./"
	}
	return strings.TrimRight(f.Dir, "/") + "/"
}

// openFiles checks all files, the last first, and makes inputs of them. Pipes
// stay open: their writers would not survive a reader that leaves again.
func openFiles(names []string) ([]Input, error) {
	inputs := make([]Input, len(names))
	for i := len(names) - 1; i >= 0; i-- {
		in, err := openFile(names[i])
		if err != nil {
			for _, opened := range inputs[i+1:] {
				if opened.Live {
					closeUnused(opened)
				}
			}
			return nil, err
		}
		inputs[i] = in
	}
	return inputs, nil
}

func openFile(name string) (Input, error) {
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return Input{}, &StatusError{Code: 404, Reason: "file not found", Err: err}
	case st.IsDir():
		return Input{}, &StatusError{Code: 403, Reason: "Reading a directory is forbidden.", Err: fmt.Errorf("%s is a directory", name)}
	}
	codec, err := suffixCodec(name)
	if err != nil {
		return Input{}, err
	}
	if st.Mode()&fs.ModeNamedPipe != 0 {
		return openPipe(name, codec)
	}
	head, err := readHead(name)
	if err != nil {
		return Input{}, openError(name, err)
	}
	if codec == codecNone {
		codec = magicCodec(head)
	}
	in := Input{Name: name, Size: st.Size(), Ahead: codec != codecNone}
	in.Open = func(context.Context) (io.ReadCloser, error) {
		if codec == codecNone {
			return openPlain(name)
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		return decoder(file, codec)
	}
	return in, nil
}

func openError(name string, err error) error {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errnoText(errno)
	}
	return &StatusError{Code: 404, Reason: "file open failure " + name + ": " + text, Err: err}
}

// errnoText is an error as C spells it.
func errnoText(e syscall.Errno) string {
	text := e.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// readHead reads the first bytes of a file, which also shows that it can be
// read.
func readHead(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, magicLen)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return head[:n], nil
}

// plainFile is a file that counts what was read of it. Regions of it may be
// sent after its end was reached: the last to let go closes it.
type plainFile struct {
	*os.File
	size int64
	n    atomic.Int64
	refs atomic.Int32
}

func openPlain(name string) (io.ReadCloser, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	p := &plainFile{File: file, size: st.Size()}
	p.refs.Store(1)
	return p, nil
}

func (p *plainFile) Read(b []byte) (int, error) {
	n, err := p.File.Read(b)
	p.n.Add(int64(n))
	return n, err
}

func (p *plainFile) hold() { p.refs.Add(1) }

func (p *plainFile) release() { _ = p.Close() }

func (p *plainFile) Close() error {
	if p.refs.Add(-1) == 0 {
		return p.File.Close()
	}
	return nil
}

// SourceBytes is how many bytes were read.
func (p *plainFile) SourceBytes() int64 { return p.n.Load() }

func (f *FileInputs) transform(ctx context.Context, r *Request) ([]Input, error) {
	if f.Transform == nil {
		return nil, bad("invalid request (unsupported input #transform)")
	}
	names, err := f.match(r.Path)
	if err != nil {
		return nil, err
	}
	return f.Transform(ctx, r, names)
}
