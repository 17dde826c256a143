package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is where the generated files are checked in.
const repository = "../.."

// TestGeneratedFilesAreUpToDate is what keeps a change of a command or key
// from being forgotten in the pages.
func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	files, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stale, err := compare(repository, files)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stale {
		t.Error(s)
	}
	if len(stale) > 0 {
		t.Error("run: make docs")
	}
}

// TestGeneratingTwiceIsTheSame is about maps, times and machines.
func TestGeneratingTwiceIsTheSame(t *testing.T) {
	t.Parallel()
	one, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !maps.EqualFunc(one, two, bytes.Equal) {
		t.Error("two runs differ")
	}
	// A host's name may be any word; a home is not to be in a page.
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return
	}
	for path, data := range one {
		if bytes.Contains(data, []byte(home+"/.")) {
			t.Errorf("%s names a folder of this machine: %s", path, home)
		}
	}
}

func TestRunWritesAndChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out, errOut bytes.Buffer
	call := func(args ...string) int {
		out.Reset()
		errOut.Reset()
		return run(t.Context(), append(args, dir), &out, &errOut)
	}
	if code := call("--check"); code != 1 || !strings.Contains(errOut.String(), "man/cw.1: missing\n") || !strings.Contains(errOut.String(), "make docs") {
		t.Errorf("check of nothing: %d\n%s", code, errOut.String())
	}
	if code := call(); code != 0 || !strings.Contains(out.String(), "wrote man/cw-load-run.1\n") {
		t.Errorf("write: %d\n%s%s", code, out.String(), errOut.String())
	}
	if code := call("--check"); code != 0 {
		t.Errorf("check of what was written: %d\n%s", code, errOut.String())
	}
	for name, text := range map[string]string{"man/cw.1": "x", "man/cw-gone.1": "y"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code := call("--check"); code != 1 || errOut.String() != "man/cw.1: stale\nman/cw-gone.1: not written any more\nrun: make docs\n" {
		t.Errorf("check: %d\n%s", code, errOut.String())
	}
	if code := call(); code != 0 || out.String() != "wrote man/cw.1\nremoved man/cw-gone.1\n" {
		t.Errorf("write: %d\n%s", code, out.String())
	}
}

func TestRoffKeepsWhatIsPasted(t *testing.T) {
	t.Parallel()
	p := newPage("x", "1", "y")
	p.verbatim("  .hidden 'a' \\n --flag ~/x\n  'b'")
	want := "\\&.hidden \\(aqa\\(aq \\en \\-\\-flag \\(ti/x\n\\(aqb\\(aq\n"
	if !strings.Contains(p.b.String(), want) {
		t.Errorf("got\n%s", p.b.String())
	}
}

// TestManPagesAreClean lets the formatters say what they think.
func TestManPagesAreClean(t *testing.T) {
	t.Parallel()
	files, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var pages []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(path, "man/") {
			name := filepath.Join(dir, filepath.Base(path))
			if err := os.WriteFile(name, files[path], 0o600); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, name)
			if i := bytes.IndexFunc(files[path], func(r rune) bool { return r > '~' }); i >= 0 {
				t.Errorf("%s has a sign outside of ASCII, which roff.go does not know: …%s", path, files[path][max(0, i-20):i+4])
			}
		}
	}
	for _, tool := range [][]string{{"groff", "-man", "-ww", "-z"}, {"mandoc", "-T", "lint", "-W", "warning"}} {
		t.Run(tool[0], func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(tool[0]); err != nil {
				t.Skip(tool[0] + " is not installed")
			}
			out, err := exec.CommandContext(t.Context(), tool[0], append(tool[1:], pages...)...).CombinedOutput()
			var bad []string
			for line := range strings.Lines(string(out)) {
				if !strings.Contains(line, "missing date") { // they bear none on purpose
					bad = append(bad, line)
				}
			}
			// mandoc's exit code counts the missing dates, too.
			if len(bad) > 0 || len(out) == 0 && err != nil {
				t.Errorf("%v\n%s", err, strings.Join(bad, ""))
			}
		})
	}
}
