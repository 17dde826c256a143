package tui

// colSize is what the layout of a table knows of a column.
type colSize struct {
	prio     int // 0 is always shown; the highest goes first
	min, max int
	natural  int // of what is in it
	flex     int // share of what is left
	hidden   bool
}

// fit gives every column its cells, 0 to those that are not shown, so that
// with one cell between them they need no more than w.
func fit(cols []colSize, widths []int, w int) {
	used, shown := 0, 0
	for i := range widths {
		widths[i] = 0
	}
	// The important ones first. A column comes in when those before it have
	// all they want: a name cut in the middle is worth less than a column
	// left out. The first ones are there in any case.
	want := 0
	for prio := range 10 {
		for i, c := range cols {
			if c.hidden || c.prio != prio {
				continue
			}
			gap := min(1, shown)
			full := c.min
			if c.flex == 0 {
				full = max(c.min, min(c.natural, c.max))
			}
			if prio > 0 && want+gap+full > w && used+gap+c.min > w || prio > 1 && want+gap+full > w {
				continue
			}
			widths[i] = c.min
			used += gap + c.min
			want += gap + full
			shown++
		}
	}
	// Then what their contents want, up to their most; those that can use any
	// width are served last.
	for step := range 20 {
		for i, c := range cols {
			if widths[i] == 0 || c.prio != step%10 || (c.flex > 0) != (step >= 10) {
				continue
			}
			more := min(min(c.natural, c.max)-widths[i], w-used)
			if more > 0 {
				widths[i] += more
				used += more
			}
		}
	}
	// What is left goes to those that can always use it.
	flex := 0
	for i, c := range cols {
		if widths[i] > 0 {
			flex += c.flex
		}
	}
	left := w - used
	for i, c := range cols {
		if widths[i] > 0 && c.flex > 0 && left > 0 {
			more := left * c.flex / flex
			widths[i] += more
			left -= more
			flex -= c.flex
		}
	}
}
