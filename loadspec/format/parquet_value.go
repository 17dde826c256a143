package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// writeValue appends a value that is not NULL in COPY's text format.
type writeValue func(dst []byte, v parquet.Value) ([]byte, error)

var errZeroByte = errors.New("a text with a zero byte cannot be stored: the database has no such character; load it into a bytea column")

// valueWriter chooses how values of a leaf are written into a column of type
// target ("" none, inside JSON).
func valueWriter(t parquet.Type, e *pqformat.SchemaElement, target string) (writeValue, error) {
	if e.ConvertedType.Valid && e.ConvertedType.V == deprecated.Interval && t.Length() == 12 {
		return writeInterval, nil
	}
	if _, ok := e.LogicalType.Value.(*pqformat.Float16Type); ok {
		return nil, errors.New("parquet type FLOAT16 is not supported")
	}
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *pqformat.DecimalType:
			return decimalWriter(t.Kind(), int(l.Scale))
		case *pqformat.DateType:
			return writeDate, nil
		case *pqformat.TimeType:
			return timeWriter(t.Kind(), unitOf(l.Unit)), nil
		case *pqformat.TimestampType:
			return timestampWriter(unitOf(l.Unit), l.IsAdjustedToUTC), nil
		case *pqformat.UUIDType:
			return writeUUID, nil
		case *pqformat.BsonType, *pqformat.VariantType:
			return nil, fmt.Errorf("parquet type %s is not supported", l)
		case *pqformat.IntType:
			if !l.IsSigned {
				return unsignedWriter(t.Kind()), nil
			}
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return strconv.AppendBool(dst, v.Boolean()), nil }, nil
	case parquet.Int32:
		return func(dst []byte, v parquet.Value) ([]byte, error) {
			return appendInt(dst, int64(v.Int32())), nil
		}, nil
	case parquet.Int64:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return appendInt(dst, v.Int64()), nil }, nil
	case parquet.Int96:
		return writeInt96, nil
	case parquet.Float:
		return func(dst []byte, v parquet.Value) ([]byte, error) {
			return appendFloat(dst, float64(v.Float()), 32), nil
		}, nil
	case parquet.Double:
		return func(dst []byte, v parquet.Value) ([]byte, error) { return appendFloat(dst, v.Double(), 64), nil }, nil
	default:
		if target == "bytea" {
			return writeHex, nil
		}
		return writeBytes, nil
	}
}

func unsignedWriter(k parquet.Kind) writeValue {
	if k == parquet.Int64 {
		return func(dst []byte, v parquet.Value) ([]byte, error) { return strconv.AppendUint(dst, v.Uint64(), 10), nil }
	}
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		return strconv.AppendUint(dst, uint64(v.Uint32()), 10), nil
	}
}

// writeHex is for bytea; the backslash is COPY's, doubled.
func writeHex(dst []byte, v parquet.Value) ([]byte, error) {
	return hex.AppendEncode(append(dst, `\\x`...), v.ByteArray()), nil
}

func writeBytes(dst []byte, v parquet.Value) ([]byte, error) {
	b := v.ByteArray()
	if bytes.IndexByte(b, 0) >= 0 {
		return dst, errZeroByte
	}
	return appendText(dst, b), nil
}

func writeUUID(dst []byte, v parquet.Value) ([]byte, error) {
	b := v.ByteArray()
	if len(b) != 16 {
		return dst, fmt.Errorf("a UUID of %d bytes", len(b))
	}
	return appendUUID(dst, b), nil
}

func decimalWriter(k parquet.Kind, scale int) (writeValue, error) {
	if scale < 0 || scale > 1000 {
		return nil, fmt.Errorf("a decimal with scale %d", scale)
	}
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		switch k {
		case parquet.Int32:
			return appendFixed(dst, int64(v.Int32()), scale), nil
		case parquet.Int64:
			return appendFixed(dst, v.Int64(), scale), nil
		}
		return appendDecimal(dst, v.ByteArray(), scale), nil
	}, nil
}

// appendScaled puts the decimal point into an integer.
func appendScaled(dst, digits []byte, scale int) []byte {
	if digits[0] == '-' {
		dst, digits = append(dst, '-'), digits[1:]
	}
	if scale == 0 {
		return append(dst, digits...)
	}
	for zeros := scale + 1 - len(digits); zeros > 0; zeros-- {
		digits = append([]byte{'0'}, digits...)
	}
	point := len(digits) - scale
	return append(append(append(dst, digits[:point]...), '.'), digits[point:]...)
}

func unitOf(u pqformat.TimeUnit) time.Duration {
	if u.Value == nil {
		return time.Microsecond
	}
	return u.Value.Duration()
}

func writeDate(dst []byte, v parquet.Value) ([]byte, error) {
	return appendDate(dst, int64(v.Int32())), nil
}

func appendClock(dst []byte, sec, nanos int) []byte {
	h, m, s := sec/3600, sec/60%60, sec%60
	dst = append(dst, byte('0'+h/10), byte('0'+h%10), ':', byte('0'+m/10), byte('0'+m%10), ':', byte('0'+s/10), byte('0'+s%10)) //nolint:gosec // digits
	if nanos == 0 {
		return dst
	}
	dst = append(dst, '.')
	for n := 100_000_000; nanos > 0; n /= 10 {
		dst = append(dst, byte('0'+nanos/n)) //nolint:gosec // a digit
		nanos %= n
	}
	return dst
}

func timeWriter(k parquet.Kind, unit time.Duration) writeValue {
	return func(dst []byte, v parquet.Value) ([]byte, error) {
		n := v.Int64()
		if k == parquet.Int32 {
			n = int64(v.Int32())
		}
		if n < 0 || n > int64(24*time.Hour/unit) {
			return dst, fmt.Errorf("%d is no time of day", n)
		}
		n *= int64(unit)
		return appendClock(dst, int(n/1e9), int(n%1e9)), nil
	}
}

// timestampWriter writes the zone with instants: a column without one ignores
// it, and a column with one must not take the session's.
func timestampWriter(unit time.Duration, utc bool) writeValue {
	per := int64(time.Second / unit)
	return func(dst []byte, v parquet.Value) ([]byte, error) { return appendMoment(dst, v.Int64(), per, utc), nil }
}

// writeInt96 reads the old timestamps: nanoseconds of the day, Julian day. They
// are instants.
func writeInt96(dst []byte, v parquet.Value) ([]byte, error) {
	const unixEpoch = 2440588
	i := v.Int96()
	nanos := int64(i[1])<<32 | int64(i[0])
	return appendSeconds(dst, (int64(i[2])-unixEpoch)*86400+nanos/1e9, int(nanos%1e9), true), nil
}

func writeInterval(dst []byte, v parquet.Value) ([]byte, error) {
	b := v.ByteArray()
	if len(b) != 12 {
		return dst, fmt.Errorf("an interval of %d bytes", len(b))
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }
	return fmt.Appendf(dst, "%d months %d days %d milliseconds", word(0), word(4), word(8)), nil
}
