package run

import (
	"context"

	"github.com/jackc/pgx/v5"

	"cw/loadspec/copy"
	"cw/loadspec/format"
	"cw/loadspec/ledger"
)

// worker is one database session that loads pieces.
type worker struct {
	j       *job
	conn    *pgx.Conn
	session *copy.Session
}

// work loads pieces until there are none left.
func (j *job) work(ctx context.Context) error {
	w := &worker{j: j}
	defer func() { closeConn(ctx, w.conn) }()
	for {
		select {
		case p, ok := <-j.pieces:
			if !ok {
				return nil
			}
			if err := w.load(ctx, p); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// load commits one piece exactly once, over as many connections as it takes.
func (w *worker) load(ctx context.Context, p piece) error {
	retry := w.j.newRetry()
	unsure := false // an earlier try may have committed
	for {
		rows, rejected, err := w.try(ctx, p, unsure)
		if err == nil {
			retry.reset()
			p.release()
			p.r.Rows = rows
			w.j.state.committed(p.r, rejected)
			return nil
		}
		// A duplicate is the row of an earlier try that had committed, unless
		// the ledger has just been asked for exactly that.
		if ledger.IsDuplicate(err) && !unsure {
			unsure = true
			continue
		}
		if !retry.again(ctx, err) {
			return err
		}
		unsure = true
	}
}

func (w *worker) try(ctx context.Context, p piece, unsure bool) (rows, rejected int64, err error) {
	if w.conn == nil || w.conn.IsClosed() {
		if err := w.connect(ctx); err != nil {
			return 0, 0, err
		}
	}
	if unsure {
		rows, done, err := w.session.Committed(ctx, p.r)
		if err != nil || done {
			return rows, 0, err
		}
	}
	return w.session.Load(ctx, p.Piece, p.r)
}

func (w *worker) connect(ctx context.Context) error {
	conn, err := w.j.connect(ctx)
	if err != nil {
		return err
	}
	w.conn = conn
	w.session, err = copy.NewSession(ctx, conn, w.j.plan, w.j.ledger, format.Dialect(w.j.spec.Format))
	if err != nil {
		closeConn(ctx, conn)
		return err
	}
	w.session.Tolerance = w.j.tolerance
	return nil
}
