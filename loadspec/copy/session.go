package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/loadspec/binary"
	"cw/loadspec/ledger"
	"cw/loadspec/split"
)

// Session is one connection that loads splits, one at a time.
type Session struct {
	conn   *pgx.Conn
	plan   *Plan
	ledger *ledger.Ledger
	d      split.Dialect

	// Tolerance, if set, lets Load leave rows out that the database refuses.
	Tolerance *Tolerance

	encoder *binary.Encoder // nil when rows are sent as they are
	buffer  []byte          // of the encoder
	misses  int             // pieces on end that were not written plainly
}

// missesMost is how many pieces on end may turn out not to be encodable before
// no more are tried: such files are so from beginning to end.
const missesMost = 3

// NewSession prepares a connection for loading.
func NewSession(ctx context.Context, conn *pgx.Conn, plan *Plan, l *ledger.Ledger, d split.Dialect) (*Session, error) {
	if plan.Stage != "" {
		if _, err := conn.Exec(ctx, plan.Stage); err != nil {
			return nil, Explain(fmt.Errorf("create the staging table: %w", err))
		}
	}
	s := &Session{conn: conn, plan: plan, ledger: l, d: d}
	if b := plan.binary; b != nil && conn.PgConn().ParameterStatus("client_encoding") == "UTF8" {
		s.encoder, _ = binary.New(b.format, b.types)
	}
	return s, nil
}

// Committed asks whether a split whose commit got no answer is there, and
// with how many rows.
func (s *Session) Committed(ctx context.Context, r ledger.Range) (rows int64, there bool, err error) {
	return s.ledger.Committed(ctx, s.conn, r)
}

// Load copies a piece and notes it in the ledger, in one transaction. It
// returns the rows that are in the target. Nothing is left behind by an
// error, except that a lost answer to COMMIT leaves it open whether the rows
// are there: Committed knows.
//
// Rows go in the binary format where they can. A piece that has a value which
// only the server can read is sent as it is, in a new transaction, and so is
// one that it refuses, for it then names the line and the value. With a
// Tolerance the rows that it refuses are kept, as rejected, with the others.
func (s *Session) Load(ctx context.Context, p *split.Piece, r ledger.Range) (rows, rejected int64, err error) {
	if s.Tolerance.marked(p) {
		encoder := s.encoder
		s.encoder = nil
		defer func() { s.encoder = encoder }()
		rows, rejected, err = s.loadTolerant(ctx, p, r)
		var limit *LimitError
		if err != nil && !errors.As(err, &limit) {
			err = s.explain(err, p, r.Object)
		}
		return rows, rejected, err
	}
	if s.encoder != nil {
		n, err := s.load(ctx, p, r)
		var unusual *binary.Unusual
		var refused *pgconn.PgError
		switch {
		case err == nil:
			s.misses = 0
			s.committed(p)
			return n, 0, nil
		case errors.As(err, &unusual):
			s.misses++
		case !errors.As(err, &refused) || ledger.IsDuplicate(err) || Retriable(ctx, err):
			return 0, 0, s.explain(err, p, r.Object)
		}
		encoder := s.encoder
		s.encoder = nil
		defer func() {
			if s.misses < missesMost {
				s.encoder = encoder
			}
		}()
	}
	if rows, err = s.load(ctx, p, r); err == nil {
		s.committed(p)
	}
	if err != nil && s.Tolerance != nil && refusal(err) {
		rows, rejected, err = s.loadTolerant(ctx, p, r)
	}
	var limit *LimitError
	if err != nil && !errors.As(err, &limit) {
		err = s.explain(err, p, r.Object)
	}
	return rows, rejected, err
}

// committed counts rows of which none was refused.
func (s *Session) committed(p *split.Piece) {
	if s.Tolerance != nil {
		s.Tolerance.saw(p.Records)
	}
}

func (s *Session) load(ctx context.Context, p *split.Piece, r ledger.Range) (int64, error) {
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if len(p.Data) > 0 {
			n, err := s.copy(ctx, tx, p, r.Object)
			if err != nil {
				return err
			}
			r.Rows = n
		}
		return s.ledger.Record(ctx, tx, r)
	})
	return r.Rows, err
}

// Try copies a piece in a transaction of the caller's, without a ledger.
func Try(ctx context.Context, tx pgx.Tx, plan *Plan, p *split.Piece, object string, d split.Dialect) (int64, error) {
	s := &Session{plan: plan, d: d}
	if plan.Stage != "" {
		if _, err := tx.Exec(ctx, plan.Stage); err != nil {
			return 0, Explain(err)
		}
	}
	n, err := s.copy(ctx, tx, p, object)
	if err != nil {
		return 0, s.explain(err, p, object)
	}
	return n, nil
}

func (s *Session) explain(err error, p *split.Piece, object string) error {
	if e := rowError(err, object, s.d, p); e != nil && !ledger.IsDuplicate(err) {
		return fault.Wrap(fault.Failed, "correct the control file or the data and load again; splits that are committed stay, cw load resume JOB does not load them twice", e)
	}
	return Explain(err)
}

func (s *Session) copy(ctx context.Context, tx pgx.Tx, p *split.Piece, object string) (int64, error) {
	tag, err := s.send(ctx, tx.Conn().PgConn(), p, object)
	if err != nil {
		return 0, err
	}
	rows := tag.RowsAffected()
	if staged := s.plan.Stage != ""; rows != p.Records && (staged || !s.plan.Target.DropsRows) {
		if err := s.miscounted(p, object, rows); err != nil {
			return 0, err
		}
	}
	if s.plan.Insert == "" {
		return rows, nil
	}
	tag, err = tx.Exec(ctx, s.plan.Insert)
	if err != nil {
		return 0, err
	}
	return tag.RowsAffected(), nil
}

func (s *Session) send(ctx context.Context, conn *pgconn.PgConn, p *split.Piece, object string) (pgconn.CommandTag, error) {
	data := p.Data
	if s.plan.stamp != nil {
		data = Stamped(nil, s.plan.stamp, p, object, s.d)
	}
	if s.encoder == nil {
		return conn.CopyFrom(ctx, bytes.NewReader(data), s.plan.Copy)
	}
	r := s.encoder.Reader(data, s.buffer)
	tag, err := conn.CopyFrom(ctx, r, s.plan.binary.copy)
	s.buffer = nil
	if u := r.Unusual(); u != nil { // the server says only that the copy was given up
		return tag, u
	}
	if err == nil { // else the connection may still be reading
		s.buffer = r.Buffer()
	}
	return tag, err
}

// miscounted explains why COPY took fewer rows than were sent. The one
// harmless reason is an end-of-data marker as the very last line.
func (s *Session) miscounted(p *split.Piece, object string, rows int64) error {
	line := p.FirstLine
	rest := p.Data
	for len(rest) > 0 {
		text, tail, _ := bytes.Cut(rest, []byte{'\n'})
		text = bytes.TrimRight(text, "\r")
		if !s.d.CSV && len(text) > 2 && bytes.HasSuffix(text, []byte(`\.`)) { // counts there as well
			return &MarkerError{Object: object, Line: line}
		}
		if string(text) == `\.` {
			if len(tail) == 0 && p.Last && rows == p.Records-1 {
				return nil
			}
			return &MarkerError{Object: object, Line: line}
		}
		rest = tail
		line++
	}
	return fault.Wrap(fault.Failed, "look at QUOTE, ESCAPE and NEWLINE in the control file; nothing of this split was committed",
		errors.New(fmt.Sprint(object, " lines ", p.FirstLine, " to ", line-1, ": cw counts ", p.Records, " rows, the database ", rows)))
}
