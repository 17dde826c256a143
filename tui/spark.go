package tui

import "unicode/utf8"

// sparkKind is the characters a chart is drawn with.
type sparkKind uint8

const (
	sparkBlock sparkKind = iota
	sparkBraille
	sparkASCII
)

const asciiLevels = " .:-=+*#"

// appendSpark draws the newest values in w cells, one line high, the newest
// at the right. top is the full height; 0 takes the largest value shown.
func appendSpark(b []byte, values []float64, w int, top float64, kind sparkKind) []byte {
	return appendChart(b, values, w, 1, 0, top, kind)
}

// appendChart draws line row (0 is the top one) of a chart of w × h cells.
func appendChart(b []byte, values []float64, w, h, row int, top float64, kind sparkKind) []byte {
	per, steps := 1, 8
	switch kind {
	case sparkBraille:
		per, steps = 2, 4
	case sparkASCII:
		steps = len(asciiLevels) - 1
	}
	if n := w * per; len(values) > n {
		values = values[len(values)-n:]
	}
	if top <= 0 {
		for _, v := range values {
			top = max(top, v)
		}
	}
	// level returns how many steps of this line value i fills.
	level := func(i int) int {
		if i < 0 || top <= 0 {
			return 0
		}
		n := int(values[i]/top*float64(h*steps) + 0.5)
		if n < 1 && values[i] > 0 {
			n = 1 // something is not nothing
		}
		return min(steps, max(0, n-(h-1-row)*steps))
	}
	first := len(values) - w*per
	for x := range w {
		i := first + x*per
		switch kind {
		case sparkBraille:
			b = utf8.AppendRune(b, braille(level(i), level(i+1)))
		case sparkASCII:
			b = append(b, asciiLevels[level(i)])
		default:
			if n := level(i); n == 0 {
				b = append(b, ' ')
			} else {
				b = utf8.AppendRune(b, '\u2580'+rune(n))
			}
		}
	}
	return b
}

// braille fills the left and the right column of dots from below.
func braille(left, right int) rune {
	const l, r = "\x00\x40\x44\x46\x47", "\x00\x80\xa0\xb0\xb8"
	return 0x2800 + rune(l[left]) + rune(r[right])
}

// appendBar draws a share of w cells.
func appendBar(b []byte, share float64, w int, ascii bool) []byte {
	full, rest := "█", "░"
	if ascii {
		full, rest = "#", "."
	}
	n := int(min(1, max(0, share))*float64(w) + 0.5)
	for i := range w {
		if i < n {
			b = append(b, full...)
		} else {
			b = append(b, rest...)
		}
	}
	return b
}
