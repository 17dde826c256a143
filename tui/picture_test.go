package tui

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"cw/tui/source"
)

// TestPicture keeps docs/cw-top.svg, the README's picture, as what the
// dashboard paints: -update writes it.
func TestPicture(t *testing.T) {
	t.Parallel()
	b := newDash(t, 110, 32, source.FakeOptions{Seed: 7, Hosts: 4, SegmentsPerHost: 3, Loads: 3, Sessions: 12, Events: 20}, nil)
	b.tick(60)
	got := svg(b.app.View().Content, 110, 32)
	path := filepath.Join("..", "docs", "cw-top.svg")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Error("the dashboard looks otherwise than in docs/cw-top.svg: go test ./tui -run TestPicture -update draws it anew")
	}
}

// The size of a character cell, and the window around the cells.
const (
	cellW, cellH = 8.0, 17.0
	margin, head = 14.0, 34.0
)

// pen is how the terminal writes just now.
type pen struct {
	fg, bg                  string
	bold, faint, back, line bool
}

// svg draws what a terminal of that size shows.
func svg(frame string, cols, rows int) string {
	var b strings.Builder
	w, h := float64(cols)*cellW+2*margin, float64(rows)*cellH+head+margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="cw top: the overview of a cluster with its hosts, segments and loads">
<rect width="%g" height="%g" rx="9" fill="#16181d" stroke="#3b4048"/>
<circle cx="20" cy="17" r="5.5" fill="#ff5f57"/><circle cx="38" cy="17" r="5.5" fill="#febc2e"/><circle cx="56" cy="17" r="5.5" fill="#28c840"/>
<text x="%g" y="21.5" text-anchor="middle" font-family="sans-serif" font-size="12" fill="#8b929e">cw top</text>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace" font-size="13">
`, w, h, w, h, w/2)
	for row, line := range strings.Split(frame, "\n") {
		drawLine(&b, line, row)
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// drawLine draws the runs of a line that are written in one way. Each has its
// place and length, so that no font moves what stands behind it.
func drawLine(b *strings.Builder, line string, row int) {
	p, col := pen{}, 0
	for line != "" {
		text, rest, escape := strings.Cut(line, "\x1b[")
		if n := utf8.RuneCountInString(text); n > 0 {
			p.draw(b, text, n, col, row)
			col += n
		}
		if !escape {
			return
		}
		codes, after, ok := strings.Cut(rest, "m")
		if !ok {
			return
		}
		p.set(strings.Split(codes, ";"))
		line = after
	}
}

func (p pen) draw(b *strings.Builder, text string, n, col, row int) {
	fg, bg := p.fg, p.bg
	if fg == "" {
		fg = "#d7dae0"
	}
	if p.back {
		if bg == "" {
			bg = "#16181d"
		}
		fg, bg = bg, fg
	}
	x, y, w := margin+float64(col)*cellW, head+float64(row)*cellH, float64(n)*cellW
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%g" y="%g" width="%g" height="%g" fill="%s"/>`+"\n", x, y, w, cellH, bg)
	}
	left := strings.TrimLeft(text, " ")
	lead := len(text) - len(left)
	left = strings.TrimRight(left, " ")
	if left == "" {
		return
	}
	style := ""
	if p.bold {
		style += ` font-weight="bold"`
	}
	if p.faint {
		style += ` opacity="0.6"`
	}
	if p.line {
		style += ` text-decoration="underline"`
	}
	fmt.Fprintf(b, `<text x="%g" y="%g" textLength="%g" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
		x+float64(lead)*cellW, y+13, float64(utf8.RuneCountInString(left))*cellW, fg, style, strings.ReplaceAll(html.EscapeString(left), " ", "\u00a0")) // browsers fold spaces, whatever xml:space says
}

// set follows one escape sequence.
func (p *pen) set(codes []string) {
	for i := 0; i < len(codes); i++ {
		n, _ := strconv.Atoi(codes[i])
		switch {
		case n == 0:
			*p = pen{}
		case n == 1:
			p.bold = true
		case n == 2:
			p.faint = true
		case n == 4:
			p.line = true
		case n == 7:
			p.back = true
		case n == 22:
			p.bold, p.faint = false, false
		case n == 24:
			p.line = false
		case n == 27:
			p.back = false
		case n == 39:
			p.fg = ""
		case n == 49:
			p.bg = ""
		case n == 38 || n == 48:
			colour, used := extended(codes[i+1:])
			i += used
			if n == 38 {
				p.fg = colour
			} else {
				p.bg = colour
			}
		case n >= 30 && n <= 37:
			p.fg = sixteen(n - 30)
		case n >= 90 && n <= 97:
			p.fg = sixteen(n - 90 + 8)
		case n >= 40 && n <= 47:
			p.bg = sixteen(n - 40)
		case n >= 100 && n <= 107:
			p.bg = sixteen(n - 100 + 8)
		}
	}
}

// extended reads 5;N and 2;R;G;B.
func extended(codes []string) (colour string, used int) {
	number := func(i int) int {
		if i >= len(codes) {
			return 0
		}
		n, _ := strconv.Atoi(codes[i])
		return n
	}
	if number(0) == 2 {
		return fmt.Sprintf("#%02x%02x%02x", number(1), number(2), number(3)), 4
	}
	switch n := number(1); {
	case n < 16:
		return sixteen(n), 2
	case n >= 232:
		grey := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey), 2
	default:
		level := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		return fmt.Sprintf("#%02x%02x%02x", level((n-16)/36), level((n-16)/6%6), level((n-16)%6)), 2
	}
}

// sixteen are the sixteen colours, as a dark terminal has them.
func sixteen(n int) string {
	return strings.Fields("#2b303b #e06c75 #98c379 #e5c07b #61afef #c678dd #56b6c2 #d7dae0 #7f8794 #ff7b86 #b5e08f #ffd68a #7fc4ff #e08cf5 #6fd3df #ffffff")[n]
}
