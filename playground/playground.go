// Package playground makes hosts out of one machine, for a first try and for
// tests: SSH servers on loopback addresses that run commands as an
// unprivileged user, without root, system sshd or namespaces. What is tried
// on them is cw itself, unchanged; the hosts are what is pretended.
package playground

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"cw/fault"
)

// State is what is kept of a playground, in its folder.
type State struct {
	Dir     string `json:"dir"`
	Name    string `json:"name"` // of the cluster in Topology
	Hosts   []Host `json:"hosts"`
	SSHPort int    `json:"ssh_port"`
	DBPort  int    `json:"db_port"` // free on all hosts when the playground was made
	User    string `json:"user"`    // who commands run as
	UID     int    `json:"uid"`
	GID     int    `json:"gid"`
	PID     int    `json:"pid"`  // of the serving process
	Born    string `json:"born"` // its start time, against recycled pids
}

// Host is one pretended machine.
type Host struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Home    string `json:"home"`
}

// The files of a playground.
func (s *State) file(name string) string { return filepath.Join(s.Dir, name) }

// Topology is the cluster file that is ready to use.
func (s *State) Topology() string { return s.file("cluster.yaml") }

// Key is the private key that opens all hosts.
func (s *State) Key() string { return s.file("id_ed25519") }

// PasswordFile holds the password of the cluster's database owner.
func (s *State) PasswordFile() string { return s.file(s.Name + ".pass") }

// Log is what the serving process says.
func (s *State) Log() string { return s.file("serve.log") }

func stateFile(dir string) string { return filepath.Join(dir, "playground.json") }

// Read returns the playground of a folder; there being none wraps
// fs.ErrNotExist.
func Read(dir string) (*State, error) {
	data, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Usage, "make one with: cw playground up", "there is no playground in %s: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read playground: %w", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read playground: %s: %w", stateFile(dir), err)
	}
	return &s, nil
}

// Running says whether the hosts answer, as far as their process is there.
func (s *State) Running() bool {
	return s.PID > 0 && syscall.Kill(s.PID, 0) == nil && born(s.PID) == s.Born
}

func (s *State) write() error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := stateFile(s.Dir) + ".new"
	if err := os.WriteFile(tmp, append(data, '\n'), 0o644); err != nil { //nolint:gosec // the hosts' user reads it
		return fmt.Errorf("write playground: %w", err)
	}
	return os.Rename(tmp, stateFile(s.Dir))
}

// born is the start time of a process, field 22 of /proc/PID/stat (proc(5)).
func born(pid int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	if fields := bytes.Fields(rest); len(fields) > 19 {
		return string(fields[19])
	}
	return ""
}
