package binary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cw/playground/pgtest"
)

func TestMain(m *testing.M) { os.Exit(m.Run()) }

// kinds are all types with an encoder, with values that it takes and values
// that it must leave to the server, whatever that then does with them.
var kinds = []struct {
	name         string
	plain, leave []string
}{
	{"smallint", []string{"0", "-0", "+7", "32767", "-32768", "007"}, []string{"", " 1", "1 ", "32768", "1.0", "0x1", "1_0", "--1", "+"}},
	{"integer", []string{"0", "2147483647", "-2147483648", "00000000012"}, []string{"2147483648", "1e3", "a"}},
	{"bigint", []string{"9223372036854775807", "-9223372036854775807"}, []string{"9223372036854775808", "-9223372036854775808", "99999999999999999999"}},
	{"real", []string{"0", "-0", "1.5", "3.4028235e38", "1e-40", "16777217", "0.1", "1.", ".5", "00.10e+02"}, []string{"1e39", "1e-50", "NaN", "Infinity", "1e", "0x10", "1_0", "e5", "."}},
	{"double precision", []string{"0", "0e999", "1.7976931348623157e308", "4.9e-324", "0.1", "-123456789.987654321", "9007199254740993"}, []string{"1e309", "1e-400", "nan", "-inf", " 1"}},
	{"numeric", []string{"0", "-0", "0.00", "1", "-1.50", "10000", "100000000", "9999.9999", "0.0001", "0.00001", "12345678901234567890.123456789", ".5", "5.", "+12.3400", "0.00000000", "000123.4500", "123456789012345678", "999999999999999.999", "99999999999999.9999", "1234567890123456.1", "99999999999999.99", "0.1234567890123456", "0.00000000000001", "-999999999999999999", "9999999999999999999", "99999999999999999999999999999999.9"}, []string{"", ".", "1e5", "NaN", "Infinity", "1.2.3", " 1", strings.Repeat("9", 200)}},
	{"numeric(7,2)", []string{"1", "1.005", "1.004", "-99999.99", "99999.994"}, []string{"1e1"}},
	{"boolean", []string{"t", "f", "true", "false", "1", "0", "yes", "no", "on", "off", "y", "n"}, []string{"T", "TRUE", "tr", " t", "2", ""}},
	{"date", []string{"2000-01-01", "1999-12-31", "2024-02-29", "0001-01-01", "9999-12-31", "1900-02-28", "1582-10-10"}, []string{"2023-02-29", "1900-02-29", "0000-01-01", "2024-13-01", "2024-00-10", "2024-1-1", "20240101", "01/02/2024", "infinity", "2024-01-32", "now", "44-03-15 BC", "2024-01-0a"}},
	{"timestamp without time zone", []string{"2024-02-29 23:59:59.999999", "1970-01-01T00:00:00", "1999-12-31 23:59:59.5", "2024-06-01", "0001-01-01 00:00:00"}, []string{"2024-02-29 24:00:00", "2024-02-29 23:59:60", "2024-02-29 12:00", "2024-02-29 12:00:00.1234567", "2024-02-29 12:00:00+01", "2024-02-29 12:00:00.", "now", "epoch", "2024-02-29 1:00:00"}},
	{"timestamp(3) without time zone", []string{"2024-02-29 23:59:59.9996", "2024-02-29 23:59:59.1234"}, nil},
	{"timestamp with time zone", []string{"2024-02-29 23:59:59.999999+00", "2024-02-29T23:59:59Z", "2024-02-29 00:00:00-0530", "2024-02-29 00:00:00+05:45", "2024-02-29 00:00:00+14"}, []string{"2024-02-29 00:00:00", "2024-02-29 00:00:00 UTC", "2024-02-29 00:00:00+1", "2024-02-29 00:00:00+15", "2024-02-29", "2024-02-29 00:00:00+05:75"}},
	{"time without time zone", []string{"00:00:00", "23:59:59.999999", "12:34:56.7"}, []string{"24:00:00", "12:34", "12:34:56 PM", "1:00:00"}},
	{"uuid", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}, []string{"a0eebc999c0b4ef8bb6d6bb9bd380a11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{"bytea", []string{`\x`, `\x00ff`, `\xDeAdBeEf`}, []string{`\x0`, `abc`, `\x0 0`, `\000`, ""}},
	{"jsonb", []string{`{"a": [1, 2.50, null], "b": "ü"}`, `1`, `"x"`}, nil},
	{"json", []string{`{"a":  1}`, `[]`}, nil},
	{"text", []string{"", " ", "plain", "ünïcödé ☃", `a "quoted" word`, "comma, and\ttab", "two\nlines", "back\\slash", `\N`, `\.`, "x\r\ny"}, nil},
	{"character varying(5)", []string{"", "abcde", "äöüßé", "abc  ", "abcde   "}, nil},
	{"character(4)", []string{"", "a", "abcd", "ü", "abcd  "}, nil},
}

// Every plain value arrives as the server itself would have read it, and of
// the others none is encoded.
func TestValues(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	for _, k := range kinds {
		e, ok := New(Format{CSV: true, Delimiter: ',', Quote: '"', Escape: '"'}, []string{k.name})
		if !ok {
			t.Fatalf("no encoder for %s", k.name)
		}
		for _, v := range k.leave {
			if _, _, err := e.Append(nil, []byte(csvField(v)+"\n"), 1<<20); err == nil {
				t.Errorf("%s %q was encoded", k.name, v)
			}
		}
		for _, v := range k.plain {
			data := csvField(v) + "\n"
			load(t, conn, "create temp table a (v "+k.name+")", "copy a from stdin (format csv)", strings.NewReader(data))
			r := e.Reader([]byte(data), nil)
			load(t, conn, "create temp table b (v "+k.name+")", "copy b from stdin (format binary)", r)
			same(t, conn, k.name+" "+v)
		}
	}
	for _, name := range []string{"interval", "int4range", "integer[]", "mytype", `"char"`, "money", "numeric)1("} {
		if _, ok := New(Format{CSV: true}, []string{name}); ok {
			t.Errorf("%s has an encoder", name)
		}
	}
	for _, name := range []string{"INT8", "varchar(10)", "Decimal(3,1)", "timestamptz", "timestamp(0) with time zone", "char"} {
		if _, ok := New(Format{CSV: true}, []string{name}); !ok {
			t.Errorf("%s has no encoder", name)
		}
	}
}

// csvField quotes a value so that it is not NULL.
func csvField(v string) string { return `"` + strings.ReplaceAll(v, `"`, `""`) + `"` }

func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pgtest.Start(t).DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func load(t *testing.T, conn *pgx.Conn, create, statement string, r io.Reader) {
	t.Helper()
	if create != "" {
		if _, err := conn.Exec(t.Context(), create); err != nil {
			t.Fatalf("%s: %v", create, err)
		}
	}
	if _, err := conn.PgConn().CopyFrom(t.Context(), r, statement); err != nil {
		t.Fatalf("%s after %s: %v", statement, create, err)
	}
}

// same compares tables a and b with a hash of the rows as text, NULLs told
// apart, and drops them.
func same(t *testing.T, conn *pgx.Conn, what string) {
	t.Helper()
	var a, b string
	const sum = "select count(*) || ' ' || coalesce(string_agg(x::text, '|' order by x::text), '') from %s x"
	if err := errors.Join(conn.QueryRow(t.Context(), fmt.Sprintf(sum, "a")).Scan(&a), conn.QueryRow(t.Context(), fmt.Sprintf(sum, "b")).Scan(&b)); err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("%s: the server reads\n%.300s\nand of the binary form\n%.300s", what, a, b)
	}
	if _, err := conn.Exec(t.Context(), "drop table a, b"); err != nil {
		t.Fatal(err)
	}
}

