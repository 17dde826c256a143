// Package copy puts rows into PostgreSQL: the target table is looked up, a
// COPY statement made for it, and each split copied in one transaction with
// its row in the ledger. Errors come back with the object, line, column and
// row they are about.
package copy

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"cw/fault"
	"cw/loadspec"
)

const (
	connectTimeout = 10 * time.Second
	readSize       = 128 << 10
)

// Connect opens a session. What the control file leaves open follows libpq:
// PGHOST and the other variables, PGPASSFILE or ~/.pgpass, PGSSLMODE.
func Connect(ctx context.Context, c loadspec.Conn, application string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(dsn(c))
	if err != nil {
		return nil, fault.New(fault.Usage, "", "database settings: %w", err)
	}
	if cfg.ConnectTimeout == 0 || cfg.ConnectTimeout > connectTimeout {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.RuntimeParams["application_name"] = application
	// Rows come in messages of their own: read many of them at a time.
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readSize), w)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError(cfg, err)
	}
	// A load takes as long as it takes, whatever is set for people's queries.
	// Not every server knows all of these.
	if _, err := conn.Exec(ctx, `select set_config(name, '0', false) from pg_settings
		where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`); err != nil {
		_ = conn.Close(ctx)
		return nil, connectError(cfg, err)
	}
	return conn, nil
}

// dsn names only what the control file sets.
func dsn(c loadspec.Conn) string {
	var b strings.Builder
	add := func(key, value string) {
		if value != "" {
			b.WriteString(key + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "' ")
		}
	}
	add("host", c.Host)
	if c.Port != 0 {
		add("port", strconv.Itoa(c.Port))
	}
	add("dbname", c.Database)
	add("user", c.User)
	add("password", c.Password)
	return b.String()
}

// Server is what is asked of the database once.
type Server struct {
	Version   string
	Greenplum bool   // or Cloudberry: rows go in through external tables
	Waiting   bool   // pg_stat_activity says who waits as PostgreSQL did before 9.6
	Standby   bool   // it is read-only
	Encoding  string // of the database
	Host      string
	Port      uint16
	Database  string
	User      string
}

// Ask finds out what kind of server this is.
func Ask(ctx context.Context, c *pgx.Conn) (*Server, error) {
	cfg := c.Config()
	s := &Server{Host: cfg.Host, Port: cfg.Port, Database: cfg.Database, User: cfg.User}
	err := c.QueryRow(ctx, "select version(), getdatabaseencoding()::text, current_database()::text, pg_is_in_recovery()").Scan(&s.Version, &s.Encoding, &s.Database, &s.Standby)
	if err != nil {
		return nil, Explain(err)
	}
	s.Waiting = strings.Contains(s.Version, "PostgreSQL 9.4")
	s.Greenplum = strings.Contains(s.Version, "(Greenplum") || strings.Contains(s.Version, "Cloudberry")
	return s, nil
}
