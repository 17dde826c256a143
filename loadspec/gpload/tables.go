package gpload

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/loadspec"
	"cw/loadspec/external"
)

// schemaTable is a name as gpload shows it, in the spelling of the control
// file.
func (r *course) schemaTable(name string) string {
	if r.schema == "" {
		return name
	}
	return r.schema + "." + name
}

// schemaName is the schema of external tables, folded.
func (r *course) schemaName() string { return loadspec.FoldName(r.schema) }

// externalTable makes the external table, or finds one to use again.
func (r *course) externalTable(ctx context.Context) error {
	t, err := r.describeTable(ctx)
	if err != nil {
		return err
	}
	r.table = t
	t.Name = "ext_gpload_" + r.suffix
	if r.plan.reuse {
		found, err := r.reusable(ctx)
		if err != nil || found {
			return err
		}
	}
	r.shown = r.schemaTable(t.Name)
	if r.plan.staging != "" && r.plan.reuse {
		r.shown = r.schemaTable(r.plan.staging)
	}
	r.load.From = t.SQLName()
	if r.plan.limit != 0 && r.plan.limit < 2 {
		return controlErrorf("error_limit must be 2 or higher")
	}
	if r.plan.reuse && r.inTransaction && r.mode == loadspec.ModeInsert && r.createApart(ctx) {
		r.stays = true
		return nil
	}
	if err := r.create(ctx); err != nil {
		return err
	}
	r.mustDrop = !r.plan.reuse
	return nil
}

// createApart makes a table that is to be kept on a connection of its own, so
// that it and its error log outlive a load that fails; without a transaction
// around mode insert, gpload 6 leaves it, too. What cannot be done there is
// left to the load's own connection, which knows what SQL: BEFORE has made.
func (r *course) createApart(ctx context.Context) bool {
	sql, err := r.table.Create()
	if err != nil || sql != r.asGpload(sql) || r.unsafeTexts(sql) {
		return false
	}
	var path, role string
	if err := r.db.QueryRow(ctx, "select current_setting('search_path'), current_user::text").Scan(&path, &role); err != nil {
		return false
	}
	apart, err := r.dial(ctx, r.log)
	if err != nil {
		return false
	}
	defer func() { _ = apart.Close(ctx) }()
	for _, setting := range [][2]string{{"search_path", path}, {"role", role}} {
		if _, err := apart.Exec(ctx, "select set_config($1, $2, false)", setting[0], setting[1]); err != nil {
			return false
		}
	}
	_, err = apart.run(ctx, sql)
	return err == nil
}

