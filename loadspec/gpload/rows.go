package gpload

import (
	"context"
	"errors"
	"fmt"

	"cw/loadspec"
	"cw/loadspec/external"
)

// rows moves the rows.
func (r *course) rows(ctx context.Context) error {
	r.load = &external.Load{Target: r.target, Mapping: r.mapping}
	switch r.mode {
	case loadspec.ModeInsert:
		if err := r.externalTable(ctx); err != nil {
			return err
		}
		n, err := r.read(ctx, r.load.Insert())
		r.inserted = n
		return err
	case loadspec.ModeUpdate, loadspec.ModeMerge:
		return r.merge(ctx)
	default:
		return controlErrorf("unsupported method %s", r.mode)
	}
}

// merge updates by way of a staging table, and inserts what is new.
func (r *course) merge(ctx context.Context) error {
	reuse, err := r.stage(ctx)
	if err != nil {
		return err
	}
	if err := r.externalTable(ctx); err != nil {
		return err
	}
	if err := r.matching(); err != nil {
		// gpload finds this out after the rows are read. What the database has
		// against reading them comes first here, too, but nothing is read.
		if _, e := r.db.Prepare(ctx, "", r.load.Fill()); e != nil && !r.Dry {
			return whileRunning(e, r.load.Fill())
		}
		return err
	}
	if _, err := r.read(ctx, r.load.Fill()); err != nil {
		return err
	}
	steps := []struct {
		sql   string
		count *int64
	}{{r.load.UpdateRows(), &r.updated}}
	if r.mode == loadspec.ModeMerge {
		steps = append(steps, struct {
			sql   string
			count *int64
		}{r.load.DeleteMatched(), new(int64)}, struct {
			sql   string
			count *int64
		}{r.load.InsertRest(), &r.inserted})
	}
	for _, s := range steps {
		r.log.logf(LevelLog, "%s", s.sql)
		if r.Dry {
			continue
		}
		n, err := r.db.run(ctx, s.sql)
		if err != nil {
			return whileRunning(err, s.sql)
		}
		*s.count = n
	}
	if reuse { // so that a dump does not hold its rows
		return r.truncate(ctx, r.load.Staging)
	}
	return nil
}

// matching reads the columns to match and to update, and checks them.
func (r *course) matching() error {
	var err error
	if r.load.Update, err = r.config.names("gpload:output:update_columns"); err != nil {
		return err
	}
	if r.load.Match, err = r.config.names("gpload:output:match_columns"); err != nil {
		return err
	}
	if r.load.Condition, _, err = r.config.text("gpload:output:update_condition"); err != nil {
		return err
	}
	return r.columnText(r.load.Check())
}

// read runs the statement that reads the external table. A failed one leaves
// its rejected rows behind, so it runs inside a savepoint, after which they
// can still be read.
func (r *course) read(ctx context.Context, sql string) (int64, error) {
	r.log.logf(LevelLog, "%s", sql)
	if r.Dry {
		return 0, nil
	}
	keep := r.plan.logErrors && r.inTransaction && !r.stays
	if keep {
		if _, err := r.db.run(ctx, "SAVEPOINT gpload_rows"); err != nil {
			return 0, errors.New(message(err, ""))
		}
	}
	since, err := external.Now(ctx, r.db.Conn)
	if err != nil {
		return 0, errors.New(message(err, ""))
	}
	r.db.rejected = 0
	n, err := r.db.run(ctx, sql)
	switch {
	case err != nil && keep:
		r.keepAfterFailure(ctx, since)
	case err != nil && r.plan.logErrors && r.stays:
		r.log.onlyFile("the rejected rows, if any: " + r.rejectedQuery(since))
	}
	if err != nil {
		return 0, whileRunning(err, sql)
	}
	return n, r.reportErrors(ctx, since)
}

func whileRunning(err error, sql string) error {
	return fmt.Errorf("%s encountered while running %s", message(err, sql), sql)
}
