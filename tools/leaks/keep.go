package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keeper gives every log and secret file that appears under a folder a second
// name, so that it outlives its deletion.
type keeper struct {
	kept   string
	fd     int
	wake   [2]int // a pipe: its end closed ends the watching
	done   chan error
	dirs   map[int]string    // by watch
	seen   map[string]bool   // by device and inode: a kept one's is not given away again
	origin map[string]string // kept name: where it was
	missed []string          // what could not be kept
}

func startKeeper(root, kept string) (*keeper, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	k := &keeper{kept: kept, fd: fd, done: make(chan error, 1), dirs: map[int]string{}, seen: map[string]bool{}, origin: map[string]string{}}
	if err := unix.Pipe2(k.wake[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	if err := k.watch(root); err != nil {
		return nil, err
	}
	go func() { k.done <- k.loop() }()
	return k, nil
}

// stop ends the watching after all that has happened was looked at.
func (k *keeper) stop() error {
	_ = unix.Close(k.wake[1])
	err := <-k.done
	_ = unix.Close(k.wake[0])
	_ = unix.Close(k.fd)
	return err
}

// watch watches a folder and takes what is in it already: between its making
// and the watch others may have been faster.
func (k *keeper) watch(dir string) error {
	wd, err := unix.InotifyAddWatch(k.fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR|unix.IN_DONT_FOLLOW)
	if errors.Is(err, unix.ENOSPC) {
		return errors.New("no more folders can be watched: raise fs.inotify.max_user_watches")
	}
	if err != nil {
		return nil // gone again
	}
	k.dirs[wd] = dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if err := k.look(filepath.Join(dir, e.Name()), e.IsDir()); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) look(path string, isDir bool) error {
	if isDir {
		if base := filepath.Base(path); ofDatabase(base) || strings.HasPrefix(base, "go-build") {
			return nil
		}
		return k.watch(path)
	}
	kind := kindOf(path)
	if kind == "" {
		return nil
	}
	st, err := os.Lstat(path)
	if err != nil || !st.Mode().IsRegular() {
		return nil
	}
	id := path
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		id = fmt.Sprint(sys.Dev, " ", sys.Ino)
	}
	if k.seen[id] { // a renamed one, or seen by the folder's first reading and again by its event
		return nil
	}
	k.seen[id] = true
	name := filepath.Join(k.kept, fmt.Sprintf("%06d.%s", len(k.origin), kind))
	if err := os.Link(path, name); err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // on a file system of its own, or another user's
			k.missed = append(k.missed, path)
		}
		return nil
	}
	k.origin[name] = path
	return nil
}

// ofDatabase tells the folders of a data directory that hold pages, not logs.
func ofDatabase(name string) bool {
	return name == "base" || name == "global" || strings.HasPrefix(name, "pg_") && name != "pg_log"
}

func (k *keeper) loop() error {
	buf := make([]byte, 1<<20)
	polls := []unix.PollFd{{Fd: int32(k.fd), Events: unix.POLLIN}, {Fd: int32(k.wake[0]), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(polls, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		n, err := unix.Read(k.fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if polls[1].Revents != 0 {
				return nil
			}
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("inotify: %w", err)
		}
		if err := k.events(buf[:n]); err != nil {
			return err
		}
	}
}

func (k *keeper) events(buf []byte) error {
	for len(buf) >= unix.SizeofInotifyEvent {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[0]))
		end := unix.SizeofInotifyEvent + int(e.Len)
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:end]), "\x00")
		buf = buf[end:]
		switch {
		case e.Mask&unix.IN_Q_OVERFLOW != 0:
			return errors.New("more happened than could be watched: fs.inotify.max_queued_events is too low")
		case e.Mask&unix.IN_IGNORED != 0:
			delete(k.dirs, int(e.Wd))
		case k.dirs[int(e.Wd)] != "" && name != "":
			if err := k.look(filepath.Join(k.dirs[int(e.Wd)], name), e.Mask&unix.IN_ISDIR != 0); err != nil {
				return err
			}
		}
	}
	return nil
}
