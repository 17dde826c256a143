package state

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// owner identifies a process well enough that another one on the same machine
// can tell whether it is still there.
type owner struct {
	user    string
	host    string
	machine string // host, boot and process-id namespace: where pid means something
	pid     int
	born    string // start time of the process, against recycled pids
}

func (o owner) String() string { return fmt.Sprintf("%s@%s:%d", o.user, o.host, o.pid) }

func thisProcess() owner {
	o := owner{user: strconv.Itoa(os.Getuid()), host: "localhost", pid: os.Getpid()}
	if u, err := user.Current(); err == nil {
		o.user = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		o.host = h
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	ns, _ := os.Readlink("/proc/self/ns/pid")
	o.machine = strings.Join([]string{o.host, string(bytes.TrimSpace(boot)), ns}, "/")
	_, o.born = processStat(o.pid)
	return o
}

// processStat are fields 3 and 22 of /proc/PID/stat (proc(5)), the state and
// the start time; "" where there is no /proc.
func processStat(pid int) (state, born string) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", ""
	}
	_, rest, ok := bytes.Cut(stat, []byte(") ")) // the name may hold spaces
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", ""
	}
	return string(fields[0]), string(fields[19])
}

// gone is true only when the process certainly no longer runs: it was on this
// machine and its pid is free, belongs to a later process, or is kept for a
// parent that has not yet asked how it ended.
func (o owner) gone(here string) bool {
	if o.machine != here {
		return false
	}
	if err := syscall.Kill(o.pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	state, born := processStat(o.pid)
	return state == "Z" || born != "" && o.born != "" && born != o.born
}
