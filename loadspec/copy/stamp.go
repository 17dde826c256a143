package copy

import (
	"bytes"

	"cw/loadspec"
	"cw/loadspec/split"
)

// Stamped writes the rows of a piece, each with its stamp before it, to the
// end of dst. The piece stays what it is, so that places and texts of rows
// that are refused are those of the object.
func Stamped(dst []byte, s *loadspec.Stamp, p *split.Piece, object string, d split.Dialect) []byte {
	own := s.Object(object)
	eachRecord(p, d, func(begin, end int, lines int64) bool {
		row := p.Data[begin:end]
		if !bytes.Equal(bytes.TrimRight(row, "\r\n"), []byte(`\.`)) { // the end-of-data marker stands alone
			dst = s.Append(dst, own, p.FirstLine+lines)
		}
		dst = append(dst, row...)
		return true
	})
	return dst
}
