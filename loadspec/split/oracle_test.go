package split

// oracle is PostgreSQL's CopyReadLineText in its plainest form: it returns
// the offsets just after each record, the last one at the data's end, and
// whether the data ends inside quotes. It sees the whole data at once.
func oracle(data []byte, d Dialect) (ends []int, open bool) {
	inQuote, escaped := false, false
	last := 0
	for i := range data {
		c := data[i]
		if d.CSV {
			escape := d.Escape
			if escape == d.Quote {
				escape = 0
			}
			if inQuote && escape != 0 && c == escape {
				escaped = !escaped
			}
			if c == d.Quote && !escaped {
				inQuote = !inQuote
			}
			if escape == 0 || c != escape {
				escaped = false
			}
			if inQuote {
				continue
			}
		} else {
			if escaped {
				escaped = false
				continue
			}
			if d.Escape != 0 && c == d.Escape {
				escaped = true
				continue
			}
		}
		if c == '\r' && d.Newline == Auto {
			d.Newline = CR
			if i+1 < len(data) && data[i+1] == '\n' {
				d.Newline = CRLF
			}
			if i+1 == len(data) {
				break // the data's end ends it
			}
		}
		if c == '\n' && d.Newline == Auto {
			d.Newline = LF
		}
		isEnd := false
		switch d.Newline {
		case LF:
			isEnd = c == '\n'
		case CR:
			isEnd = c == '\r'
		case CRLF:
			isEnd = c == '\n' && i > 0 && data[i-1] == '\r'
		}
		if isEnd {
			last = i + 1
			ends = append(ends, last)
		}
	}
	if last < len(data) {
		ends = append(ends, len(data))
	}
	return ends, inQuote
}
