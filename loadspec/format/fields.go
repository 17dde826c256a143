package format

import "cw/loadspec"

// Fields counts the fields of one record as COPY does.
func Fields(record []byte, f loadspec.Format) int {
	n, inQuote := 1, false
	for i := 0; i < len(record); i++ {
		c := record[i]
		switch {
		case f.Kind != loadspec.FormatCSV && c == f.Escape && !f.EscapeOff:
			i++
		case f.Kind == loadspec.FormatCSV && inQuote && c == f.Escape && i+1 < len(record) && (record[i+1] == f.Quote || record[i+1] == f.Escape):
			i++
		case f.Kind == loadspec.FormatCSV && c == f.Quote:
			inQuote = !inQuote
		case c == f.Delimiter && !inQuote:
			n++
		}
	}
	return n
}
