package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cw/loadspec"
)

func parquetInput(columns string) Input {
	in := jsonInput(columns)
	in.URL, in.Convert.Kind = "x.parquet", loadspec.FormatParquet
	return in
}

func fromParquet(in Input, data []byte) (string, error) {
	rows, err := Parquet(in, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(rows)
	return string(b), err
}

// TestParquetOfOtherWriters reads files of the apache/parquet-testing
// collection, written by Impala, parquet-mr, Arrow and others. What they hold
// is in that collection's descriptions.
func TestParquetOfOtherWriters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, columns, want string }{
		{
			"alltypes_plain", "id bool_col tinyint_col bigint_col float_col double_col date_string_col:bytea string_col timestamp_col",
			"4\ttrue\t0\t0\t0\t0\t\\\\x30332f30312f3039\t0\t2009-03-01 00:00:00+00\n5\tfalse\t1\t10\t1.1\t10.1\t\\\\x30332f30312f3039\t1\t2009-03-01 00:01:00+00\n",
		},
		{"alltypes_dictionary", "id string_col timestamp_col", "0\t0\t2009-01-01 00:00:00+00\n1\t1\t2009-01-01 00:01:00+00\n"},
		{"nested_lists.snappy", "b a", "1\t[[[\"a\",\"b\"],[\"c\"]],[null,[\"d\"]]]\n1\t[[[\"a\",\"b\"],[\"c\",\"d\"]],[null,[\"e\"]]]\n1\t[[[\"a\",\"b\"],[\"c\",\"d\"],[\"e\"]],[null,[\"f\"]]]\n"},
		{"nested_maps.snappy", "a c", "{\"a\":{\"1\":true,\"2\":false}}\t1\n{\"b\":{\"1\":true}}\t1\n{\"c\":null}\t1\n{\"d\":{}}\t1\n{\"e\":{\"1\":true}}\t1\n{\"f\":{\"3\":true,\"4\":false,\"5\":true}}\t1\n"},
		{"nullable.impala", "id int_array int_map", "1\t[1,2,3]\t{\"k1\":1,\"k2\":100}\n2\t[null,1,2,null,3,null]\t{\"k1\":2,\"k2\":null}\n3\t[]\t{}\n4\t\\N\t{}\n5\t\\N\t{}\n6\t\\N\t\\N\n7\t\\N\t{\"k1\":null,\"k3\":null}\n"},
		{"byte_array_decimal", "value", decimals()},
		{"int32_decimal", "value", decimals()},
		{"fixed_length_decimal", "value", decimals()},
		{"list_columns", "int64_list utf8_list", "[1,2,3]\t[\"abc\",\"efg\",\"hij\"]\n[null,1]\t\\N\n[4]\t[\"efg\",null,\"hij\",\"xyz\"]\n"},
		{"lz4_raw_compressed", "c0 c1:bytea v11", "1593604800\t\\\\x616263\t42\n1593604800\t\\\\x646566\t7.7\n1593604801\t\\\\x616263\t42.125\n1593604801\t\\\\x646566\t7.7\n"},
		{"datapage_v2.snappy", "a b c d e", "abc\t1\t2\ttrue\t[1,2,3]\nabc\t2\t3\ttrue\t\\N\nabc\t3\t4\ttrue\t\\N\n\\N\t4\t5\tfalse\t[1,2,3]\nabc\t5\t2\ttrue\t[1,2]\n"},
		{"nulls.snappy", "b_struct", strings.Repeat("{\"b_c_int\":null}\n", 8)},
		{"single_nan", "mycol", "\\N\n"},
		{"binary", "foo:bytea", "\\\\x00\n\\\\x01\n\\\\x02\n\\\\x03\n\\\\x04\n\\\\x05\n\\\\x06\n\\\\x07\n\\\\x08\n\\\\x09\n\\\\x0a\n\\\\x0b\n"},
		{"repeated_no_annotation", "id", "1\n2\n3\n4\n5\n6\n"},
	} {
		data, err := os.ReadFile(filepath.Join("testdata", c.file+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := fromParquet(parquetInput(c.columns), data)
		if err != nil || !strings.HasPrefix(got, c.want) || got != c.want && c.file[:8] != "alltypes" {
			t.Errorf("%s: %v\ngot  %q\nwant %q", c.file, err, got, c.want)
		}
	}
}

func decimals() string {
	var b strings.Builder
	for i := 1; i <= 24; i++ {
		fmt.Fprintf(&b, "%d.00\n", i)
	}
	return b.String()
}

type sample struct {
	ID    int64      `parquet:"id"`
	Flag  *bool      `parquet:"flag,optional"`
	Small uint32     `parquet:"small"`
	Big   uint64     `parquet:"big"`
	Real  float32    `parquet:"real"`
	Float float64    `parquet:"float"`
	Word  string     `parquet:"word,dict"`
	Maybe *string    `parquet:"maybe,optional,dict"`
	Text  *string    `parquet:"text,optional"`
	Price int64      `parquet:"price,decimal(3:18)"`
	Day   int32      `parquet:"day,date"`
	Milli time.Time  `parquet:"milli,timestamp(millisecond)"`
	Micro int64      `parquet:"micro,timestamp(microsecond)"`
	Nano  int64      `parquet:"nano,timestamp(nanosecond:local)"`
	UUID  [16]byte   `parquet:"uuid,uuid"`
	Tags  []string   `parquet:"tags,list"`
	Sub   *sampleSub `parquet:"sub,optional"`
}

type sampleSub struct {
	N int32    `parquet:"n"`
	S []string `parquet:"s"`
}

func samples(n int, seed uint64) ([]sample, string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var rows []sample
	var want strings.Builder
	words := []string{"a", "tab\t", "back\\slash", "line\nend", "", "é😀"}
	maybe := func(s string) *string {
		if rng.IntN(3) == 0 {
			return nil
		}
		return &s
	}
	text := func(s *string) string {
		if s == nil {
			return `\N`
		}
		return string(appendText(nil, []byte(*s)))
	}
	for i := range n {
		at := time.Unix(rng.Int64N(8e9)-4e9, rng.Int64N(1e9)).UTC()
		s := sample{
			ID: rng.Int64() - rng.Int64(), Small: rng.Uint32(), Big: rng.Uint64(), Real: float32(rng.NormFloat64()), Float: rng.NormFloat64() * 1e300,
			Word: words[rng.IntN(len(words))], Maybe: maybe(words[rng.IntN(len(words))]), Text: maybe(fmt.Sprintf("row %d\\%d", i, rng.Int())),
			Price: rng.Int64N(2e9) - 1e9, Day: int32(rng.IntN(200_000) - 100_000), Milli: at.Truncate(time.Millisecond), Micro: at.UnixMicro(), Nano: at.UnixNano(),
		}
		if i%100 == 7 {
			s.Float = math.Inf(-1)
		}
		b := rng.IntN(3)
		flag := `\N`
		if b < 2 {
			v := b == 1
			s.Flag, flag = &v, fmt.Sprint(v)
		}
		for k := range s.UUID {
			s.UUID[k] = byte(rng.Uint32())
		}
		tags := "["
		for k := range rng.IntN(4) {
			s.Tags = append(s.Tags, fmt.Sprintf(`t"%d`, k))
			tags += strings.Repeat(",", min(k, 1)) + fmt.Sprintf(`"t\\"%d"`, k)
		}
		tags += "]"
		sub := `\N`
		if rng.IntN(2) == 0 {
			s.Sub = &sampleSub{N: int32(i)}
			sub = fmt.Sprintf(`{"n":%d,"s":[`, i)
			for k := range rng.IntN(3) {
				s.Sub.S = append(s.Sub.S, "x")
				sub += strings.Repeat(",", min(k, 1)) + `"x"`
			}
			sub += "]}"
		}
		sign, p := "", s.Price
		if p < 0 {
			sign, p = "-", -p
		}
		float := fmt.Sprint(s.Float)
		if math.IsInf(s.Float, 0) {
			float = "-Infinity"
		}
		u := s.UUID
		fmt.Fprintf(&want, "%d\t%s\t%d\t%d\t%v\t%s\t%s\t%s\t%s\t%s%d.%03d\t%s\t%s\t%s\t%s\t%x-%x-%x-%x-%x\t%s\t%s\n", s.ID, flag, s.Small, s.Big, s.Real, float, text(&s.Word), text(s.Maybe), text(s.Text),
			sign, p/1000, p%1000, time.Unix(int64(s.Day)*86400, 0).UTC().Format("2006-01-02"), at.Truncate(time.Millisecond).Format("2006-01-02 15:04:05.999+00"),
			time.UnixMicro(s.Micro).UTC().Format("2006-01-02 15:04:05.999999+00"), at.Format("2006-01-02 15:04:05.999999999"), u[:4], u[4:6], u[6:8], u[8:10], u[10:], tags, sub)
		rows = append(rows, s)
	}
	return rows, want.String()
}

const sampleColumns = "id flag small big real float word maybe text price day milli micro nano uuid tags sub"

func writeSamples(t testing.TB, rows []sample, codec compress.Codec, version int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[sample](&b, parquet.Compression(codec), parquet.MaxRowsPerRowGroup(700), parquet.PageBufferSize(2000), parquet.DataPageVersion(version))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parquet-go 0.32 writes pages that LZ4 cannot make smaller as empty ones, so
// LZ4_RAW is tried with the file of another writer above.
func TestParquetTypesAndCodecs(t *testing.T) {
	t.Parallel()
	for i, codec := range []compress.Codec{&parquet.Uncompressed, &parquet.Snappy, &parquet.Gzip, &parquet.Zstd, &parquet.Brotli} {
		rows, want := samples(2000, uint64(i))
		data := writeSamples(t, rows, codec, 1+i%2)
		got, err := fromParquet(parquetInput(sampleColumns), data)
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		if got == want {
			continue
		}
		g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
		for k := range min(len(g), len(w)) {
			if g[k] != w[k] {
				t.Fatalf("%s: row %d of %d (want %d)\ngot  %q\nwant %q", codec, k, len(g), len(w), g[k], w[k])
			}
		}
		t.Fatalf("%s: %d rows, want %d", codec, len(g), len(w))
	}
}

func TestParquetRefused(t *testing.T) {
	t.Parallel()
	rows, _ := samples(1000, 3)
	data := writeSamples(t, rows, &parquet.Zstd, 2)
	for _, c := range []struct {
		columns string
		data    []byte
		want    string
	}{
		{"id nome", data, "x.parquet: has no column nome"},
		{"id", data[:len(data)/2], "x.parquet: parquet: "},
		{"id", []byte("1,a\n"), "x.parquet: parquet: "},
		{"id", nil, "x.parquet: parquet: "},
	} {
		if _, err := fromParquet(parquetInput(c.columns), c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.columns, err, c.want)
		}
	}
	// Whatever is damaged, there is an error or there are rows, no panic.
	rng := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		bad := bytes.Clone(data)
		for range 1 + rng.IntN(4) {
			bad[rng.IntN(len(bad))] ^= byte(1 << rng.IntN(8))
		}
		_, err := fromParquet(parquetInput(sampleColumns), bad)
		if err != nil && !strings.HasPrefix(err.Error(), "x.parquet") {
			t.Errorf("error without the object: %v", err)
		}
	}
}

