package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"cw/loadspec/copy"
	"cw/loadspec/fdist"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/loadspec/split"
)

// errTried ends the transaction of a trial.
var errTried = errors.New("tried")

// tryGreenplum has the segments read the sample from this machine, as they
// will read all the rest, into a temporary table like the target: it shows
// that they can reach it and that the rows fit.
func (j *job) tryGreenplum(ctx context.Context, conn *pgx.Conn, o source.Object, p *split.Piece) (int64, error) {
	w := &server{ended: make(chan struct{}), g: j.gp}
	pieces := make(chan piece, 1)
	pieces <- piece{Piece: p, r: ledger.Range{Object: o.URL, Start: p.Start, End: p.End}, release: func() {}}
	close(pieces)
	w.feed = &feed{pieces: pieces, ended: w.ended, cause: func() error { return nil }, served: func(ledger.Range) {}, newRow: newRow(j.spec.Format), stamp: j.stamper()}
	var err error
	if w.gpfdist, err = j.startGpfdist(ctx, fdist.Options{Inputs: w.feed}); err != nil {
		return 0, err
	}
	defer w.stop(ctx)
	urls, err := w.begin(ctx, 1<<40)
	if err != nil {
		return 0, err
	}
	table := j.gp.table
	table.Name, table.Locations = "cw_load_check", urls
	create, err := table.Create()
	if err != nil {
		return 0, err
	}
	trial := *j.gp.load.Target
	trial.Schema, trial.Table = "pg_temp", "cw_load_trial"
	load := *j.gp.load
	load.From, load.Target = table.SQLName(), &trial
	for _, sql := range []string{create, fmt.Sprintf("create temp table %s (like %s including defaults)", trial.Table, j.target())} {
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return 0, j.explainWave(err)
		}
	}
	v := &waveRun{j: j, w: suppliers{w}, load: &load, table: &table}
	var rows int64
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, load.Insert(), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		rows = tag.RowsAffected()
		if err := v.refused(ctx, tx.Conn()); err != nil {
			return err
		}
		if len(v.rejected) > 0 && !j.spec.Tolerates() {
			return errRefused
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return rows, nil
	}
	err = v.explain(ctx, conn, err)
	return 0, copy.Explain(err)
}
