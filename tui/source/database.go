package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	applicationName = "cw top"
	queryPatience   = 4 * time.Second // the server gives up after three
	mppEvery        = 10 * time.Second
	mppPatience     = time.Minute // after an answer that did not come
	maxSessions     = 5000
	leanSessions    = 15 * time.Second
	maxQueryText    = 4000 // characters of a query in the list; the detail has all
)

// database is the one session with the cluster's database. Collector, actions
// and details take turns.
type database struct {
	connect func(ctx context.Context) (*pgx.Conn, error)
	name    string // as the server shows it
	log     *slog.Logger
	turn    chan struct{}
	conn    *pgx.Conn
	can     *abilities
	shut    bool // no session is opened any more
}

var errShut = errors.New("the dashboard has ended")

// abilities are what this server has, as its catalogue says: versions and
// flavours differ, and nobody need know how.
type abilities struct {
	greenplum bool
	super     bool
	user      string
	columns   map[string]map[string]bool // of views, by name
	functions map[string]bool
}

func (a *abilities) has(view, column string) bool { return a.columns[view][column] }

func newDatabase(connect func(ctx context.Context) (*pgx.Conn, error), name string, log *slog.Logger) *database {
	return &database{connect: connect, name: name, log: log, turn: make(chan struct{}, 1)}
}

// do runs fn with the session, which is opened when there is none.
func (d *database) do(ctx context.Context, fn func(ctx context.Context, c *pgx.Conn, can *abilities) error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if d.shut {
		return errShut
	}
	if d.conn == nil || d.conn.IsClosed() {
		if err := d.open(ctx); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	err := fn(limited, d.conn, d.can)
	if d.conn.IsClosed() {
		d.conn = nil
		if err == nil {
			err = errors.New("the session with the database was lost")
		}
	}
	return err
}

func (d *database) open(ctx context.Context) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	for _, setting := range []string{
		"set application_name = '" + strings.ReplaceAll(d.name, "'", "''") + "'", "set statement_timeout = '3s'", "set lock_timeout = '50ms'", "set default_transaction_read_only = on",
		"set log_min_duration_statement = -1", "set log_statement = 'none'", // only a superuser may
	} {
		if _, err := conn.Exec(ctx, setting); err != nil {
			d.log.Debug("setting not made", "sql", setting, "error", err)
		}
	}
	can, err := probe(ctx, conn)
	if err != nil {
		_ = conn.Close(ctx)
		return fmt.Errorf("look at the database's catalogue: %w", err)
	}
	d.conn, d.can = conn, can
	return nil
}

// probe finds out what there is.
func probe(ctx context.Context, c *pgx.Conn) (*abilities, error) {
	a := &abilities{columns: map[string]map[string]bool{}, functions: map[string]bool{}}
	err := c.QueryRow(ctx, `select current_user::text, (select rolsuper from pg_roles where rolname = current_user),
		exists(select 1 from pg_class where relname = 'gp_segment_configuration' and relnamespace = 11)`).Scan(&a.user, &a.super, &a.greenplum)
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, `select c.relname::text, a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid
		where c.relnamespace = 11 and a.attnum > 0 and not a.attisdropped and c.relname in
		('pg_stat_activity', 'pg_stat_replication', 'pg_stat_progress_copy', 'pg_locks', 'gp_stat_replication', 'gp_segment_configuration', 'gp_configuration_history')`)
	if err != nil {
		return nil, err
	}
	var view, column string
	if _, err := pgx.ForEachRow(rows, []any{&view, &column}, func() error {
		if a.columns[view] == nil {
			a.columns[view] = map[string]bool{}
		}
		a.columns[view][column] = true
		return nil
	}); err != nil {
		return nil, err
	}
	var name string
	rows, err = c.Query(ctx, `select distinct proname::text from pg_proc where pronamespace = 11 and proname in
		('pg_blocking_pids', 'pg_current_wal_lsn', 'pg_current_xlog_location', 'pg_wal_lsn_diff', 'pg_xlog_location_diff')`)
	if err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error { a.functions[name] = true; return nil })
	return a, err
}

// close ends the session; the context is over already.
func (d *database) close(ctx context.Context) {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.shut = true; d.conn != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPatience)
		defer cancel()
		_ = d.conn.Close(last)
		d.conn = nil
	}
}
