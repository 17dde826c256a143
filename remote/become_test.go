package remote

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cw/fault"
	"cw/remote/sshtest"
)

// fakeSudo puts a program named sudo before the real one in the PATH of the
// login shell. It knows just enough to stand for sudo; the real one is tested
// in playground/lab.
const fakeSudo = `#!/bin/sh
echo "$*" >>"$HOME/sudo.log"
mode= prompt=
while :; do
  case $1 in
  -n) mode=n; shift ;;
  -S) mode=S; shift ;;
  -p) prompt=$(printf "$2"); shift 2 ;;
  -H) shift ;;
  -u) user=$2; shift 2 ;;
  --) shift; break ;;
  esac
done
echo "We trust you have received the usual lecture" >&2
echo "lecture on the wrong stream"
case $user in
nopass) exec "$@" ;;
nosuch) echo "sudo: unknown user nosuch" >&2; exit 1 ;;
esac
[ "$mode" = n ] && { echo "sudo: a password is required" >&2; exit 1; }
for try in 1 2 3; do
  printf %s "$prompt" >&2
  IFS= read -r word || exit 1
  [ "$word" = "pass word's" ] && exec "$@"
  echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
`

func sudoFixture(t *testing.T, po Options) *fixture {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(fakeSudo), 0o755); err != nil {
		t.Fatal(err)
	}
	return newFixture(t, sshtest.Options{Env: []string{"PATH=" + dir + ":/usr/bin:/bin"}}, po)
}

func TestSudoWithoutPassword(t *testing.T) {
	t.Parallel()
	f := sudoFixture(t, Options{})
	r, err := f.host().Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo ok; echo err >&2; cat"}, As: "nopass", Stdin: strings.NewReader("in")})
	if err != nil || string(r.Stdout) != "ok\nin" || string(r.Stderr) != "err\n" {
		t.Errorf("%q %q %v", r.Stdout, r.Stderr, err)
	}
	for user, want := range map[string]string{"other": "a password is required", "nosuch": "unknown user"} {
		_, err := f.host().Run(t.Context(), Cmd{Args: []string{"true"}, As: user})
		var sudo *SudoError
		if !errors.As(err, &sudo) || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Auth {
			t.Errorf("%s: %v", user, err)
		}
	}
	_, err = f.host().Run(t.Context(), Cmd{Args: []string{"true"}, As: "other"})
	if hint := fault.HintOf(err); !strings.Contains(hint, "/etc/sudoers.d/deploy on db1: deploy ALL=(ALL) NOPASSWD: ALL") {
		t.Errorf("hint %s", hint)
	}
	// A command that fails is not a sudo that fails.
	_, err = f.host().Run(t.Context(), Cmd{Args: []string{"sh", "-c", "echo sudo: a password is required >&2; exit 1"}, As: "nopass"})
	var exit *ExitError
	if !errors.As(err, &exit) {
		t.Errorf("got %v", err)
	}
}

