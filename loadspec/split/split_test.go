package split

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var dialects = []Dialect{
	{CSV: true, Quote: '"', Escape: '"'},
	{CSV: true, Quote: '"', Escape: '"', Newline: LF},
	{CSV: true, Quote: '"', Escape: '"', Newline: CR},
	{CSV: true, Quote: '"', Escape: '"', Newline: CRLF},
	{CSV: true, Quote: '"', Escape: '\\'},
	{CSV: true, Quote: '\'', Escape: '\\', Newline: LF},
	{CSV: true, Quote: '"', Escape: '\\', Newline: CRLF},
	{Escape: '\\'},
	{Escape: '\\', Newline: LF},
	{Escape: '\\', Newline: CRLF},
	{Escape: '\\', Newline: CR},
	{Newline: LF},
}

// chunked returns r in reads whose sizes rng decides.
type chunked struct {
	data []byte
	rng  *rand.Rand
	max  int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := min(1+c.rng.IntN(c.max), len(p), len(c.data))
	copy(p, c.data[:n])
	c.data = c.data[n:]
	return n, nil
}

// checkScanner feeds data in two chunks cut at every place, and byte by byte.
func checkScanner(t *testing.T, data []byte, d Dialect) {
	t.Helper()
	want, open := oracle(data, d)
	complete := want
	feed := func(name string, chunks ...[]byte) {
		s := NewScanner(d)
		var ends []int
		var fed int
		var records int64
		for _, c := range chunks {
			s.Feed(c)
			fed += len(c)
			if end, n := s.End(); n > records {
				ends, records = append(ends, int(end)), n
			}
		}
		end, n := s.End()
		if int(end) < fed { // what the Cutter's finish does
			n++
		}
		if int(n) != len(want) || s.InQuote() != open {
			t.Fatalf("%s of %q with %+v: %d records, open %v; want %d, %v", name, data, d, n, s.InQuote(), len(want), open)
		}
		for _, e := range ends {
			if !slices.Contains(complete, e) {
				t.Fatalf("%s of %q with %+v: record end at %d, want one of %v", name, data, d, e, want)
			}
		}
	}
	for cut := 0; cut <= len(data); cut++ {
		feed(fmt.Sprintf("cut at %d", cut), data[:cut], data[cut:])
	}
	var single [][]byte
	for i := range data {
		single = append(single, data[i:i+1])
	}
	feed("bytewise", single...)
}

// checkCutter cuts data in pieces of about size and compares what comes out.
func checkCutter(t *testing.T, data []byte, d Dialect, o Options, rng *rand.Rand) {
	t.Helper()
	want, open := oracle(data, d)
	o.Dialect, o.MaxRow = d, 1<<20
	c, err := NewCutter(&chunked{data: data, rng: rng, max: 1 + rng.IntN(40)}, o, NewPool(2))
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var records, at, line int64 = 0, 0, 1
	for {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if open && errors.Is(err, ErrOpenQuote) {
			return
		}
		if err != nil {
			t.Fatalf("%q with %+v: %v", data, d, err)
		}
		if p.Start != at || p.End < p.Start || p.End > int64(len(data)) {
			t.Fatalf("%q: piece [%d,%d) after %d", data, p.Start, p.End, at)
		}
		if p.End > 0 && p.End < int64(len(data)) && !slices.Contains(want, int(p.End)) {
			t.Fatalf("%q with %+v: piece ends at %d, records at %v", data, d, p.End, want)
		}
		if p.Last != (p.End == int64(len(data))) && p.Last {
			t.Fatalf("%q: last piece ends at %d", data, p.End)
		}
		got = append(got, p.Data...)
		records += p.Records
		at, line = p.End, line+p.Lines
		_ = line
		c.Release(p)
	}
	if open {
		t.Fatalf("%q with %+v: open quote not noticed", data, d)
	}
	wantRecords, wantData := len(want), data
	if o.Header && len(want) > 0 {
		wantRecords, wantData = len(want)-1, data[want[0]:]
	}
	if int(records) != wantRecords || !bytes.Equal(got, wantData) || at != int64(len(data)) {
		t.Fatalf("%q with %+v header %v: %d records %q up to %d; want %d %q", data, d, o.Header, records, got, at, wantRecords, wantData)
	}
}

