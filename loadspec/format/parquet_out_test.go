package format

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"cw/fault"
)

// numericOf is a number as numeric_send writes it, from its digits.
func numericOf(text string, dscale int) []byte {
	sign := uint16(0)
	if strings.HasPrefix(text, "-") {
		sign, text = 0x4000, text[1:]
	}
	whole, part, _ := strings.Cut(text, ".")
	for len(whole)%4 != 0 {
		whole = "0" + whole
	}
	for len(part)%4 != 0 {
		part += "0"
	}
	weight := len(whole)/4 - 1
	all := whole + part
	for len(all) >= 4 && all[:4] == "0000" { // as the server leaves zeros out
		all, weight = all[4:], weight-1
	}
	for len(all) >= 4 && all[len(all)-4:] == "0000" {
		all = all[:len(all)-4]
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(all)/4))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(weight)))
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, sign), uint16(dscale))
	for ; len(all) > 0; all = all[4:] {
		n, _ := new(big.Int).SetString(all[:4], 10)
		b = binary.BigEndian.AppendUint16(b, uint16(n.Int64()))
	}
	return b
}

// TestDecimals has big integers as the oracle.
func TestDecimals(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		precision := 1 + rng.IntN(38)
		scale := rng.IntN(precision + 1)
		digits := make([]byte, 1+rng.IntN(precision))
		for i := range digits {
			digits[i] = "00123456789"[rng.IntN(11)]
		}
		unscaled, _ := new(big.Int).SetString(string(digits), 10)
		text := strings.Repeat("0", max(scale+1-len(digits), 0)) + string(digits)
		if scale > 0 {
			text = text[:len(text)-scale] + "." + text[len(text)-scale:]
		}
		if rng.IntN(2) == 0 {
			text = "-" + text
			unscaled.Neg(unscaled)
		}
		typmod := int32(precision<<16|scale) + 4
		node, value := decimalOut(typmod)
		if node == nil {
			t.Fatalf("numeric(%d,%d) has no decimal", precision, scale)
		}
		v, err := value(numericOf(text, scale))
		if err != nil {
			t.Fatalf("%s as numeric(%d,%d): %v", text, precision, scale, err)
		}
		write, err := decimalWriter(v.Kind(), 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := write(nil, v)
		if err != nil || string(got) != unscaled.String() {
			t.Fatalf("%s as numeric(%d,%d): %s, want %s (%v)", text, precision, scale, got, unscaled, err)
		}
	}
	for _, typmod := range []int32{-1, 4 + 39<<16, 4 + (2<<16 | 5), 4 + (5<<16 | 0x7fe)} {
		if node, _ := decimalOut(typmod); node != nil {
			t.Errorf("typmod %d has a decimal", typmod)
		}
	}
	_, narrow := decimalOut(4 + (5<<16 | 2))
	_, wide := decimalOut(4 + (30<<16 | 2))
	for _, bad := range []string{"0.001", "123456789012345678901234567890123456789012"} {
		for _, value := range []func([]byte) (parquet.Value, error){narrow, wide} {
			if _, err := value(numericOf(bad, 2)); err == nil {
				t.Errorf("%s is taken", bad)
			}
		}
	}
}

// FuzzParquetOut writes rows of any bytes: an error is right, a panic is not.
func FuzzParquetOut(f *testing.F) {
	row := []byte{0, 6, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 'h', 'i', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 10}
	row = append(append(row, numericOf("1.5", 1)...), 0, 0, 0, 3, 1, '{', '}', 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9)
	f.Add(row)
	f.Add([]byte{0, 6, 0xff})
	f.Add([]byte{0xff, 0xff})
	columns := []ParquetColumn{{Name: "i", OID: oidInt4}, {Name: "t", OID: oidText}, {Name: "d", OID: oidDate}, {Name: "n", OID: oidNumeric, Typmod: 4 + (9<<16 | 2)}, {Name: "j", OID: oidJSONB}, {Name: "z", OID: oidTimestamptz}}
	s, warnings, err := NewParquetSchema(columns, "zstd")
	if err != nil || len(warnings) > 0 {
		f.Fatal(warnings, err)
	}
	f.Fuzz(func(t *testing.T, tuples []byte) {
		var b bytes.Buffer
		w := s.NewWriter(&b, 1000)
		if err := w.Write(tuples); err != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if len(tuples) > 0 && file.NumRows() == 0 {
			t.Error("rows are lost")
		}
	})
}

func TestParquetSchemaRefuses(t *testing.T) {
	t.Parallel()
	if _, _, err := NewParquetSchema([]ParquetColumn{{Name: "", OID: oidInt4}}, "auto"); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	if _, _, err := NewParquetSchema([]ParquetColumn{{Name: "a", OID: oidInt4}}, "lz4"); fault.KindOf(err) != fault.Usage {
		t.Errorf("%v", err)
	}
	s, warnings, err := NewParquetSchema([]ParquetColumn{{Name: "z", OID: oidNumeric, Typmod: -1, Type: "numeric"}, {Name: `a "b`, OID: 869, Type: "inet"}, {Name: "t", OID: oidText}}, "auto")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "column z (numeric) is text") {
		t.Errorf("%v %v", warnings, err)
	}
	if got := s.SelectList("r"); got != `r."z"::text, r."a ""b"::text, r."t"` {
		t.Error(got)
	}
}
