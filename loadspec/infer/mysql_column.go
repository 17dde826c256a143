package infer

import (
	"strconv"
	"strings"

	"cw/loadspec"
)

// column takes a column's definition.
func (p *mysqlDDL) column(item []token) {
	name := item[0].text
	c := Column{Name: columnName(name)}
	for _, other := range p.t.Columns {
		if other.Name == c.Name {
			p.note("column %s: another one has its name already, it is left out", name)
			return
		}
	}
	rest := item[1:]
	if len(rest) == 0 || rest[0].kind != tokenWord {
		p.note("column %s has no type and is left out", name)
		return
	}
	typ := strings.ToLower(rest[0].text)
	rest = rest[1:]
	if typ == "double" && len(rest) > 0 && rest[0].is("PRECISION") {
		rest = rest[1:]
	}
	args, rest := arguments(rest)
	unsigned := false
	for len(rest) > 0 && (rest[0].is("UNSIGNED") || rest[0].is("SIGNED") || rest[0].is("ZEROFILL")) {
		unsigned = unsigned || !rest[0].is("SIGNED")
		rest = rest[1:]
	}
	p.typ(&c, typ, args, unsigned)
	if generated := p.attributes(&c, typ, rest); generated {
		p.note("column %s is computed and left out: %s", name, tokensText(item))
		return
	}
	p.t.Columns = append(p.t.Columns, c)
}

// arguments takes (…) off the front.
func arguments(item []token) (args []token, rest []token) {
	if len(item) == 0 || !item[0].is("(") {
		return nil, item
	}
	depth := 0
	for i, t := range item {
		if t.is("(") {
			depth++
		}
		if t.is(")") {
			if depth--; depth == 0 {
				return item[1:i], item[i+1:]
			}
		}
	}
	return item[1:], nil
}

// mysqlTypes are types whose counterpart takes all their values.
var mysqlTypes = map[string]string{ //nolint:gochecknoglobals // constant table
	"tinyint": "smallint", "smallint": "smallint", "mediumint": Integer, "int": Integer, "integer": Integer, "bigint": BigInt,
	"bool": "smallint", "boolean": "smallint", "year": "smallint",
	"float": "real", "double": Double, "real": Double,
	"date": Date, "datetime": Timestamp, "timestamp": Timestamp, "time": "interval",
	"char": "varchar", "varchar": "varchar", "nchar": "varchar", "nvarchar": "varchar", "character": "varchar",
	"tinytext": Text, "text": Text, "mediumtext": Text, "longtext": Text, "enum": Text, "set": Text,
	"binary": "bytea", "varbinary": "bytea", "tinyblob": "bytea", "blob": "bytea", "mediumblob": "bytea", "longblob": "bytea",
	"json": JSONB, "uuid": UUID, "inet4": "inet", "inet6": "inet",
	"geometry": "bytea", "point": "bytea", "linestring": "bytea", "polygon": "bytea", "multipoint": "bytea", "multilinestring": "bytea",
	"multipolygon": "bytea", "geometrycollection": "bytea", "geomcollection": "bytea",
}

// wider holds all values of an unsigned type.
var wider = map[string]string{ //nolint:gochecknoglobals // constant table
	"tinyint": "smallint", "smallint": Integer, "mediumint": Integer, "int": BigInt, "integer": BigInt, "bigint": "numeric(20,0)",
}

func (p *mysqlDDL) typ(c *Column, typ string, args []token, unsigned bool) {
	number := func(i int) string {
		if n := 2 * i; n < len(args) {
			if _, err := strconv.Atoi(args[n].text); err == nil {
				return args[n].text
			}
		}
		return ""
	}
	c.Type = mysqlTypes[typ]
	switch typ {
	case "decimal", "numeric", "dec", "fixed":
		c.Type = "numeric(" + orElse(number(0), "10") + "," + orElse(number(1), "0") + ")"
	case "bit":
		if c.Type = Boolean; orElse(number(0), "1") != "1" {
			c.Type = "bytea" // as the dump has it
			p.note("column %s: %s(%s) becomes bytea", c.Name, typ, number(0))
		}
	case "enum":
		var values []string
		for _, a := range args {
			if a.kind == tokenString {
				values = append(values, literal(a.text))
			}
		}
		c.Check = loadspec.QuoteIdent(c.Name) + " in (" + strings.Join(values, ", ") + ")"
	case "datetime", "timestamp":
		c.Type += "(" + orElse(number(0), "0") + ")"
		if typ == "timestamp" {
			p.note("column %s: its times are UTC, as the dump has them", c.Name)
		}
	case "char", "varchar", "nchar", "nvarchar", "character":
		c.Type += "(" + orElse(number(0), "1") + ")"
	}
	if unsigned && wider[typ] != "" {
		c.Type = wider[typ]
	}
	switch {
	case c.Type == "":
		c.Type = Text
		p.note("column %s: type %s is not known and becomes text", c.Name, typ)
	case c.Type == "bytea" && !strings.Contains(typ, "b"), typ == "multipoint", typ == "multilinestring":
		p.note("column %s: type %s becomes bytea, as the dump has it", c.Name, typ)
	}
}

