package copy

import (
	"context"
	"fmt"
	"math"
	"math/big"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
)

// integers are the types whose values can be cut into ranges.
var integers = map[uint32]bool{20: true, 21: true, 23: true} //nolint:gochecknoglobals // constant table: int8, int2, int4

// SplitBy has the extract read in n ranges of an integer column's values
// instead of in one stream, or in blocks. Where the column has an index each
// range costs its part; else everything is read n times.
func (x *Extract) SplitBy(ctx context.Context, tx pgx.Tx, column string, n int) error {
	var names []string
	found := 0
	for _, c := range x.Columns {
		names = append(names, c.Name)
		if c.Name != column {
			continue
		}
		if found++; !integers[c.OID] {
			return fault.New(fault.Usage, "name a column of type smallint, integer or bigint", "PARALLEL.BY: column %s is %s: its values cannot be cut into ranges", column, c.Type)
		}
	}
	if found != 1 {
		return UnknownColumn("PARALLEL.BY", column, names)
	}
	by := "cw_by." + loadspec.QuoteIdent(column)
	var low, high *int64
	if err := tx.QueryRow(ctx, "SELECT min("+by+")::bigint, max("+by+")::bigint FROM "+x.whole("cw_by")).Scan(&low, &high); err != nil {
		return Explain(fmt.Errorf("PARALLEL.BY: %w", err))
	}
	x.Relations, x.ranges = nil, nil
	if low == nil || n < 2 {
		return nil // nothing, or NULL only
	}
	x.Reason = ""
	cuts := cutRange(*low, *high, n)
	for i := range len(cuts) + 1 {
		switch { // the first and the last are open, and NULL is in the first
		case len(cuts) == 0:
			x.ranges = append(x.ranges, "true")
		case i == 0:
			x.ranges = append(x.ranges, fmt.Sprintf("%[1]s < %[2]d OR %[1]s IS NULL", by, cuts[0]))
		case i == len(cuts):
			x.ranges = append(x.ranges, fmt.Sprintf("%s >= %d", by, cuts[i-1]))
		default:
			x.ranges = append(x.ranges, fmt.Sprintf("%[1]s >= %[2]d AND %[1]s < %[3]d", by, cuts[i-1], cuts[i]))
		}
	}
	return nil
}

// cutRange gives the bounds between at most n ranges of about the same width.
func cutRange(low, high int64, n int) []int64 {
	width := new(big.Int).Sub(big.NewInt(high), big.NewInt(low))
	var cuts []int64
	for i := 1; i < n; i++ {
		at := new(big.Int).Mul(width, big.NewInt(int64(i)))
		at.Div(at, big.NewInt(int64(n))).Add(at, big.NewInt(low))
		if c := at.Int64(); c > low && c < math.MaxInt64 && (len(cuts) == 0 || c > cuts[len(cuts)-1]) {
			cuts = append(cuts, c)
		}
	}
	return cuts
}

// whole is all of it, under a name.
func (x *Extract) whole(alias string) string {
	if x.Query != "" {
		return "(" + x.Query + "\n) " + alias
	}
	return x.target() + " " + alias
}
