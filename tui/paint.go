package tui

// painter writes lines of at most w cells. All text goes through appendSafe;
// escape sequences come from the theme alone.
type painter struct {
	th  *theme
	g   *glyphs
	w   int
	buf []byte
	// ends and wid are where each finished line ends in buf, and its cells.
	ends, wid []int
	x         int
	st        style
	sel       bool // the line is the one under the cursor: one style for all of it
}

// reset begins a new picture of a width and keeps the memory.
func (p *painter) reset(th *theme, g *glyphs, w int) {
	p.th, p.g, p.w = th, g, max(0, w)
	p.buf, p.ends, p.wid = p.buf[:0], p.ends[:0], p.wid[:0]
	p.x, p.st, p.sel = 0, stPlain, false
}

func (p *painter) use(s style) {
	if p.sel {
		s = stSel
	}
	if s == p.st {
		return
	}
	if p.st != stPlain && p.th.open[p.st] != "" {
		p.buf = append(p.buf, styleOff...)
	}
	p.buf = append(p.buf, p.th.open[s]...)
	p.st = s
}

// text writes what fits.
func (p *painter) text(s style, t string) { p.clip(s, t, p.w-p.x) }

func (p *painter) clip(s style, t string, limit int) {
	if t == "" || p.x >= p.w {
		return
	}
	p.use(s)
	var n int
	// The copy stays on the stack: short texts only, long ones are cells.
	var tmp [256]byte
	p.buf, n, _ = appendSafe(p.buf, append(tmp[:0], t...), min(limit, p.w-p.x), p.g.ascii)
	p.x += n
}

// bytes is text for a slice.
func (p *painter) bytes(s style, t []byte) {
	if len(t) == 0 || p.x >= p.w {
		return
	}
	p.use(s)
	var n int
	p.buf, n, _ = appendSafe(p.buf, t, p.w-p.x, p.g.ascii)
	p.x += n
}

// cell writes text in exactly w cells, cut with an ellipsis.
func (p *painter) cell(s style, t []byte, w int, right bool) {
	w = min(w, p.w-p.x)
	if w <= 0 {
		return
	}
	p.use(s)
	start := p.x
	if right {
		if n := cells(t, p.g.ascii); n < w {
			p.spaces(w - n)
		}
	}
	body := len(p.buf)
	var n int
	var cut bool
	p.buf, n, cut = appendSafe(p.buf, t, w-(p.x-start), p.g.ascii)
	if cut {
		p.buf = p.buf[:body]
		p.buf, n, _ = appendSafe(p.buf, t, w-1, p.g.ascii)
		p.buf = append(p.buf, p.g.ellipsis...)
		n++
	}
	p.x += n
	p.spaces(w - (p.x - start))
}

func (p *painter) spaces(n int) {
	for range min(n, p.w-p.x) {
		p.buf = append(p.buf, ' ')
		p.x++
	}
}

// to moves to a column, in the plain style.
func (p *painter) to(x int) {
	if x > p.x {
		p.use(stPlain)
		p.spaces(x - p.x)
	}
}

// repeat writes a glyph of one cell n times.
func (p *painter) repeat(s style, glyph string, n int) {
	p.use(s)
	for range min(n, p.w-p.x) {
		p.buf = append(p.buf, glyph...)
		p.x++
	}
}

// nl ends the line.
func (p *painter) nl() {
	if p.sel {
		p.spaces(p.w - p.x)
		p.sel = false
	} else if p.st != stSel { // blanks at the end are only bytes
		for p.x > 0 && p.buf[len(p.buf)-1] == ' ' {
			p.buf = p.buf[:len(p.buf)-1]
			p.x--
		}
	}
	p.use(stPlain)
	p.ends = append(p.ends, len(p.buf))
	p.wid = append(p.wid, p.x)
	p.x = 0
}

func (p *painter) lines() int { return len(p.ends) }

func (p *painter) line(i int) []byte {
	start := 0
	if i > 0 {
		start = p.ends[i-1]
	}
	return p.buf[start:p.ends[i]]
}

// height makes the picture exactly h lines.
func (p *painter) height(h int) {
	for p.lines() < h {
		p.nl()
	}
	if h < len(p.ends) {
		p.ends, p.wid = p.ends[:h], p.wid[:h]
		p.buf = p.buf[:p.end()]
	}
}

func (p *painter) end() int {
	if len(p.ends) == 0 {
		return 0
	}
	return p.ends[len(p.ends)-1]
}

// inset writes line i of another picture, already safe, in exactly its width.
func (p *painter) inset(o *painter, i int) {
	p.use(stPlain)
	w := o.w
	if i < o.lines() {
		p.buf = append(p.buf, o.line(i)...)
		p.x += o.wid[i]
		w -= o.wid[i]
	}
	p.spaces(w)
}
