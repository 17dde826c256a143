// Package format turns what the control file says about the rows into what
// the reader and the database need to know: the splitter's dialect and COPY's
// options. Formats that need converting will have their converters here.
package format

import (
	"strings"

	"cw/loadspec"
	"cw/loadspec/split"
)

// Dialect is how records of f are told apart.
func Dialect(f loadspec.Format) split.Dialect {
	d := split.Dialect{CSV: f.Kind == loadspec.FormatCSV, Quote: f.Quote, Escape: f.Escape}
	switch f.Newline {
	case loadspec.NewlineLF:
		d.Newline = split.LF
	case loadspec.NewlineCR:
		d.Newline = split.CR
	case loadspec.NewlineCRLF:
		d.Newline = split.CRLF
	}
	return d
}

// UTF8 tells whether objects in this encoding may begin with a byte-order
// mark.
func UTF8(encoding string) bool {
	e := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(encoding))
	return e == "UTF8" || e == "UNICODE"
}

// CopyOptions is the option list of COPY FROM STDIN for PostgreSQL. forceNotNull
// names columns as COPY's own column list does; encoding is never empty.
func CopyOptions(f loadspec.Format, forceNotNull []string, encoding string) string {
	opts := []string{"FORMAT " + f.Kind, "DELIMITER " + loadspec.QuoteLiteral(string(f.Delimiter))}
	if f.NullSet {
		opts = append(opts, "NULL "+loadspec.QuoteLiteral(f.Null))
	}
	if f.Kind == loadspec.FormatCSV {
		opts = append(opts, "QUOTE "+loadspec.QuoteLiteral(string(f.Quote)), "ESCAPE "+loadspec.QuoteLiteral(string(f.Escape)))
		if len(forceNotNull) > 0 {
			opts = append(opts, "FORCE_NOT_NULL ("+Columns(forceNotNull)+")")
		}
	}
	opts = append(opts, "ENCODING "+loadspec.QuoteLiteral(encoding))
	return strings.Join(opts, ", ")
}

// Columns is a list of column names in SQL.
func Columns(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = loadspec.QuoteIdent(n)
	}
	return strings.Join(quoted, ", ")
}