func TestAwkwardData(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", "\n", "\r", "\r\n", "a", "a\n", "a\nb", "a\r\nb\r\n", "a\rb\r", "\"", "\"\n", "\"a\nb\"\nc\n", "\"a\"\"\n\"\"b\",x\ny\n",
		"a\"b\nc\"d\ne\n", "a\\\nb\n", "a\\\\\nb\n", "\\", "\\\n", "\\\r\n", "\"\\\"\n\"\nb\n", "\"\\\\\"\nb\n", "\"a\r\nb\"\r\nc\r\n", "a\r\nb\nc\r\n",
		"\"\r\n\"\r\n\r\n", "''\n'\\'\n'\n", "a\rb\n\rc", "\r\r\n", "\n\r\n", "\"a\\", "\\\\\\\n\\\\\n",
	} {
		for _, d := range dialects {
			checkScanner(t, []byte(data), d)
			rng := rand.New(rand.NewPCG(1, 2))
			for _, size := range []int{1, 3, 1000} {
				checkCutter(t, []byte(data), d, Options{Size: size}, rng)
				checkCutter(t, []byte(data), d, Options{Size: size, Header: true}, rng)
			}
		}
	}
}

// TestRandomData uses an alphabet in which every byte matters.
func TestRandomData(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 11))
	alphabet := []byte("ab,\"\"\\\n\n\r'")
	for range 3000 {
		data := make([]byte, rng.IntN(60))
		for i := range data {
			data[i] = alphabet[rng.IntN(len(alphabet))]
		}
		d := dialects[rng.IntN(len(dialects))]
		checkScanner(t, data, d)
		checkCutter(t, data, d, Options{Size: 1 + rng.IntN(20), Header: rng.IntN(2) == 0}, rng)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("a,\"b\n\"\"c\"\nd\n"), uint8(0), uint64(1), false)
	f.Add([]byte("a\\\nb\r\nc"), uint8(7), uint64(2), true)
	f.Fuzz(func(t *testing.T, data []byte, which uint8, seed uint64, header bool) {
		if len(data) > 300 {
			return
		}
		d := dialects[int(which)%len(dialects)]
		checkScanner(t, data, d)
		rng := rand.New(rand.NewPCG(seed, 1))
		checkCutter(t, data, d, Options{Size: 1 + rng.IntN(50), Header: header}, rng)
	})
}

func pieces(t *testing.T, c *Cutter) []Piece {
	t.Helper()
	var all []Piece
	for {
		p, err := c.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *p)
	}
}

func TestHeaderMarkAndLines(t *testing.T) {
	t.Parallel()
	data := "\xef\xbb\xbf\"id\nof row\",name\n1,a\n\"2\",\"b\nc\"\n3,d\n"
	c, err := NewCutter(strings.NewReader(data), Options{Dialect: dialects[0], Size: 1, MaxRow: 100, Header: true, BOM: true}, NewPool(1))
	if err != nil {
		t.Fatal(err)
	}
	all := pieces(t, c)
	if len(all) == 0 {
		t.Fatal("no pieces")
	}
	first, last := all[0], all[len(all)-1]
	if !strings.HasPrefix(string(first.Data), "1,a\n") || first.Start != 0 || first.FirstLine != 3 {
		t.Errorf("first piece %q from %d at line %d", first.Data, first.Start, first.FirstLine)
	}
	var lines, records int64
	for _, p := range all {
		lines += p.Lines
		records += p.Records
	}
	if lines != 6 || records != 3 || !last.Last || last.End != int64(len(data)) {
		t.Errorf("%d lines, %d records, last %+v", lines, records, last)
	}
	// A stream taken up again at a piece's end goes on with the same lines.
	for i, p := range all[:len(all)-1] {
		next := all[i+1]
		c, err := NewCutter(strings.NewReader(data[p.End:]), Options{Dialect: dialects[0], Size: 1, MaxRow: 100, Header: true, BOM: true, Offset: p.End, Line: 1 + sumLines(all[:i+1])}, NewPool(1))
		if err != nil {
			t.Fatal(err)
		}
		again := pieces(t, c)
		if len(again) == 0 || again[0].Start != next.Start || again[0].FirstLine != next.FirstLine || !bytes.HasPrefix(again[0].Data, next.Data) && !bytes.HasPrefix(next.Data, again[0].Data) {
			t.Errorf("taken up at %d: %+v, want %+v", p.End, again, next)
		}
	}
}

