package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"cw/fault"
)

// fileStore is a folder.
type fileStore struct {
	dir string

	mu   sync.Mutex
	made map[string]bool // folders below it that were not there before
}

func newFileStore(dir string) *fileStore {
	// URLs of files are absolute: they are read elsewhere, too.
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &fileStore{dir: filepath.Clean(dir), made: map[string]bool{}}
}

// mkdir makes the folder of an object.
func (s *fileStore) mkdir(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for d := dir; len(d) > len(s.dir); d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, d)
	}
	for _, d := range missing {
		s.made[d] = true
	}
	return os.MkdirAll(dir, 0o700)
}

// tidy removes folders that were made for an object which is not wanted.
func (s *fileStore) tidy(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.made[dir] && os.Remove(dir) == nil {
		delete(s.made, dir)
		dir = filepath.Dir(dir)
	}
}

func (s *fileStore) URL(name string) string { return "file://" + filepath.Join(s.dir, name) }

func (s *fileStore) Check(ctx context.Context) error {
	o, err := s.Create(ctx, "cw-check")
	if err != nil {
		return err
	}
	return o.Abort(ctx)
}

func (s *fileStore) Create(_ context.Context, name string) (Object, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(s.dir, name)
	dir := filepath.Dir(target)
	if st, err := os.Stat(s.dir); err != nil || !st.IsDir() {
		return nil, fault.New(fault.Failed, "create it: mkdir -p "+s.dir, "folder %s does not exist", s.dir)
	}
	if err := s.mkdir(dir); err != nil {
		return nil, fmt.Errorf("create folder for %s: %w", target, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(target)+partMark+"*")
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", target, err)
	}
	return &fileObject{s: s, f: f, target: target}, nil
}

// fileObject is a hidden file beside its target.
type fileObject struct {
	s      *fileStore
	f      *os.File
	target string

	mu     sync.Mutex
	closed bool
	gone   bool // committed or aborted
}

func (o *fileObject) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.f.Write(p)
	if err != nil {
		err = fmt.Errorf("write %s: %w", o.target, err)
	}
	return n, err
}

// Finish makes the bytes durable: what Commit does to them is a rename.
func (o *fileObject) Finish(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.finish()
}

func (o *fileObject) finish() error {
	if o.closed {
		return nil
	}
	o.closed = true
	if err := errors.Join(o.f.Sync(), o.f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", o.target, err)
	}
	return nil
}

func (o *fileObject) Commit(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return nil
	}
	if err := o.finish(); err != nil {
		return err
	}
	if err := os.Rename(o.f.Name(), o.target); err != nil {
		return fmt.Errorf("publish %s: %w", o.target, err)
	}
	o.gone = true
	dir, err := os.Open(filepath.Dir(o.target))
	if err != nil {
		return fmt.Errorf("publish %s: %w", o.target, err)
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

func (o *fileObject) Abort(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone {
		return nil
	}
	o.gone = true
	if !o.closed {
		o.closed = true
		_ = o.f.Close()
	}
	if err := os.Remove(o.f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was written of %s: %w", o.target, err)
	}
	o.s.tidy(filepath.Dir(o.target))
	return nil
}
