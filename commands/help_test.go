package commands

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden files of help and surface anew")

// referenceTree is the tree as the reference pages have it.
func referenceTree(t *testing.T) *cobra.Command {
	t.Helper()
	return NewReference(t.Context()).Root
}

// isPersonality tells of commands that take another program's options and have its exit codes.
func isPersonality(c *cobra.Command) bool { return personalities()[c.Name()] != nil }

func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	// What is hidden, and why.
	hidden := map[string]string{
		"cw agent":              "started by cw on other hosts",
		"cw playground serve":   "started by cw playground up",
		"cw monitor --once-for": "for tests: how long --once looks",
		"cw perf vip --seed":    "for tests: the order of moves",
		"cw top --fake":         "for demonstrations and tests",
	}
	seen := map[string]bool{}
	walk(referenceTree(t), func(c *cobra.Command) {
		path := c.CommandPath()
		if c.Hidden {
			seen[path] = true
			if hidden[path] == "" {
				t.Errorf("%s is hidden", path)
			}
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short[0] < 'A' || c.Short[0] > 'Z' {
			t.Errorf("%s: short %q: a sentence without its full stop", path, c.Short)
		}
		if c.Example == "" {
			t.Errorf("%s has no example", path)
		}
		if !isPersonality(c) && ExitCodes(c) == "" {
			t.Errorf("%s does not tell its exit codes", path)
		}
		if about := About(c); !strings.HasSuffix(about, ".") && !strings.Contains(about, "\n  ") {
			t.Errorf("%s: its help ends without a full stop: %q", path, about)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage %q", path, f.Name, f.Usage)
			}
			if f.Hidden && c.LocalFlags().Lookup(f.Name) != nil {
				seen[path+" --"+f.Name] = true
				if hidden[path+" --"+f.Name] == "" {
					t.Errorf("%s --%s is hidden", path, f.Name)
				}
			}
		})
	})
	for what := range hidden {
		if !seen[what] {
			t.Errorf("%s is not hidden, or not there any more", what)
		}
	}
}

// TestGroupsHoldAllTheirCommands keeps a new verb from ending up under
// "Other commands" where there are headings.
func TestGroupsHoldAllTheirCommands(t *testing.T) {
	t.Parallel()
	root := referenceTree(t)
	for path, h := range groupHelps() {
		c, _, err := root.Find(strings.Fields(path)[1:])
		if err != nil || c.CommandPath() != path {
			t.Errorf("there is no command %s", path)
			continue
		}
		for _, g := range h.groups {
			for _, name := range strings.Fields(g.names) {
				if child(c, name) == nil {
					t.Errorf("%s has no command %s", path, name)
				}
			}
		}
		if len(h.groups) > 0 && strings.Contains(subcommands(c, ""), " ") {
			t.Errorf("%s: these are under no heading of help_groups.go:\n%s", path, subcommands(c, ""))
		}
	}
}

// TestExamplesParse gives every example to the parser: its command has to
// exist, take these flags and as many arguments.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	n := 0
	walk(referenceTree(t), func(c *cobra.Command) {
		for _, line := range strings.Split(strings.ReplaceAll(c.Example, "\\\n", " "), "\n") {
			for _, words := range callsOfCw(line) {
				n++
				if err := tryCall(t, words); err != nil {
					t.Errorf("%s: example %q: %v", c.CommandPath(), strings.TrimSpace(line), err)
				}
			}
		}
	})
	if n < 150 {
		t.Errorf("only %d examples were found", n)
	}
}

// quietApp has streams that go nowhere and folders that nobody looks into.
func quietApp() *App {
	streams := &Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
	return &App{IO: streams, Getenv: func(string) string { return "" }, Now: time.Now, Log: slog.New(slog.DiscardHandler), Paths: Paths{Config: "/c", State: "/s"}}
}

// tryCall parses a call without running it.
func tryCall(t *testing.T, words []string) error {
	t.Helper()
	root := newRoot(quietApp())
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if isPersonality(c) {
		return nil // its options are another program's
	}
	if c.HasAvailableSubCommands() && !hasOwnFlags(c) {
		return groupRun(c, append(rest, "")[:max(1, len(rest))])
	}
	if err := c.ParseFlags(rest); err != nil {
		return c.FlagErrorFunc()(c, err)
	}
	return c.ValidateArgs(c.Flags().Args())
}

// callsOfCw are the words of each call of cw in a line for the shell.
func callsOfCw(line string) [][]string {
	var calls [][]string
	var words []string
	end := func() {
		for i, w := range words {
			if w == "cw" || w == "\x00cw" {
				calls = append(calls, words[i+1:])
				break
			}
		}
		words = nil
	}
	word, inWord, quote := "", false, rune(0)
	push := func() {
		if inWord {
			words = append(words, word)
		}
		word, inWord = "", false
	}
	redirected := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == '#' && !inWord:
			push()
			end()
			return calls
		case strings.ContainsRune("|;&()", r):
			push()
			end()
			redirected = false
		case r == '>' || r == '<':
			push()
			redirected = true
		case r == ' ' || r == '\t':
			if redirected && inWord {
				word, inWord, redirected = "", false, false
			}
			push()
		default:
			word += string(r)
			inWord = true
		}
	}
	if redirected {
		inWord = false
	}
	push()
	end()
	return calls
}

