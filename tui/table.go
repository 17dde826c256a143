package tui

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/tui/source"
)

// scene is what cells are written with.
type scene struct {
	now  time.Time
	g    *glyphs
	snap *source.Snapshot
	sum  *summary
	wide bool
	w    int // of the screen
}

// column is one column of a table of T.
type column[T any] struct {
	name     string // of the header, of filters and of sorting
	prio     int    // 0 is always shown; the highest goes first when there is no room
	min, max int
	flex     int
	right    bool
	wide     bool // only after w
	from     int  // only on screens of at least this width
	cell     func(b []byte, c *scene, r *T) []byte
	style    func(c *scene, r *T) style
	cmp      func(a, b *T) int
	find     func(b []byte, c *scene, r *T) []byte // what filters look at, when it is not the cell
}

// span is a piece of the arena.
type span struct{ from, to int }

// table shows a window of rows. The cursor is on a row's identity, not its
// number; only the rows in the window are formatted.
type table[T any] struct {
	cols    []column[T]
	id      func(b []byte, r *T) []byte
	problem func(c *scene, r *T) bool
	keep    func(r *T) bool // a view's own choice of rows
	empty   string          // what it says without rows
	rowSt   func(c *scene, r *T) style

	items    []T
	index    []int32
	old      bool // index is not yet that of items
	sel      []byte
	cur, off int
	rows     int // in the window when it was last painted
	sortBy   int // -1: as they come
	desc     bool
	filter   filter
	problems bool
	wide     bool
	follow   bool
	marks    map[string]struct{}

	natural []int // widths seen: they only grow, or columns would jump while scrolling
	widths  []int
	sizes   []colSize
	arena   []byte
	spans   []span
	scratch []byte
}

// names are the columns, for completion and sorting.
func (t *table[T]) names() []string {
	out := make([]string, len(t.cols))
	for i, c := range t.cols {
		out[i] = c.name
	}
	return out
}

// set takes the rows of a new snapshot. They are put in order when somebody
// looks.
func (t *table[T]) set(items []T) {
	t.items, t.index, t.old = items, t.index[:0], true
}

// refresh puts the rows in order, if that has not been done yet.
func (t *table[T]) refresh(c *scene) {
	if t.old {
		t.rebuild(c)
	}
}

// rebuild chooses and orders the rows and finds the cursor's row again.
func (t *table[T]) rebuild(c *scene) {
	t.index, t.old = t.index[:0], false
	for i := range t.items {
		if t.shows(c, &t.items[i]) {
			t.index = append(t.index, int32(i)) //nolint:gosec // rows, not bytes: far below 2^31
		}
	}
	if t.sortBy >= 0 {
		if cmp := t.cols[t.sortBy].cmp; cmp != nil {
			sign := 1
			if t.desc {
				sign = -1
			}
			slices.SortStableFunc(t.index, func(a, b int32) int { return sign * cmp(&t.items[a], &t.items[b]) })
		}
	}
	if t.follow {
		t.cur = len(t.index) - 1
	} else if len(t.sel) > 0 {
		for n, i := range t.index {
			t.scratch = t.id(t.scratch[:0], &t.items[i])
			if string(t.scratch) == string(t.sel) {
				t.cur = n
				break
			}
		}
	}
	t.moveTo(t.cur)
}

func (t *table[T]) shows(c *scene, r *T) bool {
	if t.keep != nil && !t.keep(r) {
		return false
	}
	if t.problems && t.problem != nil && !t.problem(c, r) {
		return false
	}
	for i := range t.filter.terms {
		term := &t.filter.terms[i]
		t.scratch = t.scratch[:0]
		for n := range t.cols {
			if term.col >= 0 && term.col != n {
				continue
			}
			if t.cols[n].find != nil {
				t.scratch = t.cols[n].find(t.scratch, c, r)
			} else {
				t.scratch = t.cols[n].cell(t.scratch, c, r)
			}
			t.scratch = append(t.scratch, ' ')
		}
		if term.match(t.scratch) == term.not {
			return false
		}
	}
	return true
}

// selected is the row under the cursor, nil without rows.
func (t *table[T]) selected() *T {
	if t.cur < 0 || t.cur >= len(t.index) {
		return nil
	}
	return &t.items[t.index[t.cur]]
}

