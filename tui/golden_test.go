package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path) //nolint:gosec // a name of this test
	if err != nil {
		t.Fatal(err)
	}
	if got+"\n" != string(want) {
		t.Errorf("%s is another screen now (go test -update writes it):\n%s", path, got)
	}
}

func TestGoldenViews(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{39, 9}, {60, 16}, {80, 24}, {120, 40}, {200, 50}} {
		for view := 1; view <= viewCount; view++ {
			name := fmt.Sprintf("%d-%dx%d.txt", view, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newDash(t, size[0], size[1], usual(), func(o *Options) { o.View = view })
				b.tick(9)
				golden(t, name, b.screen())
			})
		}
	}
}

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		view int
		keys []string
	}{
		{"page-overview-load", 1, []string{"enter"}},
		{"page-node", 2, []string{"j", "j", "j", "j", "enter"}},
		{"page-host", 3, []string{"j", "j", "enter"}},
		{"page-load", 4, []string{"j", "enter"}},
		{"page-session", 5, []string{"enter"}},
		{"page-blocked", 5, []string{"f2", "enter"}},
		{"page-event", 6, []string{"enter"}},
		{"page-log", 2, []string{"t"}},
		{"help", 4, []string{"?"}},
		{"palette", 3, []string{":", "s"}},
		{"dialog-cancel", 5, []string{"C"}},
		{"dialog-recover", 2, []string{"r"}},
		{"filter", 2, []string{"/", "s", "d", "w", "0", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newDash(t, 80, 24, usual(), func(o *Options) { o.View = c.view })
			b.tick(9)
			b.keys(c.keys...)
			golden(t, c.name+"-80x24.txt", b.screen())
		})
	}
}

func TestGoldenThemes(t *testing.T) {
	t.Parallel()
	for _, th := range []ThemeName{ThemeDark, ThemeLight, ThemeMono} {
		t.Run(string(th), func(t *testing.T) {
			t.Parallel()
			b := newDash(t, 120, 40, usual(), func(o *Options) { o.View, o.Theme = 2, th })
			b.tick(9)
			golden(t, string(th)+"-2-120x40.ansi", b.frame())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		t.Parallel()
		b := newDash(t, 80, 24, usual(), func(o *Options) { o.View, o.ASCII = 1, true })
		b.tick(9)
		golden(t, "ascii-1-80x24.txt", b.screen())
		for i, c := range []byte(b.screen()) {
			if c >= 0x80 {
				t.Fatalf("byte %d is %#x: not ASCII", i, c)
			}
		}
	})
}
