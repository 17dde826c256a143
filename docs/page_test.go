package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A page is read as a stranger would paste it: every fenced block of shell
// lines from top to bottom. A block of text that follows at once is what the
// last of them answers. HTML comments, which no reader sees, say what the
// reader's own machine has and this one lacks:
//
//	<!-- run: COMMANDS -->     done here before the next block
//	<!-- not run: REASON -->   the next block is only parsed
//	<!-- exit: 8 -->           the exit code of the last command of the next block
//	<!-- only to read -->      the next YAML block is a part of a file

// page is one file of the documentation.
type page struct {
	path  string // from the root of the repository
	items []item
}

// item is a block of shell commands, a YAML document or a hidden command.
type item struct {
	line     int
	lang     string // sh, yaml, hidden
	commands []command
	text     string // of YAML
	notRun   string // the reason
	partial  bool
}

// command is what is pasted at once, and what the page says that it answers.
type command struct {
	line int
	text string
	want []string
	code int
}

var (
	fence  = regexp.MustCompile("^```(\\w*)\\s*$")
	hidden = regexp.MustCompile(`(?s)^<!-- (run|not run|exit|only to read):?\s?(.*?)\s*-->$`)
)

// pages are the README and all pages that are written by hand.
func pages(t *testing.T) []page {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []page
	for _, f := range append([]string{"../README.md"}, files...) {
		if !generated(f) {
			found = append(found, readPage(t, f))
		}
	}
	return found
}

// generated are the pages that programs make, with tests of their own.
func generated(file string) bool { return file == "commands.md" || file == "benchmarks.md" }

func readPage(t *testing.T, path string) page {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path}
	lines := strings.Split(string(data), "\n")
	var next item
	code, afterBlock := 0, 0
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "<!-- ") {
			text, end := lines[i], i
			for !strings.Contains(lines[end], "-->") {
				end++
				text += "\n" + lines[end]
			}
			m := hidden.FindStringSubmatch(text)
			switch {
			case m == nil:
				t.Errorf("%s:%d: a comment that is none of: run, not run, exit, only to read", path, i+1)
			case m[1] == "run":
				p.items = append(p.items, item{line: i + 1, lang: "hidden", commands: []command{{line: i + 1, text: m[2]}}})
			case m[1] == "not run":
				next.notRun = m[2]
			case m[1] == "only to read":
				next.partial = true
			case m[1] == "exit":
				code, err = strconv.Atoi(m[2])
				if err != nil {
					t.Errorf("%s:%d: %v", path, i+1, err)
				}
			}
			i = end
			continue
		}
		m := fence.FindStringSubmatch(lines[i])
		if m == nil {
			if strings.HasPrefix(lines[i], "    ") && (i == 0 || strings.TrimSpace(lines[i-1]) == "") {
				t.Errorf("%s:%d: an indented block, which says not what it is: use ```sh", path, i+1)
			}
			continue
		}
		end := i + 1 + slices.Index(lines[i+1:], "```")
		if end <= i {
			t.Fatalf("%s:%d: a block without end", path, i+1)
		}
		next.line, next.lang = i+1, m[1]
		switch body := lines[i+1 : end]; m[1] {
		case "sh", "bash":
			next.lang, next.commands = "sh", shell(body, i+2)
		case "yaml":
			next.text = strings.Join(body, "\n") + "\n"
		case "text":
			if before := lastCommand(p.items); before != nil && strings.TrimSpace(strings.Join(lines[afterBlock:i], "")) == "" {
				before.want = body
			}
		case "go", "sql", "":
		default:
			t.Errorf("%s:%d: a block of %s is not known here", path, i+1, m[1])
		}
		if len(next.commands) > 0 {
			next.commands[len(next.commands)-1].code = code
		} else if code != 0 {
			t.Errorf("%s:%d: an exit code without a command", path, i+1)
		}
		p.items = append(p.items, next)
		next, code, i, afterBlock = item{}, 0, end, end+1
	}
	return p
}

// lastCommand is the command that what follows may be the answer to.
func lastCommand(items []item) *command {
	if len(items) == 0 || items[len(items)-1].lang != "sh" {
		return nil
	}
	c := items[len(items)-1].commands
	return &c[len(c)-1]
}

var heredoc = regexp.MustCompile(`<<-?\s*'?(\w+)'?`)

// shell divides a block that is nothing but commands.
func shell(body []string, line int) []command {
	var all []command
	for i := 0; i < len(body); i++ {
		if strings.TrimSpace(body[i]) == "" || strings.HasPrefix(body[i], "#") {
			continue
		}
		c := command{line: line + i, text: body[i]}
		end := ""
		if m := heredoc.FindStringSubmatch(body[i]); m != nil {
			end = m[1]
		}
		for i+1 < len(body) && (strings.HasSuffix(body[i], `\`) || end != "") {
			i++
			c.text += "\n" + body[i]
			if body[i] == end {
				end = ""
			}
		}
		all = append(all, c)
	}
	return all
}
