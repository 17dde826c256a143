package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"

	"github.com/parquet-go/parquet-go"
)

// Types of PostgreSQL by their OIDs, which never change.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidJSON        = 114
	oidFloat4      = 700
	oidFloat8      = 701
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestamptz = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
)

// newParquetOut chooses a column's type in Parquet.
func newParquetOut(c ParquetColumn) parquetOut {
	out := parquetOut{ParquetColumn: c}
	set := func(node parquet.Node, value func([]byte) (parquet.Value, error)) { out.node, out.value = node, value }
	switch c.OID {
	case oidBool:
		set(parquet.Leaf(parquet.BooleanType), fixed(1, func(b []byte) parquet.Value { return parquet.BooleanValue(b[0] != 0) }))
	case oidInt2:
		set(parquet.Int(16), fixed(2, func(b []byte) parquet.Value {
			return parquet.Int32Value(int32(int16(binary.BigEndian.Uint16(b)))) //nolint:gosec // its bits
		}))
	case oidInt4:
		set(parquet.Int(32), fixed(4, func(b []byte) parquet.Value {
			return parquet.Int32Value(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // its bits
		}))
	case oidInt8:
		set(parquet.Int(64), fixed(8, func(b []byte) parquet.Value {
			return parquet.Int64Value(int64(binary.BigEndian.Uint64(b))) //nolint:gosec // its bits
		}))
	case oidFloat4:
		set(parquet.Leaf(parquet.FloatType), fixed(4, func(b []byte) parquet.Value {
			return parquet.FloatValue(math.Float32frombits(binary.BigEndian.Uint32(b)))
		}))
	case oidFloat8:
		set(parquet.Leaf(parquet.DoubleType), fixed(8, func(b []byte) parquet.Value {
			return parquet.DoubleValue(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}))
	case oidDate:
		set(parquet.Date(), dateValue)
	case oidTime:
		set(parquet.TimeAdjusted(parquet.Microsecond, false), fixed(8, func(b []byte) parquet.Value {
			return parquet.Int64Value(int64(binary.BigEndian.Uint64(b))) //nolint:gosec // its bits
		}))
	case oidTimestamp, oidTimestamptz:
		set(parquet.TimestampAdjusted(parquet.Microsecond, c.OID == oidTimestamptz), timestampValue)
	case oidUUID:
		set(parquet.UUID(), fixed(16, parquet.FixedLenByteArrayValue))
	case oidBytea:
		set(parquet.Leaf(parquet.ByteArrayType), bytesValue)
	case oidJSON:
		set(parquet.JSON(), bytesValue)
	case oidJSONB:
		set(parquet.JSON(), func(b []byte) (parquet.Value, error) {
			if len(b) == 0 || b[0] != 1 {
				return parquet.Value{}, errors.New("jsonb of an unknown version")
			}
			return parquet.ByteArrayValue(b[1:]), nil
		})
	case oidNumeric:
		if node, value := decimalOut(c.Typmod); node != nil {
			set(node, value)
			return out
		}
		set(textNode(), bytesValue)
		out.asText = true
	case oidText, oidVarchar, oidBpchar:
		set(textNode(), bytesValue)
	default:
		set(textNode(), bytesValue)
		out.asText = true
	}
	return out
}

// textNode is a text that is written by reference to a dictionary as long as
// there are few different ones.
func textNode() parquet.Node { return parquet.Encoded(parquet.String(), &parquet.RLEDictionary) }

func bytesValue(b []byte) (parquet.Value, error) { return parquet.ByteArrayValue(b), nil }

// fixed checks the size of a field.
func fixed(n int, value func([]byte) parquet.Value) func([]byte) (parquet.Value, error) {
	return func(b []byte) (parquet.Value, error) {
		if len(b) != n {
			return parquet.Value{}, fmt.Errorf("a value of %d bytes, not %d", len(b), n)
		}
		return value(b), nil
	}
}

// PostgreSQL counts from the year 2000, Parquet from 1970.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

var errInfinity = errors.New("infinity cannot be written to parquet")

func dateValue(b []byte) (parquet.Value, error) {
	if len(b) != 4 {
		return parquet.Value{}, fmt.Errorf("a date of %d bytes", len(b))
	}
	n := int32(binary.BigEndian.Uint32(b)) //nolint:gosec // its bits
	if n == math.MaxInt32 || n == math.MinInt32 {
		return parquet.Value{}, errInfinity
	}
	return parquet.Int32Value(n + epochDays), nil // dates end far before the type does
}

func timestampValue(b []byte) (parquet.Value, error) {
	if len(b) != 8 {
		return parquet.Value{}, fmt.Errorf("a timestamp of %d bytes", len(b))
	}
	n := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // its bits
	if n == math.MaxInt64 || n == math.MinInt64 {
		return parquet.Value{}, errInfinity
	}
	if n > math.MaxInt64-epochMicros {
		return parquet.Value{}, errors.New("the time is too late for parquet, which counts microseconds from 1970 in 64 bits")
	}
	return parquet.Int64Value(n + epochMicros), nil
}

const decimalBytes = 16

// decimalOut is the type of a numeric with precision and scale; nil without,
// and for those that Parquet's readers do not take.
func decimalOut(typmod int32) (parquet.Node, func([]byte) (parquet.Value, error)) {
	if typmod < 4 {
		return nil, nil
	}
	precision, scale := int(typmod-4)>>16, int(typmod-4)&0x7ff
	if scale >= 1024 || scale > precision || precision > 38 { // a negative scale, or more digits than 16 bytes have
		return nil, nil
	}
	if precision > 18 {
		return parquet.Decimal(scale, precision, parquet.FixedLenByteArrayType(decimalBytes)), func(b []byte) (parquet.Value, error) { return wideDecimal(b, scale) }
	}
	typ := parquet.Int64Type
	if precision <= 9 {
		typ = parquet.Int32Type
	}
	return parquet.Decimal(scale, precision, typ), func(b []byte) (parquet.Value, error) {
		n, err := narrowDecimal(b, scale)
		if precision <= 9 {
			return parquet.Int32Value(int32(n)), err //nolint:gosec // at most 9 digits
		}
		return parquet.Int64Value(n), err
	}
}

// numericDigits takes a numeric apart: groups of four decimal digits, the
// first with this weight in groups.
func numericDigits(b []byte) (digits []byte, weight int, negative bool, err error) {
	if len(b) < 8 || len(b) != 8+2*int(binary.BigEndian.Uint16(b)) {
		return nil, 0, false, errors.New("a numeric of the wrong length")
	}
	switch sign := binary.BigEndian.Uint16(b[4:]); sign {
	case 0, 0x4000:
		negative = sign != 0
	case 0xC000:
		return nil, 0, false, errors.New("NaN cannot be written to parquet as a decimal")
	default:
		return nil, 0, false, errInfinity
	}
	return b[8:], int(int16(binary.BigEndian.Uint16(b[2:]))), negative, nil //nolint:gosec // its bits
}

var errDigits = errors.New("a numeric has more digits than its type")

// pow10 are the powers of ten that 64 bits hold.
var pow10 = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18} //nolint:gochecknoglobals // constant table

func narrowDecimal(b []byte, scale int) (int64, error) {
	digits, weight, negative, err := numericDigits(b)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for ; len(digits) > 0; digits = digits[2:] {
		d, e := uint64(binary.BigEndian.Uint16(digits)), 4*weight+scale
		weight--
		switch {
		case d == 0:
			continue
		case e >= len(pow10) || e <= -4:
			return 0, errDigits
		case e < 0:
			if d%pow10[-e] != 0 {
				return 0, errDigits
			}
			d /= pow10[-e]
		default:
			hi, lo := bits.Mul64(d, pow10[e])
			if hi != 0 {
				return 0, errDigits
			}
			d = lo
		}
		if sum += d; sum >= pow10[18] {
			return 0, errDigits
		}
	}
	if negative {
		return -int64(sum), nil //nolint:gosec // bounded above
	}
	return int64(sum), nil //nolint:gosec // bounded above
}

func wideDecimal(b []byte, scale int) (parquet.Value, error) {
	digits, weight, negative, err := numericDigits(b)
	if err != nil {
		return parquet.Value{}, err
	}
	sum, group := new(big.Int), new(big.Int)
	for range len(digits) / 2 {
		d := int64(binary.BigEndian.Uint16(digits))
		digits = digits[2:]
		e := 4*weight + scale
		weight--
		if d == 0 {
			continue
		}
		if e <= -4 || e > 40 {
			return parquet.Value{}, errDigits
		}
		if e < 0 {
			if uint64(d)%pow10[-e] != 0 { //nolint:gosec // four digits
				return parquet.Value{}, errDigits
			}
			sum.Add(sum, group.SetInt64(d/int64(pow10[-e]))) //nolint:gosec // small
			continue
		}
		group.Exp(big.NewInt(10), big.NewInt(int64(e)), nil)
		sum.Add(sum, group.Mul(group, big.NewInt(d)))
	}
	if sum.BitLen() > 8*decimalBytes-1 {
		return parquet.Value{}, errDigits
	}
	if negative { // two's complement
		sum.Sub(group.Lsh(big.NewInt(1), 8*decimalBytes), sum)
		if sum.BitLen() > 8*decimalBytes {
			sum.SetInt64(0) // minus nothing
		}
	}
	return parquet.FixedLenByteArrayValue(sum.FillBytes(make([]byte, decimalBytes))), nil
}