func TestCallsOfCw(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"  cw load run x.yaml   # why":                         "load run x.yaml",
		"cw load check a --validate all -o csv > bad.csv":      "load check a --validate all -o csv",
		"cw monitor --once --exit-code || page-the-dba":        "monitor --once --exit-code",
		"cw cluster stop a; cw cluster start a":                "cluster stop a/cluster start a",
		"cw events -o json | jq -r 'select(.x == \"y\").z; c'": "events -o json",
		"source <(cw completion bash)":                         "completion bash",
		"CW_OUTPUT=json cw config show":                        "config show",
	} {
		var got []string
		for _, words := range callsOfCw(line) {
			got = append(got, strings.Join(words, " "))
		}
		if strings.Join(got, "/") != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// TestHelpIsAsItWas holds the help of root, groups and topics against files.
func TestHelpIsAsItWas(t *testing.T) {
	t.Parallel()
	root := referenceTree(t)
	var pages [][]string
	walk(root, func(c *cobra.Command) {
		if c.HasAvailableSubCommands() {
			pages = append(pages, strings.Fields(c.CommandPath())[1:])
		}
	})
	for _, p := range topics() {
		pages = append(pages, []string{p.name})
	}
	pages = append(pages, []string{"load", "run"})
	for _, page := range pages {
		var out strings.Builder
		root.SetOut(&out)
		help := child(root, "help")
		if err := help.RunE(help, page); err != nil {
			t.Errorf("%q: %v", page, err)
		}
		name := strings.Join(append([]string{"cw"}, page...), "-") + ".txt"
		golden(t, filepath.Join("testdata", "help", name), out.String())
	}
}

// golden compares with a file, which -update writes.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // checked in
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // checked in
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("%v\n%s\nif it is meant: go test ./commands -run 'Help|Surface' -update", err, diff.Diff(file, want, "now", []byte(got)))
	}
}

// TestHelpAndFlagsSayWhatWasMeant is about words that are nearly right.
func TestHelpAndFlagsSayWhatWasMeant(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for _, c := range []struct{ call, want string }{
		{"laod run x", "hint: did you mean: cw load"},
		{"load rnu x", "hint: did you mean: cw load run"},
		{"load run x --limti 3", "hint: did you mean --limit?"},
		{"load run x -Z", "hint: see cw load run --help"},
		{"cluster list --zzzzzzzz", "hint: see cw cluster list --help"},
		{"help environmnt", "hint: did you mean: cw help environment"},
		{"help load rnu", "hint: did you mean: cw help load run"},
		{"help load run now", "no help on \"now\""},
		{"cluster list -o jsno", "hint: did you mean json?"},
		{"explain topolgy", "hint: did you mean: cw explain topology"},
		{"schema perf-reprot", "hint: did you mean: cw schema perf-report"},
		{"completion bsh", "hint: did you mean: cw completion bash"},
		{"perf resume nosuch", "hint: "},
		{"perf list --profile x", "hint: see cw perf list --help"},
	} {
		streams, _, errOut := TestStreams("")
		env := func(n string) string { return map[string]string{"HOME": home}[n] }
		if code := mainWith(t.Context(), streams, env, append([]string{"cw"}, strings.Fields(c.call)...)); code != 2 || !strings.Contains(errOut.String(), c.want) {
			t.Errorf("cw %s: exit code %d\n%swant %q", c.call, code, errOut, c.want)
		}
	}
}

func TestHelpOfACommandIsItsHelpFlag(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	env := func(n string) string { return map[string]string{"HOME": home}[n] }
	one, out, _ := TestStreams("")
	mainWith(t.Context(), one, env, []string{"cw", "help", "cluster", "create"})
	two, flagged, _ := TestStreams("")
	mainWith(t.Context(), two, env, []string{"cw", "cluster", "create", "--help"})
	if out.String() != flagged.String() || !strings.HasPrefix(out.String(), "Make a cluster") {
		t.Errorf("cw help cluster create:\n%s\ncw cluster create --help:\n%s", out, flagged)
	}
}

// variablesIn are calls that read the environment in the sources.
var variablesIn = regexp.MustCompile(`(?i)(?:getenv|lookupenv)\("([A-Za-z_]+)"\)`)

// TestEnvironmentIsComplete finds variables that the sources read and cw help
// environment does not have.
func TestEnvironmentIsComplete(t *testing.T) {
	t.Parallel()
	text := environmentText()
	found := map[string]bool{"CW_STORE": true, "CW_OUTPUT": true, "CW_PROGRESS": true} // applyConfig makes their names
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d.IsDir() && (d.Name() == "tools" || strings.HasSuffix(d.Name(), "test") || d.Name() == ".git") {
				return filepath.SkipDir // not part of cw
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		for _, m := range variablesIn.FindAllSubmatch(data, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Errorf("only %d variables were found: is the pattern right?", len(found))
	}
	for name := range found {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(text) {
			t.Errorf("cw help environment does not have %s", name)
		}
	}
	a := quietApp()
	newRoot(a)
	for name := range a.globalDefault {
		if !strings.Contains(text, "CW_"+strings.ToUpper(name)) {
			t.Errorf("cw help environment does not have the variable of --%s", name)
		}
	}
}
