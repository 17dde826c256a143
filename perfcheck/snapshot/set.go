package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/kernel"
)

// FolderPrefix begins the names of the folders that volumes live in.
const FolderPrefix = "cw-snap."

// Names of the files.
const (
	VolumeName = "volume"
	dataName   = "data"
	probeName  = "probe"
	markerName = "in-use"
)

// Set is the files on a volume and what is known of their content. It is the
// Host on its own machine.
type Set struct {
	// Health, when set, watches the machine while a probe runs.
	Health func(ctx context.Context, t perfcheck.Timing) func() perfcheck.Health

	mu      sync.Mutex
	opened  Opened
	marker  *os.File
	token   uint64
	blocks  int64    // of the data set
	gens    []uint32 // the generation of each block
	written int64    // number of the probe's last write, over all probes
	moments map[string]*moment
	last    int64 // written at the trigger of the last snapshot
	probe   *probe
}

// moment is what was there when a snapshot was taken.
type moment struct {
	gens   []uint32
	acked  int64
	issued int64 // -1 until it was captured
}

// Open implements Host.
func (s *Set) Open(_ context.Context, dir, name string) (Opened, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none Opened
	if s.marker != nil {
		return none, fault.New(fault.Usage, "", "a folder is open already: %s", s.opened.Folder)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return none, fault.Wrap(fault.Check, "mkdir "+dir+", or mount the volume there", fmt.Errorf("look for the directory: %w", err))
	}
	if err := onDisk(real); err != nil {
		return none, err
	}
	left := Leftovers(real)
	o := Opened{Folder: filepath.Join(real, FolderPrefix+name), Owner: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), Leftovers: left}
	o.Volume = filepath.Join(o.Folder, VolumeName)
	if err := os.Mkdir(o.Folder, 0o755); errors.Is(err, os.ErrPermission) {
		return none, fault.New(fault.Check, fmt.Sprintf("chown %d %s, or log in as its owner: --ssh-user", os.Getuid(), real), "make a folder for the volume: %w", err)
	} else if err != nil {
		return none, fmt.Errorf("make a folder for the volume: %w", err)
	}
	if s.marker, err = mark(filepath.Join(o.Folder, markerName)); err != nil {
		return none, errors.Join(err, os.RemoveAll(o.Folder))
	}
	o.Mount = mountPoint(o.Folder)
	o.Relative, _ = filepath.Rel(o.Mount, o.Volume)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	s.opened, s.token, s.moments = o, binary.LittleEndian.Uint64(b[:]), map[string]*moment{}
	s.gens, s.blocks, s.written, s.last = nil, 0, 0, 0
	return o, nil
}

// onDisk refuses memory.
func onDisk(dir string) error {
	fs, err := kernel.Statfs(dir)
	if err != nil {
		return fmt.Errorf("%s: ask for its filesystem: %w", dir, err)
	}
	if fs.Type == kernel.TmpfsMagic || fs.Type == kernel.RamfsMagic {
		return fault.New(fault.Check, "give a directory on a disk", "%s is in memory and on no disk", dir)
	}
	return nil
}

