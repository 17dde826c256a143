package gpload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
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
	named     bool // the control file has COLUMNS
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

// metadata looks at the target and maps the file's columns to its own.
func (r *course) metadata(ctx context.Context) error {
	target, err := external.Describe(ctx, r.db.Conn, loadspec.Output{Schema: r.settings.schema, Table: r.name})
	var missing *external.MissingError
	switch {
	case errors.As(err, &missing) && missing.Schema == "":
		return fmt.Errorf("table %s not found in any database schema", loadspec.QuoteIdent(missing.Table))
	case errors.As(err, &missing):
		return fmt.Errorf("table %s.%s does not exist in database %s", missing.Schema, missing.Table, r.Database)
	case err != nil:
		return errors.New(message(err, ""))
	}
	r.target = target
	if r.settings.schema == "" {
		r.log.logf(LevelInfo, "setting schema '%s' for table '%s'", target.Schema, target.Table)
	}
	columns, raw, err := r.columns()
	if err != nil {
		return err
	}
	pairs, rawTargets, err := r.pairs()
	if err != nil {
		return err
	}
	r.mapping, err = external.NewMapping(target, columns, pairs)
	return r.columnText(err, raw, rawTargets)
}

// columnText words what is wrong with a column as gpload does.
func (r *course) columnText(err error, names ...map[string]string) error {
	var e *external.ColumnError
	if !errors.As(err, &e) {
		return err
	}
	name := e.Column
	for _, raw := range names {
		if r, ok := raw[e.Column]; ok {
			name = r
		}
	}
	path := "gpload:output:" + strings.ToLower(e.Key)
	switch e.Reason {
	case external.NoType:
		return fmt.Errorf("column \"%s\" has no type and does not appear in target table \"%s\"", name, r.settings.table)
	case external.NoTarget:
		return fmt.Errorf("no mapping for input column \"%s\" to output table", name)
	case external.IsKey:
		quoted := make([]string, len(r.target.Key))
		for i, k := range r.target.Key {
			quoted[i] = loadspec.QuoteIdent(k)
		}
		return controlErrorf("update_columns cannot reference column(s) in distribution key (%s)", strings.Join(quoted, ","))
	case external.NotMapped:
		return fmt.Errorf("there is no mapping from the column %s in %s", loadspec.QuoteIdent(e.Column), path)
	case external.NotInTarget:
		if e.Key == "MAPPING" {
			return fmt.Errorf("%s in mapping is not in table %s", name, r.settings.table)
		}
		return fmt.Errorf("column %s in %s does not exist", loadspec.QuoteIdent(e.Column), path)
	default:
		return err
	}
}

// columns are COLUMNS, and how the control file spells their names.
func (r *course) columns() ([]loadspec.Column, map[string]string, error) {
	list, ok, err := r.config.list("gpload:input:columns")
	if err != nil || !ok {
		return nil, nil, err
	}
	r.named = true
	raw := map[string]string{}
	var out []loadspec.Column
	for _, item := range list {
		d, ok := item.(*dict)
		if !ok || len(d.keys) == 0 {
			return nil, nil, controlErrorf("gpload:input:columns must be a sequence of YAML mappings")
		}
		spelled := strings.TrimSpace(d.keys[0])
		kind, isText := d.values[0].(string)
		if !isText && d.values[0] != nil {
			return nil, nil, controlErrorf("gpload:input:columns: the type of %s must be a string", spelled)
		}
		if !strings.Contains(kind, `"`) {
			kind = strings.ToLower(kind)
		}
		name := loadspec.FoldName(spelled)
		raw[name] = spelled
		out = append(out, loadspec.Column{Name: name, Type: kind})
	}
	return out, raw, nil
}

// pairs are MAPPING, and how the control file spells the targets.
func (r *course) pairs() ([]loadspec.Mapping, map[string]string, error) {
	v := r.config.find("gpload:output:mapping")
	if v == nil {
		return nil, nil, nil
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, nil, controlErrorf("The gpload:output:mapping entry must be a YAML mapping ")
	}
	raw := map[string]string{}
	var out []loadspec.Mapping
	for i, spelled := range d.keys {
		expr, ok := d.values[i].(string)
		if !ok {
			return nil, nil, controlErrorf("gpload:output:mapping must be a YAML type mapping from strings to strings")
		}
		name := loadspec.FoldName(spelled)
		raw[name] = spelled
		out = append(out, loadspec.Mapping{Target: name, Expr: expr})
	}
	return out, raw, nil
}

// readPlan reads PRELOAD, SQL, EXTERNAL and the limits.
func (r *course) readPlan() error {
	c := r.config
	var err error
	read := func(e error) {
		if err == nil {
			err = e
		}
	}
	truth := func(path string) bool {
		b, e := c.truth(path)
		read(e)
		return b
	}
	text := func(path string) string {
		s, _, e := c.text(path)
		read(e)
		return s
	}
	for _, path := range []string{"gpload:preload", "gpload:external", "gpload:sql"} {
		_, _, e := c.list(path)
		read(e)
	}
	if r.mode = strings.ToLower(text("gpload:output:mode")); r.mode == "" {
		r.mode = loadspec.ModeInsert
	}
	p := &r.plan
	p.logErrors = truth("gpload:input:log_errors") || r.errorTable
	if r.schema = text("gpload:external:schema"); r.schema == loadspec.TargetSchema {
		r.schema = external.Ident(r.target.Schema)
		if r.settings.schema != "" {
			r.schema = loadspec.QuoteIdent(r.target.Schema)
		}
	}
	p.truncate, p.reuse, p.fast = truth("gpload:preload:truncate"), truth("gpload:preload:reuse_tables"), truth("gpload:preload:fast_match")
	if p.fast && !p.reuse && !r.errorTable {
		r.log.logf(LevelWarn, "fast_match is ignored when reuse_tables is false!")
	}
	p.reuse = p.reuse || r.errorTable
	p.staging = text("gpload:preload:staging_table")
	p.before, p.after = text("gpload:sql:before"), text("gpload:sql:after")
	limit, _, e := c.number("gpload:input:error_limit")
	read(e)
	p.limit = limit
	return err
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
		r.log.onlyFile(LevelWarn, "the rejected rows, if any: "+r.rejectedQuery(since))
	}
	if err != nil {
		return 0, whileRunning(err, sql)
	}
	return n, r.reportErrors(ctx, since)
}

func whileRunning(err error, sql string) error {
	return fmt.Errorf("%s encountered while running %s", message(err, sql), sql)
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

func plural(n int64) string {
	if n == 1 {
		return "1 bad row"
	}
	return strconv.FormatInt(n, 10) + " bad rows"
}
