package format

import (
	"bytes"
	"errors"
)

// refuse takes the object that begins at the window out of the rows. One that
// is well-formed, but holds what the database has no place for, ends where it
// ends. Of another nobody can tell that but in JSON lines, where the next line
// that begins with a brace begins the next object. Where that
// takes more data it is read, and the object looked at once more.
func (j *jsonRows) refuse(dst []byte, err error) (out []byte, _ error) {
	if !j.in.Tolerant {
		return dst, err
	}
	start := j.w.at
	end := 0
	if start < len(j.w.buf) && j.w.buf[start] == '{' {
		j.p.begin(j.w.buf, start)
		switch e := j.p.skip(); {
		case e == nil:
			end = j.p.i
		case errors.Is(e, errShort) && !j.w.eof:
			return dst, j.read()
		}
	}
	if end == 0 {
		if j.spread || j.array != outside {
			return dst, err
		}
		at := bytes.Index(j.w.buf[start:], []byte("\n{"))
		switch {
		case at >= 0:
			end = start + at + 1
		case j.w.eof:
			end = len(j.w.buf)
		default:
			return dst, j.read()
		}
	}
	if out, err = j.in.reject(dst, err, bytes.TrimSpace(j.w.buf[start:end])); err != nil {
		return dst, err
	}
	j.w.at = end
	if j.array != outside {
		j.array = after
	}
	return out, nil
}
