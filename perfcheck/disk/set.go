package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
)

// PrepareOptions say how test files are made.
type PrepareOptions struct {
	Size          int64  `json:"size"` // bytes per directory; 0 is 2 GiB, or less where less fits
	Seed          uint64 `json:"seed"` // of the random data and offsets
	AllowRootDisk bool   `json:"allow_root_disk"`
	KeepFree      int64  `json:"keep_free"` // bytes that stay free on each filesystem; 0 is 5 %, and at least 1 GiB or a tenth
	// On is told, a few times a second, how many bytes of all are written.
	On func(done, total int64) `json:"-"`
}

// Set is one private folder with prefilled files in each of some directories.
// Its methods may be called from several goroutines; Runs follow each other.
type Set struct {
	seed    uint64
	targets []*target
	flags   []string

	mu     sync.Mutex // held by a Run
	runs   uint64
	closed bool
}

// target is the files in one directory.
type target struct {
	facts  Facts
	sizes  sizes
	folder string
	lock   *os.File

	freshSize int64 // of the file of a first write
}

func (t *target) data() string  { return filepath.Join(t.folder, dataName) }
func (t *target) wal() string   { return filepath.Join(t.folder, walName) }
func (t *target) fresh() string { return filepath.Join(t.folder, freshName) }

// Facts tell what the directories lie on.
func (s *Set) Facts() []Facts {
	out := make([]Facts, 0, len(s.targets))
	for _, t := range s.targets {
		out = append(out, t.facts)
	}
	return out
}

// Flags hold for every measurement of the set, and are in each.
func (s *Set) Flags() []string { return slices.Clone(s.flags) }

// Sizes are the bytes of the data file in each directory.
func (s *Set) Sizes() []int64 {
	out := make([]int64, 0, len(s.targets))
	for _, t := range s.targets {
		out = append(out, t.sizes.data)
	}
	return out
}

// Folders are the private folders, for a journal.
func (s *Set) Folders() []string {
	out := make([]string, 0, len(s.targets))
	for _, t := range s.targets {
		out = append(out, t.folder)
	}
	return out
}

// dirs are the directories as they were given.
func (s *Set) dirs() []string {
	out := make([]string, 0, len(s.targets))
	for _, t := range s.targets {
		out = append(out, t.facts.Dir)
	}
	return out
}

// Prepare checks the directories and fills a file in each. It refuses, before
// it writes anything, what would be measured wrongly. When it fails, or the
// context ends, it leaves nothing behind.
func Prepare(ctx context.Context, dirs []string, o PrepareOptions) (*Set, error) {
	facts, err := inspectAll(ctx, dirs)
	if err != nil {
		return nil, err
	}
	s := &Set{seed: o.Seed}
	var wrong []error
	for _, f := range facts {
		if err := f.refuse(o.AllowRootDisk); err != nil {
			wrong = append(wrong, err)
			continue
		}
		sharers := int64(0)
		for _, g := range facts {
			if g.dev == f.dev {
				sharers++
			}
		}
		size, err := f.fit(o.Size, o.KeepFree, sharers)
		wrong = append(wrong, err)
		s.targets = append(s.targets, &target{facts: f, sizes: size})
	}
	if err := join(wrong); err != nil {
		return nil, err
	}
	s.judge(ctx)
	if err := s.makeOrRemove(ctx, o.On); err != nil {
		return nil, err
	}
	return s, nil
}

// Look says what Prepare would refuse, and writes nothing: so that a long run
// does not learn it in its middle.
func Look(ctx context.Context, dirs []string, o PrepareOptions) error {
	facts, err := inspectAll(ctx, dirs)
	if err != nil {
		return err
	}
	var wrong []error
	for _, f := range facts {
		wrong = append(wrong, f.refuse(o.AllowRootDisk))
	}
	return join(wrong)
}

