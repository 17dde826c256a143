package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/infer"
	"cw/loadspec/ledger"
)

// PRELOAD: CREATE_TABLE: a target that does not exist is made once per job, in
// a step of the ledger, with the columns that the objects have. One that
// exists is never touched.

// creation is the table that a check would create.
type creation struct {
	schema string
	sql    []string // of the real table
}

// createTarget makes the target when it is missing. From then on all of its
// columns are the file's, those that number themselves too.
func (j *job) createTarget(ctx context.Context, conn *pgx.Conn) error {
	if !j.spec.Create || j.creation != nil {
		return nil
	}
	there, err := j.targetExists(ctx, conn)
	if err != nil {
		return copy.Explain(err)
	}
	if there {
		return j.createdBefore(ctx, conn)
	}
	t, err := j.inferTable(ctx)
	if err != nil {
		return err
	}
	schemaName, err := j.newSchema(ctx, conn)
	if err != nil {
		return err
	}
	d, err := j.dialect(ctx, conn)
	if err != nil {
		return err
	}
	for _, n := range append(t.Notes, d.Notes(t)...) {
		j.o.Warn(fmt.Sprintf("table %s.%s: %s", schemaName, j.spec.Output.Table, n))
	}
	c := &creation{schema: schemaName, sql: t.SQL(schemaName, j.spec.Output.Table, d)}
	if j.checking {
		d.Temp = true
		if _, err := conn.Exec(ctx, strings.Join(t.SQL("", j.spec.Output.Table, d), ";\n"), pgx.QueryExecModeSimpleProtocol); err != nil {
			return createError(schemaName, j.spec.Output.Table, err)
		}
		j.creation = c
		s := *j.spec
		s.Output.Schema, s.Columns = "", t.File()
		j.spec = &s
		return nil
	}
	if err := j.create(ctx, conn, c); err != nil {
		return err
	}
	j.fillAll(t.File())
	return nil
}

