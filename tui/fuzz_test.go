package tui

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"cw/tui/source"
)

// checkFrame holds every line to its width, the frame to its height, and the
// bytes to what the theme may send.
func checkFrame(t *testing.T, frame string, w, h int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) != h {
		t.Fatalf("%d lines at a height of %d", len(lines), h)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > w {
			t.Fatalf("line %d has %d cells at a width of %d: %q", i, n, w, l)
		}
		if n := ansi.StringWidthWc(l); n > w {
			t.Fatalf("line %d has %d cells by wcwidth at a width of %d: %q", i, n, w, l)
		}
		checkBytes(t, l)
	}
}

// checkBytes: no control character but the theme's own colours.
func checkBytes(t *testing.T, line string) {
	t.Helper()
	rest := line
	for {
		before, after, ok := strings.Cut(rest, "\x1b")
		for _, r := range before {
			if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200d {
				t.Fatalf("character %U reaches the terminal: %q", r, line)
			}
		}
		if !ok {
			return
		}
		end := strings.IndexByte(after, 'm')
		if end < 0 || after[0] != '[' || strings.Trim(after[1:end], "0123456789;") != "" {
			t.Fatalf("an escape sequence that is not a colour: %q", line)
		}
		rest = after[end+1:]
	}
}

const nasty = "数据\x1b[2J\x1b]52;c;aGk=\x07\u009b31m\u202eevil\u200d👩‍👩‍👧 🇩🇪e\u0301\u0301\u0301\u0301\x00\x7f\xff\xfe한국어\t\r\n｡ﾟ"

func FuzzFrame(f *testing.F) {
	for view := range byte(viewCount) {
		f.Add(uint16(80), uint16(24), view, nasty, "jl/?")
		f.Add(uint16(200), uint16(50), view, nasty, "\rwj")
		f.Add(uint16(39), uint16(9), view, "", "q")
		f.Add(uint16(41), uint16(10), view, nasty, "C?")
		f.Add(uint16(300), uint16(120), view, nasty, "L5")
		f.Add(uint16(1), uint16(1), view, nasty, ":")
	}
	f.Fuzz(func(t *testing.T, w, h uint16, view byte, text, keys string) {
		width, height := 1+int(w)%300, 1+int(h)%120
		if len(keys) > 20 || len(text) > 2000 {
			return
		}
		for _, ascii := range []bool{false, true} {
			b := newDash(t, width, height, usual(), func(o *Options) { o.View, o.ASCII = 1+int(view)%viewCount, ascii })
			b.tick(5)
			s := *b.fake.Next()
			spoil(&s, text)
			b.app.show(&s)
			checkFrame(t, b.frame(), width, height)
			for _, r := range keys {
				if r == 'q' { // the source is asked to do what keys say, but leaving ends it
					continue
				}
				k := key(string(r))
				if r == '\r' {
					k = key("enter")
				}
				b.send(k)
				checkFrame(t, b.frame(), width, height)
			}
		}
	})
}

// spoil puts text everywhere where it comes from elsewhere.
func spoil(s *source.Snapshot, text string) {
	s.Cluster.Name, s.Cluster.Version = text, text
	s.Cluster.Problems = []string{text, text}
	s.Sessions.Err = text
	s.Sessions.Items = append([]source.Session(nil), s.Sessions.Items...)
	for i := range s.Sessions.Items {
		x := &s.Sessions.Items[i]
		x.Query, x.User, x.App, x.Database, x.Wait = text, text, text, text, text
	}
	s.Events.Items = append([]source.Event(nil), s.Events.Items...)
	for i := range s.Events.Items {
		s.Events.Items[i].Message, s.Events.Items[i].Kind = text, text
	}
	s.Nodes.Items = append([]source.Node(nil), s.Nodes.Items...)
	for i := range s.Nodes.Items {
		s.Nodes.Items[i].Detail, s.Nodes.Items[i].DataDir, s.Nodes.Items[i].Host = text, text, text
	}
	s.Loads.Items = append([]source.Load(nil), s.Loads.Items...)
	for i := range s.Loads.Items {
		s.Loads.Items[i].Target, s.Loads.Items[i].Spec, s.Loads.Items[i].Error = text, text, text
	}
	s.Hosts.Items = append([]source.Host(nil), s.Hosts.Items...)
	for i := range s.Hosts.Items {
		s.Hosts.Items[i].Name, s.Hosts.Items[i].Err = text, text
	}
}

func FuzzSafe(f *testing.F) {
	f.Add([]byte(nasty), 10, false)
	f.Add([]byte("plain"), 3, true)
	f.Fuzz(func(t *testing.T, text []byte, limit int, ascii bool) {
		limit = max(0, min(limit, 500))
		out, used, cut := appendSafe(nil, text, limit, ascii)
		if used > limit {
			t.Fatalf("%d cells, the limit is %d", used, limit)
		}
		if n := ansi.StringWidth(string(out)); n > used {
			t.Fatalf("%d cells are said to be %d: %q", n, used, out)
		}
		if n := ansi.StringWidthWc(string(out)); n > used {
			t.Fatalf("%d cells by wcwidth are said to be %d: %q", n, used, out)
		}
		checkBytes(t, string(out))
		if !cut && cells(text, ascii) != used {
			t.Fatalf("cells says %d, appendSafe used %d", cells(text, ascii), used)
		}
		if ascii && !isASCII(string(out)) {
			t.Fatalf("%q is not ASCII", out)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add("role:mirror !x", "Some MIRROR text")
	f.Add("(", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		flt, err := parseFilter(pattern, []string{"ROLE", "HOST"})
		if err != nil {
			return
		}
		for i := range flt.terms {
			m := &flt.terms[i]
			got := m.match([]byte(text))
			if m.fold != nil && isASCII(text) && got != strings.Contains(strings.ToLower(text), string(m.fold)) {
				t.Fatalf("%q in %q: %v", m.fold, text, got)
			}
		}
	})
}
