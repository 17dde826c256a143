package manage

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"cw/cluster"
)

// TestPrivileges makes OS users on this machine and removes them again, which
// nobody wants unasked: it runs with CW_TEST_USERADD=1 as root only.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	if os.Getenv("CW_TEST_USERADD") == "" || os.Geteuid() != 0 {
		t.Skip("adds and removes OS users: set CW_TEST_USERADD=1 and run as root")
	}
	must := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	for _, how := range []string{"root", "sudo"} {
		t.Run(how, func(t *testing.T) {
			l := newLab(t, 2)
			l.killAll()
			owner := "cwt" + strconv.Itoa(os.Getpid()%10000) + how
			t.Cleanup(func() { _ = exec.Command("userdel", "--remove", owner).Run() })
			l.cred, l.top.SSH.User = nil, "root"
			if how == "sudo" {
				login := owner + "s"
				must("useradd", "--create-home", login)
				t.Cleanup(func() { _ = exec.Command("userdel", "--remove", login).Run() })
				rule := "/etc/sudoers.d/cw-test-" + login
				t.Cleanup(func() { _ = os.Remove(rule) })
				if err := os.WriteFile(rule, []byte(login+" ALL=(ALL) NOPASSWD: ALL\n"), 0o440); err != nil {
					t.Fatal(err)
				}
				u, err := user.Lookup(login)
				if err != nil {
					t.Fatal(err)
				}
				uid, _ := strconv.ParseUint(u.Uid, 10, 32)
				gid, _ := strconv.ParseUint(u.Gid, 10, 32)
				l.cred, l.top.SSH.User = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, login
			}
			for i := range l.servers {
				l.down(i)
				l.up(i)
			}
			// A folder that only root may write to, two levels to be made.
			if err := os.Chown(l.data, 0, 0); err != nil {
				t.Fatal(err)
			}
			l.top.Layout.DataDirs = []string{filepath.Join(l.data, "a", "b")}
			l.top.OSUser, l.top.SSH.Become = owner, "sudo"
			l.create()
			l.want(cluster.Up)
			out, err := exec.Command("stat", "-c", "%U %a", filepath.Join(l.data, "a", "b", "lab", "n1", "data")).Output()
			if err != nil || strings.TrimSpace(string(out)) != owner+" 700" {
				t.Errorf("data directory belongs to %s %v", out, err)
			}
			for _, pid := range l.processes() {
				st, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
				if err == nil && st.Sys().(*syscall.Stat_t).Uid == 0 {
					t.Errorf("process %d runs as root", pid)
				}
			}
			l.run(l.m.Restart(t.Context(), "lab", cluster.Fast))
			l.run(l.m.Delete(t.Context(), "lab"))
			l.empty()
		})
	}
}