// awkward are pieces that files are made of.
var awkward = []string{"", `""`, `"a,b"`, "\"two\nlines\"", `"q""q"`, `x`, ` 1 `, `\N`, `"\N"`, `\.`, `a"b`, `"a"b`, "ü", "1", "-2.50", "2024-02-29", "\\t", "\\\\", `"\""`, "a\\,b", "\\x41", "\\101", "NULL", `"NULL"`, "t", "tab\there"}

// Random records are read by the server as they are and in binary. Where the
// encoder takes them the tables are alike; where it takes what the server
// refuses it is wrong.
func TestRandomRecords(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	rng := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // repeatable
	types := []string{"text", "numeric(9,3)", "date", "integer", "character varying(9)", "boolean"}
	encoded := 0
	for round := range 1500 {
		var cols []string
		for range 1 + rng.IntN(3) {
			cols = append(cols, types[max(rng.IntN(2*len(types))-len(types), 0)]) // mostly text
		}
		f := Format{CSV: rng.IntN(2) == 0, Delimiter: ',', Quote: '"', Escape: '"', Null: ""}
		options := "format csv, delimiter ',', null ''"
		switch {
		case !f.CSV:
			f = Format{Delimiter: '\t', Escape: '\\', Null: `\N`}
			options = "format text"
		case rng.IntN(3) == 0:
			f.Escape, f.Null = '\\', "NULL"
			options = `format csv, escape '\', null 'NULL'`
		}
		newline := []string{"\n", "\r\n"}[rng.IntN(2)]
		var b strings.Builder
		for range 1 + rng.IntN(4) {
			for i := range cols {
				if i > 0 {
					b.WriteByte(f.Delimiter)
				}
				b.WriteString(awkward[rng.IntN(len(awkward))])
			}
			if rng.IntN(40) == 0 {
				b.WriteByte(f.Delimiter)
			}
			b.WriteString(newline)
			if rng.IntN(60) == 0 {
				newline = "\n"
			}
		}
		data := strings.TrimSuffix(b.String(), []string{newline, "never"}[rng.IntN(2)])
		e, _ := New(f, cols)
		var out bytes.Buffer
		r := e.Reader([]byte(data), nil)
		_, err := io.Copy(&out, r)
		if err != nil {
			if r.Unusual() == nil || r.Unusual().Offset > len(data) {
				t.Fatalf("%q: %v", data, err)
			}
			continue
		}
		encoded++
		defs := make([]string, len(cols))
		for i, c := range cols {
			defs[i] = fmt.Sprintf("c%d %s", i, c)
		}
		create := "(" + strings.Join(defs, ", ") + ")"
		_, ferr := conn.Exec(t.Context(), "create temp table a "+create+"; create temp table b "+create)
		if ferr != nil {
			t.Fatal(ferr)
		}
		_, aerr := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(data), "copy a from stdin with ("+options+")")
		_, berr := conn.PgConn().CopyFrom(t.Context(), &out, "copy b from stdin with (format binary)")
		if (aerr == nil) != (berr == nil) {
			t.Errorf("round %d, %v, %s: %q: as it is %v, in binary %v", round, cols, options, data, aerr, berr)
		}
		same(t, conn, fmt.Sprintf("round %d, %v, %s: %q", round, cols, options, data))
	}
	if encoded < 300 {
		t.Errorf("only %d of 1500 were encoded", encoded)
	}
}