func sumLines(ps []Piece) int64 {
	var n int64
	for _, p := range ps {
		n += p.Lines
	}
	return n
}

func TestErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	open := "1,a\n2,\"b\n3,c\n"
	c, _ := NewCutter(strings.NewReader(open), Options{Dialect: dialects[0], Size: 100, MaxRow: 100}, NewPool(1))
	_, err := c.Next()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrOpenQuote) || e.Line != 2 || e.Offset != 4 {
		t.Errorf("open quote: %v", err)
	}
	long := "1,a\n2," + strings.Repeat("x", 300<<10) + "\n"
	c, _ = NewCutter(strings.NewReader(long), Options{Dialect: dialects[0], Size: 8, MaxRow: 1000}, NewPool(1))
	for err = nil; err == nil; {
		_, err = c.Next()
	}
	if !errors.As(err, &e) || !errors.Is(err, ErrTooLong) || e.Line != 2 || e.Offset != 4 || e.Quote {
		t.Errorf("long row: %v", err)
	}
}

func TestSlowStreamIsCutByTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	r, w := io.Pipe()
	go func() {
		for range 10 {
			_, _ = io.WriteString(w, "row\n")
		}
		_ = w.Close()
	}()
	c, _ := NewCutter(r, Options{Dialect: Dialect{Escape: '\\'}, Size: 1 << 20, MaxRow: 100, Every: time.Second, Now: func() time.Time {
		now = now.Add(400 * time.Millisecond)
		return now
	}}, NewPool(1))
	if n := len(pieces(t, c)); n < 3 || n > 6 {
		t.Errorf("10 rows, 0.4 s each, cut every second: %d pieces", n)
	}
}

func lineitem(size int) []byte {
	rng := rand.New(rand.NewPCG(3, 5))
	var b bytes.Buffer
	for b.Len() < size {
		comment := "carefully final deposits wake"
		if rng.IntN(5) == 0 {
			comment = `"ironic, ""bold"" accounts"`
		}
		fmt.Fprintf(&b, "%d,%d,%d,%d,%d,%.2f,0.0%d,0.0%d,N,O,1996-03-13,1996-02-12,1996-03-22,DELIVER IN PERSON,TRUCK,%s\n",
			rng.IntN(6e6), rng.IntN(200000), rng.IntN(10000), rng.IntN(7), rng.IntN(50), rng.Float64()*1e5, rng.IntN(10), rng.IntN(9), comment)
	}
	return b.Bytes()
}

func BenchmarkScanner(b *testing.B) {
	data := lineitem(64 << 20)
	quoted := bytes.ReplaceAll(data, []byte(","), []byte(`","`))
	for _, c := range []struct {
		name string
		data []byte
		d    Dialect
	}{{"csv", data, dialects[0]}, {"csv-every-field-quoted", quoted, dialects[0]}, {"csv-backslash", data, dialects[4]}, {"text", data, dialects[7]}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			for b.Loop() {
				s := NewScanner(c.d)
				for off := 0; off < len(c.data); off += readChunk {
					s.Feed(c.data[off:min(off+readChunk, len(c.data))])
				}
				if _, n := s.End(); n == 0 {
					b.Fatal("no records")
				}
			}
		})
	}
}

func BenchmarkCutter(b *testing.B) {
	data := lineitem(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c, _ := NewCutter(bytes.NewReader(data), Options{Dialect: dialects[0], Size: 8 << 20, MaxRow: 1 << 20}, NewPool(2))
		for {
			p, err := c.Next()
			if err != nil {
				break
			}
			c.Release(p)
		}
	}
}