// marked are the marked rows that are shown, or the one under the cursor.
func (t *table[T]) marked() []*T {
	var out []*T
	if len(t.marks) > 0 {
		for _, i := range t.index {
			t.scratch = t.id(t.scratch[:0], &t.items[i])
			if _, ok := t.marks[string(t.scratch)]; ok {
				out = append(out, &t.items[i])
			}
		}
	} else if r := t.selected(); r != nil {
		out = append(out, r)
	}
	return out
}

func (t *table[T]) moveTo(n int) {
	t.cur = max(0, min(n, len(t.index)-1))
	if r := t.selected(); r != nil {
		t.sel = t.id(t.sel[:0], r)
	}
}

func (t *table[T]) move(n int) {
	t.follow = false
	t.moveTo(t.cur + n)
}

func (t *table[T]) page(pages float64) {
	t.move(int(pages * float64(max(1, t.rows))))
}

func (t *table[T]) top() { t.move(-len(t.index)) }

func (t *table[T]) bottom() { t.move(len(t.index)) }

// sortNext moves the order to the next column that has one.
func (t *table[T]) sortNext(c *scene, step int) string {
	for range t.cols {
		t.sortBy += step
		if t.sortBy < -1 {
			t.sortBy = len(t.cols) - 1
		} else if t.sortBy >= len(t.cols) {
			t.sortBy = -1
		}
		if t.sortBy < 0 || t.cols[t.sortBy].cmp != nil && (t.wide || !t.cols[t.sortBy].wide) {
			break
		}
	}
	t.rebuild(c)
	return t.sortName()
}

func (t *table[T]) sortTo(c *scene, name string) bool {
	for i, col := range t.cols {
		if strings.EqualFold(col.name, name) && col.cmp != nil {
			t.sortBy = i
			t.rebuild(c)
			return true
		}
	}
	return false
}

func (t *table[T]) sortName() string {
	if t.sortBy < 0 {
		return ""
	}
	return t.cols[t.sortBy].name
}

func (t *table[T]) reverse(c *scene) {
	t.desc = !t.desc
	t.rebuild(c)
}

func (t *table[T]) setFilter(c *scene, text string) error {
	f, err := parseFilter(text, t.names())
	if err != nil {
		return err
	}
	t.filter = f
	t.rebuild(c)
	return nil
}

func (t *table[T]) filterText() string { return t.filter.text }

func (t *table[T]) toggleProblems(c *scene) bool {
	t.problems = !t.problems
	t.rebuild(c)
	return t.problems
}

func (t *table[T]) onlyProblems() bool { return t.problems }

func (t *table[T]) hasProblems() bool { return t.problem != nil }

func (t *table[T]) toggleWide() {
	t.wide = !t.wide
	clear(t.natural)
}

func (t *table[T]) toggleMark() {
	r := t.selected()
	if r == nil {
		return
	}
	key := string(t.id(nil, r))
	if _, ok := t.marks[key]; ok {
		delete(t.marks, key)
	} else {
		if t.marks == nil {
			t.marks = map[string]struct{}{}
		}
		t.marks[key] = struct{}{}
	}
	t.move(1)
}

func (t *table[T]) clearMarks() { clear(t.marks) }

func (t *table[T]) counts() (shown, all, marks int) { return len(t.index), len(t.items), len(t.marks) }

// rowText is the row as tab-separated columns.
func (t *table[T]) rowText(c *scene) string {
	r := t.selected()
	if r == nil {
		return ""
	}
	var parts []string
	for i := range t.cols {
		parts = append(parts, strings.TrimSpace(string(t.cols[i].cell(nil, c, r))))
	}
	return strings.Join(parts, "\t")
}

func (t *table[T]) rowJSON() (string, error) {
	r := t.selected()
	if r == nil {
		return "", nil
	}
	b, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("write the row as JSON: %w", err)
	}
	return string(b), nil
}

// click puts the cursor on a line of the window, counted from the header.
func (t *table[T]) click(line int) {
	if n := t.off + line - 1; line >= 1 && n < len(t.index) {
		t.follow = false
		t.moveTo(n)
	}
}
