package format

import (
	"bytes"
	"errors"
	"strings"
)

// A row that cannot be converted is left in its place as a line that no row
// can be: it begins with a zero byte, which text of the database never holds,
// and has the reason and the row's text. So offsets and line numbers of what
// comes out stay what they are, in every run of a job, and the line travels to
// the transaction of the rows around it.

// excerpt is how much of such a row is kept.
const excerpt = 64 << 10

// reject appends the line of a row that cannot be converted, when such rows
// are tolerated; else it returns err.
func (in *Input) reject(dst []byte, err error, row []byte) ([]byte, error) {
	if !in.Tolerant {
		return dst, err
	}
	reason := err.Error()
	var c *ContentError
	if errors.As(err, &c) {
		reason = strings.TrimPrefix(reason, c.URL+" ")
	}
	if len(row) > excerpt {
		row = row[:excerpt]
	}
	dst = appendText(append(dst, 0), []byte(reason))
	return append(appendText(append(dst, '\t'), row), '\n'), nil
}

// Unconverted is a row of an object that no row could be made of.
type Unconverted struct {
	Reason, Row string
}

// Marked tells whether converted rows have some among them that could not be
// converted.
func Marked(rows []byte) bool {
	return len(rows) > 0 && (rows[0] == 0 || bytes.IndexByte(rows, 0) >= 0 && bytes.Contains(rows, []byte("\n\x00")))
}

// EachRun cuts converted rows into runs of good ones and the others: run is
// called with a run's place and its number of rows, bad with a bad one's place.
func EachRun(rows []byte, run func(begin, end int, records int64) error, bad func(begin, end int, u Unconverted) error) error {
	for at := 0; at < len(rows); {
		if rows[at] != 0 {
			end := len(rows)
			if i := bytes.Index(rows[at:], []byte("\n\x00")); i >= 0 {
				end = at + i + 1
			}
			n := int64(bytes.Count(rows[at:end], []byte{'\n'}))
			if rows[end-1] != '\n' {
				n++
			}
			if err := run(at, end, n); err != nil {
				return err
			}
			at = end
			continue
		}
		end := len(rows)
		if i := bytes.IndexByte(rows[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		reason, row, _ := bytes.Cut(bytes.TrimSuffix(rows[at+1:end], []byte{'\n'}), []byte{'\t'})
		if err := bad(at, end, Unconverted{Reason: plainText(reason), Row: plainText(row)}); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// plainText undoes appendText, as far as the database has the characters.
func plainText(b []byte) string {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			i++
			switch c = b[i]; c {
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			}
		}
		if c == 0 {
			c = '?'
		}
		out = append(out, c)
	}
	return strings.ToValidUTF8(string(out), "?")
}
