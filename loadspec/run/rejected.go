package run

import (
	"context"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
)

// Rejected reads the rows that a job has rejected from its database.
func Rejected(ctx context.Context, spec *loadspec.Spec, job string) ([]ledger.Rejected, error) {
	conn, err := copy.Connect(ctx, spec.Conn, "cw load errors")
	if err != nil {
		return nil, err
	}
	defer closeConn(ctx, conn)
	rows, err := ledger.RejectedRows(ctx, conn, job)
	if err != nil {
		return nil, copy.Explain(err)
	}
	return rows, nil
}
