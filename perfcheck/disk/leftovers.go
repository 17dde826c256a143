package disk

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cw/fault"
)

// Leftover is the folder of an earlier run whose process has gone.
type Leftover struct {
	Path string    `json:"path"`
	Size int64     `json:"size"` // bytes on the disk
	PID  int       `json:"pid,omitempty"`
	Host string    `json:"host,omitempty"`
	At   time.Time `json:"at"` // when it was made
}

// String names it for people.
func (l Leftover) String() string {
	return fmt.Sprintf("%s (process %d, %s)", l.Path, l.PID, l.At.Format(time.RFC3339))
}

// emptyAge is how old an empty folder without a marker must be until it is
// somebody's who died between making the two.
const emptyAge = time.Minute

// Leftovers finds the folders in dir that runs left whose process has gone:
// those of a process that lives, or that another host made, are not among
// them.
func Leftovers(dir string) ([]Leftover, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, missing(dir, err)
	}
	var out []Leftover
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), FolderPrefix) {
			continue
		}
		if l, ok := leftover(filepath.Join(dir, e.Name())); ok {
			out = append(out, l)
		}
	}
	return out, nil
}

// leftover looks at one folder.
func leftover(folder string) (Leftover, bool) {
	st, err := os.Lstat(folder)
	if err != nil || !st.IsDir() {
		return Leftover{}, false
	}
	l := Leftover{Path: folder, At: st.ModTime().UTC()}
	data, err := os.ReadFile(filepath.Join(folder, markerName))
	if os.IsNotExist(err) {
		entries, err := os.ReadDir(folder)
		return l, err == nil && len(entries) == 0 && time.Since(st.ModTime()) > emptyAge
	}
	var m marker
	if err != nil || json.Unmarshal(data, &m) != nil {
		// Cut off while it was written; the lock tells whether it still is.
		m = marker{Boot: bootID()}
		m.Host, _ = os.Hostname()
	}
	if m.alive(folder) {
		return l, false
	}
	l.PID, l.Host, l.Size = m.PID, m.Host, sizeOf(folder)
	if !m.At.IsZero() {
		l.At = m.At
	}
	return l, true
}

// sizeOf adds up what the files of a folder take on the disk.
func sizeOf(folder string) int64 {
	var sum int64
	_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum
}

// Remove takes a leftover away. It looks again first: a folder whose process
// lives is never touched.
func Remove(l Leftover) error {
	if !strings.HasPrefix(filepath.Base(l.Path), FolderPrefix) {
		return fault.New(fault.Usage, "", "%s is no folder of cw perf", l.Path)
	}
	if _, err := os.Lstat(l.Path); os.IsNotExist(err) {
		return nil
	}
	if _, ok := leftover(l.Path); !ok {
		return fault.New(fault.Locked, "wait until it ends, or end it", "%s is in use by a run that lives, or is none of cw's", l.Path)
	}
	if err := os.RemoveAll(l.Path); err != nil {
		return fmt.Errorf("remove %s: %w", l.Path, err)
	}
	return nil
}
