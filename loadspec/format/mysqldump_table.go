package format

import (
	"bytes"
	"errors"
	"io"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/infer"
)

// errCreated ends the reading of a dump whose CREATE TABLE was what counts.
var errCreated = errors.New("the table's definition is read")

// DumpTable is the table as the dump's own CREATE TABLE has it, of the columns
// that are wanted when some are.
func DumpTable(in Input, r io.Reader) (*infer.Table, error) {
	d := &dumpRows{in: in, w: window{r: r, max: in.MaxRow}, delim: ";", wantDDL: true}
	_, err := d.next(nil)
	if errors.Is(err, errCreated) {
		t, err := infer.MySQL(d.ddl, in.Convert.ZeroDates == loadspec.ZeroDatesNull)
		if err != nil {
			return nil, &ContentError{URL: in.URL, Kind: "mysqldump", Whole: true, Err: err}
		}
		return t, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Failed, "create the table by hand, or dump it without --no-create-info", "%s: mysqldump: the dump has no CREATE TABLE of table %s before its rows", in.URL, in.Convert.Table)
	}
	return nil, err
}

// whole keeps the statement that begins at from, if all of it is there.
func (d *dumpRows) whole(from, i int) error {
	for i < len(d.w.buf) {
		switch c := d.w.buf[i]; {
		case bytes.HasPrefix(d.w.buf[i:], []byte(d.delim)):
			d.ddl = bytes.Clone(d.w.buf[from:i])
			return errCreated
		case c == '\'' || c == '"' || c == '`':
			j, err := skipQuoted(d.w.buf, i)
			if err != nil {
				return err
			}
			i = j
		default:
			i++
		}
	}
	if d.w.eof {
		d.ddl = bytes.Clone(d.w.buf[from:])
		return errCreated
	}
	return errShort
}
