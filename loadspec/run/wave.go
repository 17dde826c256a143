package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/ledger"
)

// wave loads the next bytes in one statement, together with their rows in the
// ledger and the rows that were rejected. more is false when nothing was left.
func (j *job) wave(ctx context.Context, conn *pgx.Conn, w suppliers, budget int64, a *around) (more bool, err error) {
	urls, err := w.begin(ctx, budget)
	if err != nil || len(urls) == 0 {
		return false, err
	}
	table := j.gp.table
	table.Name, table.Locations = tablePrefix(j.o.Job)+strings.ToLower(rand.Text()[:8]), urls
	create, err := table.Create()
	if err != nil {
		return false, err
	}
	// Outside of the transaction, so that the rejected rows can be read when
	// it fails. The session's end drops it whatever happens.
	if _, err := conn.Exec(ctx, create, pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, j.explainWave(err)
	}
	load := *j.gp.load
	load.From = table.SQLName()
	v := &waveRun{j: j, w: w, load: &load, table: &table, around: a}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return v.transaction(ctx, tx) }); err != nil {
		if v.counted > 0 {
			j.tolerance.GiveBack(v.counted, int64(len(v.no)))
		}
		return false, v.failed(ctx, conn, err)
	}
	j.state.settle(v.ranges, v.rows, int64(len(v.rejected)+len(v.no)))
	if _, err := conn.Exec(ctx, table.Drop(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, copy.Explain(err)
	}
	return true, nil
}

// waveRun is a wave's transaction and what came of it.
type waveRun struct {
	j        *job
	w        suppliers
	load     *external.Load
	table    *external.Table
	around   *around
	ranges   []ledger.Range
	rows     int64
	rejected []ledger.Rejected
	counted  int64             // rows, by the tolerance
	no       []ledger.Rejected // rows that could not be converted, which Greenplum never saw
}

func (v *waveRun) transaction(ctx context.Context, tx pgx.Tx) error {
	j := v.j
	if v.around != nil {
		if err := v.around.first(tx); err != nil {
			return err
		}
	}
	if err := v.statements(ctx, tx); err != nil {
		return err
	}
	h, err := v.w.end(ctx)
	if err != nil {
		return err
	}
	if v.ranges, v.no = h.Ranges, h.Rejected; !h.Whole {
		return fault.New(fault.Failed, "cw load resume JOB", "the statement ended before all rows were sent to it")
	}
	if err := v.refused(ctx, tx.Conn()); err != nil {
		return err
	}
	if len(v.rejected) > 0 && !j.spec.Tolerates() {
		return errRefused
	}
	if err := v.tolerated(); err != nil {
		return err
	}
	if err := j.ledger.Reject(ctx, tx, append(v.rejected, v.no...)); err != nil {
		return err
	}
	for _, r := range v.ranges {
		if err := j.ledger.Record(ctx, tx, r); err != nil {
			return err
		}
	}
	if v.around != nil {
		return v.around.last(tx)
	}
	return nil
}

// tolerated counts the rows that could not be converted against ERROR_LIMIT,
// all of the job's together: no segment has seen them.
func (v *waveRun) tolerated() error {
	if v.j.tolerance == nil {
		return nil
	}
	seen := int64(0)
	for _, r := range v.ranges {
		seen += r.Rows
	}
	err := v.j.tolerance.Count(seen, v.no)
	if err == nil {
		v.counted = seen + int64(len(v.no))
	}
	return err
}

// statements moves the rows; v.rows counts what reached the target.
func (v *waveRun) statements(ctx context.Context, tx pgx.Tx) error {
	type statement struct {
		sql   string
		count bool
	}
	l := v.load
	list := []statement{{l.Insert(), true}}
	if mode := v.j.spec.Output.Mode; mode != loadspec.ModeInsert {
		list = []statement{{"drop table if exists " + l.Staging, false}, {l.CreateStaging(true), false}, {l.Fill(), false}, {l.UpdateRows(), true}}
		if mode == loadspec.ModeMerge {
			list = append(list, statement{l.DeleteMatched(), false}, statement{l.InsertRest(), true})
		}
	}
	for _, s := range list {
		tag, err := tx.Exec(ctx, s.sql, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		if s.count {
			v.rows += tag.RowsAffected()
		}
	}
	return nil
}

// errRefused ends a wave without ERROR_LIMIT that met a bad row.
var errRefused = errors.New("a row was refused")

// refused reads the rows that the database would not take.
func (v *waveRun) refused(ctx context.Context, conn *pgx.Conn) error {
	list, err := external.ReadRejected(ctx, conn, v.table.SQLName(), time.Time{}, 0)
	if err != nil {
		return fmt.Errorf("read the rejected rows: %w", err)
	}
	v.rejected = nil
	for _, r := range list {
		row := r.Text
		if row == "" {
			row = strings.ToValidUTF8(string(r.Bytes), "\uFFFD")
		}
		row = v.j.stamp().Strip(row, objectOf(r.File))
		v.rejected = append(v.rejected, ledger.Rejected{Object: objectOf(r.File), Line: r.Line, Offset: r.Byte, Reason: r.Message, Row: row, Loaded: true})
	}
	return nil
}

// objectOf takes the object's URL out of what Greenplum calls the file: the
// external table's URL and, in brackets, the name that the server gave.
func objectOf(file string) string {
	if i := strings.Index(file, " ["); i >= 0 && strings.HasSuffix(file, "]") {
		return file[i+2 : len(file)-1]
	}
	return file
}

// failed explains why a wave did not commit, and keeps the rows that the
// database refused, so that they can be looked at.
func (v *waveRun) failed(ctx context.Context, conn *pgx.Conn, err error) error {
	if cause := v.w.failure(ctx); cause != nil && ctx.Err() == nil {
		return cause // reading failed; the statement only noticed
	}
	var limit *copy.LimitError
	if errors.As(err, &limit) {
		v.rejected = v.no
	} else {
		err = v.explain(ctx, conn, err)
	}
	if !v.j.spec.Tolerates() || len(v.rejected) == 0 || conn.IsClosed() || ctx.Err() != nil {
		return err
	}
	for i := range v.rejected {
		v.rejected[i].Loaded = false
	}
	if kerr := v.j.ledger.Reject(ctx, conn, v.rejected); kerr != nil {
		v.j.o.Log.Warn("the rejected rows could not be kept", "error", kerr)
	}
	return fault.Wrap(fault.Failed, "see the rows with: cw load errors "+v.j.o.Job, err)
}

// explain names the first bad row when there is one, which Greenplum's own
// message cannot.
func (v *waveRun) explain(ctx context.Context, conn *pgx.Conn, err error) error {
	if !errors.Is(err, errRefused) {
		err = v.j.explainWave(err)
	}
	v.rejected = nil
	if conn.IsClosed() || ctx.Err() != nil {
		return err
	}
	if rerr := v.refused(ctx, conn); rerr != nil || len(v.rejected) == 0 {
		return err
	}
	first := v.rejected[0]
	text := fmt.Sprintf("%s line %d: %s\n  row: %s", first.Object, first.Line, first.Reason, first.Row)
	if !v.j.spec.Tolerates() {
		return fault.New(fault.Failed, "correct the row, or tolerate some with ERROR_LIMIT in the control file", "%s", text)
	}
	return fault.New(fault.Failed, "", "more rows were rejected than ERROR_LIMIT %s allows in one segment: %w\nthe first: %s", v.j.spec.ErrorLimitText(), err, text)
}
