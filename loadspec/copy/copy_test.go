package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/split"
)

func TestDSN(t *testing.T) {
	t.Parallel()
	for _, c := range []loadspec.Conn{
		{},
		{Host: "h", Port: 5433, Database: "my db", User: `o'brien\`, Password: `p'a\s s`},
		{Host: "/tmp/dir with space", Password: "' host='evil"},
	} {
		cfg, err := pgx.ParseConfig(dsn(c))
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if c.Host != "" && cfg.Host != c.Host || c.Port != 0 && int(cfg.Port) != c.Port || c.Database != "" && cfg.Database != c.Database ||
			c.User != "" && cfg.User != c.User || c.Password != "" && cfg.Password != c.Password {
			t.Errorf("%+v became %s:%d %s %s %s", c, cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password)
		}
	}
}

func TestRetriable(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "m"}) }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("other"), false},
		{pg("57P01"), true},
		{pg("57P03"), true},
		{pg("08006"), true},
		{pg("53300"), true},
		{pg("40001"), true},
		{pg("28P01"), false},
		{pg("22P02"), false},
		{pg("23505"), false},
		{pg("53100"), false},
		{pg("42P01"), false},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), true},
		{fault.New(fault.Unreachable, "", "x: %w", &pgconn.ConnectError{}), true},
	} {
		if got := Retriable(t.Context(), c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Retriable(ctx, pg("57P01")) {
		t.Error("retried though the context is over")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]fault.Kind{"53100": fault.Failed, "42501": fault.Auth, "42703": fault.Usage, "57014": fault.Interrupted} {
		err := Explain(fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "m"}))
		if fault.KindOf(err) != want || fault.HintOf(err) == "" {
			t.Errorf("%s: kind %v, hint %q", code, fault.KindOf(err), fault.HintOf(err))
		}
	}
	if err := Explain(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("EOF became %v", err)
	}
}

// target is a table of four columns, the first of a sequence, the last
// computed.
func target() *Target {
	return &Target{Schema: "public", Table: "T", Columns: []Column{{"id", "bigint", true, false}, {"a", "int", false, false}, {"B", "text", false, false}, {"g", "int", false, true}}}
}

func plan(t *testing.T, edit func(s *loadspec.Spec)) (*Plan, error) {
	t.Helper()
	return planIn(t, edit, "UTF8")
}

func planIn(t *testing.T, edit func(s *loadspec.Spec), encoding string) (*Plan, error) {
	t.Helper()
	s := &loadspec.Spec{Format: loadspec.Format{Kind: "csv", Delimiter: ',', Quote: '"', Escape: '"'}}
	edit(s)
	return NewPlan(s, target(), encoding)
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const options = `) FROM STDIN WITH (FORMAT csv, DELIMITER ',', QUOTE '"', ESCAPE '"', `
	for _, c := range []struct {
		name                string
		edit                func(s *loadspec.Spec)
		copy, stage, insert string
	}{
		{"the table's own columns", func(*loadspec.Spec) {}, `COPY "public"."T" ("a", "B"` + options + `ENCODING 'UTF8')`, "", ""},
		{"all not null", func(s *loadspec.Spec) { s.Format.ForceAll = true }, `COPY "public"."T" ("a", "B"` + options + `FORCE_NOT_NULL ("a", "B"), ENCODING 'UTF8')`, "", ""},
		{"renamed", func(s *loadspec.Spec) {
			s.Columns = []loadspec.Column{{Name: "x", Type: "text"}, {Name: "y", Type: "serial"}}
			s.Output.Mapping = []loadspec.Mapping{{Target: "a", Expr: "Y"}, {Target: "B", Expr: "x"}}
			s.Format.ForceNotNull = []string{"x"}
		}, `COPY "public"."T" ("B", "a"` + options + `FORCE_NOT_NULL ("B"), ENCODING 'UTF8')`, "", ""},
		{
			"expression", func(s *loadspec.Spec) {
				s.Columns = []loadspec.Column{{Name: "x", Type: "text"}, {Name: "y", Type: "serial"}}
				s.Output.Mapping = []loadspec.Mapping{{Target: "a", Expr: "y + 1"}, {Target: "B", Expr: `"x"`}}
			}, `COPY pg_temp.cw_load_stage ("x", "y"` + options + `ENCODING 'UTF8')`, `CREATE TEMP TABLE IF NOT EXISTS cw_load_stage ("x" text, "y" integer) ON COMMIT DELETE ROWS`,
			`INSERT INTO "public"."T" ("a", "B") SELECT y + 1, "x" FROM pg_temp.cw_load_stage`,
		},
		{
			"a column that is left out", func(s *loadspec.Spec) {
				s.Columns = []loadspec.Column{{Name: "x", Type: "text"}, {Name: "y", Type: "int"}}
				s.Output.Mapping = []loadspec.Mapping{{Target: "a", Expr: "y"}}
			}, `COPY pg_temp.cw_load_stage ("x", "y"` + options + `ENCODING 'UTF8')`, `CREATE TEMP TABLE IF NOT EXISTS cw_load_stage ("x" text, "y" int) ON COMMIT DELETE ROWS`,
			`INSERT INTO "public"."T" ("a") SELECT "y" FROM pg_temp.cw_load_stage`,
		},
	} {
		p, err := plan(t, c.edit)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p.Copy != c.copy || p.Stage != c.stage || p.Insert != c.insert {
			t.Errorf("%s:\n%s\n%s\n%s", c.name, p.Copy, p.Stage, p.Insert)
		}
	}
	for _, c := range []struct {
		edit       func(s *loadspec.Spec)
		text, hint string
	}{
		{func(s *loadspec.Spec) { s.Columns = []loadspec.Column{{Name: "aa"}} }, "COLUMNS: column aa is not in table public.T", "did you mean a?"},
		{func(s *loadspec.Spec) { s.Columns = []loadspec.Column{{Name: "zzzz", Type: "int"}} }, "COLUMNS: column zzzz is not in table public.T", "has: id, a, B, g"},
		{func(s *loadspec.Spec) { s.Output.Mapping = []loadspec.Mapping{{Target: "b", Expr: "a"}} }, "MAPPING: column b is not in", "did you mean"},
		{func(s *loadspec.Spec) { s.Output.Mapping = []loadspec.Mapping{{Target: "g", Expr: "a"}} }, "column g of table public.T is computed", "leave it out"},
		{func(s *loadspec.Spec) { s.Format.ForceNotNull = []string{"q"} }, "FORCE_NOT_NULL: column q is not in the file", ""},
	} {
		_, err := plan(t, c.edit)
		if fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("got %v, hint %q; want %s, %s", err, fault.HintOf(err), c.text, c.hint)
		}
	}
}

