package infer

import (
	"bytes"
	"slices"
	"strings"

	"cw/loadspec"
)

// Guess is what the beginning of an object looks like.
type Guess struct {
	Format    string
	Delimiter byte // of text and csv
	Header    bool
	Names     []string // of a header
	Fields    int      // in a row; 0 not known
}

// sniffLines are looked at: a few tell as much as many.
const sniffLines = 50

// Sniff looks at the first bytes of an object, uncompressed. columns are those
// of the table that it is for, if that is known.
func Sniff(head []byte, columns []string) Guess {
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		return Guess{Format: loadspec.FormatParquet}
	case bytes.HasPrefix(head, []byte("Obj\x01")):
		return Guess{Format: loadspec.FormatAvro}
	}
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	start := bytes.TrimLeft(head, " \t\r\n")
	switch {
	case bytes.HasPrefix(start, []byte("{\"")), bytes.HasPrefix(start, []byte("{ \"")), bytes.HasPrefix(start, []byte("[{")), bytes.HasPrefix(start, []byte("{\n")):
		return Guess{Format: loadspec.FormatJSON}
	case bytes.HasPrefix(start, []byte("-- MySQL dump")), bytes.HasPrefix(start, []byte("-- MariaDB dump")), bytes.HasPrefix(start, []byte("/*M!")), bytes.HasPrefix(start, []byte("/*!40")):
		return Guess{Format: loadspec.FormatMySQLDump}
	}
	g := Guess{Format: loadspec.FormatCSV, Delimiter: ','}
	best := 0
	var rows [][]string
	for _, d := range []byte(",\t|;") {
		r := sniffRows(head, d)
		score := evenness(r)
		if len(r) > 0 && len(r[0]) == len(columns) && len(columns) > 1 {
			score += 1000
		}
		if score > best {
			best, rows, g.Delimiter = score, r, d
		}
	}
	if len(rows) > 0 {
		g.Fields = len(rows[0])
	}
	if g.Delimiter == '\t' && !bytes.ContainsRune(head, '"') {
		g.Format = loadspec.FormatText
	}
	if g.Header = isHeader(rows, columns); g.Header {
		g.Names = rows[0]
	}
	return g
}

// sniffRows cuts whole rows; a quote counts where a field begins.
func sniffRows(b []byte, delimiter byte) (rows [][]string) {
	var row []string
	var field []byte
	quoted, begun := false, false
	for i := 0; i < len(b) && len(rows) < sniffLines; i++ {
		c := b[i]
		switch {
		case quoted && c == '"':
			if i+1 < len(b) && b[i+1] == '"' {
				field = append(field, '"')
				i++
			} else {
				quoted = false
			}
		case quoted:
			field = append(field, c)
		case c == '"' && !begun:
			quoted, begun = true, true
		case c == delimiter:
			row, field, begun = append(row, string(field)), field[:0], false
		case c == '\n':
			row = append(row, strings.TrimSuffix(string(field), "\r"))
			rows, row, field, begun = append(rows, row), nil, field[:0], false
		default:
			field, begun = append(field, c), true
		}
	}
	return rows
}

// evenness is how many fields all rows have; nothing when they differ.
func evenness(rows [][]string) int {
	if len(rows) == 0 {
		return 0
	}
	n := len(rows[0])
	for _, r := range rows {
		if len(r) != n {
			return 0
		}
	}
	if n < 2 {
		return 0
	}
	return n
}

// isHeader tells names from values: they are the table's, or they are words
// above columns of numbers and times.
func isHeader(rows [][]string, columns []string) bool {
	if len(rows) == 0 {
		return false
	}
	same := 0
	for _, name := range rows[0] {
		if strings.TrimSpace(name) == "" || form([]byte(name)) != kindText && form([]byte(name)) != kindLetter {
			return false
		}
		if slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, loadspec.FoldName(name)) }) {
			same++
		}
	}
	if len(columns) > 0 && 2*same >= len(rows[0]) {
		return true
	}
	for _, r := range rows[1:] {
		for _, v := range r {
			if k := form([]byte(v)); v != "" && k != kindText && k != kindLetter {
				return true
			}
		}
	}
	return false
}
