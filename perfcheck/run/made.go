package run

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// madeFile remembers, in a run's folder, what the run made elsewhere.
const madeFile = "made.jsonl"

// Made is something that a run made, outside of its own folder.
type Made struct {
	Run    string `json:"-"`
	Host   string `json:"host"`
	Driver string `json:"driver"`
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	Gone   bool   `json:"gone,omitempty"`
}

// Ledger is the file. It is locked as long as the run lives.
type Ledger struct {
	mu sync.Mutex
	f  *os.File
}

// OpenLedger opens the ledger of a run's folder.
func OpenLedger(dir string) (*Ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the run: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, madeFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the run: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s belongs to a run that lives: %w", f.Name(), err), f.Close())
	}
	if err := cutTail(f); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the run: %w", err), f.Close())
	}
	return &Ledger{f: f}, nil
}

// cutTail takes away a last line that was never finished, so that the next is
// a line of its own.
func cutTail(f *os.File) error {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	if end := bytes.LastIndexByte(data, '\n') + 1; end < len(data) {
		return f.Truncate(int64(end))
	}
	return nil
}

// Close gives the ledger up, and takes it away when nothing is left.
func (l *Ledger) Close() error {
	if l == nil {
		return nil
	}
	left, err := openMade(l.f.Name())
	if err == nil && len(left) == 0 {
		err = os.Remove(l.f.Name())
	}
	return errors.Join(err, l.f.Close())
}

func (l *Ledger) add(m Made) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.f.Write(append(data, '\n')); err != nil {
		return err
	}
	return l.f.Sync()
}

// madeBy writes down what is made by one driver on one host.
type madeBy struct {
	l            *Ledger
	host, driver string
}

// For is the ledger for what is made by a driver on a host.
func (l *Ledger) For(host, driver string) madeBy { return madeBy{l, host, driver} }

// Made remembers.
func (e madeBy) Made(kind, id string) error {
	if e.l == nil {
		return nil
	}
	return e.l.add(Made{Host: e.host, Driver: e.driver, Kind: kind, ID: id})
}

// Gone forgets.
func (e madeBy) Gone(kind, id string) error {
	if e.l == nil {
		return nil
	}
	return e.l.add(Made{Host: e.host, Driver: e.driver, Kind: kind, ID: id, Gone: true})
}

// openMade reads what was made and is not gone, in the order in which it was
// made. A last line that was cut off is left out: what it was to tell of had
// not begun.
func openMade(path string) ([]Made, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var left []Made
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return left, nil //nolint:nilerr // the end, or a line that was never finished
		}
		var m Made
		if err := json.Unmarshal(line, &m); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		gone := m.Gone
		m.Gone = false
		left = slices.DeleteFunc(left, func(x Made) bool { return x == m })
		if !gone {
			left = append(left, m)
		}
	}
}

// MadeByOthers lists what runs that are over have left, from the folder of all
// runs. What a run that lives has made is not among it.
func MadeByOthers(root string) ([]Made, error) {
	files, err := filepath.Glob(filepath.Join(root, "*", madeFile))
	if err != nil {
		return nil, err
	}
	var all []Made
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		over := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
		_ = f.Close()
		if !over {
			continue
		}
		left, err := openMade(path)
		if err != nil {
			return all, err
		}
		for _, m := range left {
			m.Run = filepath.Base(filepath.Dir(path))
			all = append(all, m)
		}
	}
	return all, nil
}
