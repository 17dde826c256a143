package binary

import "encoding/binary"

// numericMost is how many digits are encoded here; longer ones are rare.
const numericMost = 64

// numericValue reads a sign, digits and a point. On the wire are the number of
// base-10000 digits, the weight of the first, the sign, the number of decimal
// digits after the point, and the digits (numeric_recv in numeric.c).
func numericValue(dst, s []byte) ([]byte, bool) {
	sign := uint16(0)
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		if s[0] == '-' {
			sign = 0x4000
		}
		s = s[1:]
	}
	if len(s) == 0 || len(s) > numericMost {
		return dst, false
	}
	var n uint64 // its digits, as far as they fit
	point := len(s)
	for i, c := range s {
		if d := c - '0'; d <= 9 {
			n = n*10 + uint64(d)
		} else if c == '.' && point == len(s) {
			point = i
		} else {
			return dst, false
		}
	}
	whole, fraction := s[:point], s[min(point+1, len(s)):]
	if len(whole)+len(fraction) == 0 {
		return dst, false
	}
	if scale := len(fraction); len(whole)+(scale+3)/4*4 <= 18 { // below 10^18 with the filling
		return shortNumeric(dst, n, scale, sign), true
	}
	for len(whole) > 0 && whole[0] == '0' {
		whole = whole[1:]
	}
	return longNumeric(dst, whole, fraction, sign), true
}

// shortNumeric does it in one integer: the digits, of which scale are behind
// the point, and these are filled up to whole groups of four.
func shortNumeric(dst []byte, n uint64, scale int, sign uint16) []byte {
	groups := (scale + 3) / 4
	switch groups*4 - scale {
	case 1:
		n *= 10
	case 2:
		n *= 100
	case 3:
		n *= 1000
	}
	var digits [6]uint16 // the last group first
	count, weight := 0, -groups-1
	for n > 0 {
		digits[count] = uint16(n % 10000) //nolint:gosec // below 10000
		n /= 10000
		count++
		weight++
	}
	last := 0
	for last < count && digits[last] == 0 {
		last++
	}
	if count == 0 {
		sign, weight = 0, 0
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(count-last)<<48|uint64(uint16(weight))<<32|uint64(sign)<<16|uint64(scale)) //nolint:gosec // small, two's complement
	for i := count - 1; i >= last; i-- {
		dst = binary.BigEndian.AppendUint16(dst, digits[i])
	}
	return dst
}

// longNumeric goes group by group.
func longNumeric(dst, whole, fraction []byte, sign uint16) []byte {
	scale := len(fraction)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	digits, weight, first := 0, 0, true // zero groups in front are left out
	add := func(v uint16, w int) {
		if first {
			if v == 0 {
				return
			}
			first, weight = false, w
		}
		dst = binary.BigEndian.AppendUint16(dst, v)
		digits++
	}
	w := (len(whole)+3)/4 - 1
	for n := len(whole); n > 0; w-- {
		take := (n-1)%4 + 1
		add(group(whole[:take]), w)
		whole = whole[take:]
		n = len(whole)
	}
	for w = -1; len(fraction) > 0; w-- {
		if len(fraction) >= 4 {
			add(group(fraction[:4]), w)
			fraction = fraction[4:]
			continue
		}
		v := group(fraction)
		for range 4 - len(fraction) {
			v *= 10
		}
		add(v, w)
		fraction = nil
	}
	for digits > 0 && dst[len(dst)-1] == 0 && dst[len(dst)-2] == 0 { // and behind
		dst, digits = dst[:len(dst)-2], digits-1
	}
	if digits == 0 {
		sign, weight = 0, 0
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(digits))   //nolint:gosec // at most 17
	binary.BigEndian.PutUint16(dst[at+2:], uint16(weight)) //nolint:gosec // two's complement, at most 16
	binary.BigEndian.PutUint16(dst[at+4:], sign)
	binary.BigEndian.PutUint16(dst[at+6:], uint16(scale)) //nolint:gosec // at most 64
	return dst
}

func group(s []byte) uint16 {
	v := uint16(0)
	for _, c := range s {
		v = v*10 + uint16(c-'0')
	}
	return v
}