// inspectAll looks at all directories; the same one twice is an error.
func inspectAll(ctx context.Context, dirs []string) ([]Facts, error) {
	if len(dirs) == 0 {
		return nil, fault.New(fault.Usage, "--dir DIR", "no directory is given")
	}
	var wrong []error
	facts := make([]Facts, 0, len(dirs))
	for _, d := range dirs {
		f, err := Inspect(ctx, d)
		wrong = append(wrong, err)
		for _, g := range facts {
			if err == nil && g.Path == f.Path {
				wrong = append(wrong, fault.New(fault.Usage, "give each once", "%s and %s are the same directory", g.Dir, f.Dir))
			}
		}
		facts = append(facts, f)
	}
	return facts, join(wrong)
}

// judge collects what readers of the numbers have to know.
func (s *Set) judge(ctx context.Context) {
	flag := func(name string, is bool) {
		if is && !slices.Contains(s.flags, name) {
			s.flags = append(s.flags, name)
		}
	}
	for i, t := range s.targets {
		flag(perfcheck.FlagSmallFile, t.sizes.small)
		flag(perfcheck.FlagRootDisk, t.facts.RootDisk)
		flag(perfcheck.FlagMemoryBacked, t.facts.backedByMemory(ctx))
		flag(perfcheck.FlagCopyOnWrite, t.facts.Filesystem == "btrfs" || t.facts.Filesystem == "zfs" || t.facts.Filesystem == "bcachefs")
		for _, u := range s.targets[:i] {
			flag(perfcheck.FlagSameDevice, shareDisk(t.facts, u.facts))
		}
	}
}

func (s *Set) makeOrRemove(ctx context.Context, on func(done, total int64)) error {
	if err := s.make(ctx, on); err != nil {
		return join([]error{err, s.Close()})
	}
	return nil
}

// make makes and fills the folders.
func (s *Set) make(ctx context.Context, on func(done, total int64)) error {
	for _, t := range s.targets {
		var err error
		if t.folder, err = os.MkdirTemp(t.facts.Path, FolderPrefix); err != nil {
			return writeFailed(t.facts.Dir, err)
		}
		if t.lock, err = newMarker(t.folder); err != nil {
			return writeFailed(t.facts.Dir, err)
		}
		if err := probeDirect(t.folder, t.facts.Dir); err != nil {
			return err
		}
	}
	if err := s.prefill(ctx, on); err != nil {
		return err
	}
	for _, t := range s.targets {
		for _, file := range []string{t.data(), t.wal()} {
			n, err := unwritten(file)
			switch {
			case errors.Is(err, errNoFiemap):
				if !slices.Contains(s.flags, perfcheck.FlagNoFiemap) {
					s.flags = append(s.flags, perfcheck.FlagNoFiemap)
				}
			case err != nil:
				return err
			case n > 0:
				return fault.New(fault.Check, "measure on another filesystem", "%s: %d bytes of %s are not written although all of it was: reading them would ask the disk for nothing", t.facts.Dir, n, file)
			}
		}
	}
	return nil
}

// Close removes all that the set made, and may be called again. It waits for
// a run to end, and gives up on a disk that does not answer.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	ended := make(chan error, 1)
	go func() {
		var errs []error
		for _, t := range s.targets {
			errs = append(errs, t.remove())
		}
		ended <- join(errs)
	}()
	select {
	case err := <-ended:
		s.closed = err == nil
		return err
	case <-time.After(closeGrace):
		return fault.New(fault.Failed, "when the disk answers again, remove them by hand", "the disk does not answer: the test files in %v are still there", s.Folders())
	}
}

func (t *target) remove() error {
	if t.folder != "" {
		// The marker goes last: were this killed here, the rest would still
		// be found.
		for _, name := range []string{dataName, walName, freshName, probeName} {
			if err := unix.Unlink(filepath.Join(t.folder, name)); err != nil && !errors.Is(err, unix.ENOENT) {
				return fault.New(fault.Failed, "rm -r "+t.folder, "remove the test files in %s: %w", t.folder, err)
			}
		}
		if err := os.RemoveAll(t.folder); err != nil {
			return fault.New(fault.Failed, "rm -r "+t.folder, "remove the test files: %w", err)
		}
	}
	if t.lock != nil {
		_ = t.lock.Close()
	}
	return nil
}

// join is errors.Join, but a single error stays what it is.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w", errors.Join(errs...))
}
