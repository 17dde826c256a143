package format

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"cw/fault"
)

// dumpRows makes rows of the INSERT statements that mysqldump and
// mariadb-dump write, of one table.
type dumpRows struct {
	in    Input
	w     window
	state dumpState
	delim string   // that ends statements
	known []string // the table's columns by CREATE TABLE
	order []int    // by value of the INSERT at hand: our column, -1 for none
	seen  []string // tables that there are
	found bool
	kinds []dumpKind
	cells []span
	text  []byte
	raw   []byte // of one string

	wantDDL bool   // nothing but the table's definition is wanted
	ddl     []byte // it
}

type dumpState int

const (
	dumpTop  dumpState = iota // a statement begins here
	dumpSkip                  // inside one that nobody wants
	dumpRow                   // a row follows
)

// dumpKind is what a column's type makes of values.
type dumpKind struct{ bytes, date, boolean bool }

func newDumpRows(in Input, r io.Reader) (io.Reader, error) {
	d := &dumpRows{in: in, w: window{r: r, max: in.MaxRow}, delim: ";", cells: make([]span, len(in.Columns))}
	for _, c := range in.Columns {
		t := strings.ToLower(c.Type)
		d.kinds = append(d.kinds, dumpKind{bytes: t == "bytea", date: t == "date" || strings.HasPrefix(t, "timestamp"), boolean: t == "boolean" || t == "bool"})
	}
	return &rowReader{next: d.next}, nil
}

func (d *dumpRows) fail(at int, err error) error {
	line, col := d.w.place(min(at, len(d.w.buf)))
	return &ContentError{URL: d.in.URL, Kind: "mysqldump", Line: line + 1, Column: col + 1, Err: err}
}

func (d *dumpRows) next(dst []byte) ([]byte, error) {
	for len(dst) < batch {
		var err error
		switch d.state {
		case dumpTop:
			err = d.statement()
		case dumpSkip:
			err = d.skip()
		case dumpRow:
			if err = d.row(); err == nil {
				dst = d.append(dst)
			}
			if bad := (*jsonError)(nil); errors.As(err, &bad) {
				dst, err = d.refuse(dst, d.fail(bad.at, errors.New(bad.what)))
			}
		}
		var bad *jsonError
		switch {
		case err == nil:
		case errors.Is(err, errShort) && !d.w.eof:
			if err := d.w.more(); err != nil {
				if errors.Is(err, errRowTooLong) {
					err = d.fail(d.w.at, err)
				}
				return dst, err
			}
		case errors.Is(err, errShort):
			return dst, d.fail(d.w.at, errors.New("the dump ends inside what begins here: it is not whole"))
		case errors.As(err, &bad):
			return dst, d.fail(bad.at, errors.New(bad.what))
		default:
			return dst, err
		}
	}
	return dst, nil
}

// blank is the place after spaces and comments.
func (d *dumpRows) blank(i int) (int, error) {
	b := d.w.buf
	for i < len(b) {
		rest := b[i:]
		switch {
		case isSpace(b[i]):
			i++
		case b[i] == '#' || bytes.HasPrefix(rest, []byte("--")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				if d.w.eof {
					return len(b), nil
				}
				return i, errShort
			}
			i += end + 1
		case bytes.HasPrefix(rest, []byte("/*")):
			// What only a server is to run (/*! … */) holds no rows.
			end := bytes.Index(rest[2:], []byte("*/"))
			if end < 0 {
				return i, errShort
			}
			i += end + 4
		case len(rest) == 1 && (b[i] == '-' || b[i] == '/') && !d.w.eof:
			return i, errShort
		default:
			return i, nil
		}
	}
	return i, nil
}

