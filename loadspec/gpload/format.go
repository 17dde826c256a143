package gpload

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"cw/loadspec"
)

var errInvalidOption = controlErrorf("Invalid option, gpload quit immediately")

// readFormat reads how the rows are written. The texts are checked for being
// one character, as gpload does; what character that may be the database says.
func (r *course) readFormat() error {
	c := r.config
	kind, _, err := c.text("gpload:input:format")
	if err != nil {
		return err
	}
	f := &r.format
	if f.Kind = strings.ToLower(kind); f.Kind == "" {
		f.Kind = loadspec.FormatText
	}
	csv := f.Kind == loadspec.FormatCSV
	if !csv && f.Kind != loadspec.FormatText {
		return controlErrorf("The option you specified doesn't support now")
	}
	f.Delimiter = "\t"
	if csv {
		f.Delimiter, f.Quote = ",", `"`
	}
	if f.Delimiter, err = r.character("delimiter", f.Delimiter); err != nil {
		return err
	}
	null, given, err := c.text("gpload:input:null_as")
	switch {
	case err != nil:
		return err
	case given:
		f.Null = null
	case !csv:
		f.Null = `\N`
	}
	if csv {
		if f.Quote, err = r.character("quote", f.Quote); err != nil {
			return err
		}
	}
	if f.Escape, err = r.escape(csv); err != nil {
		return err
	}
	if f.Header, err = c.truth("gpload:input:header"); err != nil {
		return err
	}
	if f.FillMissing, err = c.truth("gpload:input:fill_missing_fields"); err != nil {
		return err
	}
	columns, ok, err := c.list("gpload:input:force_not_null")
	if err != nil {
		return err
	}
	if ok {
		names, err := texts(columns, "gpload:input:force_not_null")
		if err != nil {
			return err
		}
		for _, n := range names {
			f.ForceNotNull = append(f.ForceNotNull, loadspec.FoldName(n))
		}
	}
	f.Newline, _, err = c.text("gpload:input:newline")
	return err
}

func (r *course) escape(csv bool) (string, error) {
	switch v := r.config.find("gpload:input:escape").(type) {
	case nil:
	case bool:
		if !v {
			// gpload ignores it silently.
			r.log.logf(LevelWarn, "A gpload control file processing warning occurred. ESCAPE: OFF without quotes is a boolean and has no effect: write ESCAPE: 'OFF'")
			break
		}
		return "", controlErrorf("gpload:input:escape must be a string")
	case string:
		switch {
		case v == "":
		case strings.EqualFold(v, "off") && csv:
			return "", controlErrorf("ESCAPE cannot be set to OFF in CSV mode")
		case strings.EqualFold(v, "off"):
			return "off", nil
		default:
			return r.character("escape", "")
		}
	default:
		return "", controlErrorf("gpload:input:escape must be a string")
	}
	if csv {
		return r.format.Quote, nil
	}
	return `\`, nil
}

// character reads an option of one character: as it is, as an escape sequence
// of Python, or that inside E”.
func (r *course) character(option, fallback string) (string, error) {
	value, ok, err := r.config.text("gpload:input:" + option)
	if err != nil {
		return "", err
	}
	if !ok {
		return fallback, nil
	}
	if utf8.RuneCountInString(value) == 1 {
		return value, nil
	}
	if inner, ok := strings.CutPrefix(value, "E'"); ok && strings.HasSuffix(inner, "'") {
		if c, err := unescape(strings.TrimSuffix(inner, "'")); err == nil && utf8.RuneCountInString(c) == 1 {
			return c, nil
		}
	}
	if c, err := unescape(value); err == nil && utf8.RuneCountInString(c) == 1 {
		return c, nil
	}
	r.log.logf(LevelWarn, "A gpload control file processing warning occurred. %s must be single ASCII character, you can also use unprintable characters(for example: '\\x1c' / E'\\x1c' or '\\u001c' / E'\\u001c' ", option)
	return "", errInvalidOption
}

var errEscape = errors.New("truncated escape sequence")

// unescape reads Python's escape sequences; unknown ones stay as they are.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			if s[i] == '\\' {
				return "", errEscape
			}
			b.WriteByte(s[i])
			continue
		}
		i++
		if at := strings.IndexByte(`abfnrtv\'"`, s[i]); at >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v\\'\""[at])
			continue
		}
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		switch {
		case digits > 0:
			if i+digits >= len(s) {
				return "", errEscape
			}
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil {
				return "", errEscape
			}
			b.WriteRune(rune(n)) //nolint:gosec // at most 32 bits, what is no character becomes the replacement
			i += digits
		case s[i] >= '0' && s[i] <= '7':
			end := i
			for end < len(s) && end < i+3 && s[end] >= '0' && s[end] <= '7' {
				end++
			}
			n, _ := strconv.ParseUint(s[i:end], 8, 16)
			b.WriteRune(rune(n)) //nolint:gosec // at most 0777
			i = end - 1
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
