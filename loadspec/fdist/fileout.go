package fdist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// FileOutputs is gpfdist's own kind of Outputs: files below a directory, new
// ones with mode 0600, existing ones appended to; .gz and .zst are compressed;
// named pipes. Unlike with gpfdist, rows of a statement that did not end are
// not in the file: see spool.go.
type FileOutputs struct {
	Dir  string // names are below it; absolute names, which only ForcePath can have, are taken as they are
	Sync bool   // what is published is on the disk (gpfdist -S)
	// Transform begins the output of a request that names a transformation.
	// nil refuses all of them.
	Transform func(ctx context.Context, r *Request, target string) (Output, error)
	Log       Log // nil: silent

	swept     sync.Map // folders that are clear of a killed server's files
	recovered sync.Map // hashes of the keys of sessions that this server published for another
}

// Published tells whether a session of an earlier server, of which nobody
// knows any more, was published: for segments that have not heard the answer.
func (f *FileOutputs) Published(key string) bool {
	_, ok := f.recovered.Load(keyHash(key))
	return ok
}

// Sweep clears up after a server that was killed: what was to be published is,
// the rest is removed.
func (f *FileOutputs) Sweep(ctx context.Context) {
	sweepTree(ctx, filepath.Clean(f.dir()), f.sweptFile)
}

func (f *FileOutputs) sweptFile(path, published string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		f.logf(LevelWarn, "%s was left by a server that was killed: %v", path, err)
		return
	case published != "":
		f.recovered.Store(published, true)
		f.logf(LevelInfo, "%s was left by a server that was killed: published", path)
		return
	}
	if _, err := os.Lstat(path); err != nil {
		f.logf(LevelInfo, "%s was left by a server that was killed: removed", path)
	}
}

// sweepFolder sweeps one folder, once.
func (f *FileOutputs) sweepFolder(dir string) {
	if _, done := f.swept.LoadOrStore(dir, true); done {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if _, _, ok := hidden(e.Name()); ok {
			published, err := sweepFile(dir, e.Name())
			f.sweptFile(filepath.Join(dir, e.Name()), published, err)
		}
	}
}

func (f *FileOutputs) logf(level Level, format string, args ...any) {
	if f.Log != nil {
		f.Log(level, Where{}, fmt.Sprintf(format, args...))
	}
}

func (f *FileOutputs) dir() string {
	if f.Dir == "" {
		return "./"
	}
	return strings.TrimRight(f.Dir, "/") + "/"
}

// Create makes sure that the file can be written: later refusals are not shown
// to the user by Greenplum 6, which keeps the first answer's words.
func (f *FileOutputs) Create(ctx context.Context, r *Request) (Output, error) {
	target, err := f.target(r.Path)
	if err != nil {
		return nil, err
	}
	if r.Transform != "" {
		if f.Transform == nil {
			return nil, bad("invalid request (unsupported output #transform)")
		}
		return f.Transform(ctx, r, target)
	}
	codec := ""
	switch ext := strings.ToLower(filepath.Ext(target)); ext {
	case ".gz", ".zst":
		codec = ext
	case ".bz2", ".z", ".zip":
		return nil, &StatusError{Code: 415, Reason: "Unsupported File Type"}
	}
	st, err := os.Stat(target)
	switch {
	case err == nil && st.Mode()&fs.ModeNamedPipe != 0:
		return openPipeOut(ctx, target, codec)
	case err == nil && st.IsDir():
		return nil, fileFailure(target, syscall.EISDIR)
	case err == nil && st.Mode()&fs.ModeDevice != 0:
		return openDevice(target)
	case err == nil:
		if err := unix.Access(target, unix.W_OK); err != nil {
			return nil, fileFailure(target, err)
		}
		if target, err = filepath.EvalSymlinks(target); err != nil {
			return nil, fileFailure(target, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fileFailure(target, err)
	}
	if err := room(target); err != nil {
		return nil, err
	}
	f.sweepFolder(filepath.Dir(target))
	s, err := newSpool(target)
	if err != nil {
		return nil, fileFailure(target, err)
	}
	return &fileOutput{s: s, key: r.key(), durable: f.Sync, pack: newPacker(codec), codec: codec}, nil
}

// target is the one file that a path names.
func (f *FileOutputs) target(path string) (string, error) {
	var found []string
	for name := range strings.SplitSeq(path, " ") {
		if name == "" {
			continue
		}
		fixed := 0
		if !filepath.IsAbs(name) {
			name = f.dir() + name
			fixed = len(f.dir())
		}
		found = append(found, globOrSelf(fixed, name)...)
	}
	switch {
	case len(found) == 0:
		return "", &StatusError{Code: 404, Reason: "No matching file(s) found"}
	case len(found) > 1:
		return "", &StatusError{Code: 404, Reason: "More than 1 file found for writing. Unsupported operation."}
	}
	if strings.HasSuffix(found[0], "/") {
		return "", fileFailure(found[0], syscall.EISDIR)
	}
	return found[0], nil
}

// fileFailure is gpfdist's answer when a file cannot be opened.
func fileFailure(name string, err error) error {
	text := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text = errnoText(errno)
	}
	return &StatusError{Code: 404, Reason: "file open failure " + name + ": " + text, Err: err}
}

// room refuses a write that has no place to go from the start.
func room(target string) error {
	dir := filepath.Dir(target)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fileFailure(target, err)
	}
	if st.Blocks > 0 && st.Bavail == 0 && os.Getuid() != 0 || st.Blocks > 0 && st.Bfree == 0 {
		return &StatusError{Code: 500, Reason: "no space left on the disk of " + dir + ": df -h " + dir}
	}
	return nil
}

// fileOutput is the file of one session.
type fileOutput struct {
	s       *spool
	key     string
	durable bool
	codec   string
	pack    *packer // nil: as it is

	mu   sync.RWMutex // held for reading while rows are written
	over bool
}

// Late says that a later session appends.
func (o *fileOutput) Late() Late { return LateAgain }

// Append stores rows.
func (o *fileOutput) Append(_ context.Context, segment int, rows []byte) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.over {
		return errSessionOver
	}
	var err error
	if o.pack == nil {
		err = o.s.write(rows)
	} else {
		err = o.pack.add(segment, rows, o.s.write)
	}
	if err != nil {
		return o.failure(err)
	}
	return nil
}

func (o *fileOutput) failure(err error) error {
	text := err.Error()
	var errno syscall.Errno
	if errors.As(err, &errno) {
		text = errnoText(errno)
		if errno == syscall.ENOSPC || errno == syscall.EDQUOT {
			text += " (df -h " + filepath.Dir(o.s.target) + ")"
		}
	}
	return &StatusError{Code: 500, Reason: "cannot write into file " + o.s.target + ": " + text + "; nothing of this statement was published", Err: err}
}

// Publish makes the rows part of the file.
func (o *fileOutput) Publish(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return errSessionOver
	}
	if o.pack != nil {
		if err := o.pack.flush(o.s.write); err != nil {
			return o.failure(err)
		}
	}
	o.over = true
	if err := o.s.publish(o.key, o.durable); err != nil {
		return &StatusError{Code: 500, Reason: "publish " + o.s.target + ": " + err.Error(), Err: err}
	}
	return nil
}

// Abort throws the rows away.
func (o *fileOutput) Abort(context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over {
		return nil
	}
	o.over = true
	return o.s.remove()
}
