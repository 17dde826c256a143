package copy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/loadspec"
)

// settings make values read the same everywhere, whatever is set for the role.
const settings = `set client_encoding = 'UTF8'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set extra_float_digits = 3; set bytea_output = 'hex'; set synchronize_seqscans = off`

// Snapshot is a transaction that keeps one state of the database readable, for
// itself and for other sessions.
type Snapshot struct {
	pgx.Tx
	id string // "" while no other session reads it
}

// TakeSnapshot begins a transaction that sees one state of the database. table
// is locked first against being rewritten, which no snapshot survives; it may
// be empty.
func TakeSnapshot(ctx context.Context, conn *pgx.Conn, table loadspec.Output) (*Snapshot, error) {
	if _, err := conn.Exec(ctx, settings); err != nil {
		return nil, Explain(err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, Explain(err)
	}
	if table.Table != "" {
		name := loadspec.QuoteIdent(table.Table)
		if table.Schema != "" {
			name = loadspec.QuoteIdent(table.Schema) + "." + name
		}
		// The lock comes before the snapshot, as statements that read would.
		// What cannot be locked (a foreign table, nothing) is found out later.
		if err := lockTable(ctx, tx, name, ""); err != nil {
			return nil, err
		}
	}
	return &Snapshot{Tx: tx}, nil
}

// lockTable takes the lock of a reader. What is no table cannot be locked, and
// need not be: views hold nothing.
func lockTable(ctx context.Context, tx pgx.Tx, name, more string) error {
	exec := func(sql string) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}
	if err := exec("SAVEPOINT cw_lock"); err != nil {
		return Explain(err)
	}
	err := exec("LOCK TABLE " + name + " IN ACCESS SHARE MODE" + more)
	var pg *pgconn.PgError
	switch {
	case err == nil:
	case !errors.As(err, &pg) || Retriable(ctx, err):
		return err
	default:
		if err := exec("ROLLBACK TO SAVEPOINT cw_lock"); err != nil {
			return Explain(err)
		}
		switch pg.Code {
		case "42809", "42P01", "3F000", "42501": // no table, not there, not allowed: reading it tells more
			err = nil
		}
	}
	// A snapshot can be exported outside of subtransactions only.
	return errors.Join(err, exec("RELEASE SAVEPOINT cw_lock"))
}

// Export makes the state readable to other sessions.
func (s *Snapshot) Export(ctx context.Context) (id string, err error) {
	if s.id == "" {
		if err := s.QueryRow(ctx, "select pg_export_snapshot()").Scan(&s.id); err != nil {
			return "", Explain(err)
		}
	}
	return s.id, nil
}

// ImportSnapshot begins a transaction that sees an exported state.
func ImportSnapshot(ctx context.Context, conn *pgx.Conn, id string) (pgx.Tx, error) {
	if _, err := conn.Exec(ctx, settings); err != nil {
		return nil, Explain(err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, Explain(err)
	}
	if _, err := tx.Exec(ctx, "set transaction snapshot "+loadspec.QuoteLiteral(id)); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			switch pg.Code {
			case "22023", "42704", "55000": // no such snapshot, or its transaction is over
				// As if this session had been lost: all begins again.
				return nil, fmt.Errorf("the session that holds the snapshot is gone (%s): %w", pg.Message, io.ErrUnexpectedEOF)
			}
		}
		return nil, Explain(err)
	}
	if _, err := tx.Exec(ctx, "set local lock_timeout = '30s'"); err != nil {
		return nil, Explain(err)
	}
	return tx, nil
}

// LockRelation keeps a relation from being rewritten, and tells whether it
// could. Whoever waits to rewrite it stands behind the transaction of the
// snapshot, and this session must not stand behind him.
func LockRelation(ctx context.Context, tx pgx.Tx, r *Relation) (ok bool, err error) {
	if r.Kind != "r" && r.Kind != "p" {
		return true, nil
	}
	err = lockTable(ctx, tx, "ONLY "+r.SQLName(), " NOWAIT")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55P03" {
		return false, nil
	}
	return err == nil, err
}
