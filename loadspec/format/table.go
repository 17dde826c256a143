package format

import (
	"io"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/infer"
)

// Table is the table that takes the rows of an object whose format says what
// they are like; r reads it, uncompressed.
func Table(in Input, r io.Reader) (*infer.Table, error) {
	switch in.Convert.Kind {
	case loadspec.FormatMySQLDump:
		return DumpTable(in, r)
	case loadspec.FormatAvro:
		return AvroTable(in, r)
	default:
		return nil, fault.New(fault.Usage, "create the table first", "%s: objects of format %s do not tell their columns", in.URL, in.Convert.Kind)
	}
}
