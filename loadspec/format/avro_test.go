package format

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/ocf"

	"cw/fault"
	"cw/loadspec"
)

func avroInput(columns string) Input {
	in := jsonInput(columns)
	in.URL = "x.avro"
	in.Convert = loadspec.Convert{Kind: loadspec.FormatAvro}
	return in
}

// avroFile is written by github.com/hamba/avro, which shares nothing with what
// reads it here.
func avroFile(t testing.TB, schema string, codec ocf.CodecName, block int, rows ...any) []byte {
	t.Helper()
	var b bytes.Buffer
	e, err := ocf.NewEncoder(schema, &b, ocf.WithCodec(codec), ocf.WithBlockLength(block))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const avroAll = `{"type":"record","name":"all","namespace":"a.b","fields":[
	{"name":"b","type":"boolean"},{"name":"I","type":"int"},{"name":"l","type":"long"},{"name":"f","type":"float"},{"name":"d","type":"double"},
	{"name":"by","type":"bytes"},{"name":"s","type":"string"},{"name":"fx","type":{"type":"fixed","name":"three","size":3}},
	{"name":"e","type":{"type":"enum","name":"color","symbols":["RED","DARK_BLUE"]}},
	{"name":"u","type":["null","string"]},{"name":"again","type":["null","color"]},
	{"name":"arr","type":{"type":"array","items":["null","long"]}},{"name":"m","type":{"type":"map","values":"double"}},
	{"name":"r","type":{"type":"record","name":"inner","fields":[{"name":"x","type":"string"},{"name":"y","type":["null",{"type":"array","items":"a.b.three"}]}]}},
	{"name":"dec","type":{"type":"bytes","logicalType":"decimal","precision":30,"scale":3}},
	{"name":"decf","type":{"type":"fixed","name":"df","size":4,"logicalType":"decimal","precision":9,"scale":2}},
	{"name":"id","type":{"type":"string","logicalType":"uuid"}},
	{"name":"day","type":{"type":"int","logicalType":"date"}},
	{"name":"tms","type":{"type":"int","logicalType":"time-millis"}},{"name":"tus","type":{"type":"long","logicalType":"time-micros"}},
	{"name":"ms","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"us","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
	{"name":"loc","type":{"type":"long","logicalType":"local-timestamp-micros"}},
	{"name":"odd","type":{"type":"long","logicalType":"nonsense"}}
]}`

func avroRow(i int) map[string]any {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	row := map[string]any{
		"b": i%2 == 0, "I": -i, "l": int64(1) << 40, "f": float32(1.5), "d": 1e-300, "by": []byte{0, 0xff}, "s": "tab\tend\\", "fx": [3]byte{1, 2, 3},
		"e": "DARK_BLUE", "u": map[string]any{"string": "x\ny"}, "again": nil, "arr": []any{map[string]any{"long": int64(1)}, nil}, "m": map[string]any{"k\"": 0.5},
		"r":   map[string]any{"x": "q\"\n", "y": nil},
		"dec": big.NewRat(-123456789012345678, 1000), "decf": big.NewRat(5, 100), "id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
		"day": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), "tms": 5 * time.Millisecond, "tus": 23*time.Hour + 59*time.Minute + 59*time.Second + 999999*time.Microsecond,
		"ms": at, "us": map[string]any{"long.timestamp-micros": at.Add(time.Microsecond)}, "loc": time.Date(2024, 2, 29, 1, 2, 3, 4000, time.UTC), "odd": int64(7),
	}
	if i == 1 {
		row["u"], row["us"], row["arr"], row["day"] = nil, nil, []any{}, time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC)
		row["r"] = map[string]any{"x": "", "y": map[string]any{"array": []any{[3]byte{'a', 'b', 'c'}}}}
	}
	return row
}

