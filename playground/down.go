package playground

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"cw/fault"
)

// Down ends a playground: the serving process, every process that works in
// its folder, and the folder. It reports how many processes other than its
// own it ended. Only processes of the playground's user whose working folder
// is inside are touched.
func Down(ctx context.Context, s *State) (ended int, err error) {
	if s.Running() {
		if err := end(ctx, []int{s.PID}, func(int) syscall.Signal { return syscall.SIGTERM }); err != nil {
			return 0, err
		}
	}
	for _, round := range []struct{ postmaster, other syscall.Signal }{
		{syscall.SIGINT, syscall.SIGTERM}, // a fast shutdown, as PostgreSQL reads it
		{syscall.SIGQUIT, syscall.SIGKILL},
		{syscall.SIGKILL, syscall.SIGKILL},
	} {
		inside := s.processes()
		if len(inside) == 0 {
			break
		}
		ended = max(ended, len(inside))
		err = end(ctx, inside, func(pid int) syscall.Signal {
			if isPostmaster(pid) {
				return round.postmaster
			}
			return round.other
		})
	}
	if err != nil {
		return ended, err
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		return ended, fmt.Errorf("remove playground: %w", err)
	}
	return ended, nil
}

// isPostmaster says whether a process is the server of the data directory it
// works in.
func isPostmaster(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cwd/postmaster.pid", pid))
	first, _, _ := strings.Cut(string(text), "\n")
	return err == nil && first == strconv.Itoa(pid)
}

// isBackend says whether a process is a child of a postmaster, which ends it.
func isBackend(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d/cwd/postmaster.pid", pid))
	return err == nil && !isPostmaster(pid)
}

// processes are those whose working folder is inside the playground.
func (s *State) processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	root, err := filepath.EvalSymlinks(s.Dir)
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err != nil || !strings.HasPrefix(cwd+"/", root+"/") {
			continue
		}
		st, err := os.Stat(filepath.Join("/proc", e.Name()))
		if err != nil {
			continue
		}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && int(sys.Uid) == s.UID {
			pids = append(pids, pid)
		}
	}
	return pids
}

// end signals processes and waits up to ten seconds until they are gone.
func end(ctx context.Context, pids []int, sig func(pid int) syscall.Signal) error {
	starts := make(map[int]string, len(pids))
	for _, pid := range pids {
		starts[pid] = born(pid)
		if s := sig(pid); isBackend(pid) && s != syscall.SIGKILL {
			continue
		} else if err := syscall.Kill(pid, s); errors.Is(err, syscall.EPERM) {
			return fault.New(fault.Auth, "run this as the user who made the playground", "process %d of the playground: %w", pid, fs.ErrPermission)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		for pid, start := range starts {
			if born(pid) == start && start != "" && !zombie(pid) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Failed, "", "%d processes of the playground do not end", left)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// zombie is a process that has ended and waits for its parent.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}
