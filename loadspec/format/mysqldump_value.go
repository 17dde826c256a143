package format

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"cw/loadspec"
)

// row reads one row of values, and what is between it and the next.
func (d *dumpRows) row() error {
	i, err := d.blank(d.w.at)
	if err != nil {
		return err
	}
	if i == len(d.w.buf) {
		return errShort
	}
	if d.w.buf[i] != '(' {
		return &jsonError{i, "a row in parentheses should stand here"}
	}
	d.text = d.text[:0]
	clear(d.cells)
	i++
	for n := 0; ; n++ {
		if n == len(d.order) {
			return &jsonError{i, fmt.Sprintf("more than %d values", n)}
		}
		if i, err = d.value(i, d.order[n]); err != nil {
			return err
		}
		if i, err = d.blank(i); err != nil {
			return err
		}
		if i == len(d.w.buf) {
			return errShort
		}
		c := d.w.buf[i]
		i++
		if c == ')' {
			if n+1 < len(d.order) {
				return &jsonError{i - 1, fmt.Sprintf("%d values, but there are %d columns", n+1, len(d.order))}
			}
			break
		}
		if c != ',' {
			return &jsonError{i - 1, "a comma or ) should stand here"}
		}
	}
	return d.afterRow(i)
}

// afterRow reads what is between a row and the next.
func (d *dumpRows) afterRow(i int) error {
	i, err := d.blank(i)
	if err != nil {
		return err
	}
	switch {
	case i == len(d.w.buf):
		return errShort
	case d.w.buf[i] == ',':
		i++
	case d.w.buf[i] == ';':
		i++
		d.state = dumpTop
	default: // ON DUPLICATE KEY UPDATE and the like
		d.state = dumpSkip
	}
	d.w.at = i
	return nil
}

// refuse takes the row at the window out of the rows, from parenthesis to
// parenthesis.
func (d *dumpRows) refuse(dst []byte, bad error) ([]byte, error) {
	from, err := d.blank(d.w.at)
	if err != nil || from == len(d.w.buf) || d.w.buf[from] != '(' || !d.in.Tolerant {
		return dst, bad
	}
	i, depth := from, 0
	for i < len(d.w.buf) {
		switch c := d.w.buf[i]; c {
		case '\'', '"', '`':
			if i, err = skipQuoted(d.w.buf, i); err != nil {
				return dst, err
			}
			continue
		case '(':
			depth++
		case ')':
			depth--
		}
		i++
		if depth == 0 {
			out, err := d.in.reject(dst, bad, d.w.buf[from:i])
			if err == nil {
				err = d.afterRow(i)
			}
			if err != nil {
				return dst, err
			}
			return out, nil
		}
	}
	return dst, errShort
}

func (d *dumpRows) append(dst []byte) []byte {
	for i, c := range d.cells {
		if i > 0 {
			dst = append(dst, '\t')
		}
		if c.set {
			dst = append(dst, d.text[c.from:c.to]...)
		} else {
			dst = append(dst, '\\', 'N')
		}
	}
	return append(dst, '\n')
}

// value reads one value for a column of ours, or for none.
func (d *dumpRows) value(i, column int) (int, error) {
	i, err := d.blank(i)
	if err != nil {
		return i, err
	}
	b := d.w.buf
	if i == len(b) {
		return i, errShort
	}
	if c := b[i]; c == '\'' || c == '"' {
		return d.quoted(i, column)
	}
	j := i
	for j < len(b) && b[j] != ',' && b[j] != ')' && b[j] != '\'' && !isSpace(b[j]) {
		j++
	}
	if j == len(b) {
		return i, errShort
	}
	word := b[i:j]
	if len(word) == 0 {
		return i, &jsonError{i, "a value should stand here"}
	}
	upper := strings.ToUpper(string(word))
	switch {
	case b[j] == '\'' && (upper == "X" || upper == "B"), isSpace(b[j]) && strings.HasPrefix(upper, "_"), b[j] == '\'' && strings.HasPrefix(upper, "_"):
		return d.introduced(i, j, upper, column)
	case upper == "NULL":
		return j, nil
	case len(word) > 2 && strings.HasPrefix(upper, "0X"):
		return j, d.hexadecimal(i, word[2:], column)
	case upper == "TRUE", upper == "FALSE", word[0] >= '0' && word[0] <= '9', len(word) > 1 && (word[0] == '-' || word[0] == '.' || word[0] == '+'):
		d.set(column, word, false)
		return j, nil
	}
	return i, &jsonError{i, fmt.Sprintf("%.40q is no value that dumps have", word)}
}