var avroWant = []string{
	"true\t0\t1099511627776\t1.5\t1e-300\t\\\\x00ff\ttab\\tend\\\\\t\x01\x02\x03\tDARK_BLUE\tx\\ny\t\\N\t[1,null]\t{\"k\\\\\"\":0.5}\t{\"x\":\"q\\\\\"\\\\u000a\",\"y\":null}\t" +
		"-123456789012345.678\t0.05\t6f9619ff-8b86-d011-b42d-00cf4fc964ff\t2024-02-29\t00:00:00.005\t23:59:59.999999\t1969-12-31 23:59:59.999+00\t1969-12-31 23:59:59.999001+00\t2024-02-29 01:02:03.000004\t7\n",
	"false\t-1\t1099511627776\t1.5\t1e-300\t\\\\x00ff\ttab\\tend\\\\\t\x01\x02\x03\tDARK_BLUE\t\\N\t\\N\t[]\t{\"k\\\\\"\":0.5}\t{\"x\":\"\",\"y\":[\"abc\"]}\t" +
		"-123456789012345.678\t0.05\t6f9619ff-8b86-d011-b42d-00cf4fc964ff\t0045-03-15 BC\t00:00:00.005\t23:59:59.999999\t1969-12-31 23:59:59.999+00\t\\N\t2024-02-29 01:02:03.000004\t7\n",
}

const avroNames = "b i l f d by:bytea s fx e u again arr:jsonb m r dec decf id day tms tus ms us loc odd"

func TestAvro(t *testing.T) {
	t.Parallel()
	for _, codec := range []ocf.CodecName{ocf.Null, ocf.Deflate, ocf.Snappy, ocf.ZStandard} {
		file := avroFile(t, avroAll, codec, 1, avroRow(0), avroRow(1))
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(file), "by the byte": iotest.OneByteReader(bytes.NewReader(file))} {
			got, err := convert(avroInput(avroNames), r)
			if want := avroWant[0] + avroWant[1]; err != nil || got != want {
				t.Errorf("%s, %s: %v\ngot  %q\nwant %q", codec, name, err, got, want)
			}
		}
	}
	file := avroFile(t, avroAll, ocf.Null, 100, avroRow(0), avroRow(1))
	if got, err := convert(avroInput("odd u by:bytea"), bytes.NewReader(file)); err != nil || got != "7\tx\\ny\t\\\\x00ff\n7\t\\N\t\\\\x00ff\n" {
		t.Errorf("some columns: %q, %v", got, err)
	}
	table, err := AvroTable(avroInput(""), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	want := "b boolean!, i integer!, l bigint!, f real!, d double precision!, by bytea!, s text!, fx bytea!, e text!, u text, again text, arr jsonb!, m jsonb!, r jsonb!, " +
		"dec numeric(30,3)!, decf numeric(9,2)!, id uuid!, day date!, tms time!, tus time!, ms timestamptz!, us timestamptz, loc timestamp!, odd bigint!"
	var list []string
	for _, c := range table.Columns {
		list = append(list, c.Name+" "+c.Type+map[bool]string{true: "!"}[c.NotNull])
	}
	if got := strings.Join(list, ", "); got != want {
		t.Errorf("table\ngot  %s\nwant %s", got, want)
	}
}

// avroRaw is a file with these bytes as its only block.
func avroRaw(schema, codec string, rows int64, data []byte) []byte {
	long := func(dst []byte, n int64) []byte {
		for u := uint64(n<<1) ^ uint64(n>>63); ; u >>= 7 {
			if u < 0x80 {
				return append(dst, byte(u))
			}
			dst = append(dst, byte(u)|0x80)
		}
	}
	str := func(dst []byte, s string) []byte { return append(long(dst, int64(len(s))), s...) }
	b := long([]byte("Obj\x01"), 2)
	b = str(str(str(str(b, "avro.schema"), schema), "avro.codec"), codec)
	mark := "0123456789abcdef"
	b = append(long(b, 0), mark...)
	return append(str(long(b, rows), string(data)), mark...)
}

const avroOne = `{"type":"record","name":"r","fields":[{"name":"a","type":%s}]}`

