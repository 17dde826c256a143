package format

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"cw/fault"
	"cw/loadspec"
)

// fixedInput has widths as "name:5 …"; columns as jsonInput has them.
func fixedInput(columns, widths string) Input {
	in := jsonInput(columns)
	in.URL = "x.dat"
	in.Convert = loadspec.Convert{Kind: loadspec.FormatFixed}
	for w := range strings.FieldsSeq(widths) {
		name, n, _ := strings.Cut(w, ":")
		width := loadspec.Width{Column: name}
		_, _ = fmt.Sscan(n, &width.Width)
		in.Convert.Widths = append(in.Convert.Widths, width)
	}
	return in
}

func TestFixed(t *testing.T) {
	t.Parallel()
	const widths = "id:4 _gap:1 name:5 n:3"
	for _, c := range []struct {
		name, columns, data, want string
		edit                      func(c *loadspec.Convert)
	}{
		{"lines", "id:int name:text n:int", "   1xa b    7\n0002 héé\\    \n", "1\ta b\t7\n0002\théé\\\\\t\\N\n", nil},
		{"CRLF, BOM, no end", "id:int name n:int", "\xef\xbb\xbf   1  a     7\r\n   2  b      ", "1\t a\t7\n2\t b\t\\N\n", nil},
		{"without ends", "name n:int id:int", "   1xa b    7   2 \nb\tc   7", "a b\t7\t1\n\\nb\\tc\t7\t2\n", func(c *loadspec.Convert) { c.Unended = true }},
		{"NULL_AS", "id:int name", "   0 NA   12 \n", "0\t\\N\n", func(c *loadspec.Convert) { c.Null = "NA" }},
		{"blank is text then", "name", "          12 \n", "\n", func(c *loadspec.Convert) { c.Null = "NA" }},
		{"fill", "id:int name n:int", "   1xab\n\n   2xabcde12\n", "1\tab\t\\N\n\\N\t\\N\t\\N\n2\tabcde\t12\n", func(c *loadspec.Convert) { c.Fill = true }},
		{"header", "id:int n:int", "ID  _NAME N  \n   1xab   7  \n", "1\t7\n", func(c *loadspec.Convert) { c.Header = true }},
		{"blanks behind", "id:int n:int", "   1xab   7      \n", "1\t7\n", nil},
		{"empty", "id:int", "", "", nil},
	} {
		in := fixedInput(c.columns, widths)
		if c.edit != nil {
			c.edit(&in.Convert)
		}
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(c.data), "by the byte": iotest.OneByteReader(strings.NewReader(c.data))} {
			got, err := convert(in, r)
			if err != nil || got != c.want {
				t.Errorf("%s, %s: %v\ngot  %q\nwant %q", c.name, name, err, got, c.want)
			}
		}
	}
	for _, c := range []struct{ data, want string }{
		{"   1xab   7  \n   1xab\n", "line 2, column 1: fixed: 7 characters, but the fields have 13: it ends in column name (FILL_MISSING_FIELDS"},
		{"   1xab   7  x\n", "line 1, column 1: fixed: 14 characters"},
		{"   1xa\x00   7  \n", "zero byte"},
		{"\n", "0 characters"},
	} {
		if _, err := convert(fixedInput("id:int", widths), strings.NewReader(c.data)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.data, err)
		}
	}
	if _, err := convert(fixedInput("id other", widths), strings.NewReader("")); fault.KindOf(err) != fault.Usage || !strings.Contains(err.Error(), "column other has no width") {
		t.Errorf("%v", err)
	}
	in := fixedInput("id:int n:int", widths)
	in.Tolerant = true
	got, err := convert(in, strings.NewReader("   1xab   7  \nshort\n   2xab   8  \nlast"))
	if want := "1\t7\n\x00line 2, column 1: fixed: 5 characters, but the fields have 13: it ends in column name (FILL_MISSING_FIELDS: true takes short rows)\tshort\n2\t8\n\x00"; err != nil || !strings.HasPrefix(got, want) {
		t.Errorf("tolerant: %q, %v", got, err)
	}
}

// Random values, padded by fmt, come back as they were.
func TestFixedRandom(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	letters := []rune("ab cé😀\t")
	var data, want strings.Builder
	for range 2000 {
		name := make([]rune, rng.IntN(13))
		for i := range name {
			name[i] = letters[rng.IntN(len(letters))]
		}
		n := rng.IntN(1e6)
		data.WriteString(fmt.Sprintf("%8d", n) + string(name) + strings.Repeat(" ", 12-utf8.RuneCountInString(string(name))) + "\n")
		value := strings.TrimRight(string(name), " ")
		if value = strings.ReplaceAll(value, "\t", `\t`); value == "" {
			value = `\N`
		}
		fmt.Fprintf(&want, "%d\t%s\n", n, value)
	}
	for _, unended := range []bool{false, true} {
		in := fixedInput("id:int name:text", "id:8 name:12")
		in.Convert.Unended = unended
		text := data.String()
		if unended {
			text = strings.ReplaceAll(text, "\n", "")
		}
		if got, err := convert(in, strings.NewReader(text)); err != nil || got != want.String() {
			t.Errorf("unended %v: %v, %d bytes, not %d", unended, err, len(got), want.Len())
		}
	}
}

func FuzzFixed(f *testing.F) {
	f.Add("   1ab\n  2\n", uint8(1), false)
	f.Add("é1é2é3", uint8(2), true)
	f.Fuzz(func(t *testing.T, data string, chunk uint8, unended bool) {
		in := fixedInput("id:int name", "id:2 _x:1 name:3")
		in.Convert.Unended, in.Tolerant = unended, true
		whole, err := convert(in, strings.NewReader(data))
		parts, err2 := convert(in, &chunks{strings.NewReader(data), int(chunk%9) + 1})
		if whole != parts || (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %q, %v\nin pieces: %q, %v", whole, err, parts, err2)
		}
	})
}