func orElse(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// attributes takes what follows a type; generated says that the column holds
// no data of its own.
func (p *mysqlDDL) attributes(c *Column, typ string, rest []token) (generated bool) {
	dates := strings.HasPrefix(typ, "date") || typ == "timestamp"
	at := func(i int) token {
		if i < len(rest) {
			return rest[i]
		}
		return token{}
	}
	for i := 0; i < len(rest); i++ {
		switch t := rest[i]; {
		case t.is("NOT") && at(i+1).is("NULL"):
			i++
			if c.NotNull = !dates || !p.nullDates; !c.NotNull {
				p.note("column %s may be NULL: what 0000-00-00 becomes (MYSQLDUMP: ZERO_DATES)", c.Name)
			}
		case t.is("AUTO_INCREMENT"):
			c.Serial = true
			if c.Type != BigInt && c.Type != Integer && c.Type != "smallint" {
				c.Type = BigInt
				p.note("column %s: unsigned, but numbers itself: becomes bigint", c.Name)
			}
		case t.is("COMMENT"):
			i++
			c.Comment = at(i).text
		case t.is("DEFAULT"):
			i += p.defaultOf(c, rest[i+1:])
		case t.is("ON"):
			p.note("column %s: not taken over: %s", c.Name, tokensText(rest[i:min(len(rest), i+3)]))
			i += 2
		case t.is("AS"):
			return true
		case t.is("CHECK"):
			args, _ := arguments(rest[i+1:])
			i += len(args) + 2
			if len(args) > 0 && args[0].is("json_valid") {
				c.Type = JSONB // MariaDB's json
				continue
			}
			p.note("column %s: not taken over: check (%s)", c.Name, tokensText(args))
		case t.is("REFERENCES"):
			p.note("column %s: not taken over: %s", c.Name, tokensText(rest[i:]))
			return false
		}
	}
	if c.Serial || c.Type == "bytea" || c.Type == JSONB {
		if c.Default != "" && !c.Serial {
			p.note("column %s: default not taken over", c.Name)
		}
		c.Default = ""
	}
	return false
}

// defaultOf takes a default value and returns how many tokens it has.
func (p *mysqlDDL) defaultOf(c *Column, rest []token) int {
	if len(rest) == 0 {
		return 0
	}
	args, _ := arguments(rest[1:])
	length := 1
	if len(args) > 0 || len(rest) > 2 && rest[1].is("(") {
		length += len(args) + 2
	}
	v := rest[0]
	switch {
	case v.is("NULL"):
		return 1
	case v.is("-") && len(rest) > 1:
		c.Default = "-" + rest[1].text
		return 2
	case v.is("CURRENT_TIMESTAMP"), v.is("NOW"), v.is("LOCALTIMESTAMP"):
		c.Default = "current_timestamp"
		return length
	case v.kind == tokenString && strings.HasPrefix(v.text, "0000-00-00"):
		p.note("column %s: default '%s' is no date", c.Name, v.text)
		return 1
	case v.kind == tokenString && !strings.ContainsRune(v.text, 0) && c.Type != Boolean:
		c.Default = literal(v.text)
		return 1
	case v.kind == tokenWord && isNumber(v.text):
		c.Default = v.text
		return 1
	case v.is("b") && len(rest) > 1 && rest[1].kind == tokenString && c.Type == Boolean:
		c.Default = strconv.FormatBool(strings.Contains(rest[1].text, "1"))
		return 2
	}
	switch {
	case v.is("("):
		args, _ := arguments(rest)
		length = len(args) + 2
	case len(rest) > 1 && rest[1].kind == tokenString: // x'…'
		length = 2
	}
	p.note("column %s: default not taken over: %s", c.Name, tokensText(rest[:min(len(rest), length)]))
	return length
}

func isNumber(s string) bool { return s != "" && number([]byte(s))&kindText == 0 }
