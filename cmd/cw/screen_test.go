package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// screen is a terminal of a chosen size with cw in it: tmux on a socket of
// its own.
type screen struct {
	t      *testing.T
	socket string
	dir    string
}

// before is what is on the screen when cw starts, and again when it has ended.
const before = "this was here before"

// newScreen runs cw with the given arguments in a terminal. env are settings
// as NAME=value; without one, LANG is C.UTF-8 and TERM tmux's own.
func newScreen(t *testing.T, cols, rows int, env []string, args ...string) *screen {
	t.Helper()
	return newUser(t).screen(cols, rows, env, args...)
}

func (u *user) screen(cols, rows int, env []string, args ...string) *screen {
	t := u.t
	t.Helper()
	needTmux(t)
	s := &screen{t: t, socket: fmt.Sprintf("cwtest-%d-%x", os.Getpid(), rand.Uint64()), dir: u.home}
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = "'" + a + "'"
	}
	writeFile(t, filepath.Join(s.dir, "run"), fmt.Sprintf(`unset NO_COLOR LC_ALL LC_CTYPE
export HOME='%s' LANG=C.UTF-8 %s
echo '%s'
stty -a >'%[1]s/stty.before'
sh -c 'echo $$ >"$HOME/pid"; exec "$0" "$@"' '%[4]s' %[5]s
echo "exit code $?"
stty -a >'%[1]s/stty.after'
echo ended
exec cat
`, s.dir, strings.Join(env, " "), before, u.bin, strings.Join(quoted, " ")))
	s.tmux("new-session", "-d", "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows), "sh", filepath.Join(s.dir, "run"))
	t.Cleanup(func() { _ = exec.Command("tmux", "-L", s.socket, "kill-server").Run() })
	return s
}

func needTmux(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("no tmux (apt-get install tmux)")
	}
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-L", s.socket, "-u", "-f", "/dev/null"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// text is what is on the screen, a line for each row.
func (s *screen) text() string {
	s.t.Helper()
	return s.tmux("capture-pane", "-p")
}

// keys presses keys, as tmux calls them.
func (s *screen) keys(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

func (s *screen) resize(cols, rows int) {
	s.t.Helper()
	s.tmux("set-option", "-g", "window-size", "manual")
	s.tmux("resize-window", "-x", strconv.Itoa(cols), "-y", strconv.Itoa(rows))
}

// until waits until the screen is as wanted, and returns it.
func (s *screen) until(what string, ok func(text string) bool) string {
	s.t.Helper()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for {
		text := s.text()
		if ok(text) {
			return text
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s; the screen is\n%s", what, text)
		}
		<-tick.C
	}
}

// shows waits until all of the words are on the screen.
func (s *screen) shows(words ...string) string {
	s.t.Helper()
	return s.until(strings.Join(words, ", "), func(text string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
}

// ends waits for the end of cw and wants the terminal as it was.
func (s *screen) ends(code int) {
	s.t.Helper()
	text := s.shows("exit code ", "ended")
	if !strings.Contains(text, fmt.Sprintf("exit code %d\n", code)) || !strings.Contains(text, before) {
		s.t.Errorf("want exit code %d and what was there before; the screen is\n%s", code, text)
	}
	if on := strings.TrimSpace(s.tmux("display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}")); on != "0 0 1" {
		s.t.Errorf("alternate screen, mouse, cursor: %s, want 0 0 1", on)
	}
	old, err1 := os.ReadFile(filepath.Join(s.dir, "stty.before"))
	now, err2 := os.ReadFile(filepath.Join(s.dir, "stty.after"))
	if err1 != nil || err2 != nil || string(old) != string(now) || len(old) == 0 {
		s.t.Errorf("the terminal's settings were\n%s\nand are\n%s (%v, %v)", old, now, err1, err2)
	}
}

// signal sends cw a signal.
func (s *screen) signal(sig syscall.Signal) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}
