package binary

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// encoders are the types with a proven encoder, by the name format_type gives
// them without their modifier, which the receive functions apply themselves.
var encoders = map[string]column{ //nolint:gochecknoglobals // constant table
	"smallint":                    {encode: int16Value, kind: kindInt, width: 2, low: math.MinInt16, high: math.MaxInt16},
	"integer":                     {encode: int32Value, kind: kindInt, width: 4, low: math.MinInt32, high: math.MaxInt32},
	"bigint":                      {encode: int64Value, kind: kindInt, width: 8, low: math.MinInt64, high: math.MaxInt64},
	"real":                        {encode: float32Value},
	"double precision":            {encode: float64Value},
	"numeric":                     {encode: numericValue, kind: kindNumeric},
	"boolean":                     {encode: boolValue},
	"date":                        {encode: dateValue, kind: kindDate},
	"timestamp without time zone": {encode: timestampValue},
	"timestamp with time zone":    {encode: timestamptzValue},
	"time without time zone":      {encode: timeValue},
	"uuid":                        {encode: uuidValue},
	"bytea":                       {encode: byteaValue},
	"jsonb":                       {encode: jsonbValue},
	"text":                        {raw: true, kind: kindRaw},
	"character varying":           {raw: true, kind: kindRaw},
	"character":                   {raw: true, kind: kindRaw},
	"json":                        {raw: true, kind: kindRaw},
}

// aliases are other names that a control file may use for them.
var aliases = map[string]string{ //nolint:gochecknoglobals // constant table
	"int2": "smallint", "int": "integer", "int4": "integer", "int8": "bigint", "float4": "real", "float8": "double precision", "float": "double precision",
	"decimal": "numeric", "bool": "boolean", "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone",
	"time": "time without time zone", "varchar": "character varying", "char": "character",
}

// columnOf finds the encoder of a type; a modifier may be anywhere in its name:
// timestamp(3) without time zone.
func columnOf(name string) (column, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	if open := strings.IndexByte(name, '('); open >= 0 {
		end := strings.IndexByte(name, ')')
		if end < open {
			return column{}, false
		}
		name = strings.TrimSpace(name[:open]) + name[end+1:]
	}
	if full, ok := aliases[name]; ok {
		name = full
	}
	c, ok := encoders[name]
	return c, ok
}

// integer reads an optional sign and decimal digits.
func integer(s []byte, low, high int64) (int64, bool) {
	neg := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		neg, s = s[0] == '-', s[1:]
	}
	if len(s) == 0 || len(s) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range s {
		if c -= '0'; c > 9 {
			return 0, false
		}
		n = n*10 + uint64(c)
	}
	if n > math.MaxInt64 { // the least bigint is left to the server
		return 0, false
	}
	v := int64(n)
	if neg {
		v = -v
	}
	return v, v >= low && v <= high
}

func int16Value(dst, s []byte) ([]byte, bool) {
	v, ok := integer(s, math.MinInt16, math.MaxInt16)
	return binary.BigEndian.AppendUint16(dst, uint16(v)), ok //nolint:gosec // in range, two's complement
}

func int32Value(dst, s []byte) ([]byte, bool) {
	v, ok := integer(s, math.MinInt32, math.MaxInt32)
	return binary.BigEndian.AppendUint32(dst, uint32(v)), ok //nolint:gosec // as above
}

func int64Value(dst, s []byte) ([]byte, bool) {
	v, ok := integer(s, math.MinInt64, math.MaxInt64)
	return binary.BigEndian.AppendUint64(dst, uint64(v)), ok //nolint:gosec // as above
}

// plainFloat says whether s is written with decimal digits, a point and an
// exponent only, and whether its digits are all zero.
func plainFloat(s []byte) (zero, ok bool) {
	zero, digits, mantissa := true, 0, true
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
			zero = zero && (!mantissa || c == '0')
		case c == 'e' || c == 'E':
			mantissa = false
		case c != '.' && c != '-' && c != '+':
			return false, false
		}
	}
	return zero, digits > 0
}

// float parses as the server's strtod does: both round correctly. A value that
// becomes zero or infinite is an error there.
func float(s []byte, bits int) (float64, bool) {
	zero, ok := plainFloat(s)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(s), len(s)), bits)
	return v, err == nil && (v != 0 || zero)
}

func float32Value(dst, s []byte) ([]byte, bool) {
	v, ok := float(s, 32)
	return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(v))), ok
}

func float64Value(dst, s []byte) ([]byte, bool) {
	v, ok := float(s, 64)
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), ok
}

// boolValue knows the words of the manual in lower case.
func boolValue(dst, s []byte) ([]byte, bool) {
	switch string(s) {
	case "t", "true", "1", "y", "yes", "on":
		return append(dst, 1), true
	case "f", "false", "0", "n", "no", "off":
		return append(dst, 0), true
	}
	return dst, false
}

// uuidValue reads 8-4-4-4-12 hexadecimal digits.
func uuidValue(dst, s []byte) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return dst, false
	}
	ok := true
	for _, part := range [][]byte{s[:8], s[9:13], s[14:18], s[19:23], s[24:]} {
		var whole bool
		dst, whole = appendHex(dst, part)
		ok = ok && whole
	}
	return dst, ok
}

// byteaValue reads the hex form: \x and pairs of digits.
func byteaValue(dst, s []byte) ([]byte, bool) {
	if len(s) < 2 || s[0] != '\\' || s[1] != 'x' {
		return dst, false
	}
	return appendHex(dst, s[2:])
}

func appendHex(dst, s []byte) ([]byte, bool) {
	if len(s)%2 != 0 {
		return dst, false
	}
	for i := 0; i < len(s); i += 2 {
		hi, ok1 := hexDigit(s[i])
		lo, ok2 := hexDigit(s[i+1])
		if !ok1 || !ok2 {
			return dst, false
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// jsonbValue is version 1, which is the text.
func jsonbValue(dst, s []byte) ([]byte, bool) { return append(append(dst, 1), s...), true }