// Rows go in the binary format when every column's type has an encoder and
// the text needs no conversion.
func TestPlanBinary(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		edit     func(s *loadspec.Spec)
		encoding string
		want     string
	}{
		{"the table's own columns", func(*loadspec.Spec) {}, "utf-8", `COPY "public"."T" ("a", "B") FROM STDIN WITH (FORMAT binary)`},
		{"another encoding", func(*loadspec.Spec) {}, "LATIN1", ""},
		{"lines end with CR", func(s *loadspec.Spec) { s.Format.Newline = loadspec.NewlineCR }, "UTF8", ""},
		{"staging", func(s *loadspec.Spec) {
			s.Columns = []loadspec.Column{{Name: "x", Type: "text"}, {Name: "y", Type: "timestamptz"}}
			s.Output.Mapping = []loadspec.Mapping{{Target: "B", Expr: "x"}}
		}, "UTF8", `COPY pg_temp.cw_load_stage ("x", "y") FROM STDIN WITH (FORMAT binary)`},
		{"a type without an encoder", func(s *loadspec.Spec) {
			s.Columns = []loadspec.Column{{Name: "x", Type: "text"}, {Name: "y", Type: "interval"}}
			s.Output.Mapping = []loadspec.Mapping{{Target: "B", Expr: "x"}}
		}, "UTF8", ""},
	} {
		p, err := planIn(t, c.edit, c.encoding)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := ""
		if p.binary != nil {
			got = p.binary.copy
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.name, got, c.want)
		}
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	if got := shorten([]byte("a,\xffb\r\n")); got != "a,?b" {
		t.Errorf("%q", got)
	}
	if got := shorten(bytes.Repeat([]byte("é"), 1000)); len(got) > 340 || !strings.HasSuffix(got, "… (2000 bytes)") || strings.Contains(got, "\ufffd") {
		t.Errorf("%q", got)
	}
}

func TestFindRow(t *testing.T) {
	t.Parallel()
	d := split.Dialect{CSV: true, Quote: '"', Escape: '"'}
	data := []byte("1,\"a\nb\"\n2,\"c\nd\ne\"\n3,f\n")
	p := &split.Piece{Data: data, Newline: split.LF}
	// The counter does not see line ends in the first record, whose own line
	// end is not known yet: records are at 1, 4 and 5.
	for n, want := range map[int64]string{1: "1,\"a\nb\"\n", 4: "2,\"c\nd\ne\"\n", 5: "3,f\n"} {
		at := findRow(p, d, n)
		if row := string(data[at.begin:at.end]); row != want || at.lines != int64(strings.Count(string(data[:at.begin]), "\n")) || at.records > 2 {
			t.Errorf("line %d: %q, want %q (%+v)", n, row, want, at)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("a'b\\c\"d")
	f.Fuzz(func(t *testing.T, s string) {
		lit, id := loadspec.QuoteLiteral(s), loadspec.QuoteIdent(s)
		s = strings.ReplaceAll(s, "\x00", "")
		body, escaped := strings.CutPrefix(lit, " E")
		inner := strings.ReplaceAll(body[1:len(body)-1], "''", "'")
		if escaped {
			inner = strings.ReplaceAll(inner, `\\`, `\`)
		} else if strings.Contains(inner, `\`) {
			t.Errorf("%q: a backslash outside an escape string: %s", s, lit)
		}
		if inner != s || strings.Count(body[1:len(body)-1], "'")%2 != 0 {
			t.Errorf("%q became %s", s, lit)
		}
		if strings.ReplaceAll(id[1:len(id)-1], `""`, `"`) != s || strings.Count(id, `"`)%2 != 0 {
			t.Errorf("%q became %s", s, id)
		}
	})
}