// statement looks at what begins here.
func (d *dumpRows) statement() error {
	i, err := d.blank(d.w.at)
	if err != nil {
		return err
	}
	d.w.at = i
	if i == len(d.w.buf) {
		if !d.w.eof {
			return errShort
		}
		return d.end()
	}
	if bytes.HasPrefix(d.w.buf[i:], []byte(d.delim)) {
		d.w.at += len(d.delim)
		return nil
	}
	word, j, err := d.word(i)
	if err != nil {
		return err
	}
	switch strings.ToUpper(word) {
	case "DELIMITER":
		end := bytes.IndexByte(d.w.buf[j:], '\n')
		if end < 0 && !d.w.eof {
			return errShort
		}
		if end < 0 {
			end = len(d.w.buf) - j
		}
		d.delim = strings.TrimSpace(string(d.w.buf[j : j+end]))
		if d.delim == "" {
			return &jsonError{i, "DELIMITER without a delimiter"}
		}
		d.w.at = j + end
		return nil
	case "CREATE":
		if d.delim == ";" {
			return d.create(j)
		}
	case "INSERT", "REPLACE":
		if d.delim == ";" {
			return d.insert(j)
		}
	}
	d.state = dumpSkip
	return nil
}

func (d *dumpRows) end() error {
	if d.found {
		return io.EOF
	}
	hint := "name it: MYSQLDUMP: {TABLE: name}; the dump has: " + strings.Join(d.seen, ", ")
	if len(d.seen) == 0 {
		hint = "is it a dump of mysqldump or mariadb-dump?"
	}
	return fault.New(fault.Failed, hint, "%s: mysqldump: table %s is not in the dump", d.in.URL, d.in.Convert.Table)
}

// skip goes to the statement's end. Of a trigger's text, which ends with
// another delimiter, quotes and comments count as well.
func (d *dumpRows) skip() error {
	for d.w.at < len(d.w.buf) {
		b, i := d.w.buf, d.w.at
		if len(b)-i < len(d.delim) && !d.w.eof {
			return errShort
		}
		if bytes.HasPrefix(b[i:], []byte(d.delim)) {
			d.w.at += len(d.delim)
			d.state = dumpTop
			return nil
		}
		switch c := b[i]; c {
		case '\'', '"', '`':
			j, err := skipQuoted(b, i)
			if err != nil {
				return err
			}
			d.w.at = j
		case '#', '-', '/':
			j, err := d.blank(i)
			if err != nil {
				return err
			}
			d.w.at = max(j, i+1)
		default:
			d.w.at++
		}
	}
	if d.w.eof {
		return io.EOF
	}
	return errShort
}

// skipQuoted is the place after a quoted string or name.
func skipQuoted(b []byte, i int) (int, error) {
	q := b[i]
	for i++; i < len(b); i++ {
		switch {
		case b[i] == '\\' && q != '`':
			i++
		case b[i] == q:
			if i+1 == len(b) {
				return i, errShort // it may be doubled
			}
			if b[i+1] != q {
				return i + 1, nil
			}
			i++
		}
	}
	return i, errShort
}

// word is a bare word and the place after it.
func (d *dumpRows) word(i int) (string, int, error) {
	j := i
	for j < len(d.w.buf) && (d.w.buf[j] == '_' || d.w.buf[j]|0x20 >= 'a' && d.w.buf[j]|0x20 <= 'z' || j > i && d.w.buf[j] >= '0' && d.w.buf[j] <= '9') {
		j++
	}
	if j == len(d.w.buf) && !d.w.eof {
		return "", i, errShort
	}
	return string(d.w.buf[i:j]), j, nil
}

// name is a name, of which that of a database before a dot is dropped.
func (d *dumpRows) name(i int) (string, int, error) {
	i, err := d.blank(i)
	if err != nil {
		return "", i, err
	}
	if i == len(d.w.buf) {
		return "", i, errShort
	}
	var name string
	var j int
	if c := d.w.buf[i]; c == '`' || c == '"' {
		if j, err = skipQuoted(d.w.buf, i); err != nil {
			return "", i, err
		}
		q := string(c)
		name = strings.ReplaceAll(string(d.w.buf[i+1:j-1]), q+q, q)
	} else if name, j, err = d.word(i); err != nil || name == "" {
		if err == nil {
			err = &jsonError{i, "a name should stand here"}
		}
		return "", i, err
	}
	if j == len(d.w.buf) && !d.w.eof {
		return "", i, errShort // a dot may follow
	}
	if j < len(d.w.buf) && d.w.buf[j] == '.' {
		return d.name(j + 1)
	}
	return name, j, nil
}
