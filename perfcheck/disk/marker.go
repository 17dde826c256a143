package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FolderPrefix begins the names of the folders that tests live in.
const FolderPrefix = "cw-perf."

const (
	markerName = "cw-perf.json"
	dataName   = "data"
	walName    = "wal"
	freshName  = "fresh"
	probeName  = "probe"
)

// marker tells whose a folder is. Its file is locked as long as the process
// lives, which holds across containers, where process numbers say nothing.
type marker struct {
	PID     int       `json:"pid"`
	Started string    `json:"started"` // in ticks after boot, from /proc: a process number alone is used again
	Boot    string    `json:"boot"`
	Host    string    `json:"host"`
	At      time.Time `json:"at"`
}

// newMarker writes the marker of this process and locks it; who closes the
// file gives the folder up.
func newMarker(folder string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(folder, markerName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	host, _ := os.Hostname()
	m := marker{PID: os.Getpid(), Started: processStart(os.Getpid()), Boot: bootID(), Host: host, At: time.Now().UTC()}
	if err := json.NewEncoder(f).Encode(m); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// alive says whether the process that made the folder may still be there.
// What cannot be decided counts as alive.
func (m marker) alive(folder string) bool {
	if host, _ := os.Hostname(); m.Host != host {
		return true // a filesystem that several hosts see
	}
	if m.Boot != bootID() {
		return false
	}
	if m.Started != "" && processStart(m.PID) == m.Started {
		return true
	}
	f, err := os.Open(filepath.Join(folder, markerName))
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}

func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// processStart is when a process began, in ticks; "" when there is none. The
// name in the second field may hold anything, so fields count from behind it.
func processStart(pid int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data)[strings.LastIndexByte(string(data), ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}
