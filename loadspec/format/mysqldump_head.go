package format

import (
	"errors"
	"io"
	"slices"
	"strings"

	"cw/fault"
	"cw/loadspec"
)

// create reads CREATE TABLE for the order of the columns.
func (d *dumpRows) create(i int) error {
	i, err := d.blank(i)
	if err != nil {
		return err
	}
	word, i, err := d.word(i)
	if err != nil {
		return err
	}
	d.state = dumpSkip
	if !strings.EqualFold(word, "TABLE") {
		return nil
	}
	again := func(err error) error {
		if errors.Is(err, errShort) {
			d.state = dumpTop
		}
		return err
	}
	if i, err = d.blank(i); err != nil {
		return again(err)
	}
	for _, w := range []string{"IF", "NOT", "EXISTS"} {
		word, j, err := d.word(i)
		if err != nil {
			return again(err)
		}
		if !strings.EqualFold(word, w) {
			break
		}
		if i, err = d.blank(j); err != nil {
			return again(err)
		}
	}
	table, i, err := d.name(i)
	if err != nil {
		return again(err)
	}
	if i, err = d.blank(i); err != nil {
		return again(err)
	}
	var columns []string
	if i < len(d.w.buf) && d.w.buf[i] == '(' {
		if columns, err = d.definitions(i + 1); err != nil {
			return again(err)
		}
	} else if i == len(d.w.buf) {
		return again(errShort)
	}
	if !slices.Contains(d.seen, table) {
		d.seen = append(d.seen, table)
	}
	if table == d.in.Convert.Table {
		d.found, d.known = true, columns
		if d.wantDDL {
			return again(d.whole(d.w.at, i))
		}
	}
	d.w.at = i
	return nil
}

// definitions are the names of the columns between the parentheses of CREATE
// TABLE: what begins with a quoted name is a column.
func (d *dumpRows) definitions(i int) (columns []string, err error) {
	depth, fresh := 1, true
	for depth > 0 {
		if i, err = d.blank(i); err != nil {
			return nil, err
		}
		if i == len(d.w.buf) {
			return nil, errShort
		}
		switch c := d.w.buf[i]; {
		case c == '`' && fresh:
			var name string
			if name, i, err = d.name(i); err != nil {
				return nil, err
			}
			columns, fresh = append(columns, name), false
			continue
		case c == '`' || c == '\'' || c == '"':
			if i, err = skipQuoted(d.w.buf, i); err != nil {
				return nil, err
			}
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		fresh = depth == 1 && d.w.buf[i] == ','
		i++
	}
	return columns, nil
}

// insert reads the head of an INSERT statement, up to the first row.
func (d *dumpRows) insert(i int) error {
	var word string
	var err error
	for !strings.EqualFold(word, "INTO") { // LOW_PRIORITY, DELAYED, IGNORE
		if i, err = d.blank(i); err != nil {
			return err
		}
		if word, i, err = d.word(i); err != nil {
			return err
		}
		if word == "" {
			return &jsonError{i, "INTO should stand here"}
		}
	}
	table, i, err := d.name(i)
	if err != nil {
		return err
	}
	if !slices.Contains(d.seen, table) {
		d.seen = append(d.seen, table)
	}
	if table != d.in.Convert.Table {
		d.w.at, d.state = i, dumpSkip
		return nil
	}
	if i, err = d.blank(i); err != nil {
		return err
	}
	columns := d.known
	if i < len(d.w.buf) && d.w.buf[i] == '(' {
		columns = nil
		for i < len(d.w.buf) && d.w.buf[i] != ')' {
			var name string
			if name, i, err = d.name(i + 1); err != nil {
				return err
			}
			columns = append(columns, name)
			if i, err = d.blank(i); err != nil {
				return err
			}
		}
		if i, err = d.blank(i + 1); err != nil {
			return err
		}
	}
	if word, i, err = d.word(i); err != nil {
		return err
	}
	if !strings.EqualFold(word, "VALUES") && !strings.EqualFold(word, "VALUE") {
		return &jsonError{i, "VALUES should stand here"}
	}
	if columns == nil {
		return fault.New(fault.Failed, "dump it with --complete-insert, or with the CREATE TABLE statements", "%s: mysqldump: nothing tells the names of table %s's columns", d.in.URL, table)
	}
	d.found = true
	if d.wantDDL {
		return io.EOF
	}
	d.w.at, d.state = i, dumpRow
	return d.match(columns)
}

// match finds our columns among the statement's.
func (d *dumpRows) match(columns []string) error {
	d.order = make([]int, len(columns))
	for i := range d.order {
		d.order[i] = -1
	}
	for k, c := range d.in.Columns {
		at := slices.Index(columns, c.Name)
		if at < 0 {
			at = slices.IndexFunc(columns, func(n string) bool { return loadspec.FoldName(n) == c.Name })
		}
		if at < 0 {
			return fault.New(fault.Usage, "list the columns that it has under COLUMNS; it has: "+Columns(columns), "%s: table %s has no column %s", d.in.URL, d.in.Convert.Table, c.Name)
		}
		if d.order[at] >= 0 {
			return fault.New(fault.Usage, "name it once under COLUMNS", "%s: column %s of the dump is wanted twice", d.in.URL, columns[at])
		}
		d.order[at] = k
	}
	return nil
}
