package infer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"cw/loadspec"
)

// JSON guesses the columns of objects of JSON: their top-level keys, in the
// order in which they are met, and what paths lead to.
type JSON struct {
	paths   []loadspec.JSONPath
	renamed map[string]bool // keys that a path takes under another name
	order   []string        // keys
	values  map[string]*jsonGuess
	byPath  []jsonGuess
	rows    int64
	bytes   int64
	whole   bool
	long    []string // keys that are too long for a column's name
}

// jsonGuess collects what the values of one key look like.
type jsonGuess struct {
	numbers, strings guess
	bools, nested    bool
}

// NewJSON prepares for objects of which these paths are columns, too.
func NewJSON(paths []loadspec.JSONPath) *JSON {
	j := &JSON{paths: paths, renamed: map[string]bool{}, values: map[string]*jsonGuess{}, byPath: make([]jsonGuess, len(paths)), whole: true}
	for _, p := range paths {
		if len(p.Steps) == 1 && p.Steps[0].Name != "" {
			j.renamed[p.Steps[0].Name] = true
		}
	}
	return j
}

// Full says that enough was seen.
func (j *JSON) Full() bool { return j.bytes >= SampleBytes || j.rows >= SampleRows }

// Skipped says that an object was not looked at.
func (j *JSON) Skipped() { j.whole = false }

// Add looks at the first values of an object, decompressed. What cannot be
// read ends the sample: the load will say where and why.
func (j *JSON) Add(object io.Reader) error {
	r := bufio.NewReader(object)
	if b, _ := r.Peek(3); string(b) == "\xef\xbb\xbf" {
		_, _ = r.Discard(3)
	}
	counted := &counter{r: r}
	d := json.NewDecoder(counted)
	before := j.bytes
	for !j.Full() {
		t, err := d.Token()
		j.bytes = before + counted.n
		var bad *json.SyntaxError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad), errors.Is(err, io.ErrUnexpectedEOF):
			j.whole = false
			return nil
		case err != nil:
			return err
		}
		if t != json.Delim('{') {
			continue // of an array around the objects
		}
		j.rows++
		if err := j.object(d); err != nil {
			var bad *json.SyntaxError
			if errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				j.whole = false
				return nil
			}
			return err
		}
	}
	j.whole = false
	return nil
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (j *JSON) object(d *json.Decoder) error {
	members := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("a key is %v", t)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		members[key] = raw
		j.member(key, raw)
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	for i, p := range j.paths {
		j.byPath[i].take(follow(members, p.Steps))
	}
	return nil
}

func (j *JSON) member(key string, raw json.RawMessage) {
	g := j.values[key]
	if g == nil {
		if len(j.order) >= maxColumns || j.renamed[key] {
			return
		}
		if len(key) > maxName || key == "" || strings.ContainsRune(key, 0) {
			if len(j.long) < 10 {
				j.long = append(j.long, key)
			}
			return
		}
		g = &jsonGuess{}
		j.values[key] = g
		j.order = append(j.order, key)
	}
	g.take(raw)
}

// follow goes along a path; nil when nothing is there.
func follow(members map[string]json.RawMessage, steps []loadspec.JSONStep) json.RawMessage {
	if len(steps) == 0 {
		return json.RawMessage("{}") // the object itself
	}
	var raw json.RawMessage
	for _, s := range steps {
		if s.Item {
			var items []json.RawMessage
			if json.Unmarshal(raw, &items) != nil || s.Index >= len(items) {
				return nil
			}
			raw, members = items[s.Index], nil
			continue
		}
		if members == nil && json.Unmarshal(raw, &members) != nil {
			return nil
		}
		raw, members = members[s.Name], nil
	}
	return raw
}

func (g *jsonGuess) take(raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	switch raw[0] {
	case 'n':
	case 't', 'f':
		g.bools = true
	case '{', '[':
		g.nested = true
	case '"':
		g.strings.begin()
		if k := form(raw[1 : len(raw)-1]); k&(kindDate|kindTimestamp|kindZoned|kindUUID) != 0 {
			g.strings.seen |= k
		} else {
			g.strings.seen |= kindText // a number in quotes is meant to be text
		}
	default:
		g.numbers.text(raw)
	}
}

func (g *jsonGuess) typ(whole bool) string {
	kindsSeen := 0
	for _, is := range []bool{g.numbers.begun, g.strings.begun, g.bools, g.nested} {
		if is {
			kindsSeen++
		}
	}
	switch {
	case g.nested:
		return JSONB
	case kindsSeen != 1:
		return Text
	case g.bools:
		return Boolean
	case g.strings.begun:
		return g.strings.typ(whole)
	}
	return g.numbers.typ(whole)
}

// Table is what was found. given are the control file's columns, whose types
// count; nil leaves the choice to the objects.
func (j *JSON) Table(given []loadspec.Column) (*Table, error) {
	t := &Table{}
	if given != nil {
		for _, c := range given {
			if c.Type == "" {
				c.Type = j.typeOf(c.Name)
			}
			t.Columns = append(t.Columns, Column{Name: c.Name, Type: c.Type})
		}
		return t, nil
	}
	taken := map[string]bool{}
	for _, p := range j.paths {
		taken[p.Column] = true
	}
	folded := map[string]int{}
	for _, key := range j.order {
		folded[strings.ToLower(key)]++
	}
	for _, key := range j.order {
		name := strings.ToLower(key) // keys of another case are found as well
		if folded[name] > 1 || len(name) > maxName {
			name = key
		}
		if !taken[name] {
			taken[name] = true
			t.Columns = append(t.Columns, Column{Name: name, Type: j.values[key].typ(j.whole)})
		}
	}
	for i, p := range j.paths {
		t.Columns = append(t.Columns, Column{Name: p.Column, Type: j.byPath[i].typ(j.whole)})
	}
	for _, key := range j.long {
		t.Notes = append(t.Notes, fmt.Sprintf("key %.100q cannot be a column's name and is left out: give it one with JSON: {name: \"$['…']\"}", key))
	}
	if len(t.Columns) == 0 {
		return nil, errors.New("the objects have no keys to make columns of")
	}
	if len(t.Columns) > maxColumns {
		return nil, fmt.Errorf("the objects have more than %d keys: choose some with COLUMNS", maxColumns)
	}
	return t, nil
}

func (j *JSON) typeOf(column string) string {
	for i, p := range j.paths {
		if p.Column == column {
			return j.byPath[i].typ(j.whole)
		}
	}
	if g := j.values[column]; g != nil {
		return g.typ(j.whole)
	}
	for _, key := range j.order {
		if strings.ToLower(key) == column {
			return j.values[key].typ(j.whole)
		}
	}
	return Text
}
