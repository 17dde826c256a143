package external

import (
	"strings"

	"cw/fault"
	"cw/loadspec"
)

// Option is an option of a custom format, as formatter = 'text_in'.
type Option struct{ Name, Value string }

// Format is how the rows of an external table are written. The texts go to
// the database as they are; it says what is wrong with them.
type Format struct {
	Kind         string // text, csv or custom
	Delimiter    string
	Null         string
	Escape       string // "off" in text for none
	Quote        string // csv
	Header       bool
	FillMissing  bool
	ForceNotNull []string // columns, csv
	ForceQuote   []string // columns, csv, writable
	Newline      string   // LF, CR, CRLF; "" the first row decides
	Custom       []Option // custom: formatter first
}

// NewFormat takes the format of a control file, with its defaults filled in.
// columns are those of the file, for FORCE_NOT_NULL: true.
func NewFormat(f loadspec.Format, columns []loadspec.Column) (Format, error) {
	out := Format{
		Kind: f.Kind, Delimiter: string(f.Delimiter), Null: f.Null, Escape: string(f.Escape), Header: f.Header,
		FillMissing: f.FillMissing, Newline: f.Newline,
	}
	switch f.Kind {
	case loadspec.FormatCSV:
		out.Quote = string(f.Quote)
	case loadspec.FormatText:
		if !f.NullSet {
			out.Null = `\N`
		}
		if f.EscapeOff {
			out.Escape = "off"
		}
	default:
		return Format{}, fault.New(fault.Usage, "convert the objects to csv first", "format %s cannot be read by an external table", f.Kind)
	}
	if strings.Contains(out.Null, "'") {
		// The catalogue keeps it unescaped, and every scan of the table fails.
		return Format{}, fault.New(fault.Usage, "write something else for NULL into the files", "NULL_AS %q: Greenplum cannot have a single quote in it", out.Null)
	}
	names := map[string]bool{}
	for _, c := range columns {
		names[c.Name] = true
		if f.ForceAll {
			out.ForceNotNull = append(out.ForceNotNull, c.Name)
		}
	}
	for _, name := range f.ForceNotNull {
		if !names[name] {
			return Format{}, &ColumnError{Key: "FORCE_NOT_NULL", Column: name, Reason: NotInFile}
		}
		out.ForceNotNull = append(out.ForceNotNull, name)
	}
	return out, nil
}

// clause is the option list of FORMAT, in the order of gpload 6, which every
// version reads.
func (f Format) clause(plainText bool) string {
	quote := func(s string) string { return literal(s, plainText) }
	if f.Kind == "custom" {
		var opts []string
		for _, o := range f.Custom {
			opts = append(opts, loadspec.QuoteIdent(o.Name)+"="+quote(o.Value))
		}
		return strings.Join(opts, ", ")
	}
	opts := []string{"delimiter " + quote(f.Delimiter), "null " + quote(f.Null), "escape " + quote(f.Escape)}
	if f.Kind == loadspec.FormatCSV {
		opts = append(opts, "quote "+quote(f.Quote))
	}
	if f.Header {
		opts = append(opts, "header")
	}
	if f.FillMissing {
		opts = append(opts, "fill missing fields")
	}
	if len(f.ForceNotNull) > 0 {
		opts = append(opts, "force not null "+idents(f.ForceNotNull))
	}
	if len(f.ForceQuote) > 0 {
		opts = append(opts, "force quote "+idents(f.ForceQuote))
	}
	if f.Newline != "" {
		opts = append(opts, "newline "+quote(f.Newline))
	}
	return strings.Join(opts, " ")
}

// stored is how Greenplum 6 keeps the options in pg_exttable.fmtopts: the
// texts between quotes, unescaped, and always in this order.
func (f Format) stored() string {
	if f.Kind == "custom" {
		var b strings.Builder
		for _, o := range f.Custom {
			b.WriteString(strings.ReplaceAll(o.Name, " ", "<gpx20>") + " '" + o.Value + "' ")
		}
		return b.String()
	}
	var b strings.Builder
	b.WriteString("delimiter '" + f.Delimiter + "' null '" + f.Null + "' escape '" + f.Escape + "'")
	if f.Kind == loadspec.FormatCSV {
		b.WriteString(" quote '" + f.Quote + "'")
	}
	if f.Header {
		b.WriteString(" header")
	}
	if f.FillMissing {
		b.WriteString(" fill missing fields")
	}
	for i, words := range []string{" force not null ", " force quote "} {
		var names []string
		for _, n := range [][]string{f.ForceNotNull, f.ForceQuote}[i] {
			names = append(names, Ident(n))
		}
		if len(names) > 0 {
			b.WriteString(words + strings.Join(names, ","))
		}
	}
	if f.Newline != "" {
		b.WriteString(" newline '" + f.Newline + "'")
	}
	return b.String()
}

// storedPieces is the same for Greenplum 7, which keeps the options as those
// of a foreign table and shows them as key 'value' in the order of the
// statement.
func (f Format) storedPieces() []string {
	if f.Kind == "custom" {
		var pieces []string
		for _, o := range f.Custom {
			pieces = append(pieces, o.Name+" '"+o.Value+"'")
		}
		return pieces
	}
	pieces := []string{"delimiter '" + f.Delimiter + "'", "null '" + f.Null + "'", "escape '" + f.Escape + "'"}
	if f.Kind == loadspec.FormatCSV {
		pieces = append(pieces, "quote '"+f.Quote+"'")
	}
	if f.Header {
		pieces = append(pieces, "header 'true'")
	}
	if f.FillMissing {
		pieces = append(pieces, "fill_missing_fields 'true'")
	}
	if len(f.ForceNotNull) > 0 {
		pieces = append(pieces, "force_not_null '"+strings.Join(f.ForceNotNull, ",")+"'")
	}
	if f.Newline != "" {
		pieces = append(pieces, "newline '"+f.Newline+"'")
	}
	return pieces
}

// sameStored compares what the catalogue has with what this format would have
// there.
func (f Format) sameStored(opts string, foreign bool) bool {
	if !foreign {
		return strings.TrimRight(opts, " ") == strings.TrimRight(f.stored(), " ")
	}
	rest := " " + opts + " "
	for _, p := range f.storedPieces() {
		before, after, ok := strings.Cut(rest, " "+p+" ")
		if !ok {
			return false
		}
		rest = before + " " + after
	}
	return strings.TrimSpace(rest) == ""
}

// code is pg_exttable.fmttype.
func (f Format) code() string {
	switch f.Kind {
	case loadspec.FormatCSV:
		return "c"
	case "custom":
		return "b"
	default:
		return "t"
	}
}
