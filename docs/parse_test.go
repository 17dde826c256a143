package docs_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"cw/cluster"
	"cw/commands"
	"cw/loadspec"
)

// TestLinesThatAreNotRun parses them: the commands and flags must exist. The
// reasons are printed.
func TestLinesThatAreNotRun(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, it := range p.items {
			for _, c := range it.commands {
				if it.lang != "sh" {
					continue
				}
				for _, call := range calls(c.text) {
					if err := parses(call); err != nil {
						t.Errorf("%s:%d: %s: %v", p.path, c.line, call, err)
					}
				}
				if it.notRun != "" {
					t.Logf("%s:%d: parsed, not run (%s): %s", p.path, c.line, it.notRun, c.text)
				}
			}
		}
	}
}

var inline = regexp.MustCompile("`(cw [^`]+)`")

// TestCommandsInSentences parses what stands in the text: `cw …`.
func TestCommandsInSentences(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		data, err := os.ReadFile(p.path)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				for _, call := range calls(strings.ReplaceAll(m[1], "…", "")) {
					if err := parses(call); err != nil {
						t.Errorf("%s:%d: %s: %v", p.path, i+1, call, err)
					}
				}
			}
		}
	}
}

var begins = regexp.MustCompile(`(?m)(^|[|;&(]\s*|\bsudo |^\s*[A-Z_]+=\S+ )(cw) `)

// calls finds the calls of cw in a shell line. It is no shell: quotes are
// minded, but nothing is expanded.
func calls(text string) []string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	var found []string
	for _, at := range begins.FindAllStringSubmatchIndex(text, -1) {
		rest, _, _ := strings.Cut(text[at[4]:], "\n")
		quoted, cut := byte(0), len(rest)
		for i := range len(rest) {
			switch ch := rest[i]; {
			case quoted != 0 && ch == quoted:
				quoted = 0
			case quoted == 0 && (ch == '\'' || ch == '"'):
				quoted = ch
			case quoted == 0 && (strings.ContainsRune("|;&><)", rune(ch)) || ch == '#' && rest[i-1] == ' '):
				cut = min(cut, i)
			}
		}
		found = append(found, strings.TrimSuffix(strings.TrimSpace(rest[:cut]), " 2"))
	}
	return found
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)

// parses has cw's own command tree read a call: with --help in it the command,
// its flags and their values are parsed, and nothing is done.
func parses(call string) error {
	argv := word.FindAllString(call, -1)
	for i := range argv {
		argv[i] = strings.Trim(argv[i], `'"`)
	}
	if len(argv) < 2 || argv[1] == "gpload" || argv[1] == "gpfdist" || argv[1] == "gpcheckperf" || strings.HasPrefix(argv[1], "COMMAND") || argv[1] == "help" || argv[1] == "--version" {
		return nil // those have parsers of their own
	}
	// Before the first flag: behind the last it could be that one's value.
	at := slices.IndexFunc(argv, func(w string) bool { return strings.HasPrefix(w, "-") })
	if at < 0 {
		at = len(argv)
	}
	streams, out, errOut := commands.TestStreams("")
	if code := commands.Main(context.Background(), streams, slices.Insert(slices.Clone(argv), at, "--help")); code != 0 {
		if strings.Contains(errOut.String(), "flag needs an argument") {
			return nil // a sentence that names the flag alone
		}
		return fmt.Errorf("exit code %d: %s", code, errOut.String())
	}
	_, usage, _ := strings.Cut(out.String(), "\nUsage:\n  ")
	usage, _, _ = strings.Cut(usage, "\n")
	path, isGroup := strings.CutSuffix(usage, " COMMAND")
	if !isGroup {
		return nil
	}
	if n := len(strings.Fields(path)); len(argv) > n && !strings.HasPrefix(argv[n], "-") {
		return fmt.Errorf("%s has no command %s", path, argv[n])
	}
	return nil
}

// TestFilesInPages reads the YAML of the pages with cw's own parsers.
func TestFilesInPages(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		for _, it := range p.items {
			if it.lang != "yaml" {
				continue
			}
			name := fmt.Sprintf("%s:%d", filepath.Base(p.path), it.line)
			var err error
			switch {
			case it.partial:
				var any map[string]any
				err = yaml.Unmarshal([]byte(it.text), &any)
			case strings.Contains(it.text, "SINK:"):
				_, err = loadspec.ParseUnload(name, []byte(it.text))
			case strings.Contains(it.text, "GPLOAD:"):
				_, err = loadspec.Parse(name, []byte(it.text))
			case strings.Contains(it.text, "kind: Cluster"):
				_, err = cluster.Parse(name, []byte(it.text))
			default:
				t.Errorf("%s: YAML of which nothing is known; is it <!-- only to read -->?", name)
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
