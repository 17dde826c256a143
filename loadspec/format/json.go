package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"cw/loadspec"
)

// jsonRows makes rows of JSON objects: one after the other, with or without
// line ends between them, or in arrays.
type jsonRows struct {
	in    Input
	w     window
	p     jsonParser
	begun bool
	array arrayState

	spread bool // an object had more than one line
}

// arrayState is where in an array of objects the reader stands.
type arrayState int

const (
	outside arrayState = iota
	opened             // an object or the end comes next
	after              // a comma or the end
	comma              // an object
)

func newJSONRows(in Input, r io.Reader) (io.Reader, error) {
	j := &jsonRows{in: in, w: window{r: r, max: in.MaxRow}}
	j.p.root = &jsonNode{}
	j.p.values = make([]span, len(in.Columns))
	paths := map[string][]loadspec.JSONStep{}
	for _, p := range in.Convert.Paths {
		paths[p.Column] = p.Steps
	}
	for i, c := range in.Columns {
		t := strings.ToLower(c.Type)
		j.p.json = append(j.p.json, t == "json" || t == "jsonb")
		steps, given := paths[c.Name]
		if !given {
			steps = []loadspec.JSONStep{{Name: c.Name}}
		}
		j.p.root.add(steps, i, !given)
		delete(paths, c.Name)
	}
	for name := range paths {
		names := make([]string, len(in.Columns))
		for i, c := range in.Columns {
			names[i] = c.Name
		}
		return nil, unknownFileColumn("JSON", name, names)
	}
	return &rowReader{next: j.next}, nil
}

func (j *jsonRows) fail(at int, err error) error {
	line, col := j.w.place(at)
	return &ContentError{URL: j.in.URL, Kind: "json", Line: line + 1, Column: col + 1, Err: err}
}

// next converts objects until there is enough.
func (j *jsonRows) next(dst []byte) ([]byte, error) {
	for len(dst) < batch {
		if err := j.toObject(); err != nil {
			var bad *ContentError
			if !errors.As(err, &bad) || errors.Is(err, errRowTooLong) {
				return dst, err
			}
			if dst, err = j.refuse(dst, err); err != nil {
				return dst, err
			}
			continue
		}
		j.p.begin(j.w.buf, j.w.at)
		err := j.p.record()
		var bad *jsonError
		switch {
		case err == nil:
			if j.in.Tolerant && !j.spread {
				j.spread = bytes.IndexByte(j.w.buf[j.w.at:j.p.i], '\n') >= 0
			}
			j.w.at = j.p.i
			if j.array != outside {
				j.array = after
			}
			dst = j.p.row(dst)
		case errors.Is(err, errShort) && !j.w.eof:
			if err := j.read(); err != nil {
				return dst, err
			}
		case errors.Is(err, errShort):
			if dst, err = j.refuse(dst, j.fail(j.w.at, errors.New("the object that begins here does not end"))); err != nil {
				return dst, err
			}
		case errors.As(err, &bad):
			if dst, err = j.refuse(dst, j.fail(bad.at, errors.New(bad.what))); err != nil {
				return dst, err
			}
		default:
			return dst, err
		}
	}
	return dst, nil
}

func (j *jsonRows) read() error {
	if err := j.w.more(); err != nil {
		if errors.Is(err, errRowTooLong) {
			return j.fail(j.w.at, err)
		}
		return err
	}
	return nil
}

// toObject stands at the next object's brace; io.EOF says that there is none.
func (j *jsonRows) toObject() error {
	for {
		for j.w.at < len(j.w.buf) && isSpace(j.w.buf[j.w.at]) {
			j.w.at++
		}
		if !j.begun && len(j.w.buf) < 3 && !j.w.eof || j.w.at == len(j.w.buf) && !j.w.eof {
			if err := j.read(); err != nil {
				return err
			}
			continue
		}
		if !j.begun {
			j.begun = true
			if bytes.HasPrefix(j.w.buf[j.w.at:], []byte("\xef\xbb\xbf")) {
				j.w.at += 3
				continue
			}
		}
		if j.w.at == len(j.w.buf) {
			if j.array != outside {
				return j.fail(j.w.at, errors.New("the array is not closed before the end of the data"))
			}
			return io.EOF
		}
		switch c, was := j.w.buf[j.w.at], j.array; {
		case c == '{' && was != after:
			return nil
		case c == '[' && was == outside:
			j.array = opened
		case c == ']' && (was == opened || was == after):
			j.array = outside
		case c == ',' && was == after:
			j.array = comma
		case was == comma:
			return j.fail(j.w.at, fmt.Errorf("%q where an object must follow the comma", c))
		default:
			return j.fail(j.w.at, fmt.Errorf("%q where an object should begin", c))
		}
		j.w.at++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// jsonNode is a place in the objects that is looked for.
type jsonNode struct {
	columns []int                // filled with what is here
	below   []int                // filled with what is further down
	names   map[string]*jsonNode // members
	items   map[int]*jsonNode
	folded  bool  // a member of another case will do
	exact   int64 // record in which the very name was seen
}

func (n *jsonNode) add(steps []loadspec.JSONStep, column int, folded bool) {
	if len(steps) == 0 {
		n.columns = append(n.columns, column)
		return
	}
	n.below = append(n.below, column)
	var next *jsonNode
	if s := steps[0]; s.Item {
		if n.items == nil {
			n.items = map[int]*jsonNode{}
		}
		if next = n.items[s.Index]; next == nil {
			next = &jsonNode{}
			n.items[s.Index] = next
		}
	} else {
		if n.names == nil {
			n.names = map[string]*jsonNode{}
		}
		if next = n.names[s.Name]; next == nil {
			next = &jsonNode{}
			n.names[s.Name] = next
		}
		next.folded = next.folded || folded
	}
	next.add(steps[1:], column, false)
}
