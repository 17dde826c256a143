// Package state is cw's memory: clusters, runs and their steps, jobs, events,
// audit and leases, in one SQLite file or, shared between operators and load
// machines, in a PostgreSQL database. Both have the same tables and pass the
// same tests. It stores; it decides nothing.
package state

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the sqlite driver registers itself

	"cw/fault"
	"cw/schema"
)

// Store is an open store. It is safe for concurrent use.
type Store struct {
	db     *sql.DB
	shared bool // PostgreSQL, used from several machines
	where  string
	self   owner
}

// ErrNotFound is wrapped by the errors of lookups that find nothing.
var ErrNotFound = errors.New("not found")

// Open opens the store at dsn, creating or upgrading its tables: a path is a
// SQLite file (made with mode 0600, its folder with 0700), postgres://… a
// shared one in schema cw_state of that database.
func Open(ctx context.Context, dsn string) (*Store, error) {
	s := &Store{where: dsn, self: thisProcess()}
	var err error
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		err = s.openPostgres(dsn)
	} else {
		err = s.openSQLite(dsn)
	}
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.db.Close()
		return nil, fault.Wrap(kindOfDB(err), s.openHint(), fmt.Errorf("open store %s: %w", s.Where(), err))
	}
	return s, nil
}

func (s *Store) openSQLite(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create the store's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	_ = f.Close()
	// FULL: the step journal must survive a power cut, not only a kill.
	// auto_vacuum: what Prune drops is given back to the file system.
	pragmas := "?_pragma=auto_vacuum(2)&_pragma=busy_timeout(15000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_txlock=immediate"
	if s.db, err = sql.Open("sqlite", "file:"+escapePath(path)+pragmas); err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	s.db.SetMaxOpenConns(1) // one writer at a time anyway; no busy errors inside one process
	return nil
}

func (s *Store) openPostgres(dsn string) error {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fault.New(fault.Usage, "write --store postgres://user@host:5432/database; the password belongs in PGPASSFILE or ~/.pgpass", "read the store's address: %w", err)
	}
	cfg.RuntimeParams["search_path"] = "cw_state"
	cfg.RuntimeParams["application_name"] = "cw store"
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	s.shared, s.where = true, fmt.Sprintf("postgres://%s@%s:%d/%s", cfg.User, cfg.Host, cfg.Port, cfg.Database)
	s.db = stdlib.OpenDB(*cfg)
	s.db.SetMaxOpenConns(4)
	return nil
}

func (s *Store) openHint() string {
	if s.shared {
		return "check the database with: psql " + strconv.Quote(s.where) + " -c 'select 1'"
	}
	return "look at the file and its folder's permissions, or choose another with --store PATH"
}

// Where says which store this is, without any password.
func (s *Store) Where() string { return s.where }

// Shared says whether other machines see this store.
func (s *Store) Shared() bool { return s.shared }

// Who is the operator on whose behalf this process works: user@machine.
func (s *Store) Who() string { return s.self.user + "@" + s.self.host }

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }

// rebind turns ? placeholders into the dialect's.
func (s *Store) rebind(query string) string {
	if !s.shared {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (s *Store) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := s.db.ExecContext(ctx, s.rebind(query), args...)
	if err != nil {
		return 0, s.failed(err)
	}
	n, err := r.RowsAffected()
	return n, s.failed(err)
}

func (s *Store) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return s.db.QueryRowContext(ctx, s.rebind(query), args...)
}

// collect runs a query and scans every row with scan.
func collect[T any](ctx context.Context, s *Store, scan func(func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.db.QueryContext(ctx, s.rebind(query), args...)
	if err != nil {
		return nil, s.failed(err)
	}
	defer func() { _ = rows.Close() }()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, s.failed(err)
		}
		out = append(out, v)
	}
	return out, s.failed(rows.Err())
}

// failed names the store in an error of the driver.
func (s *Store) failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.Wrap(kindOfDB(err), "", fmt.Errorf("store %s: %w", s.where, err))
}

func kindOfDB(err error) fault.Kind {
	var ce *pgconn.ConnectError
	if errors.As(err, &ce) {
		return fault.Unreachable
	}
	return fault.Failed
}

// now is the store's clock: the database's when several machines share it,
// so that leases do not depend on theirs.
func (s *Store) now(ctx context.Context) (time.Time, error) {
	if !s.shared {
		return time.Now(), nil
	}
	var us int64
	err := s.db.QueryRowContext(ctx, "select (extract(epoch from clock_timestamp())*1000000)::bigint").Scan(&us)
	return fromMicros(us), s.failed(err)
}

// NewID makes an id that is short enough to type: the prefix and 7 characters
// of 35 random bits.
func NewID(prefix string) string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))[:7]
}

// micros is how times are stored: microseconds since 1970, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// meant is the hint for a name that is not there: the nearest of those that
// are, and where all of them are listed.
func (s *Store) meant(ctx context.Context, name, query, list string) string {
	names, err := collect(ctx, s, func(scan func(...any) error) (n string, err error) { return n, scan(&n) }, query)
	if near := schema.Nearest(name, names); err == nil && near != "" {
		return "did you mean " + near + "? " + list
	}
	return list
}