// introduced reads _charset '…', x'…' and b'…'.
func (d *dumpRows) introduced(i, j int, upper string, column int) (int, error) {
	at, err := d.blank(j)
	if err != nil {
		return i, err
	}
	if at == len(d.w.buf) {
		return i, errShort
	}
	if d.w.buf[at] != '\'' {
		if rest := d.w.buf[at:]; len(rest) == 1 && rest[0] == '0' {
			return i, errShort
		} else if strings.HasPrefix(upper, "_") && len(rest) > 1 && rest[0] == '0' && rest[1]|0x20 == 'x' {
			return d.value(at, column)
		}
		return i, &jsonError{i, "a string should follow " + strings.ToLower(upper)}
	}
	end, err := skipQuoted(d.w.buf, at)
	if err != nil {
		return i, err
	}
	inner := d.w.buf[at+1 : end-1]
	switch upper {
	case "X":
		return end, d.hexadecimal(i, inner, column)
	case "B":
		if len(bytes.Trim(inner, "01")) > 0 {
			return i, &jsonError{i, "b'…' holds other than 0 and 1"}
		}
		d.set(column, inner, false)
		return end, nil
	case "_BINARY", "_UTF8", "_UTF8MB3", "_UTF8MB4", "_ASCII":
		return d.quoted(at, column)
	}
	return i, &jsonError{i, "character set " + strings.ToLower(upper[1:]) + ": dump it with --default-character-set=utf8mb4"}
}

func (d *dumpRows) hexadecimal(at int, digits []byte, column int) error {
	raw, err := hex.AppendDecode(d.raw[:0], digits)
	if err != nil {
		return &jsonError{at, "an odd or wrong hexadecimal value"}
	}
	d.raw = raw
	return d.bytes(at, column, raw)
}

// quoted reads a string with MySQL's escapes.
func (d *dumpRows) quoted(i, column int) (int, error) {
	end, err := skipQuoted(d.w.buf, i)
	if err != nil || column < 0 {
		return end, err
	}
	q := d.w.buf[i]
	inner := d.w.buf[i+1 : end-1]
	raw := inner
	if bytes.IndexByte(inner, '\\') >= 0 || bytes.IndexByte(inner, q) >= 0 {
		raw = d.raw[:0]
		for k := 0; k < len(inner); k++ {
			c := inner[k]
			if c == '\\' || c == q {
				k++ // it stands before another: skipQuoted has seen that
			}
			if c != '\\' {
				raw = append(raw, c)
				continue
			}
			switch e := inner[k]; e {
			case '0':
				raw = append(raw, 0)
			case 'b':
				raw = append(raw, '\b')
			case 'n':
				raw = append(raw, '\n')
			case 'r':
				raw = append(raw, '\r')
			case 't':
				raw = append(raw, '\t')
			case 'Z':
				raw = append(raw, 26)
			case '%', '_': // only patterns take the backslash away
				raw = append(raw, '\\', e)
			default:
				raw = append(raw, e)
			}
		}
		d.raw = raw
	}
	return end, d.bytes(i, column, raw)
}

// bytes fills a column with a string.
func (d *dumpRows) bytes(at, column int, raw []byte) error {
	if column < 0 {
		return nil
	}
	k := d.kinds[column]
	switch {
	case k.bytes:
		from := len(d.text)
		d.text = hex.AppendEncode(append(d.text, `\\x`...), raw)
		d.cells[column] = span{from, len(d.text), true}
		return nil
	case k.boolean && len(raw) == 1 && raw[0] <= 1: // bit(1)
		d.set(column, []byte{'0' + raw[0]}, false)
		return nil
	case k.date && bytes.HasPrefix(raw, []byte("0000-00-00")):
		if d.in.Convert.ZeroDates == loadspec.ZeroDatesError {
			return &jsonError{at, "column " + d.in.Columns[column].Name + ": the date " + string(raw) + " does not exist (ZERO_DATES: null makes it NULL)"}
		}
		return nil
	case bytes.IndexByte(raw, 0) >= 0:
		return &jsonError{at, "column " + d.in.Columns[column].Name + ": " + errZeroByte.Error()}
	}
	d.set(column, raw, true)
	return nil
}

func (d *dumpRows) set(column int, value []byte, escape bool) {
	if column < 0 {
		return
	}
	from := len(d.text)
	if escape {
		d.text = appendText(d.text, value)
	} else {
		d.text = append(d.text, value...)
	}
	d.cells[column] = span{from, len(d.text), true}
}
