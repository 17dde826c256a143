package tui

import (
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// maxMarks is how many combining marks one character may carry: more is a
// prank that draws over the lines above.
const maxMarks = 2

// appendSafe appends at most limit cells of text, foreign or not, in a form
// that the terminal cannot take for a command: control characters, escape
// sequences and invisible format characters become visible. It returns the
// cells used and whether something was left out.
func appendSafe(dst []byte, text []byte, limit int, ascii bool) (out []byte, used int, cut bool) {
	marks := maxMarks // none before the first character
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c < 0x7f {
			if used >= limit {
				return dst, used, true
			}
			dst = append(dst, c)
			used, marks, i = used+1, 0, i+1
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		shown, w := safeRune(r, size, ascii)
		i += size
		switch {
		case w == 0:
			if marks < maxMarks {
				dst = utf8.AppendRune(dst, shown)
				marks++
			}
			continue
		case used+w > limit:
			return dst, used, true
		case shown < 0: // caret notation
			dst = append(dst, '^', byte(-shown))
		default:
			dst = utf8.AppendRune(dst, shown)
		}
		used, marks = used+w, 0
	}
	return dst, used, false
}

// cells returns the width that appendSafe would need.
func cells(text []byte, ascii bool) int {
	n := 0
	for i := 0; i < len(text); {
		if c := text[i]; c >= 0x20 && c < 0x7f {
			n, i = n+1, i+1
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		_, w := safeRune(r, size, ascii)
		n, i = n+w, i+size
	}
	return n
}

// safeRune says what is shown for a character and how wide that is. A
// negative rune stands for ^ and the letter. Width 0 is a combining mark.
func safeRune(r rune, size int, ascii bool) (shown rune, width int) {
	switch {
	case r == utf8.RuneError && size <= 1:
		return replacement(ascii), 1
	case r == '\n', r == '\t', r == '\r':
		return ' ', 1
	case r < 0x20:
		if ascii {
			return -(r + 0x40), 2
		}
		return 0x2400 + r, 1
	case r == 0x7f:
		if ascii {
			return -'?', 2
		}
		return 0x2421, 1
	case r < 0x7f:
		return r, 1
	case ascii, r < 0xa0: // C1 controls drive some terminals as ESC does
		return replacement(ascii), 1
	case r >= 0x1f1e6 && r <= 0x1f1ff, r >= 0x1f3fb && r <= 0x1f3ff:
		// Flags and skin tones: terminals do not agree on their width.
		return replacement(ascii), 1
	case r >= 0xfe00 && r <= 0xfe0f: // variation selectors: the same
		return 0, 0
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Me, r):
		return r, 0
	case !unicode.IsPrint(r): // bidi overrides, zero-width characters, private use, unassigned
		return replacement(ascii), 1
	}
	w := displaywidth.Rune(r)
	if w <= 0 { // conjoining letters and the like
		return replacement(ascii), 1
	}
	return r, w
}

func replacement(ascii bool) rune {
	if ascii {
		return '?'
	}
	return '\ufffd'
}
