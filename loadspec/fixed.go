package loadspec

import (
	"strconv"
	"strings"
)

// fixed takes the fields of FORMAT: fixed.
func (v *validator) fixed(c *Convert) {
	in := &v.spec.file.Load.Input
	c.Fill, c.Header, c.Unended = in.Fill, in.Header, in.Newline == NewlineNone
	if in.NullAs != nil {
		c.Null = strings.TrimRight(*in.NullAs, " ")
	}
	if in.Newline == NewlineCR {
		v.fail("GPLOAD.INPUT.NEWLINE", "CR: rows of FORMAT: fixed end with LF or CRLF, or not at all (NONE)")
	}
	if len(in.Fixed) == 0 {
		v.fail("GPLOAD.INPUT.FORMAT", "fixed wants FIXED: {column: width, …}, else nothing tells where fields end")
	}
	seen := map[string]bool{}
	total := 0
	for _, p := range in.Fixed {
		name := FoldName(p.Key)
		n, err := strconv.Atoi(p.Value)
		if err != nil || n < 1 || n > 1<<20 {
			v.fail("GPLOAD.INPUT.FIXED", "column %s: %q is no width: write a number of characters from 1 to %d", name, p.Value, 1<<20)
		}
		if seen[name] {
			v.fail("GPLOAD.INPUT.FIXED", "column %s is given twice", name)
		}
		seen[name] = true
		total += n
		c.Widths = append(c.Widths, Width{Column: name, Width: n})
	}
	if total > 1<<28 {
		v.fail("GPLOAD.INPUT.FIXED", "the fields have %d characters together: at most %d", total, 1<<28)
	}
}

// fixedColumns makes the fields the file's columns where COLUMNS names none,
// and checks those that it names.
func (v *validator) fixedColumns() {
	s := v.spec
	if s.Convert == nil || s.Convert.Kind != FormatFixed {
		return
	}
	width := map[string]bool{}
	var own []Column
	for _, w := range s.Convert.Widths {
		width[w.Column] = true
		if !strings.HasPrefix(w.Column, "_") {
			own = append(own, Column{Name: w.Column})
		}
	}
	if len(s.Columns) == 0 {
		s.Columns = own
		return
	}
	named := map[string]bool{}
	for _, c := range s.Columns {
		named[c.Name] = true
		if !width[c.Name] {
			v.fail("GPLOAD.INPUT.COLUMNS", "column %s has no width in FIXED", c.Name)
		}
	}
	for _, c := range own {
		if !named[c.Name] {
			v.fail("GPLOAD.INPUT.FIXED", "column %s is not in COLUMNS: begin its name with _ if it is not to be loaded", c.Name)
		}
	}
}
