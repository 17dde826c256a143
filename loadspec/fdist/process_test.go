package fdist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func readTransforms(t *testing.T, dir, text string) *Transforms {
	t.Helper()
	file := filepath.Join(t.TempDir(), "t.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := ReadTransforms(file, dir)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestTransformFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"", "f:0:0:failed to find TRANSFORMATIONS"},
		{"VERSION: 1", "f:0:0:failed to find TRANSFORMATIONS"},
		{"a: [", "yaml"},
		{"TRANSFORMATIONS: x", "f:1:18:key 'TRANSFORMATIONS' is not a proper YAML map"},
		{"TRANSFORMATIONS:\n  a: 1", "f:2:3:transformation 'a': not a proper YAML map"},
		{"TRANSFORMATIONS:\n  a:\n    COMMAND: cat", "f:2:3:transformation 'a': failed to find TYPE"},
		{"TRANSFORMATIONS:\n  a: {TYPE: both, COMMAND: cat}", "f:2:7:transformation 'a': invalid TYPE: 'both' (expected TYPE:input or TYPE:output)"},
		{"TRANSFORMATIONS:\n  a: {TYPE: [input], COMMAND: cat}", "TYPE not a scalar"},
		{"TRANSFORMATIONS:\n  a: {TYPE: input}", "f:2:3:transformation 'a': failed to find COMMAND"},
		{"TRANSFORMATIONS:\n  a: {TYPE: input, COMMAND: ''}", "invalid COMMAND"},
		{"TRANSFORMATIONS:\n  a: {TYPE: input, COMMAND: c, STDERR: file}", "invalid STDERR"},
		{"TRANSFORMATIONS:\n  a: {TYPE: input, COMMAND: c, CONTENT: names}", "invalid CONTENT"},
		{"TRANSFORMATIONS:\n  a: {TYPE: input, COMMAND: c, SAFE: '('}", "could not compile SAFE regex"},
	} {
		_, err := parseTransforms("f", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	tr, err := parseTransforms("f", []byte("VERSION: 1.0.0.1\nTRANSFORMATIONS:\n  a: {TYPE: Input, COMMAND: cat %filename%}\n  a: {TYPE: OUTPUT, COMMAND: tee, STDERR: Console, CONTENT: paths}\n"))
	if err != nil || len(tr.entries) != 2 || tr.entries[0].output || !tr.entries[1].output || !tr.entries[1].console || !tr.entries[1].paths {
		t.Errorf("%+v, %v", tr, err)
	}
	if _, err := ReadTransforms(filepath.Join(t.TempDir(), "none"), "."); err == nil || !strings.Contains(err.Error(), "unable to open file") {
		t.Error(err)
	}
}

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want []string
	}{
		{" a  b\tc\n", []string{"a", "b", "c"}},
		{`a "b c" 'd "e'`, []string{"a", "b c", `d "e`}},
		{`a\ b \"c \\`, []string{"a b", `"c`, `\`}},
		{`"" x`, []string{"", "x"}},
		{`sed -e s/$1/;/`, []string{"sed", "-e", "s/$1/;/"}},
		{"", nil},
	} {
		if got := splitCommand(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzSplitCommand(f *testing.F) {
	f.Add(`a "b\" c" '\'`)
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		for _, w := range splitCommand(s) {
			n += len(w)
		}
		if n > len(s) {
			t.Errorf("%q grows to %q", s, splitCommand(s))
		}
	})
}

const script = `TRANSFORMATIONS:
  up: {TYPE: input, COMMAND: 'tr a-z A-Z', SAFE: '/[a-z.]+$'}
  cat: {TYPE: input, COMMAND: /usr/bin/env cat %filename%}
  list: {TYPE: input, COMMAND: cat %FILENAME%, CONTENT: paths}
  pwd: {TYPE: input, COMMAND: pwd}
  warn: {TYPE: input, COMMAND: 'sh -c "echo 1,a; echo look here >&2"'}
  talk: {TYPE: input, COMMAND: 'sh -c "echo 1,a; echo look here >&2"', STDERR: console}
  fail: {TYPE: input, COMMAND: 'sh -c "echo 1,a; echo bad page >&2; exit 3"'}
  mute: {TYPE: input, COMMAND: 'sh -c "echo 1,a; exit 3"', STDERR: console}
  none: {TYPE: input, COMMAND: /no/such/program}
  out: {TYPE: output, COMMAND: 'sh -c "cat >$0" %filename%'}
  refuse: {TYPE: output, COMMAND: 'sh -c "read x; echo no room >&2; exit 7"'}
  late: {TYPE: output, COMMAND: 'sh -c "cat >/dev/null; echo at the end >&2; exit 1"'}
`

func TestInputTransforms(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a.csv": "1,x\n", "b.csv": "2,y\n", "c_1.csv": "3,z\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var console bytes.Buffer
	tr := readTransforms(t, dir, script)
	_, addr := writeServer(t, Options{Inputs: &FileInputs{Dir: dir, Transform: tr.Inputs(&console)}})
	for _, c := range []struct{ path, want, fails string }{
		{"*.csv#transform=cat", "1,x\n2,y\n3,z\n", ""},
		{"*.csv#transform=list", dir + "/a.csv\n" + dir + "/b.csv\n" + dir + "/c_1.csv\n", ""},
		{"a.csv#transform=pwd", dir + "\n", ""},
		{"a.csv#transform=up", "", ""}, // reads nothing: its stdin is empty
		{"c_1.csv#transform=up", "", "path does not match safe regex"},
		{"a.csv#transform=nope", "", "invalid request (unsupported input #transform)"},
		{"a.csv#transform=out", "", "invalid request (unsupported input #transform)"},
		{"a.csv#transform=none", "", "/no/such/program"},
		{"a.csv#transform=warn", "1,a\n", "look here"},
		{"a.csv#transform=talk", "1,a\n", ""},
		{"a.csv#transform=fail", "1,a\n", "bad page (transformation fail: exit status 3)"},
		{"a.csv#transform=mute", "1,a\n", "transformation mute: sh: exit status 3"},
	} {
		s := scanOf(addr, c.path, 0)
		s.XID, s.CID, s.SN, s.Proto = "", "", "", 1
		rows, err := new(Client).Get(t.Context(), s)
		got := []byte(nil)
		if err == nil {
			got, err = io.ReadAll(rows)
			rows.Close()
		}
		if string(got) != c.want || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %q, %v; want %q, %q", c.path, got, err, c.want, c.fails)
		}
	}
	if !strings.Contains(console.String(), "look here") {
		t.Errorf("on the console: %q", console.String())
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "cw-paths-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestOutputTransforms(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tr := readTransforms(t, dir, script)
	for _, c := range []struct{ name, want, fails string }{
		{"out", "a\nb\n", ""},
		{"refuse", "", "no room (transformation refuse: exit status 7)"},
		{"late", "", "at the end (transformation late: exit status 1)"},
	} {
		_, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir, Transform: tr.Outputs(io.Discard)}})
		w, err := new(Client).Post(t.Context(), scanOf(addr, "t#transform="+c.name, 0))
		if err != nil {
			t.Fatal(err)
		}
		err = w.Send(t.Context(), []byte("a\nb\n"))
		for i := 0; i < 100 && err == nil && c.name == "refuse"; i++ {
			err = w.Send(t.Context(), bytes.Repeat([]byte("0123456\n"), 10_000)) // more than a pipe holds
		}
		if err == nil {
			err = w.Done(t.Context())
		}
		if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fails)
		}
		if c.want != "" && content(t, filepath.Join(dir, "t")) != c.want {
			t.Errorf("%s: %q", c.name, content(t, filepath.Join(dir, "t")))
		}
	}
}

// A session that ends takes its command with it, and the command's children.
func TestTransformIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	tr := readTransforms(t, dir, fmt.Sprintf("TRANSFORMATIONS:\n  run: {TYPE: input, COMMAND: 'sh -c \"sleep 600 & echo $$ $! >%s; echo 1; wait\"'}\n", pids))
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	inputs, err := tr.Inputs(io.Discard)(t.Context(), &Request{Transform: "run"}, []string{filepath.Join(dir, "f")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := inputs[0].Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = r.Close()
	for _, word := range strings.Fields(content(t, pids)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		await(t, "process "+word+" to end", func() bool { return ended(pid) })
	}
}

// ended tells whether a process is gone, or dead and not waited for by an init
// that does not.
func ended(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
