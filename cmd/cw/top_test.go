package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

const fakeCluster = "1:4:2" // seed, hosts, segments of each

// Every view at every size: what it is about is on the screen, which is full
// and not more than full.
func TestTopViews(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{60, 16}, {80, 24}, {120, 40}, {200, 50}} {
		for _, theme := range []string{"dark", "light", "mono"} {
			if theme != "dark" && size[0] != 80 {
				continue
			}
			t.Run(fmt.Sprintf("%dx%d %s", size[0], size[1], theme), func(t *testing.T) {
				t.Parallel()
				s := newScreen(t, size[0], size[1], nil, "top", "--fake", fakeCluster, "--theme", theme)
				s.shows("prod-dw", "degraded")
				for _, view := range []struct {
					key   string
					words []string
				}{
					{"2", []string{"sdw01:6001"}},
					{"3", []string{"HOST", "sdw04"}},
					{"4", []string{"l1q2mx0", "public."}},
					{"5", []string{"PID", "20023"}},
					{"6", []string{"! warning", "/data1 is 91"}},
					{"1", []string{"sdw01", "degraded"}},
				} {
					s.keys(view.key)
					text := s.shows(view.words...)
					if n := strings.Count(text, "\n"); n != size[1] {
						t.Errorf("view %s: %d rows, want %d", view.key, n, size[1])
					}
					if strings.Contains(text, before) {
						t.Errorf("view %s is not on a screen of its own:\n%s", view.key, text)
					}
					for line := range strings.Lines(text) {
						if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > size[0] {
							t.Errorf("view %s: a line is too long: %s", view.key, line)
						}
					}
				}
				s.keys("q")
				s.ends(0)
			})
		}
	}
}

// A terminal that is too small says so, and lets one out; made larger, it is
// as any other, and the other way round.
func TestTopResize(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 39, 9, nil, "top", "--fake", fakeCluster)
	s.shows("need 40x10")
	s.resize(120, 40)
	s.shows("1 Overview") // a key that comes before is for the screen that is too small
	s.keys("3")
	s.shows("HOST", "sdw04")
	s.resize(60, 16)
	s.until("sixteen rows", func(text string) bool {
		return strings.Count(text, "\n") == 16 && strings.Contains(text, "sdw04") && !strings.Contains(text, "need 40x10")
	})
	s.resize(39, 9)
	s.shows("need 40x10")
	s.keys("q")
	s.ends(0)
}

// No colour but bold and reverse with NO_COLOR, whatever its value.
func TestTopNoColor(t *testing.T) {
	t.Parallel()
	colour := regexp.MustCompile(`\x1b\[(\d+;)*(3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8[;:])`)
	plain := newScreen(t, 80, 24, []string{"NO_COLOR=yes"}, "top", "--fake", fakeCluster)
	plain.shows("prod-dw", "degraded")
	dressed := newScreen(t, 80, 24, []string{"NO_COLOR="}, "top", "--fake", fakeCluster, "--theme", "dark")
	dressed.shows("prod-dw", "degraded")
	for _, key := range []string{"1", "2", "3", "4", "5", "6"} {
		plain.keys(key)
		plain.until("view "+key, func(text string) bool { return strings.Contains(text, " "+key+" ") })
		if text := plain.tmux("capture-pane", "-e", "-p"); colour.MatchString(text) {
			t.Errorf("view %s has colours with NO_COLOR=yes: %q", key, colour.FindString(text))
		}
	}
	if text := dressed.tmux("capture-pane", "-e", "-p"); !colour.MatchString(text) {
		t.Error("no colours with an empty NO_COLOR: the test looks for the wrong thing")
	}
	plain.keys("q")
	plain.ends(0)
}

// Only ASCII where the locale says so.
func TestTopASCII(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want bool
	}{
		{"LANG=C", []string{"LANG=C"}, nil, true},
		{"LC_ALL=POSIX", []string{"LC_ALL=POSIX"}, nil, true},
		{"--ascii", nil, []string{"--ascii"}, true},
		{"UTF-8", nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, 120, 40, c.env, append([]string{"top", "--fake", fakeCluster}, c.args...)...)
			s.shows("prod-dw", "degraded", "sdw04")
			for _, key := range []string{"1", "2", "3"} { // whose text is cw's own
				s.keys(key)
				text := s.shows("sdw0")
				if ascii := len(text) == utf8.RuneCountInString(text); ascii != c.want {
					t.Errorf("view %s: only ASCII: %v, want %v\n%s", key, ascii, c.want, text)
				}
			}
			s.keys("q")
			s.ends(0)
		})
	}
}

// What is no terminal gets a snapshot.
func TestTopDumbTerminal(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 120, 60, []string{"TERM=dumb"}, "top", "--fake", fakeCluster)
	text := s.shows(`TERM is "dumb": one snapshot, as with --once`, "prod-dw is DEGRADED", "exit code 0")
	if strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	s.ends(0)
}

// However it ends, the terminal is as it was.
func TestTopRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(s *screen)
		code int
	}{
		{"q", func(s *screen) { s.keys("q") }, 0},
		{"ctrl-c", func(s *screen) { s.keys("C-c") }, -1},
		{"TERM", func(s *screen) { s.signal(syscall.SIGTERM) }, 130},
		{"INT", func(s *screen) { s.signal(syscall.SIGINT) }, 130},
		{"HUP", func(s *screen) { s.signal(syscall.SIGHUP) }, 130},
		{"q in a page", func(s *screen) {
			s.keys("3")
			s.shows("HOST")
			s.keys("Enter")
			s.shows("cdw")
			s.keys("q", "q")
		}, 0},
		{"TERM in a dialog", func(s *screen) {
			s.keys("4")
			s.shows("l1q2mx0")
			s.keys("x")
			s.shows("Cancel")
			s.signal(syscall.SIGTERM)
		}, 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, 80, 24, nil, "top", "--fake", fakeCluster, "--mouse")
			s.shows("prod-dw", "degraded")
			c.end(s)
			if c.code >= 0 {
				s.ends(c.code)
				return
			}
			text := s.shows("exit code ")
			if !strings.Contains(text, "exit code 0\n") && !strings.Contains(text, "exit code 130\n") {
				t.Errorf("the screen is\n%s", text)
			}
		})
	}
}

// The limit of a load changes with a key; the recording of it shows the same,
// and refuses to be changed.
func TestTopRecordAndReplay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "top.jsonl")
	s := newScreen(t, 120, 40, nil, "top", "--fake", fakeCluster, "--record", file)
	s.keys("4")
	s.shows("l1q2mx0", "l2q2mx1")
	s.keys("j") // the second one has a limit of 200MB/s
	s.keys("{")
	s.shows("180MB/s")
	s.until("the limit in the recording", func(string) bool {
		data, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(data), `"limit":180000000`)
	})
	s.keys("q")
	s.ends(0)

	r := newScreen(t, 120, 40, nil, "top", "--replay", file, "--speed", "10x")
	r.keys("4")
	r.shows("l2q2mx1", "180MB/s")
	r.keys("j", "{")
	r.until("a word about why not", func(text string) bool {
		return strings.Contains(text, "read-only") || strings.Contains(text, "recording")
	})
	r.keys("q")
	r.ends(0)
}
