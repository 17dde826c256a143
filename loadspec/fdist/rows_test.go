package fdist

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// plainEnds is the definition, byte by byte: the offsets just after each row.
func plainEnds(d *dialect, b []byte) []int {
	var ends []int
	inQuote, skip := false, false
	for i := 0; i < len(b); i++ {
		c := b[i]
		if d.csv {
			switch {
			case skip:
				skip = false
				continue
			case inQuote && d.escape != 0 && c == d.escape:
				skip = true
				continue
			case c == d.quote:
				inQuote = !inQuote
			}
			if inQuote {
				continue
			}
		} else {
			if skip {
				skip = false
				continue
			}
			if d.escape != 0 && c == d.escape {
				skip = true
				continue
			}
		}
		last := d.eol[len(d.eol)-1]
		if d.csv && c == last && (len(d.eol) == 1 || i > 0 && b[i-1] == d.eol[0]) {
			ends = append(ends, i+1)
		}
		if !d.csv && bytes.HasPrefix(b[i:], d.eol) {
			i += len(d.eol) - 1
			ends = append(ends, i+1)
		}
	}
	return ends
}

func testDialects() []dialect {
	return []dialect{
		{csv: true, quote: '"', eol: []byte("\n")},
		{csv: true, quote: '"', eol: []byte("\r")},
		{csv: true, quote: '"', eol: []byte("\r\n")},
		{csv: true, quote: '"', escape: '\\', eol: []byte("\n")},
		{csv: true, quote: '\'', escape: '\\', eol: []byte("\r\n")},
		{eol: []byte("\n")},
		{escape: '\\', eol: []byte("\n")},
		{escape: '\\', eol: []byte("\r")},
		{escape: '\\', eol: []byte("\r\n")},
		{eol: []byte("|~")},
	}
}

func randomText(rng *rand.Rand, n int, alphabet string) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return b
}

func TestRowEnds(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for i, d := range testDialects() {
		for range 4000 {
			alphabet := "aaaa\n\r\"'\\|~,"
			if rng.IntN(2) == 0 {
				alphabet = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\n\n\r\""
			}
			checkRowEnds(t, i, &d, randomText(rng, rng.IntN(300), alphabet))
		}
	}
}

func checkRowEnds(t *testing.T, i int, d *dialect, b []byte) {
	t.Helper()
	ends := plainEnds(d, b)
	wantEnd, wantFirst := 0, 0
	if len(ends) > 0 {
		wantFirst, wantEnd = ends[0], ends[len(ends)-1]
	}
	wantRows := int64(len(ends))
	if !d.csv {
		// Row numbers count as segments of Greenplum 6 do, whatever is escaped.
		wantRows = int64(bytes.Count(b[:wantEnd], d.eol))
		if i := bytes.Index(b, d.eol); i >= 0 {
			wantFirst = i + len(d.eol)
		}
	}
	end, rows := d.last(b)
	if end != wantEnd || rows != wantRows || d.first(b) != wantFirst {
		t.Fatalf("dialect %d, %q: last %d, %d rows, first %d; want %d, %d, %d", i, b, end, rows, d.first(b), wantEnd, wantRows, wantFirst)
	}
}

func FuzzRowEnds(f *testing.F) {
	f.Add(uint8(0), []byte("a,\"b\nc\"\nd\n"))
	f.Add(uint8(6), []byte("a\\\nb\n"))
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		all := testDialects()
		i := int(which) % len(all)
		if !all[i].csv && len(all[i].eol) > 1 {
			t.Skip("overlapping delimiters have two readings")
		}
		checkRowEnds(t, i, &all[i], b)
	})
}

func BenchmarkLast(b *testing.B) {
	row := []byte("1,155190,7706,1,17,21168.23,0.04,0.02,N,O,1996-03-13,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,egular courts above the\n")
	quoted := []byte("2,155190,7706,1,17,21168.23,0.04,0.02,N,O,1996-03-13,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,\"egular, \"\"courts above\"\" the\"\n")
	dense := bytes.ReplaceAll(append([]byte{'"'}, bytes.ReplaceAll(row[:len(row)-1], []byte(","), []byte(`","`))...), []byte("N/A"), nil)
	dense = append(dense, "\"\n"...)
	mixed := append(bytes.Repeat(row, 4), quoted...)
	for _, c := range []struct {
		name string
		d    dialect
		unit []byte
	}{
		{"csv", testDialects()[0], mixed},
		{"dense", testDialects()[0], dense},
		{"text", testDialects()[6], row},
	} {
		data := bytes.Repeat(c.unit, 32<<10/len(c.unit))
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				c.d.last(data)
			}
		})
	}
}
