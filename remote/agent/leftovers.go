package agent

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A folder may belong to an agent that is still being pushed: until its
// program is complete it counts as left over only when it is old.
const (
	youthPushing = 10 * time.Minute
	youthPushed  = 2 * time.Second
)

// Leftovers finds the folders of agents on this machine that no process lives
// in any more: what remained after both sides were killed. Only those of the
// current user are looked at.
func Leftovers() []string {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), FolderPrefix+"*"))
	if len(found) == 0 {
		return nil
	}
	used := usedFolders()
	var left []string
	for _, dir := range found {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || used[dir] {
			continue
		}
		youth := youthPushing
		if _, err := os.Lstat(filepath.Join(dir, "cw")); err == nil {
			youth = youthPushed
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if ok && int(st.Uid) == os.Getuid() && time.Since(info.ModTime()) >= youth {
			left = append(left, dir)
		}
	}
	return left
}

// usedFolders are the folders of programs that run: their own, and the homes
// that children of StartHere were given.
func usedFolders() map[string]bool {
	used := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		if exe, err := os.Readlink(filepath.Join(p, "exe")); err == nil {
			used[filepath.Dir(exe)] = true
		}
		env, _ := os.ReadFile(filepath.Join(p, "environ"))
		for v := range strings.SplitSeq(string(env), "\x00") {
			if home, ok := strings.CutPrefix(v, homeVariable+"="); ok {
				used[filepath.Dir(home)] = true
			}
		}
	}
	return used
}