func TestAvroRefused(t *testing.T) {
	t.Parallel()
	one := func(typ string) string { return fmt.Sprintf(avroOne, typ) }
	good := avroRaw(one(`"string"`), "null", 1, []byte{2, 'x'})
	for _, c := range []struct {
		name       string
		file       []byte
		columns    string
		want, hint string
	}{
		{"no avro", []byte("PAR1"), "a", "no Avro object container file", ""},
		{"empty", nil, "a", "no Avro object container file", ""},
		{"codec", avroRaw(one(`"string"`), "lz9", 1, nil), "a", `codec "lz9" is not known`, ""},
		{"no record", avroRaw(`"string"`, "null", 1, nil), "a", "schema is no record", ""},
		{"unknown type", avroRaw(one(`"strin"`), "null", 1, nil), "a", `field a: type "strin" is not known`, ""},
		{"column", good, "b", "has no column b", `it has: "a"`},
		{"truncated", good[:len(good)-1], "a", "row 1: avro: the file ends inside a block", ""},
		{"mark", append(append([]byte{}, good[:len(good)-1]...), 'x'), "a", "the mark after a block", ""},
		{"zero byte", avroRaw(one(`"string"`), "null", 1, []byte{2, 0}), "a", "row 1: avro: column a: a text with a zero byte", ""},
		{"short value", avroRaw(one(`"string"`), "null", 1, []byte{8, 'x'}), "a", "a value goes on after the block's end", ""},
		{"left over", avroRaw(one(`"string"`), "null", 1, []byte{0, 0}), "a", "1 bytes are left in a block", ""},
		{"branch", avroRaw(one(`["null","int"]`), "null", 1, []byte{4}), "a", "branch 2 of a union of 2", ""},
		{"symbol", avroRaw(one(`{"type":"enum","name":"e","symbols":["A"]}`), "null", 1, []byte{2}), "a", "symbol 1 of an enum of 1", ""},
		{"endless items", avroRaw(one(`{"type":"array","items":"null"}`), "null", 1, []byte{0xfe, 0xff, 0xff, 0x07, 0xfe, 0xff, 0xff, 0x07, 0}), "a", "a block of 8388607 items", ""},
		{"endless record", avroRaw(one(`{"type":"record","name":"x","fields":[{"name":"x","type":"x"}]}`), "null", 1, []byte{0}), "a", "nested too deep", ""},
		{"rows without bytes", avroRaw(one(`"null"`), "null", 1<<40, nil), "a", "1099511627776 rows in 0 bytes", ""},
		{"deflate", avroRaw(one(`"string"`), "deflate", 1, []byte{0xff}), "a", "unpack a block", ""},
		{"snappy", avroRaw(one(`"string"`), "snappy", 1, []byte{0, 1, 2, 3, 4}), "a", "checksum is wrong", ""},
		{"time", avroRaw(one(`{"type":"int","logicalType":"time-millis"}`), "null", 1, []byte{1}), "a", "-1 is no time of day", ""},
	} {
		_, err := convert(avroInput(c.columns), bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: %v (hint %s), want %s", c.name, err, fault.HintOf(err), c.want)
		}
	}
	// An error of the store stays what it is.
	broken := errors.New("the network is gone")
	if _, err := convert(avroInput("a"), io.MultiReader(bytes.NewReader(good[:20]), iotest.ErrReader(fault.Wrap(fault.Unreachable, "", broken)))); !errors.Is(err, broken) || fault.KindOf(err) != fault.Unreachable {
		t.Errorf("broken: %v", err)
	}
}

// TestAvroPacked has bzip2 and xz as Python's modules write them.
func TestAvroPacked(t *testing.T) {
	t.Parallel()
	for codec, data := range map[string]string{
		"bzip2": "425a68393141592653599906f5d20000004080100000402000210082b1772453850909906f5d20",
		"xz":    "fd377a585a000004e6d6b4460200210116000000742fe5a301000102780000008129630f38f179fe00011a02dc2ea57e1fb6f37d010000000004595a",
	} {
		raw, err := hex.DecodeString(data)
		if err != nil {
			t.Fatal(err)
		}
		schema := fmt.Sprintf(avroOne, `"string"`)
		if got, err := convert(avroInput("a"), bytes.NewReader(avroRaw(schema, codec, 1, raw))); err != nil || got != "x\n" {
			t.Errorf("%s: %q, %v", codec, got, err)
		}
		raw[len(raw)/2] ^= 0x55
		if got, err := convert(avroInput("a"), bytes.NewReader(avroRaw(schema, codec, 1, raw))); err == nil {
			t.Errorf("%s: damaged data gave %q", codec, got)
		}
	}
}

