package loadspec

import (
	"fmt"
	"hash/fnv"
	"sort"
	"strconv"
	"strings"
)

// Formats whose objects are converted to rows of COPY's text format before
// anything else sees them.
const (
	FormatJSON      = "json"
	FormatParquet   = "parquet"
	FormatAvro      = "avro"
	FormatMySQLDump = "mysqldump"
	FormatFixed     = "fixed"
)

// NewlineNone as NEWLINE of FORMAT: fixed means that rows have no ends.
const NewlineNone = "NONE"

// What dates that do not exist become.
const (
	ZeroDatesNull  = "null"
	ZeroDatesError = "error"
)

// Convert says how objects are made into rows of COPY's text format in UTF-8,
// which is what Spec.Format then describes. nil in a Spec: they are rows.
type Convert struct {
	Kind  string
	Paths []JSONPath // json: columns that are not a top-level key of their name

	Table     string // mysqldump: whose rows are taken
	ZeroDates string // mysqldump: what 0000-00-00 is

	Widths  []Width // fixed: the fields, in order
	Null    string  // fixed: what stands for NULL, blanks cut off
	Fill    bool    // fixed: fields missing at a row's end are NULL
	Header  bool    // fixed: the first row is a heading
	Unended bool    // fixed: rows have no line ends
}

// Width is a field of fixed width, in characters.
type Width struct {
	Column string // names that begin with _ are of no column
	Width  int
}

// JSONPath is where a column's value stands in a JSON object.
type JSONPath struct {
	Column string
	Steps  []JSONStep // none: the object itself
}

// JSONStep goes to a member of an object, or, when Name is "" and Item is
// true, to an item of an array.
type JSONStep struct {
	Name  string
	Item  bool
	Index int
}

// converterVersions change whenever a converter writes other bytes for the
// same object: offsets in the ledger are offsets of what it writes, so that a
// job cannot be resumed by another version.
var converterVersions = map[string]int{ //nolint:gochecknoglobals // constant table
	FormatJSON: 1, FormatParquet: 2, FormatAvro: 1, FormatMySQLDump: 1, FormatFixed: 1,
}

// Tag identifies the conversion for the ledger: the converter and its version,
// and a digest of all that decides what it writes.
func (c *Convert) Tag(columns []Column, maxRow int64) string {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%+v %d", *c, maxRow)
	for _, column := range columns {
		_, _ = fmt.Fprintf(h, " %q %s", column.Name, writtenAs(column.Type))
	}
	return c.Kind + "/" + strconv.Itoa(converterVersions[c.Kind]) + "-" + strconv.FormatUint(h.Sum64(), 36)
}

// convert moves what the objects are like from Format to Convert.
func (v *validator) convert() {
	s, in := v.spec, &v.spec.file.Load.Input
	kind := s.Format.Kind
	if len(in.JSON) > 0 && kind != FormatJSON {
		v.fail("GPLOAD.INPUT.JSON", "goes with FORMAT: json only")
	}
	if (in.Dump.Table != "" || in.Dump.ZeroDates != "") && kind != FormatMySQLDump {
		v.fail("GPLOAD.INPUT.MYSQLDUMP", "goes with FORMAT: mysqldump only")
	}
	if len(in.Fixed) > 0 && kind != FormatFixed {
		v.fail("GPLOAD.INPUT.FIXED", "goes with FORMAT: fixed only")
	}
	if in.Newline == NewlineNone && kind != FormatFixed {
		v.fail("GPLOAD.INPUT.NEWLINE", "NONE goes with FORMAT: fixed only")
	}
	if _, ok := converterVersions[kind]; !ok {
		return
	}
	for key, set := range map[string]bool{
		"NULL_AS": in.NullAs != nil, "NEWLINE": in.Newline != "", "FILL_MISSING_FIELDS": in.Fill, "FORCE_NOT_NULL": len(in.ForceNotNull) > 0,
	} {
		if set && (kind != FormatFixed || key == "FORCE_NOT_NULL") {
			v.fail("GPLOAD.INPUT."+key, "goes with FORMAT: text and csv only")
		}
	}
	if e := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(in.Encoding)); e != "" && e != "UTF8" {
		v.fail("GPLOAD.INPUT.ENCODING", "%s: objects of FORMAT: %s are read as UTF8", in.Encoding, kind)
	}
	if z := s.Format.Compression; kind == FormatParquet && z != CompressionAuto && z != "none" {
		v.fail("GPLOAD.INPUT.COMPRESSION", "%s: a Parquet file is compressed inside, and must not be outside", z)
	}
	c := &Convert{Kind: kind}
	if kind == FormatFixed {
		v.fixed(c)
	}
	if kind == FormatMySQLDump {
		c.ZeroDates = orDefault(in.Dump.ZeroDates, ZeroDatesNull)
		if c.Table = in.Dump.Table; c.Table == "" {
			_, c.Table, _ = SplitName(s.file.Load.Output.Table) // output says what is wrong with it
		}
	}
	for _, p := range in.JSON {
		steps, err := ParseJSONPath(p.Value)
		if err != nil {
			v.fail("GPLOAD.INPUT.JSON", "column %s: %v", p.Key, err)
		}
		c.Paths = append(c.Paths, JSONPath{Column: FoldName(p.Key), Steps: steps})
	}
	sort.SliceStable(c.Paths, func(a, b int) bool { return c.Paths[a].Column < c.Paths[b].Column })
	for i := 1; i < len(c.Paths); i++ {
		if c.Paths[i].Column == c.Paths[i-1].Column {
			v.fail("GPLOAD.INPUT.JSON", "column %s is given twice", c.Paths[i].Column)
		}
	}
	s.Convert = c
	s.Format = Format{
		Kind: FormatText, Compression: s.Format.Compression, Delimiter: '\t', Escape: '\\', Null: `\N`, NullSet: true, Newline: NewlineLF, Encoding: "UTF8",
	}
}

// ParseJSONPath reads $, $.name, $['name'], $.list[0] and what is made of
// them.
func ParseJSONPath(s string) ([]JSONStep, error) {
	bad := func(why string) ([]JSONStep, error) {
		return nil, fmt.Errorf("%q is no path: %s; write $.name, $.list[0].name or $['a.b']", s, why)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), "$")
	if !ok {
		return bad("it does not begin with $")
	}
	steps := []JSONStep{}
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "['"):
			name, tail, closed := strings.Cut(rest[2:], "']")
			if !closed || name == "" {
				return bad("['…'] is not closed, or empty")
			}
			steps, rest = append(steps, JSONStep{Name: name}), tail
		case rest[0] == '[':
			digits, tail, closed := strings.Cut(rest[1:], "]")
			n, err := strconv.Atoi(digits)
			if !closed || err != nil || n < 0 || n > 1<<20 {
				return bad("an array's item is named by its number, from 0")
			}
			steps, rest = append(steps, JSONStep{Item: true, Index: n}), tail
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			if end == 1 {
				return bad("a name is empty")
			}
			if strings.ContainsAny(rest[1:end], "*?@]'\"") {
				return bad("wildcards and filters are not known")
			}
			steps, rest = append(steps, JSONStep{Name: rest[1:end]}), rest[end:]
		default:
			return bad(fmt.Sprintf("unexpected %q", rest))
		}
	}
	return steps, nil
}
