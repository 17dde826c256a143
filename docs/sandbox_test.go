package docs_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cw/playground/cwtest"
	"cw/playground/pgtest"
	"cw/playground/s3test"
)

// cwBinary builds cw once for all pages.
var cwBinary = cwtest.Shared()

func TestMain(m *testing.M) {
	os.Exit(func() int {
		home, err := os.MkdirTemp("", "cwdocs")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(home) }()
		// The command tree of this process is asked what parses; whoever runs
		// the tests has a log and settings of their own.
		for _, name := range []string{"XDG_STATE_HOME", "XDG_CONFIG_HOME"} {
			_ = os.Setenv(name, home)
		}
		// Pages wait for databases and hosts more than they work.
		_ = flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
		code := m.Run()
		if path, err := cwBinary(); err == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		return code
	}())
}

// sandbox is a reader at a shell: a home of their own, /tmp/try, PostgreSQL's
// programs and cw in the PATH. What a page calls by a name of its reader's is
// here under another: pairs of what is written and what is meant.
type sandbox struct {
	t     *testing.T
	root  string
	bash  *exec.Cmd
	in    io.WriteCloser
	done  chan string
	names [][2]string
	n     int
}

// newSandbox starts a shell. With s3 there is a store, and a bucket lake in it.
func newSandbox(t *testing.T, s3 bool) *sandbox {
	t.Helper()
	cw, err := cwBinary()
	if err != nil {
		t.Fatal(err)
	}
	pg := pgtest.BinDir(t) // skips without PostgreSQL
	s := &sandbox{t: t, root: pgtest.Dir(t), done: make(chan string, 1)}
	if err := os.Chmod(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(s.root, "home")
	for _, dir := range []string{home, filepath.Join(s.root, "tmp"), filepath.Join(s.root, "steps")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.names = [][2]string{{"/tmp/try", filepath.Join(s.root, "try")}}
	env := []string{
		"HOME=" + home, "USER=me", "LANG=C.UTF-8", "TMPDIR=" + filepath.Join(s.root, "tmp"), "CW_PROGRESS=off",
		"PATH=" + filepath.Dir(cw) + ":" + pg + ":" + os.Getenv("PATH"), "AWS_EC2_METADATA_DISABLED=true", "DOCS=" + mustAbs(t, "."), "SANDBOX=" + s.root,
	}
	if s3 {
		store := s3test.Start(t, "lake")
		s.names = append(s.names, [2]string{"https://s3.example.com", store.Endpoint})
		env = append(env, "AWS_ACCESS_KEY_ID="+store.Access, "AWS_SECRET_ACCESS_KEY="+store.Secret, "LAKE="+filepath.Join(store.Dir, "lake"))
	}
	s.start(env, home)
	return s
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// start starts the shell in a process group of its own, whose end is this
// sandbox's.
func (s *sandbox) start(env []string, home string) {
	s.t.Helper()
	s.bash = exec.Command("bash", "--noprofile", "--norc")
	s.bash.Env, s.bash.Dir, s.bash.Stderr = env, home, os.Stderr
	s.bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.bash.ExtraFiles = []*os.File{write}
	if s.in, err = s.bash.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := s.bash.Start(); err != nil {
		s.t.Fatal(err)
	}
	_ = write.Close()
	s.t.Cleanup(func() {
		s.tidyUp(env)
		_ = syscall.Kill(-s.bash.Process.Pid, syscall.SIGKILL)
		_ = s.bash.Wait()
		_ = read.Close()
	})
	go func() {
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			s.done <- lines.Text()
		}
		close(s.done)
	}()
}

// tidyUp ends the playgrounds that a page has left, as one does that failed in
// the middle.
func (s *sandbox) tidyUp(env []string) {
	left, _ := filepath.Glob(filepath.Join(s.root, "*", "*", "playground.json"))
	for _, f := range left {
		down := exec.CommandContext(context.WithoutCancel(s.t.Context()), "cw", "playground", "down", "--dir", filepath.Dir(f))
		down.Path, _ = cwBinary()
		down.Env = env
		if out, err := down.CombinedOutput(); err != nil {
			s.t.Errorf("end the playground: %v\n%s", err, out)
		}
	}
}

// run pastes one command and returns what it answers.
func (s *sandbox) run(text string) (out string, code int, err error) {
	for _, n := range s.names {
		text = strings.ReplaceAll(text, n[0], n[1])
	}
	s.n++
	step := filepath.Join(s.root, "steps", strconv.Itoa(s.n))
	if err := os.WriteFile(step, []byte(text), 0o600); err != nil {
		return "", 0, err
	}
	if _, err := fmt.Fprintf(s.in, "eval \"$(<%s)\" >%s.out 2>&1 </dev/null 3>&-; echo $? >&3\n", step, step); err != nil {
		return "", 0, err
	}
	limit := time.NewTimer(2 * time.Minute)
	defer limit.Stop()
	select {
	case said, ok := <-s.done:
		if !ok {
			err = errors.New("the shell ended")
		} else {
			code, err = strconv.Atoi(said)
		}
	case <-limit.C:
		err = errors.New("no end after two minutes")
	}
	data, _ := os.ReadFile(step + ".out")
	out = string(data)
	for _, n := range s.names {
		out = strings.ReplaceAll(out, n[1], n[0])
	}
	return strings.ReplaceAll(out, filepath.Join(s.root, "home"), "/home/me"), code, err
}

// rename has a page's word mean what is here: FROM=TO, or FROM alone, a port,
// for one that is free.
func (s *sandbox) rename(from, to string) {
	if to == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		to = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close()
	}
	s.names = append(s.names, [2]string{from, to})
}