type line struct {
	OrderKey, PartKey, SuppKey, LineNumber int64
	Quantity, Price, Discount, Tax         float64
	Flag, Status                           string `parquet:",dict"`
	Ship, Commit, Receipt                  int32  `parquet:",date"`
	Instruct, Mode                         string `parquet:",dict"`
	Comment                                string
}

// BenchmarkParquet compares with parquet-go's row interface, of whose values
// the same text is made.
// Values that the database has no place for are tolerated, with and without a
// dictionary.
func TestParquetTolerant(t *testing.T) {
	t.Parallel()
	type row struct {
		ID   int64  `parquet:"id"`
		Name string `parquet:"name"`
		Dict string `parquet:"dict,dict"`
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[row](&file)
	if _, err := w.Write([]row{{1, "a", "x"}, {2, "\x00\t", "x"}, {3, "c", "\x00"}, {4, "d", "\x00"}, {5, "e\\", "y"}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	in := parquetInput("dict id name")
	if _, err := fromParquet(in, file.Bytes()); err == nil || !strings.Contains(err.Error(), "row 2: parquet: column name: a text with a zero byte") {
		t.Errorf("without tolerance: %v", err)
	}
	in.Tolerant = true
	got, err := fromParquet(in, file.Bytes())
	bad := func(row int, column, text string) string {
		return fmt.Sprintf("\x00row %d: parquet: column %s: %s\t%s\n", row, column, errZeroByte, text)
	}
	if want := "x\t1\ta\n" + bad(2, "name", `x\t2\t?`) + bad(3, "dict", `?\t3\tc`) + bad(4, "dict", `?\t4\td`) + "y\t5\te\\\\\n"; err != nil || got != want {
		t.Errorf("%v\ngot  %q\nwant %q", err, got, want)
	}
}

// FuzzParquet looks for what damaged files do to what is cw's own: the unpacking
// of LZ4_RAW, the typed pages, the schema's table.
func FuzzParquet(f *testing.F) {
	for _, name := range []string{"lz4_raw_compressed", "nulls.snappy", "int32_decimal", "list_columns"} {
		data, err := os.ReadFile(filepath.Join("testdata", name+".parquet"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := parquetInput("")
		table, err := ParquetTable(in, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		in.Columns, in.Tolerant = table.File(), true
		r, err := Parquet(in, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		got, err := io.ReadAll(io.LimitReader(r, 16<<20))
		if err == nil && len(got) < 16<<20 && len(got) > 0 && got[len(got)-1] != '\n' {
			t.Errorf("the last row does not end: %q", got[max(0, len(got)-100):])
		}
	})
}

func BenchmarkParquet(b *testing.B) {
	const n = 60_000
	rows := make([]line, n)
	for i := range rows {
		rows[i] = line{
			int64(i), int64(i * 7 % 200000), int64(i % 1000), int64(i % 7), float64(i % 50), float64(i*13%90000) / 100, 0.05, 0.01, []string{"N", "R", "A"}[i%3], "O",
			int32(9000 + i%2000), int32(9000 + i%1999), int32(9000 + i%1998), "DELIVER IN PERSON", []string{"AIR", "RAIL", "SHIP"}[i%3], fmt.Sprintf("carefully final deposits %d", i),
		}
	}
	var file bytes.Buffer
	w := parquet.NewGenericWriter[line](&file, parquet.Compression(&parquet.Snappy))
	if _, err := w.Write(rows); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	data := file.Bytes()
	in := parquetInput("OrderKey PartKey SuppKey LineNumber Quantity Price Discount Tax Flag Status Ship Commit Receipt Instruct Mode Comment")
	b.Run("cw", func(b *testing.B) {
		for b.Loop() {
			r, err := Parquet(in, bytes.NewReader(data), int64(len(data)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			r := parquet.NewReader(bytes.NewReader(data))
			buf := make([]parquet.Row, 512)
			var writers []writeValue
			for i, c := range r.Schema().Columns() {
				leaf, _ := r.Schema().Lookup(c...)
				wv, err := valueWriter(leaf.Node.Type(), &pqformat.SchemaElement{}, "")
				if err != nil {
					b.Fatal(i, err)
				}
				writers = append(writers, wv)
			}
			var out []byte
			for {
				k, err := r.ReadRows(buf)
				for _, row := range buf[:k] {
					if len(out) > batch {
						out = out[:0]
					}
					for i, v := range row {
						out, _ = writers[i](out, v)
						out = append(out, '\t')
					}
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
