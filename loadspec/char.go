package loadspec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parseChar reads the value of DELIMITER, QUOTE or ESCAPE in the ways gpload
// understands: one character, \t, \x1c, \u001c, and those inside E'…'. COPY
// takes single-byte characters only.
func parseChar(s string) (byte, error) {
	t := s
	if len(t) > 3 && (t[0] == 'E' || t[0] == 'e') && t[1] == '\'' && t[len(t)-1] == '\'' {
		t = t[2 : len(t)-1]
	}
	if len(t) == 1 {
		return asciiByte(rune(t[0]), s)
	}
	if rest, ok := strings.CutPrefix(t, `\`); ok {
		switch {
		case rest == "t":
			return '\t', nil
		case rest == "b":
			return '\b', nil
		case rest == "f":
			return '\f', nil
		case rest == "v":
			return '\v', nil
		case rest == `\`:
			return '\\', nil
		case rest == "'":
			return '\'', nil
		case rest[0] == 'x' || rest[0] == 'X' || rest[0] == 'u' || rest[0] == 'U':
			n, err := strconv.ParseUint(rest[1:], 16, 32)
			if err == nil {
				return asciiByte(rune(n), s)
			}
		case len(rest) == 3:
			n, err := strconv.ParseUint(rest, 8, 8)
			if err == nil {
				return asciiByte(rune(n), s)
			}
		}
	}
	if strings.EqualFold(t, "tab") {
		return '\t', nil
	}
	if utf8.RuneCountInString(t) == 1 {
		return 0, fmt.Errorf("%q is not a single-byte character", s)
	}
	return 0, fmt.Errorf(`%q is not one character: write ',' or '\t' or '\x1c'`, s)
}

func asciiByte(r rune, s string) (byte, error) {
	if r <= 0 || r > 127 {
		return 0, fmt.Errorf("%q is not a single-byte character", s)
	}
	if r == '\n' || r == '\r' {
		return 0, fmt.Errorf("%q is a line end", s)
	}
	return byte(r), nil
}
