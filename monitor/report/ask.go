package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/monitor/inspect"
)

// Connect opens a connection to a database; "" is the cluster's own.
type Connect func(ctx context.Context, database string) (*pgx.Conn, error)

// Superuser asks what the connection's user may not; rows come as JSON.
type Superuser func(ctx context.Context, database, sql string, limit time.Duration) ([]string, error)

// questionLimit is how long one question of a report may take.
const questionLimit = 20 * time.Second

// ask asks a question in a transaction that can only read and waits for no
// lock. Rows come as JSON, so that versions whose catalogues differ can be
// read by the same code.
func ask[T any](ctx context.Context, a *inspect.Postgres, database, sql string) ([]T, error) {
	c, err := a.Conn(ctx, database)
	if err != nil {
		return nil, err
	}
	tx, err := c.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("set local statement_timeout = %d; set local lock_timeout = '2s'", questionLimit.Milliseconds())); err != nil {
		return nil, err
	}
	texts, err := texts(ctx, tx, sql)
	if inspect.Refused(err) && a.Superuser != nil {
		_ = tx.Rollback(ctx)
		texts, err = a.Superuser(ctx, database, sql, questionLimit)
	}
	if err != nil {
		return nil, plain(err)
	}
	out := []T{}
	for _, text := range texts {
		var v T
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, fmt.Errorf("the server's answer: %w", err)
		}
		out = append(out, v)
	}
	return out, nil
}

func texts(ctx context.Context, tx pgx.Tx, sql string) ([]string, error) {
	rows, err := tx.Query(ctx, "select row_to_json(answer)::text from ("+sql+") answer", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// plain makes the server's words the whole of an error.
func plain(err error) error {
	var pg *pgconn.PgError
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &pg) && pg.Code == "57014" {
		return fmt.Errorf("it took longer than %s", questionLimit)
	}
	if pg == nil {
		return err
	}
	return errors.New(pg.Message)
}