func TestSudoWithPassword(t *testing.T) {
	t.Parallel()
	asked := 0
	answers := []string{"typo", "pass word's"}
	prompted := func(_ context.Context, q string) (string, error) {
		if !strings.Contains(q, "deploy") || !strings.Contains(q, "db1") {
			t.Errorf("question %q", q)
		}
		asked++
		return answers[min(asked, len(answers))-1], nil
	}
	for name, tc := range map[string]struct {
		file   string
		prompt func(context.Context, string) (string, error)
		want   string
	}{
		"file":       {"pass word's\n", nil, ""},
		"wrong file": {"nonsense\n", nil, "other than the one in"},
		"prompt":     {"", prompted, ""},
		"nobody":     {"", func(context.Context, string) (string, error) { return "", errors.New("no terminal") }, "no terminal"},
	} {
		f := sudoFixture(t, Options{Prompt: tc.prompt})
		if tc.file != "" {
			f.target.BecomePasswordFile = filepath.Join(f.dir, "password")
			if err := os.WriteFile(f.target.BecomePasswordFile, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			r, err := f.host().Run(t.Context(), Cmd{Args: []string{"cat"}, As: "other", Stdin: strings.NewReader("data")})
			if tc.want == "" && (err != nil || string(r.Stdout) != "data") {
				t.Errorf("%s: %q %v", name, r.Stdout, err)
			}
			var sudo *SudoError
			if tc.want != "" && (!errors.As(err, &sudo) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// A sudo that asks for nothing gets nothing.
		if r, err := f.host().Run(t.Context(), Cmd{Args: []string{"cat"}, As: "nopass", Stdin: strings.NewReader("x")}); err != nil || string(r.Stdout) != "x" {
			t.Errorf("%s: %q %v", name, r.Stdout, err)
		}
		log, err := os.ReadFile(filepath.Join(f.dir, "sudo.log"))
		if err != nil || strings.Contains(string(log), "pass word") {
			t.Errorf("%s: the password is in an argv, or no log: %v", name, err)
		}
		for _, line := range f.server.Calls() {
			if strings.Contains(line, "pass word") {
				t.Errorf("%s: the password is in a command line", name)
			}
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func TestBecomeNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, sshtest.Options{}, Options{})
	f.target.Become = "doas"
	if _, err := f.host().Run(t.Context(), Cmd{Args: []string{"true"}, As: "other"}); fault.KindOf(err) != fault.Usage {
		t.Errorf("got %v", err)
	}
	if _, err := f.host().Run(t.Context(), Cmd{Args: []string{"true"}, As: "deploy"}); err != nil {
		t.Errorf("as oneself: %v", err)
	}
}

// As root there is no sudo but runuser, setpriv or su, whichever is there.
func TestBecomeByRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, hide := range [][]string{nil, {"runuser"}, {"runuser", "setpriv"}} {
		shell := "/bin/sh"
		if hide != nil {
			shell = shellWithout(t, hide)
		}
		f := newFixture(t, sshtest.Options{Shell: shell}, Options{})
		f.target.User = "root"
		r, err := f.host().Run(t.Context(), Cmd{Args: []string{"sh", "-c", `id -un; echo "$HOME $USER" "$1"; cat`, "x", "-c a"}, As: "nobody", Stdin: strings.NewReader("in")})
		if err != nil || string(r.Stdout) != "nobody\n/nonexistent nobody -c a\nin" {
			t.Errorf("without %q: %q %v", hide, r.Stdout, err)
		}
		_, err = f.host().Run(t.Context(), Cmd{Args: []string{"true"}, As: "nosuch"})
		var sudo *SudoError
		if !errors.As(err, &sudo) || !strings.Contains(fault.HintOf(err), "useradd --create-home nosuch") {
			t.Errorf("without %q: %v", hide, err)
		}
		path := filepath.Join(t.TempDir(), "file")
		if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := f.host().WriteFile(t.Context(), path, []byte("x"), FileOptions{As: "nobody", Mode: 0o600}); err != nil {
			t.Error(err)
		}
		if got, err := f.host().ReadFile(t.Context(), path, "nobody"); err != nil || string(got) != "x" {
			t.Errorf("%q %v", got, err)
		}
		if got := mustRun(t, f.host(), "stat -c '%U %a' "+Quote([]string{path})); got != "nobody 600\n" {
			t.Errorf("owner and mode %s", got)
		}
	}
}

// shellWithout makes a login shell for which some programs do not exist.
func shellWithout(t *testing.T, hide []string) string {
	t.Helper()
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("no unshare")
	}
	script := "#!/bin/sh\nexec unshare --mount sh -c '"
	for _, name := range hide {
		path, err := exec.LookPath(name)
		if err != nil {
			path = "/usr/sbin/" + name
		}
		script += "mount --bind /dev/null " + path + " && "
	}
	script += `exec /bin/sh "$@"' sh "$@"` + "\n"
	shell := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(shell, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(shell, "-c", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces here: %s", out)
	}
	return shell
}