// unsafeTexts tells whether a statement means something else in this session
// than it should: standard_conforming_strings is off.
func (r *course) unsafeTexts(sql string) bool {
	return strings.Contains(sql, `\`) && r.db.PgConn().ParameterStatus("standard_conforming_strings") == "off"
}

// asGpload writes quotes inside NULL_AS as gpload does, which the database
// refuses with a syntax error. Rightly so: it cannot read such an option back,
// and every scan of the table would fail.
func (r *course) asGpload(sql string) string {
	if !strings.Contains(r.format.Null, "'") {
		return sql
	}
	null := "null '" + strings.ReplaceAll(r.format.Null, "'", "''") + "'"
	return strings.Replace(sql, null, strings.ReplaceAll(null, "'''", `E'\''`), 1)
}

func (r *course) describeTable(ctx context.Context) (*external.Table, error) {
	if err := r.readFormat(); err != nil {
		return nil, err
	}
	encoding, _, err := r.config.text("gpload:input:encoding")
	if err != nil {
		return nil, err
	}
	if encoding == "" {
		encoding = r.target.Engine.Encoding
	}
	if r.plan.logErrors && r.plan.limit == 0 {
		return nil, controlErrorf("gpload:input:log_errors requires gpload:input:error_limit to be specified")
	}
	t := &external.Table{
		Schema: r.schemaName(), Columns: r.mapping.Columns, Locations: r.locations, Format: r.format, Encoding: encoding,
		LogErrors: r.plan.logErrors, RejectLimit: r.plan.limit, PlainText: true,
	}
	if r.format.Kind == loadspec.FormatText {
		custom, err := r.customFormat(ctx)
		if err != nil {
			return nil, err
		}
		if custom != nil {
			r.log.logf(LevelInfo, "Use gpdb5 text format to create external table")
			t.Format = *custom
		}
	}
	return t, nil
}

// reusable looks for a table to use again: the one that STAGING_TABLE names,
// or one that is the same in everything.
func (r *course) reusable(ctx context.Context) (bool, error) {
	engine := r.target.Engine
	if r.plan.staging != "" {
		if strings.Contains(r.plan.staging, ".") {
			return false, errors.New("Character '.' is not allowed in staging_table parameter. Please use EXTERNAL->SCHEMA to set the schema of external table") //nolint:staticcheck // gpload's sentence
		}
		r.table.Name = loadspec.FoldName(r.plan.staging)
		if r.hopeless() {
			return false, nil
		}
		exists, err := external.Staged(ctx, r.db.Conn, engine, r.table)
		if err != nil {
			return false, r.databaseText(err)
		}
		if exists {
			r.shown = r.schemaTable(r.plan.staging)
			r.load.From = r.table.SQLName()
			r.stays = true
			r.log.logf(LevelInfo, "reusing external staging table %s", r.shown)
		}
		return exists, nil
	}
	var found *external.Table
	if !r.hopeless() {
		var err error
		if found, err = external.Reusable(ctx, r.db.Conn, engine, r.table, r.plan.fast); err != nil {
			return false, r.databaseText(err)
		}
	}
	if found == nil {
		r.table.Name = external.ReusablePrefix + r.suffix
		r.log.logf(LevelInfo, "did not find an external table to reuse. creating %s", r.schemaTable(r.table.Name))
		return false, nil
	}
	r.table = found
	r.load.From = found.SQLName()
	r.shown = r.schemaTable(found.Name)
	if !r.plan.fast {
		// gpload shows it as the database does.
		if err := r.db.QueryRow(ctx, "select $1::text::regclass::text", r.load.From).Scan(&r.shown); err != nil {
			return false, r.databaseText(err)
		}
	}
	r.log.logf(LevelInfo, "reusing external table %s", r.shown)
	r.stays = true
	return true, nil
}

// hopeless tells that the table could not be made in this session, so that a
// load that finds one does not work where the same load without fails.
func (r *course) hopeless() bool {
	sql, err := r.table.Create()
	return err == nil && r.unsafeTexts(sql)
}

// databaseText words errors of the database, and leaves others.
func (r *course) databaseText(err error) error {
	return errors.New(strings.TrimSuffix(message(err, ""), "\n"))
}

// create makes the external table. gpload's texts for a failure tell of
// standard_conforming_strings, under which its statement means something else;
// in modes update and merge, the failed transaction cannot be asked for it.
func (r *course) create(ctx context.Context) error {
	sql, err := r.table.Create()
	if err != nil {
		return err
	}
	sql = r.asGpload(sql)
	savepoint := r.inTransaction && r.mode == loadspec.ModeInsert
	if savepoint {
		if _, err := r.db.run(ctx, "SAVEPOINT gpload_table"); err != nil {
			return r.databaseText(err)
		}
	}
	const off = "standard_conforming_strings is set to 'off', please set it to 'on' and try again \n"
	_, err = r.db.run(ctx, sql)
	if err == nil {
		if r.unsafeTexts(sql) {
			return fmt.Errorf("could not run SQL \"%s\":  %s", sql, off)
		}
		return nil
	}
	text := fmt.Sprintf("could not run SQL \"%s\": %s", sql, message(err, sql))
	if savepoint {
		if _, err := r.db.run(ctx, "ROLLBACK TO SAVEPOINT gpload_table"); err != nil {
			return errors.New(text)
		}
	}
	var setting string
	switch err := r.db.QueryRow(ctx, "show standard_conforming_strings").Scan(&setting); {
	case err != nil:
		return fmt.Errorf("%s could not get standard_conforming_strings, %s if %s", text, message(err, ""), off)
	case setting == "off":
		return fmt.Errorf("%s %s", text, off)
	}
	return errors.New(text)
}

// stage makes the staging table of modes update and merge, or finds the one
// that an earlier load has kept; kept tells whether it stays.
func (r *course) stage(ctx context.Context) (kept bool, err error) {
	if len(r.target.Key) > 0 {
		if r.load.Update, err = r.config.names("gpload:output:update_columns"); err != nil {
			return false, err
		}
		for _, name := range r.load.Update {
			if c := r.target.Column(name); c != nil && c.Key {
				return false, r.columnText(&external.ColumnError{Key: "UPDATE_COLUMNS", Column: name, Reason: external.IsKey})
			}
		}
	} else if r.load.Match, err = r.config.names("gpload:output:match_columns"); err != nil {
		return false, err
	}
	if list, ok, _ := r.config.list("gpload:output:match_columns"); ok && r.load.Match == nil && len(list) > 0 {
		if r.load.Match, err = r.config.names("gpload:output:match_columns"); err != nil {
			return false, err
		}
	}
	if err := r.warnOldTables(ctx); err != nil {
		return false, err
	}
	if !r.plan.reuse {
		r.load.Staging = "temp_staging_gpload_" + r.suffix
		return false, r.createStaging(ctx, true)
	}
	name := r.load.ReusableStaging()
	r.load.Staging = external.Qualified(r.schemaName(), name)
	shown := r.schemaTable(name)
	var exists bool
	err = r.db.QueryRow(ctx, `select exists (select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1::text and (n.nspname = $2::text or $2::text = '' and pg_catalog.pg_table_is_visible(c.oid)))`, name, r.schemaName()).Scan(&exists)
	if err != nil {
		return true, r.databaseText(err)
	}
	if exists {
		r.log.logf(LevelInfo, "reusing staging table %s", shown)
		return true, r.truncate(ctx, r.load.Staging)
	}
	r.log.logf(LevelInfo, "did not find a staging table to reuse. creating %s", shown)
	return true, r.createStaging(ctx, false)
}

func (r *course) createStaging(ctx context.Context, temp bool) error {
	sql := r.load.CreateStaging(temp)
	r.log.logf(LevelLog, "%s", sql)
	if r.Dry {
		return nil
	}
	if _, err := r.db.run(ctx, sql); err != nil {
		return fmt.Errorf("could not run SQL \"%s\": %s ", sql, message(err, sql))
	}
	return nil
}

func (r *course) warnOldTables(ctx context.Context) error {
	var old bool
	err := r.db.QueryRow(ctx, `select exists (select 1 from pg_catalog.pg_class where relname like 'temp!_gpload!_reusable!_%' escape '!')`).Scan(&old)
	if err != nil {
		return r.databaseText(err)
	}
	if old {
		r.log.logf(LevelWarn, `Old style, reusable tables named "temp_gpload_reusable_*" from a previous versions were found.
                         Greenplum recommends running "DROP TABLE temp_gpload_reusable_..." on each table. This only needs to be done once.`)
	}
	return nil
}
