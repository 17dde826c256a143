package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/loadspec/format"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// narrowing loads a piece row by row where it must, in one transaction.
type narrowing struct {
	s        *Session
	tx       pgx.Tx
	object   string
	rows     int64 // in the target
	rejected []ledger.Rejected
}

// loadTolerant copies the good rows of a piece and keeps the others. rejected
// are those of this transaction, which is committed when err is nil.
func (s *Session) loadTolerant(ctx context.Context, p *split.Piece, r ledger.Range) (rows, rejected int64, err error) {
	n := &narrowing{s: s, object: r.Object}
	s.Tolerance.saw(p.Records)
	rest := *p
	rest.Start = p.End - int64(len(p.Data)) // of the rows; here and in what it is cut into
	p = &rest
	err = pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		n.tx = tx
		if err := n.all(ctx, p); err != nil {
			return err
		}
		if err := s.ledger.Reject(ctx, tx, n.rejected); err != nil {
			return err
		}
		r.Rows = n.rows
		return s.ledger.Record(ctx, tx, r)
	})
	if err != nil {
		s.Tolerance.GiveBack(p.Records, int64(len(n.rejected)))
		var limit *LimitError
		if errors.As(err, &limit) {
			s.keepRefused(ctx, n.rejected)
		}
		return 0, 0, err
	}
	return n.rows, int64(len(n.rejected)), nil
}

// keepRefused keeps what led to the end of a job, so that it can be looked at.
func (s *Session) keepRefused(ctx context.Context, rows []ledger.Rejected) {
	if s.conn.IsClosed() || ctx.Err() != nil {
		return
	}
	for i := range rows {
		rows[i].Loaded = false
	}
	_ = s.ledger.Reject(ctx, s.conn, rows) // the error that ends the job counts
}

// load copies rows; when the database refuses one it is taken out and what is
// before and after it is copied. Of an error that names no row (one of an
// expression in MAPPING) the halves are tried.
func (n *narrowing) load(ctx context.Context, p *split.Piece) error {
	for len(p.Data) > 0 {
		rows, err := n.try(ctx, p)
		if err == nil {
			n.rows += rows
			return nil
		}
		if !refusal(err) {
			return err
		}
		at, ok := refusedRow(err, p, n.s.d)
		if !ok {
			if p.Records <= 1 {
				return n.reject(p, place{end: len(p.Data)}, err)
			}
			head, tail := halve(p, n.s.d)
			if err := n.load(ctx, head); err != nil {
				return err
			}
			p = tail
			continue
		}
		if at.begin > 0 {
			head := *p
			head.Data, head.Records, head.Lines, head.Last = p.Data[:at.begin], at.records, at.lines, false
			if err := n.load(ctx, &head); err != nil {
				return err
			}
		}
		// The row is tried alone, so that one is never left out which the
		// database would take, whatever its message was about.
		one := *p
		one.Data, one.Records, one.FirstLine, one.Last = p.Data[at.begin:at.end], 1, p.FirstLine+at.lines, false
		switch rows, err := n.try(ctx, &one); {
		case err == nil:
			n.rows += rows
		case !refusal(err):
			return err
		default:
			if err := n.reject(p, at, err); err != nil {
				return err
			}
		}
		p = after(p, at)
	}
	return nil
}

// try copies rows under a savepoint.
func (n *narrowing) try(ctx context.Context, p *split.Piece) (rows int64, err error) {
	err = pgx.BeginFunc(ctx, n.tx, func(tx pgx.Tx) error {
		if rows, err = n.s.copy(ctx, tx, p, n.object); err == nil && n.s.plan.Stage != "" {
			_, err = tx.Exec(ctx, "DELETE FROM pg_temp."+stage) // the next rows are added alone
		}
		return err
	})
	return rows, err
}

func (n *narrowing) reject(p *split.Piece, at place, err error) error {
	row := p.Data[at.begin:at.end]
	reason := err.Error()
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		reason = pg.Message
		if pg.Detail != "" {
			reason += ": " + pg.Detail
		}
		if m := copyContext.FindStringSubmatch(pg.Where); m != nil && m[2] != "" {
			reason += ", column " + m[2]
		}
	}
	line := p.FirstLine + at.lines
	n.rejected = append(n.rejected, ledger.Rejected{
		Object: n.object, Line: line, Offset: p.Start + int64(at.begin), Reason: reason, Loaded: true,
		Row: strings.ToValidUTF8(strings.ReplaceAll(string(bytes.TrimRight(row, "\r\n")), "\x00", "?"), "?"),
	})
	return n.s.Tolerance.take(fmt.Errorf("%s line %d: %s", n.object, line, reason))
}

// all copies the rows of a piece that could be converted, where there is
// something to convert, and keeps the others.
func (n *narrowing) all(ctx context.Context, p *split.Piece) error {
	if !n.s.Tolerance.marked(p) {
		return n.load(ctx, p)
	}
	line := p.FirstLine
	return format.EachRun(p.Data, func(begin, end int, records int64) error {
		run := *p
		run.Start, run.Data, run.Records, run.Lines = p.Start+int64(begin), p.Data[begin:end], records, records
		run.FirstLine, run.Last = line, p.Last && end == len(p.Data)
		line += records
		return n.load(ctx, &run)
	}, func(begin, _ int, u format.Unconverted) error {
		n.rejected = append(n.rejected, ledger.Rejected{Object: n.object, Line: line, Offset: p.Start + int64(begin), Reason: u.Reason, Row: u.Row, Loaded: true})
		line++
		return n.s.Tolerance.take(fmt.Errorf("%s %s", n.object, u.Reason))
	})
}

// refusal says whether an error is about rows: data exceptions and violated
// constraints.
func refusal(err error) bool {
	var pg *pgconn.PgError
	var marker *MarkerError
	return !errors.As(err, &marker) && errors.As(err, &pg) && len(pg.Code) == 5 && (pg.Code[:2] == "22" || pg.Code[:2] == "23") && !ledger.IsDuplicate(err)
}

// halve cuts a piece of several records in two.
func halve(p *split.Piece, d split.Dialect) (head, tail *split.Piece) {
	at := place{}
	eachRecord(p, d, func(begin, end int, lines int64) bool {
		at = place{end: end, records: at.records + 1}
		at.lines = lines + int64(bytes.Count(p.Data[begin:end], lineEnd(p)))
		return at.records < p.Records/2
	})
	h := *p
	h.Data, h.Records, h.Lines, h.Last = p.Data[:at.end], at.records, at.lines, false
	t := *p
	t.Start, t.Data, t.Records, t.FirstLine, t.Lines = p.Start+int64(at.end), p.Data[at.end:], p.Records-at.records, p.FirstLine+at.lines, p.Lines-at.lines
	return &h, &t
}

// after is what follows a record of a piece.
func after(p *split.Piece, at place) *split.Piece {
	t := *p
	lines := at.lines + int64(bytes.Count(p.Data[at.begin:at.end], lineEnd(p)))
	t.Start, t.Data, t.Records, t.FirstLine, t.Lines = p.Start+int64(at.end), p.Data[at.end:], p.Records-at.records-1, p.FirstLine+lines, p.Lines-lines
	return &t
}
