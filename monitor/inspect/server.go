package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Postgres is a Server over connections of PostgreSQL's protocol. It is not
// safe for concurrent use.
type Postgres struct {
	// Connect opens a connection to a database; "" is the usual one.
	Connect func(ctx context.Context, database string) (*pgx.Conn, error)
	// Superuser asks what the connection's user may not; rows come as JSON. nil
	// is none: then what is refused is left out.
	Superuser func(ctx context.Context, database, sql string, limit time.Duration) ([]string, error)

	conn *pgx.Conn
	to   string
}

// Conn is the connection to a database: one is open at a time, and stays open
// until another database is asked.
func (p *Postgres) Conn(ctx context.Context, database string) (*pgx.Conn, error) {
	if p.conn != nil && p.to == database && !p.conn.IsClosed() {
		return p.conn, nil
	}
	p.Close(ctx)
	c, err := p.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	p.conn, p.to = c, database
	return c, nil
}

// closeLimit is how long a connection may take to be closed in order.
const closeLimit = 2 * time.Second

// Close ends the connection.
func (p *Postgres) Close(ctx context.Context) {
	if p.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	_ = p.conn.Close(ctx)
	p.conn = nil
}

// Facts implements Server.
func (p *Postgres) Facts(ctx context.Context) (Facts, error) {
	var f Facts
	c, err := p.Conn(ctx, "")
	if err != nil {
		return f, err
	}
	if err := c.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&f.Version); err != nil {
		return f, fmt.Errorf("ask for the version: %w", err)
	}
	rows, err := c.Query(ctx, "select datname from pg_database where datallowconn and datname <> 'template1' order by 1")
	if err != nil {
		return f, fmt.Errorf("list the databases: %w", err)
	}
	if f.Databases, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return f, fmt.Errorf("list the databases: %w", err)
	}
	return f, nil
}

// Ask implements Server. The question runs in a transaction that can only
// read, and does not wait for locks: an inspection changes nothing and stands
// in nobody's way.
func (p *Postgres) Ask(ctx context.Context, database, sql string, limit time.Duration) ([]Answer, error) {
	c, err := p.Conn(ctx, database)
	if err != nil {
		return nil, err
	}
	tx, err := c.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("set local statement_timeout = %d", limit.Milliseconds())); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, "set local lock_timeout = '2s'"); err != nil {
		return nil, err
	}
	answers, err := read(ctx, tx, sql)
	if Refused(err) && p.Superuser != nil {
		_ = tx.Rollback(ctx)
		return p.askSuperuser(ctx, database, sql, limit)
	}
	return answers, inTime(err)
}

// Refused tells whether an error is the server's refusal for want of a
// privilege.
func Refused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "42501"
}

// AskSuperuser is Ask with the rights of the superuser, where there is a way
// to them.
func (p *Postgres) AskSuperuser(ctx context.Context, database, sql string, limit time.Duration) ([]Answer, error) {
	c, err := p.Conn(ctx, database)
	if err != nil {
		return nil, err
	}
	if p.Superuser == nil || c.PgConn().ParameterStatus("is_superuser") == "on" {
		return p.Ask(ctx, database, sql, limit)
	}
	return p.askSuperuser(ctx, database, sql, limit)
}

func (p *Postgres) askSuperuser(ctx context.Context, database, sql string, limit time.Duration) ([]Answer, error) {
	rows, err := p.Superuser(ctx, database, sql, limit)
	if err != nil {
		return nil, err
	}
	var out []Answer
	for _, text := range rows {
		var row struct {
			Object *string
			Value  *json.Number
			Detail *string
		}
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			return nil, fmt.Errorf("the server's answer: %w", err)
		}
		if row.Object == nil {
			return nil, errNoObject
		}
		a := Answer{Object: *row.Object}
		if row.Detail != nil {
			a.Detail = *row.Detail
		}
		if row.Value != nil {
			v, err := row.Value.Float64()
			if err != nil {
				return nil, fmt.Errorf("value %q is no number", *row.Value)
			}
			a.Value = &v
		}
		out = append(out, a)
	}
	return out, nil
}

var errNoObject = errors.New("its answer has no column object")

// read asks, and takes the columns by their names.
func read(ctx context.Context, tx pgx.Tx, sql string) ([]Answer, error) {
	rows, err := tx.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	object, value, detail := -1, -1, -1
	for i, f := range rows.FieldDescriptions() {
		switch f.Name {
		case "object":
			object = i
		case "value":
			value = i
		case "detail":
			detail = i
		}
	}
	if object < 0 {
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, err
		}
		return nil, errNoObject
	}
	var out []Answer
	for rows.Next() {
		cells := rows.RawValues()
		a := Answer{Object: string(cells[object])}
		if detail >= 0 {
			a.Detail = string(cells[detail])
		}
		if value >= 0 && cells[value] != nil {
			var v float64
			if _, err := fmt.Sscan(string(cells[value]), &v); err != nil {
				return nil, fmt.Errorf("value %q is no number", cells[value])
			}
			a.Value = &v
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// inTime makes the server's own time limit the error that everybody knows.
func inTime(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "57014" {
		return fmt.Errorf("%w: %s", context.DeadlineExceeded, pg.Message)
	}
	return err
}

// Has implements Server.
func (p *Postgres) Has(ctx context.Context, database, what string) (bool, error) {
	c, err := p.Conn(ctx, database)
	if err != nil {
		return false, err
	}
	schema, name, ok := strings.Cut(what, ".")
	if !ok {
		schema, name = "", what
	}
	var there bool
	err = c.QueryRow(ctx, `select exists (select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relname = $2 and (n.nspname = $1 or $1 = ''))
		or exists (select 1 from pg_extension where extname = $2 and $1 = '')`, schema, name).Scan(&there)
	return there, err
}

// Secrets implements Server. Only superusers may read them.
func (p *Postgres) Secrets(ctx context.Context) (map[string]string, error) {
	c, err := p.Conn(ctx, "")
	if err != nil {
		return nil, err
	}
	const sql = "select rolname, rolpassword from pg_authid where rolcanlogin and rolpassword is not null"
	out := map[string]string{}
	var role, secret string
	rows, err := c.Query(ctx, sql)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&role, &secret}, func() error { out[role] = secret; return nil })
	}
	if !Refused(err) || p.Superuser == nil {
		return out, err
	}
	texts, err := p.Superuser(ctx, "", sql, questionLimit)
	for _, text := range texts {
		var row struct{ Rolname, Rolpassword string }
		if json.Unmarshal([]byte(text), &row) == nil {
			out[row.Rolname] = row.Rolpassword
		}
	}
	return out, err
}
