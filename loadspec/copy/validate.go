package copy

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"cw/loadspec"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// TrialTable is where rows are tried, a temporary table of its session.
const TrialTable = "cw_load_check"

// Trial is a target as TrialTable has it.
func Trial(t *Target) *Target {
	trial := *t
	trial.Schema, trial.Table = "pg_temp", TrialTable
	return &trial
}

// MakeTrial makes the table that rows are tried on: with the target's types and
// checks, but without what would have an effect beyond it (sequences) or takes
// all rows to be told (keys). Columns that loaded does not name may stay NULL.
func MakeTrial(ctx context.Context, conn *pgx.Conn, t *Target, loaded []string) error {
	like := "INCLUDING CONSTRAINTS"
	isLoaded := map[string]bool{}
	for _, name := range loaded {
		isLoaded[name] = true
	}
	alter := ""
	for _, c := range t.Columns {
		if c.Generated {
			like = "INCLUDING CONSTRAINTS INCLUDING GENERATED"
		} else if !isLoaded[c.Name] {
			alter += fmt.Sprintf("; ALTER TABLE pg_temp.%s ALTER COLUMN %s DROP NOT NULL", TrialTable, loadspec.QuoteIdent(c.Name))
		}
	}
	_, err := conn.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s %s)%s", TrialTable, t.Name(), like, alter), pgx.QueryExecModeSimpleProtocol)
	return Explain(err)
}

// errTried ends the transaction of rows that were tried.
var errTried = errors.New("tried")

// Validate finds the rows of a piece that the database would refuse. Nothing
// is kept: the session's plan is one of a Trial, and what was copied is rolled
// back.
func (s *Session) Validate(ctx context.Context, p *split.Piece, object string) (refused []ledger.Rejected, err error) {
	if s.encoder != nil {
		err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
			if _, err := s.copy(ctx, tx, p, object); err != nil {
				return err
			}
			return errTried
		})
		if errors.Is(err, errTried) {
			return nil, nil
		}
		encoder := s.encoder
		s.encoder = nil // what the server says of the text counts
		defer func() { s.encoder = encoder }()
	}
	n := &narrowing{s: s, object: object}
	rest := *p
	rest.Start = p.End - int64(len(p.Data))
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		n.tx = tx
		if err := n.all(ctx, &rest); err != nil {
			return err
		}
		return errTried
	})
	if errors.Is(err, errTried) {
		return n.rejected, nil
	}
	return nil, s.explain(err, p, object)
}
