package infer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MySQL translates the CREATE TABLE of a dump of mysqldump or mariadb-dump.
// What has no counterpart, or one that would not mean the same, is left out
// and said in the notes. nullDates says that dates which do not exist become
// NULL, so that columns of dates must take it.
func MySQL(ddl []byte, nullDates bool) (*Table, error) {
	tokens, err := mysqlTokens(ddl)
	if err != nil {
		return nil, err
	}
	p := &mysqlDDL{tokens: tokens, t: &Table{}, nullDates: nullDates}
	for !p.at().is("(") {
		if p.at().kind == tokenEnd {
			return nil, errors.New("CREATE TABLE has no columns")
		}
		p.i++
	}
	p.i++
	for {
		item := p.item()
		if len(item) > 0 {
			p.define(item)
		}
		if p.at().kind == tokenEnd {
			return nil, errors.New("CREATE TABLE is not closed")
		}
		p.i++
		if p.tokens[p.i-1].is(")") {
			break
		}
	}
	p.options()
	if len(p.t.Columns) == 0 {
		return nil, errors.New("CREATE TABLE has no columns")
	}
	return p.t, nil
}

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // or a number
	tokenName             // in backticks
	tokenString           // in quotes
	tokenSign
)

type token struct {
	kind tokenKind
	text string
}

func (t token) is(word string) bool {
	return (t.kind == tokenWord || t.kind == tokenSign) && strings.EqualFold(t.text, word)
}

// mysqlTokens cuts a statement into words, names, strings and signs. What only
// some servers read (/*!80016 … */) is read, other comments are not.
func mysqlTokens(b []byte) ([]token, error) {
	var list []token
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c <= ' ':
			i++
		case c == '#' || c == '-' && i+1 < len(b) && b[i+1] == '-':
			for i < len(b) && b[i] != '\n' {
				i++
			}
		case c == '/' && i+1 < len(b) && b[i+1] == '*':
			if i+2 < len(b) && (b[i+2] == '!' || b[i+2] == 'M') {
				for i += 3; i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == '!'); i++ {
				}
				continue
			}
			end := strings.Index(string(b[i:]), "*/")
			if end < 0 {
				return nil, errors.New("a comment is not closed")
			}
			i += end + 2
		case c == '*' && i+1 < len(b) && b[i+1] == '/':
			i += 2
		case c == '`' || c == '\'' || c == '"':
			text, end := mysqlQuoted(b, i)
			if end < 0 {
				return nil, errors.New("a quote is not closed")
			}
			kind := tokenString
			if c == '`' {
				kind = tokenName
			}
			list = append(list, token{kind, text})
			i = end
		case wordByte(c):
			from := i
			for i < len(b) && wordByte(b[i]) {
				i++
			}
			list = append(list, token{tokenWord, string(b[from:i])})
		default:
			list = append(list, token{tokenSign, string(c)})
			i++
		}
	}
	return list, nil
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c == '.' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

// mysqlQuoted is the text of a quoted token and the place after it; -1 when it
// is not closed.
func mysqlQuoted(b []byte, i int) (string, int) {
	q := b[i]
	var out []byte
	for i++; i < len(b); i++ {
		switch {
		case b[i] == '\\' && q != '`' && i+1 < len(b):
			i++
			if at := strings.IndexByte("nrt0Z", b[i]); at >= 0 {
				out = append(out, "\n\r\t\x00\x1a"[at])
			} else {
				out = append(out, b[i])
			}
		case b[i] == q && i+1 < len(b) && b[i+1] == q:
			i++
			out = append(out, q)
		case b[i] == q:
			return string(out), i + 1
		default:
			out = append(out, b[i])
		}
	}
	return "", -1
}

// mysqlDDL reads CREATE TABLE.
type mysqlDDL struct {
	tokens    []token
	i         int
	t         *Table
	nullDates bool
}

func (p *mysqlDDL) at() token {
	if p.i < len(p.tokens) {
		return p.tokens[p.i]
	}
	return token{}
}

// item takes the tokens up to the next comma or parenthesis that ends it.
func (p *mysqlDDL) item() []token {
	from, depth := p.i, 0
	for ; p.i < len(p.tokens); p.i++ {
		switch t := p.tokens[p.i]; {
		case t.is("("):
			depth++
		case t.is(")") && depth == 0, t.is(",") && depth == 0:
			return p.tokens[from:p.i]
		case t.is(")"):
			depth--
		}
	}
	return p.tokens[from:]
}

func (p *mysqlDDL) note(format string, args ...any) {
	p.t.Notes = append(p.t.Notes, fmt.Sprintf(format, args...))
}

// define takes a column or a key.
func (p *mysqlDDL) define(item []token) {
	if item[0].kind == tokenName || item[0].kind == tokenString {
		p.column(item)
		return
	}
	text := tokensText(item)
	first := item[0]
	switch {
	case first.is("PRIMARY"):
		if cols, ok := keyColumns(item); ok {
			p.t.Primary = cols
		} else {
			p.note("not taken over: %s", text)
		}
	case first.is("UNIQUE"):
		if cols, ok := keyColumns(item); ok {
			p.t.Unique = append(p.t.Unique, cols)
		} else {
			p.note("not taken over: %s", text)
		}
	case first.is("KEY"), first.is("INDEX"), first.is("FULLTEXT"), first.is("SPATIAL"):
		p.note("index not created, better after the load: %s", text)
	default:
		p.note("not taken over: %s", text)
	}
}

// keyColumns are the columns of a key, unless it is of beginnings of values
// or of expressions.
func keyColumns(item []token) (cols []string, ok bool) {
	i := 0
	for i < len(item) && !item[i].is("(") {
		i++
	}
	for i++; i < len(item); i++ {
		switch t := item[i]; {
		case t.kind == tokenName:
			cols = append(cols, columnName(t.text))
		case t.is(","), t.is("ASC"):
		case t.is(")"):
			return cols, len(cols) > 0
		default:
			return nil, false
		}
	}
	return nil, false
}

// columnName is how a column is called here: in lower case, as MySQL does not
// tell cases apart either.
func columnName(s string) string { return cut(strings.ToLower(s), maxName) }

func tokensText(item []token) string {
	var b strings.Builder
	for i, t := range item {
		if i > 0 && !t.is("(") && !t.is(")") && !t.is(",") && !item[i-1].is("(") {
			b.WriteByte(' ')
		}
		if t.kind == tokenString {
			b.WriteString("'" + t.text + "'")
		} else {
			b.WriteString(t.text)
		}
	}
	return cut(b.String(), 200)
}

// options takes what follows the parentheses.
func (p *mysqlDDL) options() {
	for ; p.i < len(p.tokens); p.i++ {
		value := func() string {
			p.i++
			if p.at().is("=") {
				p.i++
			}
			return p.at().text
		}
		switch t := p.at(); {
		case t.is("AUTO_INCREMENT"):
			n, err := strconv.ParseInt(value(), 10, 64)
			for i := range p.t.Columns {
				if err == nil && p.t.Columns[i].Serial {
					p.t.Columns[i].Start = n
				}
			}
		case t.is("COMMENT"):
			p.t.Comment = value()
		case t.is("PARTITION"):
			p.note("not taken over: %s", tokensText(p.tokens[p.i:]))
			return
		}
	}
}
