package binary

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// both encodes data with and without plain, and wants the same of them: bytes,
// place and reason. It returns how many bytes were taken.
func both(t *testing.T, f Format, types []string, data []byte) int {
	t.Helper()
	with, ok := New(f, types)
	if !ok {
		t.Fatal(types)
	}
	without, _ := New(f, types)
	without.fast = false
	// A small beginning makes every kind of growth happen.
	a, n, errA := with.Append(make([]byte, 0, 1), data, 1<<30)
	b, m, errB := without.Append(nil, data, 1<<30)
	var ua, ub *Unusual
	if errors.As(errA, &ua) != errors.As(errB, &ub) || ua != nil && *ua != *ub || n != m || !bytes.Equal(a, b) {
		t.Fatalf("%q as %v (csv %v, delimiter %q):\nwith plain    %d %v %q\nwithout plain %d %v %q", data, types, f.CSV, f.Delimiter, n, errA, a, m, errB, b)
	}
	return n
}

// Random records of all types, quoted and not, with ends and delimiters of all
// sorts, are encoded alike by both ways of this package.
func TestPlainIsTheSame(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 5)) //nolint:gosec // repeatable
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	taken, all := 0, 0
	for range 20000 {
		f := Format{CSV: true, Delimiter: pick(",", ",", ",", ";", "\t", "|", "-", ".", "1")[0], Quote: '"', Escape: '"'}
		switch rng.IntN(6) {
		case 0:
			f = Format{Delimiter: pick("\t", "|")[0], Escape: '\\', Null: `\N`}
		case 1:
			f.Escape = '\\'
		case 2:
			f.Null = pick("NULL", `\N`)
		case 3:
			f.NotNull = []bool{true}
		}
		var types []string
		var columns []int
		for range 1 + rng.IntN(5) {
			k := rng.IntN(len(kinds))
			types, columns = append(types, kinds[k].name), append(columns, k)
		}
		end := pick("\n", "\n", "\n", "\r\n", "\r")
		var b strings.Builder
		for range 1 + rng.IntN(6) {
			for i, k := range columns {
				if i > 0 {
					b.WriteByte(f.Delimiter)
				}
				v := pick(kinds[k].plain...)
				if rng.IntN(200) == 0 && len(kinds[k].leave) > 0 {
					v = pick(kinds[k].leave...)
				}
				if rng.IntN(150) == 0 {
					v = pick(awkward...)
				}
				if rng.IntN(100) == 0 {
					v = strings.Repeat(v, rng.IntN(200)) // longer than any room
				}
				switch {
				case rng.IntN(10) == 0:
					v = f.Null
				case f.CSV && (rng.IntN(3) == 0 || strings.ContainsAny(v, "\r\n\"\\"+string(f.Delimiter))):
					v = csvField(v)
				case !f.CSV:
					v = strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\r", "\\r", "|", "\\|").Replace(v)
				}
				b.WriteString(v)
			}
			if rng.IntN(50) == 0 {
				b.WriteByte(f.Delimiter)
			}
			if rng.IntN(60) == 0 {
				end = pick("", "\n", "\r\n")
			}
			b.WriteString(end)
		}
		taken += both(t, f, types, []byte(b.String()))
		all += b.Len()
	}
	if taken < all/3 {
		t.Errorf("only %d bytes of %d were encoded", taken, all)
	}
}

// The usual file goes the fast way from its second record on, which an empty
// quoted or unquoted field, a NULL or doubled quotes do not change.
func TestPlainTakesTheUsual(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    Format
		data string
	}{
		{Format{CSV: true, Delimiter: ',', Quote: '"', Escape: '"'}, "1,-2.50,2024-02-29,word,\"a \"\"b\"\", c\",2024-02-29 12:00:00\n,,,,,\n0,0,2000-01-01,\"\",,\n"},
		{Format{CSV: true, Delimiter: '|', Quote: '"', Escape: '"'}, "1|-2.50|2024-02-29|word|x|2024-02-29 12:00:00\r\n|||||\r\n"},
		{Format{Delimiter: '\t', Escape: '\\', Null: `\N`}, "1\t-2.50\t2024-02-29\tword\t\t2024-02-29 12:00:00\n\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"},
	} {
		e, ok := New(c.f, []string{"integer", "numeric", "date", "text", "character varying(9)", "timestamp"})
		if !ok || !e.fast {
			t.Fatalf("%+v", c.f)
		}
		rest := []byte(c.data)
		if _, n := e.plain(nil, rest); n != 0 {
			t.Error("the kind of line ends was not known")
		}
		for i := 0; len(rest) > 0; i++ {
			_, n := e.plain(nil, rest)
			if n == 0 && i > 0 {
				t.Errorf("record %d of %q is left to others", i+1, c.data)
			}
			if n == 0 {
				if _, n, _ = e.Append(nil, rest, 1); n == 0 {
					t.Fatal("not encoded")
				}
			}
			rest = rest[n:]
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range awkward {
		f.Add([]byte("1,1,2024-02-29,x\n"+s+",1,2024-02-29,"+s+"\n"), byte(','), true)
		f.Add([]byte("1\t1\t2024-02-29\tx\n"+s+"\t1\t2024-02-29\t"+s+"\n"), byte('\t'), false)
	}
	types := []string{"integer", "numeric", "date", "text", "boolean", "bigint"}
	f.Fuzz(func(t *testing.T, data []byte, delimiter byte, csv bool) {
		form := Format{CSV: csv, Delimiter: delimiter, Quote: '"', Escape: '"'}
		if !csv {
			form = Format{Delimiter: delimiter, Escape: '\\', Null: `\N`}
		}
		if delimiter == '"' || delimiter == '\\' || delimiter == '\n' || delimiter == '\r' {
			t.Skip("no delimiter")
		}
		for _, n := range []int{1, 4, len(types)} {
			both(t, form, types[len(types)-n:], data)
			both(t, form, types[:n], data)
		}
	})
}