// Dates against time.Time, over more than the calendar's span of 400 years.
func TestCivil(t *testing.T) {
	t.Parallel()
	for day := int64(-1_000_000); day < 1_000_000; day += 7 {
		at := time.Unix(day*86400+3661, 0).UTC()
		want := string(appendInstantByTime(nil, at))
		if got := string(appendMoment(nil, (day*86400+3661)*1000, 1000, true)); got != want {
			t.Fatalf("day %d: %s, not %s", day, got, want)
		}
	}
}

// appendInstantByTime is the slow and sure way.
func appendInstantByTime(dst []byte, t time.Time) []byte {
	year, end := t.Year(), ""
	if year <= 0 {
		year, end = 1-year, " BC"
	}
	dst = fmt.Appendf(dst, "%04d-%02d-%02d %s", year, t.Month(), t.Day(), t.Format("15:04:05"))
	if ns := t.Nanosecond(); ns > 0 {
		dst = append(append(dst, '.'), strings.TrimRight(fmt.Sprintf("%09d", ns), "0")...)
	}
	return append(append(dst, "+00"...), end...)
}

func FuzzAvro(f *testing.F) {
	f.Add(avroFile(f, avroAll, ocf.Null, 1, avroRow(0), avroRow(1)))
	f.Add(avroFile(f, avroAll, ocf.Deflate, 2, avroRow(0), avroRow(1)))
	f.Add(avroRaw(fmt.Sprintf(avroOne, `["null",{"type":"map","values":"string"}]`), "null", 1, []byte{2, 2, 2, 'a', 2, 'b', 0}))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := avroInput("a:bytea")
		in.MaxRow = 1 << 16
		got, err := convert(in, bytes.NewReader(data))
		if err == nil && strings.Count(got, "\n") > 1<<21 {
			t.Errorf("%d rows of %d bytes", strings.Count(got, "\n"), len(data))
		}
		_, _ = AvroTable(in, bytes.NewReader(data))
	})
}

const avroLine = `{"type":"record","name":"line","fields":[{"name":"orderkey","type":"long"},{"name":"partkey","type":"int"},
	{"name":"quantity","type":{"type":"bytes","logicalType":"decimal","precision":15,"scale":2}},{"name":"discount","type":"double"},{"name":"flag","type":"string"},
	{"name":"shipdate","type":{"type":"int","logicalType":"date"}},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"comment","type":["null","string"]}]}`

func BenchmarkAvro(b *testing.B) {
	var rows []any
	for i := range 20_000 {
		rows = append(rows, map[string]any{
			"orderkey": int64(i), "partkey": i * 7 % 200000, "quantity": big.NewRat(int64(i), 100), "discount": float64(i%10) / 100, "flag": "N",
			"shipdate": time.Unix(int64(i%10000)*86400, 0).UTC(), "at": time.UnixMicro(int64(i) * 12345678).UTC(), "comment": map[string]any{"string": fmt.Sprintf("carefully final deposits %d", i)},
		})
	}
	data := avroFile(b, avroLine, ocf.Null, 1000, rows...)
	b.Run("cw", func(b *testing.B) {
		in := avroInput("orderkey partkey quantity discount flag shipdate at comment")
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			r, err := Rows(in, bytes.NewReader(data))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hamba", func(b *testing.B) { // into structs, and no text is made of them
		type line struct {
			Orderkey int64     `avro:"orderkey"`
			Partkey  int       `avro:"partkey"`
			Quantity *big.Rat  `avro:"quantity"`
			Discount float64   `avro:"discount"`
			Flag     string    `avro:"flag"`
			Shipdate time.Time `avro:"shipdate"`
			At       time.Time `avro:"at"`
			Comment  *string   `avro:"comment"`
		}
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			d, err := ocf.NewDecoder(bytes.NewReader(data), ocf.WithDecoderConfig(avro.DefaultConfig))
			if err != nil {
				b.Fatal(err)
			}
			for d.HasNext() {
				var l line
				if err := d.Decode(&l); err != nil {
					b.Fatal(err)
				}
			}
			if d.Error() != nil {
				b.Fatal(d.Error())
			}
		}
	})
}