func TestChunks(t *testing.T) { // not in parallel: it counts allocations
	e, _ := New(Format{CSV: true, Delimiter: ',', Quote: '"', Escape: '"'}, []string{"integer", "text"})
	data := []byte(strings.Repeat("1,some text\n", 100_000))
	var out bytes.Buffer
	r := e.Reader(data, make([]byte, 0, 1<<10))
	n, err := io.Copy(&out, struct{ io.Reader }{r})
	if want := int64(19 + 100_000*(2+8+4+9) + 2); err != nil || n != want {
		t.Errorf("%d bytes, not %d: %v", n, want, err)
	}
	bad := append(append([]byte{}, data...), "x,y\n"...)
	r = e.Reader(bad, r.Buffer())
	_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
	if u := (*Unusual)(nil); !errors.As(err, &u) || u.Offset != len(data) || u.Column != 0 {
		t.Errorf("%v", err)
	}
	if n := testing.AllocsPerRun(10, func() { r = e.Reader(data[:12*1000], r.Buffer()); _, _ = io.Copy(io.Discard, struct{ io.Reader }{r}) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkEncode is the speed of one core over rows like lineitem's.
func BenchmarkEncode(b *testing.B) {
	row := []byte("155190,7706,1,17,21168.23,0.04,0.02,N,O,1996-03-13,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,egular courts above the,\"furiously, \"\"even\"\" ideas\"\n")
	data := bytes.Repeat(row, 8<<20/len(row))
	e, _ := New(Format{CSV: true, Delimiter: ',', Quote: '"', Escape: '"'}, []string{
		"bigint", "integer", "integer", "integer", "numeric(15,2)", "numeric(15,2)", "numeric(15,2)", "character(1)", "character(1)", "date", "date", "date",
		"character(25)", "character(10)", "character varying(44)", "text",
	})
	b.SetBytes(int64(len(data)))
	var r *Reader
	buf := []byte(nil)
	for b.Loop() {
		r = e.Reader(data, buf)
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
			b.Fatal(err)
		}
		buf = r.Buffer()
	}
}

func FuzzRecords(f *testing.F) {
	for _, s := range awkward {
		f.Add([]byte(s+","+s+"\n"), true)
		f.Add([]byte(s+"\t"+s+"\n"), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, csv bool) {
		form := Format{CSV: csv, Delimiter: ',', Quote: '"', Escape: '"'}
		if !csv {
			form = Format{Delimiter: '\t', Escape: '\\', Null: `\N`}
		}
		e, _ := New(form, []string{"text", "numeric"})
		n, err := io.Copy(io.Discard, e.Reader(data, nil))
		if err == nil && n < 21 {
			t.Errorf("%d bytes of %q", n, data)
		}
	})
}
