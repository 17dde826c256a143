package tui

// paint draws the header and the window of rows in h lines.
func (t *table[T]) paint(p *painter, c *scene, h int, cursor bool) {
	if h <= 0 {
		return
	}
	t.rows = max(0, h-1)
	t.cur = max(0, min(t.cur, len(t.index)-1))
	t.off = max(0, min(t.off, t.cur, len(t.index)-t.rows))
	if t.cur >= t.off+t.rows {
		t.off = t.cur - t.rows + 1
	}
	n := max(0, min(t.rows, len(t.index)-t.off))
	t.layout(c, p.w-2, n)
	t.header(p)
	for row := range n {
		r := &t.items[t.index[t.off+row]]
		t.row(p, c, r, row, cursor && t.off+row == t.cur)
	}
	if n == 0 && t.rows > 0 {
		p.text(stDim, "  "+t.emptyText())
		p.nl()
		n = 1
	}
	for ; n < t.rows; n++ {
		p.nl()
	}
}

func (t *table[T]) emptyText() string {
	switch {
	case t.filter.text != "":
		return "no row matches /" + t.filter.text + " (esc clears the filter)"
	case t.problems:
		return "no problems (e shows all rows)"
	}
	return t.empty
}

// layout formats the rows of the window into the arena and gives the columns
// their widths.
func (t *table[T]) layout(c *scene, w, n int) {
	if t.natural == nil {
		n := len(t.cols)
		t.natural, t.widths, t.sizes, t.filled = make([]int, n), make([]int, n), make([]colSize, n), make([]bool, n)
	}
	t.arena, t.spans = t.arena[:0], t.spans[:0]
	for i := range t.cols {
		col := &t.cols[i]
		title := len(col.name)
		if i == t.sortBy {
			title += 2
		}
		t.natural[i] = max(t.natural[i], title)
		t.sizes[i] = colSize{prio: col.prio, min: col.min, max: col.max, flex: col.flex, hidden: col.wide && !t.wide || c.w < col.from}
	}
	c.wide = t.wide
	for row := range n {
		r := &t.items[t.index[t.off+row]]
		for i := range t.cols {
			from := len(t.arena)
			if !t.sizes[i].hidden {
				t.arena = t.cols[i].cell(t.arena, c, r)
				t.filled[i] = t.filled[i] || len(t.arena) > from
				if t.natural[i] < t.cols[i].max {
					t.natural[i] = max(t.natural[i], cells(t.arena[from:], c.g.ascii))
				}
			}
			t.spans = append(t.spans, span{from, len(t.arena)})
		}
	}
	for i := range t.sizes {
		t.sizes[i].natural = t.natural[i]
		t.sizes[i].hidden = t.sizes[i].hidden || t.cols[i].ifAny && !t.filled[i]
	}
	fit(t.sizes, t.widths, w)
}

func (t *table[T]) header(p *painter) {
	p.spaces(2)
	first := true
	for i := range t.cols {
		if t.widths[i] == 0 {
			continue
		}
		if !first {
			p.spaces(1)
		}
		first = false
		t.scratch = append(t.scratch[:0], t.cols[i].name...)
		if i == t.sortBy {
			arrow := p.g.up
			if t.desc {
				arrow = p.g.downArrow
			}
			t.scratch = append(append(t.scratch, ' '), arrow...)
		}
		p.cell(stTitle, t.scratch, t.widths[i], t.cols[i].right)
	}
	p.nl()
}

func (t *table[T]) row(p *painter, c *scene, r *T, row int, selected bool) {
	p.sel = selected
	base := stPlain
	if t.rowSt != nil {
		base = t.rowSt(c, r)
	}
	if selected {
		p.text(stPlain, p.g.cursor)
	} else {
		p.spaces(1)
	}
	marked := false
	if len(t.marks) > 0 {
		t.scratch = t.id(t.scratch[:0], r)
		_, marked = t.marks[string(t.scratch)]
	}
	if marked {
		p.text(stKey, p.g.mark)
	} else {
		p.spaces(1)
	}
	first := true
	for i := range t.cols {
		if t.widths[i] == 0 {
			continue
		}
		if !first {
			p.spaces(1)
		}
		first = false
		st := base
		if t.cols[i].style != nil && base == stPlain {
			st = t.cols[i].style(c, r)
		}
		s := t.spans[row*len(t.cols)+i]
		p.cell(st, t.arena[s.from:s.to], t.widths[i], t.cols[i].right)
	}
	p.nl()
}
