package gpload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cw/loadspec"
	"cw/loadspec/external"
)

// course is one load, from the control file to the last line.
type course struct {
	*settings
	log      *logger
	start    StartServer
	hostname func(ctx context.Context, full bool) (string, error)
	ask      func() (string, error)
	suffix   string // makes names unique
	began    time.Time
	rejects  func() (io.WriteCloser, string, error) // where rejected rows are kept when their table goes

	db        *database
	target    *external.Target
	mapping   *external.Mapping
	servers   []*Server
	locations []string

	mode     string
	plan     preload
	format   external.Format
	load     *external.Load
	table    *external.Table
	shown    string // the external table's name as gpload shows it
	schema   string // of external tables, as the control file has it
	mustDrop bool   // the external table is this load's own
	stays    bool   // the external table is there whatever becomes of the transaction

	inTransaction bool
	inserted      int64
	updated       int64
	rejected      int64
	warned        bool // the exit code is 1
}

// preload is what PRELOAD and its surroundings say.
type preload struct {
	truncate, reuse, fast bool
	staging               string
	logErrors             bool
	limit                 int
	before, after         string
}

// run goes through the load. What it returns is gpload's text.
func (r *course) run(ctx context.Context) (err error) {
	if r.db, err = r.connect(ctx, r.log, r.ask); err != nil {
		return err
	}
	if err := r.metadata(ctx); err != nil {
		return err
	}
	if err := r.startServers(ctx); err != nil {
		return err
	}
	if err := r.readPlan(); err != nil {
		return err
	}
	if err := r.loadRows(ctx); err != nil {
		return err
	}
	r.log.logf(LevelInfo, "running time: %.2f seconds", time.Since(r.began).Seconds())
	return nil
}

// loadRows does what the mode says, in one transaction unless told otherwise.
func (r *course) loadRows(ctx context.Context) error {
	p := &r.plan
	outside := !r.NoTrans && r.mode == loadspec.ModeInsert && !r.Dry
	beforeOutside := outside && needsNoTransaction(p.before)
	afterOutside := outside && needsNoTransaction(p.after)
	if beforeOutside {
		if err := r.userSQL(ctx, "Pre", "before", p.before); err != nil {
			return err
		}
	}
	if !r.NoTrans {
		if _, err := r.db.run(ctx, "BEGIN"); err != nil {
			return errors.New(message(err, ""))
		}
		r.inTransaction = true
	}
	if p.truncate {
		if r.mode != loadspec.ModeInsert {
			return fmt.Errorf("preload truncate operation should be used with insert operation only. used with %s", r.mode)
		}
		if err := r.truncate(ctx, r.target.Name()); err != nil {
			return err
		}
	}
	if !beforeOutside {
		if err := r.userSQL(ctx, "Pre", "before", p.before); err != nil {
			return err
		}
	}
	if err := r.rows(ctx); err != nil {
		return err
	}
	if !afterOutside {
		if err := r.userSQL(ctx, "Post", "after", p.after); err != nil {
			return err
		}
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	if afterOutside {
		return r.userSQL(ctx, "Post", "after", p.after)
	}
	return nil
}

func (r *course) truncate(ctx context.Context, name string) error {
	r.log.logf(LevelLog, "Truncate table %s", name)
	if r.Dry {
		return nil
	}
	sql := "truncate " + name
	if _, err := r.db.run(ctx, sql); err != nil {
		return fmt.Errorf("could not execute truncate target %s: %s", name, message(err, sql))
	}
	return nil
}

func (r *course) userSQL(ctx context.Context, when, key, sql string) error {
	if sql == "" {
		return nil
	}
	r.log.logf(LevelLog, "%s-SQL from user: %s", when, sql)
	if r.Dry {
		return nil
	}
	if _, err := r.db.run(ctx, sql); err != nil {
		return fmt.Errorf("could not execute SQL in sql:%s \"%s\": %s", key, sql, message(err, sql))
	}
	return nil
}

// finish drops what is this load's own and commits.
func (r *course) finish(ctx context.Context) error {
	if r.mustDrop && r.inTransaction {
		if _, err := r.db.run(ctx, r.table.Drop()); err != nil {
			return errors.New(message(err, ""))
		}
		r.mustDrop = false
	}
	if !r.inTransaction {
		return nil
	}
	if _, err := r.db.run(ctx, "COMMIT"); err != nil {
		return errors.New(message(err, ""))
	}
	r.inTransaction = false
	return nil
}

// close stops the servers and takes back what is not committed. It is given a
// context that is still alive when the load was interrupted.
func (r *course) close(ctx context.Context) {
	if r.db != nil {
		if r.inTransaction {
			_, _ = r.db.run(ctx, "ROLLBACK")
			r.mustDrop = false // it went with the transaction
		}
		r.cleanUp(ctx)
		_ = r.db.Close(ctx)
	}
	if len(r.servers) > 0 {
		r.log.logf(LevelLog, "killing gpfdist")
	}
	for _, s := range r.servers {
		s.Stop()
	}
	r.log.logf(LevelLog, "all threads are terminated")
}

// cleanUp drops the external table of a load without transaction, on a new
// connection when the load's own is gone.
func (r *course) cleanUp(ctx context.Context) {
	if !r.mustDrop {
		return
	}
	r.log.logf(LevelLog, "removing temporary data")
	if r.db.IsClosed() {
		db, err := r.connect(ctx, r.log, r.ask)
		if err != nil {
			r.log.logf(LevelWarn, "external table %s is left behind: %v", r.shown, err)
			return
		}
		r.db = db
	}
	r.log.logf(LevelDebug, "%s", r.table.Drop())
	if _, err := r.db.run(ctx, r.table.Drop()); err != nil {
		r.log.logf(LevelWarn, "external table %s is left behind: %s", r.shown, message(err, ""))
	}
}

// outside are the beginnings of statements that cannot run in a transaction.
// gpload 6 has none in mode insert, and files rely on that.
var outside = []string{ //nolint:gochecknoglobals // constant table
	"vacuum", "create database", "drop database", "create tablespace", "drop tablespace", "reindex database", "reindex system",
	"create index concurrently", "create unique index concurrently", "drop index concurrently", "alter system",
}

func needsNoTransaction(sql string) bool {
	for statement := range strings.SplitSeq(sql, ";") {
		words := strings.Join(strings.Fields(strings.ToLower(statement)), " ")
		for _, o := range outside {
			if strings.HasPrefix(words+" ", o+" ") {
				return true
			}
		}
	}
	return false
}
