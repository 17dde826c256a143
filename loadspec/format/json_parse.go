package format

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// errShort says that the data ends inside the object.
var errShort = errors.New("more data is needed")

type jsonError struct {
	at   int
	what string
}

func (e *jsonError) Error() string { return e.what }

// maxDepth is how deep values may be nested, as in encoding/json.
const maxDepth = 10000

// span is a column's value in jsonParser.text.
type span struct {
	from, to int
	set      bool
}

// jsonParser reads one object, strictly as RFC 8259 has it, and keeps what
// columns want of it.
type jsonParser struct {
	root   *jsonNode
	json   []bool // columns that take any value as JSON
	values []span
	text   []byte // values as COPY's text format has them
	key    []byte // of a key with escapes, or in lower case
	b      []byte
	i      int
	depth  int
	serial int64
}

func (p *jsonParser) begin(b []byte, at int) {
	p.b, p.i, p.depth = b, at, 0
	p.text = p.text[:0]
	p.serial++
	clear(p.values)
}

func (p *jsonParser) fail(what string) error { return &jsonError{p.i, what} }

// record reads the object that begins here.
func (p *jsonParser) record() error {
	return p.wanted(p.root)
}

// row appends the row of the object just read.
func (p *jsonParser) row(dst []byte) []byte {
	for i, v := range p.values {
		if i > 0 {
			dst = append(dst, '\t')
		}
		if v.set {
			dst = append(dst, p.text[v.from:v.to]...)
		} else {
			dst = append(dst, '\\', 'N')
		}
	}
	return append(dst, '\n')
}

func (p *jsonParser) space() error {
	for p.i < len(p.b) {
		if !isSpace(p.b[p.i]) {
			return nil
		}
		p.i++
	}
	return errShort
}

// wanted reads a value that columns want, or something in it.
func (p *jsonParser) wanted(n *jsonNode) error {
	from := p.i
	if p.i == len(p.b) {
		return errShort
	}
	for _, c := range n.below {
		p.values[c] = span{} // of a member of the same name before
	}
	c := p.b[p.i]
	var err error
	switch {
	case c == '{' && n.names != nil:
		err = p.members(n)
	case c == '[' && n.items != nil:
		err = p.elements(n)
	case c == '"' && len(n.columns) > 0:
		return p.wantedString(n)
	default:
		err = p.skip()
	}
	if err != nil || len(n.columns) == 0 {
		return err
	}
	v := span{from: len(p.text), set: true}
	switch c {
	case 'n':
	case '{', '[':
		p.text = appendText(p.text, p.b[from:p.i])
	default:
		p.text = append(p.text, p.b[from:p.i]...)
	}
	v.to = len(p.text)
	for _, column := range n.columns {
		p.values[column] = v
		p.values[column].set = c != 'n'
	}
	return nil
}

// wantedString keeps a string: its characters, and as JSON for the columns that
// want that.
func (p *jsonParser) wantedString(n *jsonNode) error {
	from := p.i
	plain, err := p.skipString()
	if err != nil {
		return err
	}
	raw := p.b[from:p.i]
	for _, column := range n.columns {
		v := span{from: len(p.text), set: true}
		switch {
		case p.json[column]:
			p.text = appendText(p.text, raw)
		case plain:
			p.text = append(p.text, raw[1:len(raw)-1]...)
		default:
			if p.text, err = p.unescape(p.text, from+1, p.i-1, true); err != nil {
				return err
			}
		}
		v.to = len(p.text)
		p.values[column] = v
	}
	return nil
}

// members reads an object of which some members are wanted.
func (p *jsonParser) members(n *jsonNode) error {
	return p.object(func() (*jsonNode, error) {
		from := p.i + 1
		plain, err := p.skipString()
		if err != nil {
			return nil, err
		}
		key := p.b[from : p.i-1]
		if !plain {
			if p.key, err = p.unescape(p.key[:0], from, p.i-1, false); err != nil {
				return nil, err
			}
			key = p.key
		}
		if next := n.names[string(key)]; next != nil {
			next.exact = p.serial
			return next, nil
		}
		if !hasUpper(key) {
			return nil, nil //nolint:nilnil // nobody wants it
		}
		p.key = append(p.key[:0], bytes.ToLower(key)...)
		if next := n.names[string(p.key)]; next != nil && next.folded && next.exact != p.serial {
			return next, nil
		}
		return nil, nil //nolint:nilnil // nobody wants it
	})
}

func hasUpper(b []byte) bool {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// object reads an object; key reads a key and says who wants its value.
func (p *jsonParser) object(key func() (*jsonNode, error)) error {
	return p.list('}', func() error {
		if p.b[p.i] != '"' {
			return p.fail("a key in double quotes should stand here")
		}
		n, err := key()
		if err != nil {
			return err
		}
		if err := p.space(); err != nil {
			return err
		}
		if p.b[p.i] != ':' {
			return p.fail("a colon should stand here")
		}
		p.i++
		if err := p.space(); err != nil {
			return err
		}
		if n == nil {
			return p.skip()
		}
		return p.wanted(n)
	})
}

// elements reads an array of which some items are wanted.
func (p *jsonParser) elements(n *jsonNode) error {
	index := -1
	return p.list(']', func() error {
		index++
		if next := n.items[index]; next != nil {
			return p.wanted(next)
		}
		return p.skip()
	})
}

// list reads what stands between brackets, separated by commas.
func (p *jsonParser) list(end byte, item func() error) error {
	if p.depth++; p.depth > maxDepth {
		return p.fail("values are nested too deep")
	}
	p.i++
	if err := p.space(); err != nil {
		return err
	}
	if p.b[p.i] == end {
		p.i++
		p.depth--
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if err := p.space(); err != nil {
			return err
		}
		switch p.b[p.i] {
		case end:
			p.i++
			p.depth--
			return nil
		case ',':
			p.i++
			if err := p.space(); err != nil {
				return err
			}
		default:
			return p.fail("a comma or " + string(end) + " should stand here")
		}
	}
}

// skip reads a value that nobody wants, as strictly.
func (p *jsonParser) skip() error {
	if p.i == len(p.b) {
		return errShort
	}
	switch c := p.b[p.i]; c {
	case '{':
		return p.object(p.skipKey)
	case '[':
		return p.list(']', p.skip)
	case '"':
		_, err := p.skipString()
		return err
	case 't':
		return p.literal("true")
	case 'f':
		return p.literal("false")
	case 'n':
		return p.literal("null")
	default:
		return p.number()
	}
}

func (p *jsonParser) skipKey() (*jsonNode, error) {
	_, err := p.skipString()
	return nil, err
}

func (p *jsonParser) literal(word string) error {
	have := p.b[p.i:]
	if len(have) < len(word) {
		if string(have) == word[:len(have)] {
			return errShort
		}
		return p.fail("a value should stand here")
	}
	if string(have[:len(word)]) != word {
		return p.fail("a value should stand here")
	}
	p.i += len(word)
	return nil
}
