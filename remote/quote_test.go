package remote

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"pg_ctl", "-D", "/data/db"}, "pg_ctl -D /data/db"},
		{[]string{""}, "''"},
		{[]string{"a b", "it's", "$x", "*"}, `'a b' 'it'\''s' '$x' '*'`},
		{[]string{"A=b", "~", "-n"}, `'A=b' '~' -n`},
		{[]string{"ü"}, "'ü'"},
		{nil, ""},
	} {
		if got := Quote(tc.args); got != tc.want {
			t.Errorf("Quote(%q) = %s, want %s", tc.args, got, tc.want)
		}
	}
}

// split gives the words that a shell makes of a line.
func split(t *testing.T, shell, line string) []string {
	t.Helper()
	out, err := exec.Command(shell, "-c", `for w in `+line+`; do printf '%s\0' "$w"; done`).Output()
	if err != nil {
		t.Fatalf("%s: %v\n%q", shell, err, line)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "'", "''", `\`, `\'`, "a\nb", "$(reboot)", "`x`", "!", "-e", "~root", "\x81\x88\xff", "#", "a=b", "%s%%", "\t", "{a,b}"} {
		f.Add(s, "z")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			t.Skip("no argv holds a NUL")
		}
		args := []string{a, b, "end"}
		if got := split(t, "/bin/sh", Quote(args)); strings.Join(got, "\x00") != strings.Join(args, "\x00") {
			t.Errorf("%q became %q by way of %s", args, got, Quote(args))
		}
	})
}

// FuzzCommandLine sends words through everything a word goes through: the
// login shell, the wrapper and its encodings.
func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"", "a", "'", `\`, `\\`, `\'`, `x\`, "a\nb", "\n", "$(reboot)", "`x`", "!", "-x", "~root", "\x81\x88\xff", "%s%%d", "a\n\n", "é"} {
		f.Add(s, "z")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			t.Skip("no argv holds a NUL")
		}
		line, err := commandLine(Cmd{Args: []string{"printf", `%s\0`, a, b}}, "NONCE", becomeNobody)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(line, "!\n") {
			t.Errorf("csh could not take %q", line)
		}
		cmd := exec.Command("/bin/sh", "-c", line)
		in, err := cmd.StdinPipe() // its end would kill the command
		if err != nil {
			t.Fatal(err)
		}
		var raw, out bytes.Buffer
		cmd.Stdout = &raw
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		state, err := cmd.Process.Wait()
		_ = in.Close()
		_ = cmd.Wait() // gathers the output
		m := markers{nonce: []byte("NONCE"), out: &out}
		_, _ = m.Write(raw.Bytes())
		if err != nil || !state.Success() || !m.ended || m.code != 0 || out.String() != a+"\x00"+b+"\x00" {
			t.Errorf("%q %q became %q (%v %v) by way of %s", a, b, out.String(), state, err, line)
		}
	})
}

func TestCommandLineInOtherLoginShells(t *testing.T) {
	t.Parallel()
	words := []string{"plain", "it's", `back\slash`, `two\\`, "bang!", "new\nline", "$HOME", "ü", ""}
	line, err := commandLine(Cmd{Args: append([]string{"printf", "%s;"}, words...)}, "NONCE", becomeNobody)
	if err != nil {
		t.Fatal(err)
	}
	for _, shell := range []string{"sh", "dash", "bash", "zsh", "ksh", "csh", "tcsh", "fish", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		args := []string{"-c", line}
		if shell == "busybox" {
			args = append([]string{"sh"}, args...)
		}
		cmd := exec.Command(path, args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var raw, out bytes.Buffer
		cmd.Stdout = &raw
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = cmd.Process.Wait()
		_ = in.Close()
		_ = cmd.Wait()
		m := markers{nonce: []byte("NONCE"), out: &out}
		_, _ = m.Write(raw.Bytes())
		if got := out.String(); got != strings.Join(words, ";")+";" {
			t.Errorf("%s: got %q", shell, got)
		}
	}
}

// The wrapper must pass any login shell as one single-quoted word.
func TestWrapperIsQuotable(t *testing.T) {
	t.Parallel()
	if !loginSafe(wrapperLine()) {
		t.Error("wrapper.sh holds a character that some login shell changes")
	}
	if n := len(wrapperLine()); n > 4<<10 {
		t.Errorf("wrapper.sh has grown to %d bytes", n)
	}
}
