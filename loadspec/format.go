package loadspec

import "strings"

func (v *validator) format() {
	in := &v.spec.file.Load.Input
	f := Format{
		Kind: orDefault(in.Format, FormatText), Compression: orDefault(in.Compression, CompressionAuto),
		Newline: in.Newline, Header: in.Header, Encoding: in.Encoding, FillMissing: in.Fill,
	}
	csv := f.Kind == FormatCSV
	f.Delimiter, f.Quote, f.Escape = '\t', 0, '\\'
	if csv {
		f.Delimiter, f.Quote = ',', '"'
	}
	f.Delimiter = v.char("DELIMITER", in.Delimiter, f.Delimiter)
	if in.Quote != nil && !csv {
		v.fail("GPLOAD.INPUT.QUOTE", "goes with FORMAT: csv only")
	} else {
		f.Quote = v.char("QUOTE", in.Quote, f.Quote)
	}
	switch {
	case in.Escape == nil && csv:
		f.Escape = f.Quote
	case in.Escape == nil:
	case strings.EqualFold(*in.Escape, "OFF") && csv:
		v.fail("GPLOAD.INPUT.ESCAPE", "OFF goes with FORMAT: text only")
	case strings.EqualFold(*in.Escape, "OFF"):
		f.EscapeOff, f.Escape = true, 0
	default:
		f.Escape = v.char("ESCAPE", in.Escape, f.Escape)
	}
	if csv && f.Delimiter == f.Quote {
		v.fail("GPLOAD.INPUT.DELIMITER", "is the same character as QUOTE")
	}
	if !csv && f.Delimiter == f.Escape && !f.EscapeOff {
		v.fail("GPLOAD.INPUT.DELIMITER", "is the same character as ESCAPE")
	}
	if in.NullAs != nil {
		f.Null, f.NullSet = *in.NullAs, true
		if strings.ContainsAny(f.Null, "\r\n") {
			v.fail("GPLOAD.INPUT.NULL_AS", "must not contain a line end")
		}
		if strings.IndexByte(f.Null, f.Delimiter) >= 0 {
			v.fail("GPLOAD.INPUT.NULL_AS", "must not contain the delimiter")
		}
	}
	v.forceNotNull(in.ForceNotNull, csv, &f)
	if f.Kind != FormatText && f.Kind != FormatCSV {
		for key, set := range map[string]bool{"DELIMITER": in.Delimiter != nil, "ESCAPE": in.Escape != nil, "HEADER": in.Header && f.Kind != FormatFixed} {
			if set {
				v.fail("GPLOAD.INPUT."+key, "goes with FORMAT: text and csv only")
			}
		}
	}
	v.spec.Format = f
}

// forceNotNull takes gpload's list of columns, and the boolean that its
// documentation shows.
func (v *validator) forceNotNull(cols []string, csv bool, f *Format) {
	if len(cols) == 1 && strings.EqualFold(cols[0], "false") {
		return
	}
	if len(cols) > 0 && !csv {
		v.fail("GPLOAD.INPUT.FORCE_NOT_NULL", "goes with FORMAT: csv only")
	}
	if len(cols) == 1 && strings.EqualFold(cols[0], "true") {
		f.ForceAll = true
		return
	}
	for _, c := range cols {
		f.ForceNotNull = append(f.ForceNotNull, FoldName(c))
	}
}

func (v *validator) char(key string, value *string, fallback byte) byte {
	if value == nil {
		return fallback
	}
	b, err := parseChar(*value)
	if err != nil {
		v.fail("GPLOAD.INPUT."+key, "%v", err)
		return fallback
	}
	return b
}