// create is the step. Another runner of the job may have done it meanwhile.
func (j *job) create(ctx context.Context, conn *pgx.Conn, c *creation) error {
	if err := ledger.Ensure(ctx, conn); err != nil {
		return err
	}
	if err := j.lock(ctx, conn); err != nil {
		return err
	}
	journal, err := j.ledger.TakeOver(ctx, conn)
	if err != nil {
		return copy.Explain(err)
	}
	name := c.schema + "." + j.spec.Output.Table
	if journal.Done[ledger.Create] {
		return fault.New(fault.Failed, "start a new load: this one has rows that went away with the table", "table %s, which this job had created, does not exist any more", name)
	}
	j.state.phase(string(ledger.Create))
	err = j.ledger.Once(ctx, conn, ledger.Create, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, strings.Join(c.sql, ";\n"), pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if err != nil {
		return createError(c.schema, j.spec.Output.Table, err)
	}
	j.o.Log.Info("the target table was created", "table", name, "sql", c.sql[0])
	return nil
}

func createError(schemaName, table string, err error) error {
	var pg *pgconn.PgError
	hint := fault.HintOf(copy.Explain(err))
	if errors.As(err, &pg) && pg.Code == "42501" {
		hint = "grant the role create on schema " + loadspec.QuoteIdent(schemaName) + ", or create the table as another"
	}
	return fault.New(fault.KindOf(copy.Explain(err)), hint, "create table %s.%s: %w", schemaName, table, err)
}

// createdBefore finds out whether an earlier run of this job has created the
// table, so that its columns are filled in the same way.
func (j *job) createdBefore(ctx context.Context, conn *pgx.Conn) error {
	var ours bool
	err := conn.QueryRow(ctx, "select to_regclass('cw.load_ledger') is not null").Scan(&ours)
	if err == nil && ours {
		err = conn.QueryRow(ctx, "select exists (select 1 from cw.load_ledger where job = $1 and kind = $2)", j.o.Job, string(ledger.Create)).Scan(&ours)
	}
	if err != nil || !ours {
		return copy.Explain(err)
	}
	rows, err := conn.Query(ctx, `select a.attname::text, format_type(a.atttypid, a.atttypmod) from pg_attribute a where a.attrelid =
		(select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = $1 and (n.nspname = $2 or $2 = '' and pg_table_is_visible(c.oid)) limit 1)
		and a.attnum > 0 and not a.attisdropped order by a.attnum`, j.spec.Output.Table, j.spec.Output.Schema)
	if err != nil {
		return copy.Explain(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[loadspec.Column])
	if err != nil {
		return copy.Explain(err)
	}
	j.fillAll(columns)
	return nil
}

// fillAll makes these the columns of the file, unless the control file names
// some.
func (j *job) fillAll(columns []loadspec.Column) {
	j.created = true
	if len(j.spec.Columns) > 0 {
		return
	}
	s := *j.spec
	s.Columns = make([]loadspec.Column, len(columns))
	for i, c := range columns {
		s.Columns[i] = loadspec.Column{Name: c.Name} // the table's type
	}
	j.spec = &s
}

func (j *job) targetExists(ctx context.Context, conn *pgx.Conn) (there bool, err error) {
	o := j.spec.Output
	err = conn.QueryRow(ctx, `select exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relname = $1::text and (n.nspname = $2::text or $2::text = '' and pg_table_is_visible(c.oid)))`, o.Table, o.Schema).Scan(&there)
	return there, err
}

// newSchema is where the table is created.
func (j *job) newSchema(ctx context.Context, conn *pgx.Conn) (string, error) {
	name := j.spec.Output.Schema
	var there, allowed bool
	if name == "" {
		// Not the ledger's, which is first on the path of a role called cw.
		var current *string
		if err := conn.QueryRow(ctx, "select s::text from unnest(current_schemas(false)) with ordinality as p(s, n) where s <> 'cw' order by n limit 1").Scan(&current); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return "", copy.Explain(err)
		}
		if current == nil {
			return "", fault.New(fault.Usage, "name one in OUTPUT: TABLE: schema.table", "table %s: the search path has no schema to create it in", j.spec.Output.Table)
		}
		name = *current
	}
	err := conn.QueryRow(ctx, "select exists (select 1 from pg_namespace where nspname = $1), exists (select 1 from pg_namespace where nspname = $1 and has_schema_privilege(oid, 'create'))", name).Scan(&there, &allowed)
	switch {
	case err != nil:
		return "", copy.Explain(err)
	case !there:
		return "", fault.New(fault.Usage, "create schema "+loadspec.QuoteIdent(name), "table %s.%s cannot be created: schema %s does not exist", name, j.spec.Output.Table, name)
	case !allowed:
		return "", fault.New(fault.Auth, fmt.Sprintf("grant create on schema %s to %s", loadspec.QuoteIdent(name), loadspec.QuoteIdent(j.server.User)),
			"table %s.%s cannot be created: role %s may not create in schema %s", name, j.spec.Output.Table, j.server.User, name)
	}
	return name, nil
}

func (j *job) dialect(ctx context.Context, conn *pgx.Conn) (infer.Dialect, error) {
	var version int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return infer.Dialect{}, copy.Explain(err)
	}
	return infer.Dialect{Greenplum: j.server.Greenplum, Identity: version >= 100000}, nil
}

// describeCreation puts the real table in the place of the one that was tried.
func (j *job) describeCreation(rep *Report) {
	c := j.creation
	if c == nil {
		return
	}
	rep.Create = c.sql
	trial := j.target()
	name := loadspec.QuoteIdent(c.schema) + "." + loadspec.QuoteIdent(j.spec.Output.Table)
	rep.Table = c.schema + "." + j.spec.Output.Table
	rep.Statement, rep.Staged = strings.ReplaceAll(rep.Statement, trial, name), strings.ReplaceAll(rep.Staged, trial, name)
}
