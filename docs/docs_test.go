// Package docs_test runs the documentation: every command line of the README
// and of the pages in this folder is pasted into a shell, in a playground of
// its page's own, and what it answers is what the page shows. Lines that
// cannot be run here are parsed. With -update the placeholder @@@ in a page
// becomes the answer.
package docs_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the answers where a page has @@@")

// TestPages pastes every page, top to bottom.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, p := range pages(t) {
		name := strings.TrimSuffix(filepath.Base(p.path), ".md")
		if !p.runs() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.paste(t)
		})
	}
}

// runs tells whether there is a line in the page that is run.
func (p page) runs() bool {
	for _, i := range p.items {
		if i.lang == "sh" && i.notRun == "" {
			return true
		}
	}
	return false
}

func (p page) contains(word string) bool {
	data, err := os.ReadFile(p.path)
	return err == nil && strings.Contains(string(data), word)
}

func (p page) paste(t *testing.T) {
	s := newSandbox(t, p.contains("s3://"))
	ran := 0
	for _, it := range p.items {
		if it.notRun != "" {
			continue
		}
		for _, c := range it.commands {
			if it.lang == "hidden" {
				p.prepare(t, s, c)
				continue
			}
			began := time.Now()
			out, code, err := s.run(c.text)
			ran++
			if took := time.Since(began); took > time.Second {
				t.Logf("%s:%d: %.1f s: %s", p.path, c.line, took.Seconds(), c.text)
			}
			switch {
			case err != nil:
				t.Fatalf("%s:%d: %s\n%v\n%s", p.path, c.line, c.text, err, out)
			case code != c.code:
				t.Fatalf("%s:%d: %s\nexit code %d, the page has %d\n%s", p.path, c.line, c.text, code, c.code, out)
			case *update && len(c.want) == 1 && c.want[0] == "@@@":
				p.fill(t, c, out)
			case len(c.want) > 0 && !matches(c.want, answerLines(out)):
				t.Errorf("%s:%d: %s\nanswers\n%s\nand the page shows\n%s", p.path, c.line, c.text, out, strings.Join(c.want, "\n"))
			}
		}
	}
	t.Logf("%s: %d command lines run", p.path, ran)
}

// prepare does what a hidden comment says: "rename FROM [TO]" gives a word of
// the page another meaning, TO as the shell has it, anything else is for the shell.
func (p page) prepare(t *testing.T, s *sandbox, c command) {
	if words := strings.Fields(c.text); len(words) > 1 && words[0] == "rename" {
		to := ""
		if len(words) > 2 {
			out, code, err := s.run("printf %s " + strings.Join(words[2:], " "))
			if err != nil || code != 0 {
				t.Fatalf("%s:%d: %v\n%s", p.path, c.line, err, out)
			}
			to = out
		}
		s.rename(words[1], to)
		return
	}
	began := time.Now()
	defer func() { t.Logf("%s:%d: %.1f s: what is hidden", p.path, c.line, time.Since(began).Seconds()) }()
	if out, code, err := s.run(c.text); err != nil || code != 0 {
		t.Fatalf("%s:%d: the hidden commands: exit code %d, %v\n%s", p.path, c.line, code, err, out)
	}
}

// fill puts an answer in the place of the first @@@.
func (p page) fill(t *testing.T, c command, out string) {
	data, err := os.ReadFile(p.path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(data), "\n@@@\n", "\n"+strings.Join(append(answerLines(out), ""), "\n"), 1)
	if err := os.WriteFile(p.path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s:%d: filled in", p.path, c.line)
}
