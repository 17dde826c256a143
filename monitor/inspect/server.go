package inspect

import (
	"context"
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

	conn *pgx.Conn
	to   string
}

// at is the connection to a database: one is open at a time.
func (p *Postgres) at(ctx context.Context, database string) (*pgx.Conn, error) {
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
	c, err := p.at(ctx, "")
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
	c, err := p.at(ctx, database)
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
	rows, err := tx.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, inTime(err)
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
			return nil, inTime(err)
		}
		return nil, errors.New("its answer has no column object")
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
	return out, inTime(rows.Err())
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
	c, err := p.at(ctx, database)
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
	c, err := p.at(ctx, "")
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, "select rolname, rolpassword from pg_authid where rolcanlogin and rolpassword is not null")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	var role, secret string
	_, err = pgx.ForEachRow(rows, []any{&role, &secret}, func() error { out[role] = secret; return nil })
	return out, err
}
