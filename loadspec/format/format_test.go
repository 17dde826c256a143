package format

import (
	"testing"

	"cw/loadspec"
	"cw/loadspec/split"
)

func TestCopyOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f     loadspec.Format
		force []string
		want  string
	}{
		{loadspec.Format{Kind: "text", Delimiter: '\t', Escape: '\\'}, nil, "FORMAT text, DELIMITER '\t', ENCODING 'UTF8'"},
		{loadspec.Format{Kind: "text", Delimiter: '|', Escape: '\\', Null: `\N`, NullSet: true}, nil, `FORMAT text, DELIMITER '|', NULL  E'\\N', ENCODING 'UTF8'`},
		{loadspec.Format{Kind: "csv", Delimiter: ',', Quote: '"', Escape: '"'}, nil, `FORMAT csv, DELIMITER ',', QUOTE '"', ESCAPE '"', ENCODING 'UTF8'`},
		{loadspec.Format{Kind: "csv", Delimiter: '\'', Quote: '\'', Escape: '\\', NullSet: true}, []string{"a", `b"c`}, `FORMAT csv, DELIMITER '''', NULL '', QUOTE '''', ESCAPE  E'\\', FORCE_NOT_NULL ("a", "b""c"), ENCODING 'UTF8'`},
	} {
		if got := CopyOptions(c.f, c.force, "UTF8"); got != c.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", c.f, got, c.want)
		}
	}
}

func TestDialect(t *testing.T) {
	t.Parallel()
	for n, want := range map[string]split.Newline{"": split.Auto, loadspec.NewlineLF: split.LF, loadspec.NewlineCR: split.CR, loadspec.NewlineCRLF: split.CRLF} {
		got := Dialect(loadspec.Format{Kind: "csv", Quote: '"', Escape: '\\', Newline: n})
		if got != (split.Dialect{CSV: true, Quote: '"', Escape: '\\', Newline: want}) {
			t.Errorf("newline %q: %+v", n, got)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	csv := loadspec.Format{Kind: "csv", Delimiter: ',', Quote: '"', Escape: '"'}
	esc := loadspec.Format{Kind: "csv", Delimiter: ';', Quote: '"', Escape: '\\'}
	text := loadspec.Format{Kind: "text", Delimiter: '|', Escape: '\\'}
	for _, c := range []struct {
		record string
		f      loadspec.Format
		want   int
	}{
		{"", csv, 1},
		{"a,b,c", csv, 3},
		{`"a,b",c`, csv, 2},
		{`"a"",""b",c,`, csv, 3},
		{`a"b,c"d,e`, csv, 2},
		{`"a\";b";c`, esc, 2},
		{`a\|b|c`, text, 2},
		{`a\\|b`, text, 2},
		{"a,b", text, 1},
	} {
		if got := Fields([]byte(c.record), c.f); got != c.want {
			t.Errorf("%q: %d fields, want %d", c.record, got, c.want)
		}
	}
}

func TestUTF8(t *testing.T) {
	t.Parallel()
	for e, want := range map[string]bool{"UTF8": true, "utf-8": true, "Unicode": true, "LATIN1": false, "SQL_ASCII": false} {
		if UTF8(e) != want {
			t.Errorf("UTF8(%q) = %v", e, !want)
		}
	}
}