// mountPoint is the topmost directory above that is on the same device.
func mountPoint(dir string) string {
	var st, up unix.Stat_t
	for unix.Stat(dir, &st) == nil && dir != "/" {
		if unix.Stat(filepath.Dir(dir), &up) != nil || up.Dev != st.Dev {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

// mark makes a file and locks it as long as this process lives.
func mark(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// Leftovers finds the folders in dir whose process has gone.
func Leftovers(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, FolderPrefix+"*"))
	var left []string
	for _, folder := range found {
		f, err := os.Open(filepath.Join(folder, markerName))
		if err != nil {
			st, serr := os.Stat(folder)
			if errors.Is(err, os.ErrNotExist) && serr == nil && time.Since(st.ModTime()) > time.Minute {
				left = append(left, folder) // it died before it could mark it
			}
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
			left = append(left, folder)
		}
		_ = f.Close()
	}
	return left
}

// Fill implements Host.
func (s *Set) Fill(ctx context.Context, a FillArgs, on func(done, total int64)) error {
	if a.Size < ReadBlock || a.Size%ReadBlock != 0 {
		return fault.New(fault.Usage, "--size 1GiB", "a data set has a whole number of MiB, and not %d bytes", a.Size)
	}
	s.mu.Lock()
	o := s.opened
	s.blocks, s.gens = a.Size/Block, make([]uint32, a.Size/Block)
	s.mu.Unlock()
	if err := os.Mkdir(o.Volume, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make %s: %w", o.Volume, err)
	}
	if err := s.room(o.Volume, a.Size); err != nil {
		return err
	}
	var done atomic.Int64
	total := a.Size + ProbeFile
	stop := tell(&done, total, on)
	defer stop()
	if err := s.fillFile(ctx, probeName, ProbeFile, ProbeBlock, &done, func(b []byte, place int64) { probeBlock(b, s.token, place, 0) }); err != nil {
		return err
	}
	if err := s.fillFile(ctx, dataName, a.Size, Block, &done, func(b []byte, index int64) { dataBlock(b, s.token, index, 0) }); err != nil {
		return err
	}
	return syncFS(o.Volume)
}

// room refuses to fill a filesystem to the brim.
func (s *Set) room(dir string, size int64) error {
	fs, err := kernel.Statfs(dir)
	if err != nil {
		return fmt.Errorf("%s: ask for free space: %w", dir, err)
	}
	// Overwriting what a snapshot holds takes the same again.
	free, need := fs.Free, size*5/4+2*ProbeFile
	if need > free {
		return fault.New(fault.Check, fmt.Sprintf("--size %dMiB", max((free-2*ProbeFile)*7/10>>20, 16)), "%s has %d MiB free, and %d are needed", dir, free>>20, need>>20)
	}
	return nil
}

// tell calls on a few times a second until it is stopped.
func tell(done *atomic.Int64, total int64, on func(done, total int64)) (stop func()) {
	if on == nil {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				on(done.Load(), total)
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// fillFile writes a new file of blocks whose content is told.
func (s *Set) fillFile(ctx context.Context, name string, size, block int64, done *atomic.Int64, content func(b []byte, index int64)) error {
	f, err := openDirect(filepath.Join(s.opened.Volume, name), os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fill := func(b []byte, off int64) {
		for at := int64(0); at < int64(len(b)); at += block {
			content(b[at:at+block], (off+at)/block)
		}
	}
	return writeParts(ctx, f, ReadBlock, size/ReadBlock, func(i int64) int64 { return i * ReadBlock }, fill, done)
}

// syncFS writes out all that a filesystem holds back.
func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return kernel.Syncfs(int(f.Fd()))
}

// Overwrite implements Host.
func (s *Set) Overwrite(ctx context.Context, blocks int64, seed uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe != nil {
		return fault.New(fault.Usage, "", "the data set stands still while a probe runs")
	}
	if blocks < 1 || blocks > s.blocks {
		return fault.New(fault.Usage, "", "%d of %d blocks cannot be overwritten", blocks, s.blocks)
	}
	f, err := openDirect(filepath.Join(s.opened.Volume, dataName), os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	chosen := choose(s.blocks, blocks, seed)
	for _, index := range chosen {
		s.gens[index]++
	}
	var done atomic.Int64
	err = writeParts(ctx, f, Block, blocks, func(i int64) int64 { return chosen[i] * Block },
		func(b []byte, off int64) { dataBlock(b, s.token, off/Block, s.gens[off/Block]) }, &done)
	return errors.Join(err, syncFS(s.opened.Volume))
}

// choose takes n different numbers below of, in random order.
func choose(of, n int64, seed uint64) []int64 {
	all := make([]int64, of)
	for i := range all {
		all[i] = int64(i)
	}
	for i := range n {
		seed += 0x9e3779b97f4a7c15
		high, _ := bits.Mul64(scramble(seed), uint64(of-i))
		j := i + int64(high)
		all[i], all[j] = all[j], all[i]
	}
	return all[:n]
}

// Close implements Host.
func (s *Set) Close(ctx context.Context) error {
	_, _ = s.End(ctx) // what trouble the probe had is of no interest any more
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marker == nil {
		return nil
	}
	_ = s.marker.Close()
	s.marker = nil
	if err := os.RemoveAll(s.opened.Folder); err != nil {
		return fault.Wrap(fault.Failed, "rm -r "+s.opened.Folder, fmt.Errorf("remove %s: %w", s.opened.Folder, err))
	}
	return nil
}

// keepMoment remembers the content at the trigger of a snapshot. s.mu is held.
func (s *Set) keepMoment(name string, acked int64) {
	s.moments[name] = &moment{gens: slices.Clone(s.gens), acked: acked, issued: -1}
}
