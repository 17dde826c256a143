package format

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"math/bits"
	"strconv"
)

// Numbers without strconv's generality: most values of columnar files are
// small, and their text is most of the work.

const twoDigits = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// powers of ten, for counting digits.
var powers = [20]uint64{ //nolint:gochecknoglobals // constant table
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// digitsOf is how many digits a number has.
func digitsOf(u uint64) int {
	n := bits.Len64(u|1) * 1233 >> 12 // of log10(2)
	if n < len(powers) && u >= powers[n] {
		n++
	}
	return max(n, 1)
}

// appendUint writes a number.
func appendUint(dst []byte, u uint64) []byte {
	n := digitsOf(u)
	at := len(dst)
	dst = append(dst, "                    "[:n]...)
	b := dst[at:]
	for n > 2 {
		q := u / 100
		r := (u - q*100) * 2
		n -= 2
		b[n], b[n+1] = twoDigits[r], twoDigits[r+1]
		u = q
	}
	if n == 2 {
		b[0], b[1] = twoDigits[2*u], twoDigits[2*u+1]
	} else {
		b[0] = byte('0' + u) //nolint:gosec // one digit
	}
	return dst
}

// appendInt writes a number.
func appendInt(dst []byte, i int64) []byte {
	if i < 0 {
		return appendUint(append(dst, '-'), -uint64(i)) //nolint:gosec // also of the smallest
	}
	return appendUint(dst, uint64(i))
}

// appendFixed writes a number of so many hundredths and the like.
func appendFixed(dst []byte, i int64, scale int) []byte {
	u := uint64(i) //nolint:gosec // the sign is dealt with
	if i < 0 {
		dst = append(dst, '-')
		u = -u
	}
	if scale == 0 {
		return appendUint(dst, u)
	}
	if scale >= len(powers) {
		return appendScaled(dst, appendUint(nil, u), scale)
	}
	whole := u / powers[scale]
	dst = append(appendUint(dst, whole), '.')
	rest := u - whole*powers[scale]
	for n := scale - digitsOf(rest); n > 0; n-- {
		dst = append(dst, '0')
	}
	return appendUint(dst, rest)
}

// appendFloat writes the shortest digits that mean the same number. Those with
// up to four decimals are found by trying: two decimals of at most 15 digits
// (6 of a single) are never the same number, so the one that is found is it.
func appendFloat(dst []byte, f float64, size int) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	limit, same := 1e15, func(v, scale float64) bool { return v/scale == f }
	if size == 32 {
		limit, same = 1e6, func(v, scale float64) bool { return float64(float32(v/scale)) == f }
	}
	if f == 0 && math.Signbit(f) {
		return append(dst, "-0"...)
	}
	if v := math.Trunc(f); v == f && math.Abs(v) < limit {
		return appendInt(dst, int64(v))
	}
	if v := math.Round(f * 100); math.Abs(v) < limit && v != 0 && same(v, 100) {
		return appendDecimals(dst, int64(v), 2)
	}
	if v := math.Round(f * 1e4); math.Abs(v) < limit && v != 0 && same(v, 1e4) {
		return appendDecimals(dst, int64(v), 4)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, size) // NaN is written so
}

// appendDecimals is appendFixed without zeros at the end.
func appendDecimals(dst []byte, i int64, scale int) []byte {
	for i%10 == 0 && scale > 1 {
		i /= 10
		scale--
	}
	return appendFixed(dst, i, scale)
}

// plainRun tells whether nothing in a text must be escaped, and no byte of it
// is zero: eight bytes at a time.
func plainRun(b []byte) bool {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		low := (x - 0x0e*ones) &^ x & highs // bytes below 0x0e; some above may show up behind one
		y := x ^ '\\'*ones
		if low|((y-ones)&^y&highs) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x0e || c == '\\' {
			return false
		}
	}
	return true
}

// appendDecimal writes a number in two's complement, the highest byte first.
func appendDecimal(dst, b []byte, scale int) []byte {
	if len(b) <= 8 {
		return appendFixed(dst, twosComplement(b), scale)
	}
	if sign := byte(int8(b[0]) >> 7); len(b) <= 64 && bytes.Count(b[:len(b)-8], []byte{sign}) == len(b)-8 && b[len(b)-8]>>7 == sign>>7 {
		return appendFixed(dst, twosComplement(b[len(b)-8:]), scale) // its upper bytes say nothing
	}
	n := new(big.Int).SetBytes(b)
	if b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b)))) //nolint:gosec // a length
	}
	return appendScaled(dst, n.Append(nil, 10), scale)
}

func twosComplement(b []byte) int64 {
	var n int64
	if len(b) > 0 && b[0]&0x80 != 0 {
		n = -1
	}
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n
}

func appendUUID(dst, b []byte) []byte {
	for i, n := range [...]int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, b[[...]int{0, 4, 6, 8, 10}[i]:n])
	}
	return dst
}
