package loadspec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Columns that no file has, and that expressions of MAPPING may use: where a
// row comes from.
const (
	StampObject = "cw_object" // URL of its object
	StampLine   = "cw_line"   // number of the line, or row, at which it begins there, uncompressed
)

var stampName = regexp.MustCompile(`(?i)\bcw_(object|line)\b`)

// Stamps are the columns about a row's origin that MAPPING uses and that are
// not columns of the file themselves. They are put before the file's.
func (s *Spec) Stamps(columns []Column) []Column {
	used := map[string]bool{}
	for _, m := range s.Output.Mapping {
		for _, name := range stampName.FindAllString(m.Expr, -1) {
			used[strings.ToLower(name)] = true
		}
	}
	var stamps []Column
	for _, c := range []Column{{StampObject, "text"}, {StampLine, "bigint"}} {
		if used[c.Name] && !slices.ContainsFunc(columns, func(f Column) bool { return f.Name == c.Name }) {
			stamps = append(stamps, c)
		}
	}
	return stamps
}

// Stamp writes the fields of stamps before a row, as the row itself is
// written.
type Stamp struct {
	columns []Column
	format  Format
}

// NewStamp prepares it; nil when there is nothing to write.
func NewStamp(columns []Column, f Format) *Stamp {
	if len(columns) == 0 {
		return nil
	}
	return &Stamp{columns: columns, format: f}
}

// Object is the part of the stamp that is the same in all rows of an object,
// for Append.
func (s *Stamp) Object(url string) []byte {
	if s.columns[0].Name != StampObject {
		return nil
	}
	return append(s.field(nil, url), s.format.Delimiter)
}

// Append writes the fields of a row that begins at a line.
func (s *Stamp) Append(dst, object []byte, line int64) []byte {
	dst = append(dst, object...)
	if s.columns[len(s.columns)-1].Name == StampLine {
		dst = append(s.field(dst, strconv.FormatInt(line, 10)), s.format.Delimiter)
	}
	return dst
}

// field writes a value so that neither quotes nor delimiters nor NULL_AS are
// seen in it, and in one line.
func (s *Stamp) field(dst []byte, value string) []byte {
	if s.format.Kind == FormatCSV {
		value = strings.NewReplacer("\n", "%0A", "\r", "%0D").Replace(value)
		q, e := s.format.Quote, s.format.Escape
		dst = append(dst, q)
		for _, c := range []byte(value) {
			if c == q || c == e {
				dst = append(dst, e)
			}
			dst = append(dst, c)
		}
		return append(dst, q)
	}
	e := s.format.Escape
	for _, c := range []byte(value) {
		switch c {
		case '\n':
			dst = append(dst, e, 'n')
		case '\r':
			dst = append(dst, e, 'r')
		case '\t':
			dst = append(dst, e, 't')
		case e, s.format.Delimiter:
			dst = append(dst, e, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// Strip takes the stamp off a row, so that it is what stands in the object.
func (s *Stamp) Strip(row, object string) string {
	if s == nil {
		return row
	}
	rest, ok := strings.CutPrefix(row, string(s.Object(object)))
	if !ok {
		return row
	}
	if s.columns[len(s.columns)-1].Name != StampLine {
		return rest
	}
	number, own, ok := strings.Cut(rest, string([]byte{s.format.Delimiter}))
	if s.format.Kind == FormatCSV {
		number = strings.Trim(number, string([]byte{s.format.Quote}))
	}
	if _, err := strconv.ParseInt(number, 10, 64); err != nil || !ok {
		return row
	}
	return own
}
