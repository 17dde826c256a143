package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/sink"
)

// rangesEach is how many ranges of values each worker gets, so that all end at
// about the same time.
const rangesEach = 4

// extraction is an unload from PostgreSQL: one session holds a snapshot, and
// it and others copy slices of the table as they were in it.
type extraction struct {
	*unload
	x       *copy.Extract
	shape   *rowShape
	slices  []copy.Slice
	workers int
	head    []byte // of every object
	notes   []string

	parts  *sink.Parts
	merged *partWriter // all workers' with MERGE, else nil
	rows   atomic.Int64

	mu     sync.Mutex
	done   int          // slices that have been read
	blocks int64        // in them
	left   []copy.Slice // for the session that has locked them from the start
}

// newExtraction looks up what is read, in the state of snap, and divides it.
func (r *unload) newExtraction(ctx context.Context, snap *copy.Snapshot) (*extraction, error) {
	warnings, err := r.u.OnPostgres()
	if err != nil {
		return nil, err
	}
	r.warn(warnings)
	e := &extraction{unload: r}
	if e.x, err = copy.FindExtract(ctx, snap.Tx, r.u.Table, query(r.u)); err != nil {
		return nil, explainRead(err)
	}
	if r.u.By != "" {
		n := r.workers * rangesEach
		if len(r.u.PartitionBy) > 0 {
			n = r.workers
		}
		if err := e.x.SplitBy(ctx, snap.Tx, r.u.By, n); err != nil {
			return nil, explainRead(err)
		}
	}
	encoding := r.u.Format.Encoding
	if encoding == "" {
		encoding = r.server.Encoding
	}
	if e.shape, e.notes, err = newRowShape(r.u, e.x, encoding); err != nil {
		return nil, err
	}
	e.slices = e.x.Slices(r.workers, len(r.u.PartitionBy) > 0)
	e.workers = min(r.workers, len(e.slices))
	if r.u.Format.Header {
		if e.head, err = headerOf(ctx, snap.Conn(), e.shape.header(), r.u.Format.Newline); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// extract does it all in one snapshot. conn holds the job.
func (r *unload) extract(ctx context.Context, conn *pgx.Conn) error {
	r.state.phase(PhasePlan)
	keeper, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, keeper)
	snap, err := copy.TakeSnapshot(ctx, keeper, r.u.Table)
	if err != nil {
		return err
	}
	e, err := r.newExtraction(ctx, snap)
	if err != nil {
		return err
	}
	for _, n := range e.notes {
		r.noteOnce(n)
	}
	e.parts, err = sink.NewParts(r.store, sink.PartOptions{Name: r.name, Compression: compressionOf(r.u.Format), Epoch: r.o.Job, Single: r.u.Merge})
	if err != nil {
		return err
	}
	defer func() { // what is not published by then is not wanted any more
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = e.parts.Abort(late)
	}()
	if r.u.Merge {
		e.merged = e.newPart()
	}
	r.state.begin(Progress{BytesTotal: max(e.x.Bytes, 1), Estimated: true})
	r.state.phase(PhaseUnload)
	if err := e.copyAll(ctx, snap); err != nil {
		return explainRead(err)
	}
	r.state.phase(PhasePublish)
	r.rows = e.rows.Load()
	return r.publish(ctx, conn, e.parts.Commit)
}

// noteOnce tells something that more than one try would tell.
func (r *unload) noteOnce(text string) {
	if r.told == nil {
		r.told = map[string]bool{}
	}
	if !r.told[text] {
		r.told[text] = true
		r.o.Warn(text)
	}
}

func (e *extraction) newPart() *partWriter {
	return &partWriter{parts: e.parts, shape: e.shape, head: e.head}
}

// copyAll copies all slices. The session that holds the snapshot works, too.
func (e *extraction) copyAll(ctx context.Context, snap *copy.Snapshot) error {
	todo := queue(e.slices)
	id := ""
	if e.workers > 1 {
		var err error
		if id, err = snap.Export(ctx); err != nil {
			return err
		}
	}
	g, inner := errgroup.WithContext(ctx)
	for range e.workers - 1 {
		g.Go(func() error {
			conn, err := e.connect(inner)
			var pg *pgconn.PgError
			if errors.As(err, &pg) && pg.Code == "53300" {
				e.o.Log.Warn("the database has no connection for another worker; going on with fewer", "error", err)
				return nil
			}
			if err != nil {
				return err
			}
			defer closeConn(inner, conn)
			tx, err := copy.ImportSnapshot(inner, conn, id)
			if err != nil {
				return err
			}
			return e.work(inner, tx, todo, true)
		})
	}
	g.Go(func() error { return e.work(inner, snap.Tx, todo, false) })
	if err := g.Wait(); err != nil {
		return err
	}
	if len(e.left) > 0 {
		if err := e.work(ctx, snap.Tx, queue(e.left), false); err != nil {
			return err
		}
	}
	if e.merged != nil {
		return e.merged.end(ctx)
	}
	return nil
}

// work copies slices until there are none.
func (e *extraction) work(ctx context.Context, tx pgx.Tx, todo <-chan copy.Slice, lock bool) error {
	out := e.merged
	if out == nil {
		out = e.newPart()
	}
	w := &rowWriter{ctx: ctx, shape: e.shape, out: out, limiter: e.limiter, state: e.state, most: e.u.MaxSize}
	locked := map[uint32]bool{}
	for s := range todo {
		if s.Relation != nil && lock && !locked[s.Relation.OID] {
			ok, err := copy.LockRelation(ctx, tx, s.Relation)
			if err != nil {
				return explainRead(err)
			}
			if !ok {
				e.leave(s)
				continue
			}
			locked[s.Relation.OID] = true
		}
		w.begin()
		tag, err := tx.Conn().PgConn().CopyTo(ctx, w, e.shape.statement(s))
		if err != nil {
			return err
		}
		if n := tag.RowsAffected(); n != w.seen {
			return fault.New(fault.Failed, "is there a proxy between cw and the database that changes messages? connect without it", "the database says it has sent %d rows, %d have come", n, w.seen)
		}
		e.rows.Add(w.seen)
		e.read(s)
	}
	if e.merged != nil {
		return w.flush() // the object is all workers'
	}
	return w.close()
}

// leave passes a slice on to the session that holds the snapshot.
func (e *extraction) leave(s copy.Slice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = append(e.left, s)
}

// queue is a channel with these slices and nothing more.
func queue(slices []copy.Slice) <-chan copy.Slice {
	todo := make(chan copy.Slice, len(slices))
	for _, s := range slices {
		todo <- s
	}
	close(todo)
	return todo
}

// read notes that a slice is through, and guesses anew how much there is.
func (e *extraction) read(s copy.Slice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done++
	e.blocks += s.Blocks()
	var all int64
	for _, r := range e.x.Relations {
		all += r.Blocks
	}
	if all == 0 || e.blocks == 0 { // ranges of values, or all is small
		e.state.guess(float64(len(e.slices)) / float64(e.done))
		return
	}
	e.state.guess(float64(all) / float64(e.blocks))
}

// query is the control file's, fit to stand in brackets.
func query(u *loadspec.Unload) string {
	q := u.Query
	for len(q) > 0 && bytes.IndexByte([]byte("; \t\r\n"), q[len(q)-1]) >= 0 {
		q = q[:len(q)-1]
	}
	return q
}

// headerOf asks the database for a heading, in whose words and quotes it is.
func headerOf(ctx context.Context, conn *pgx.Conn, statement, newline string) ([]byte, error) {
	var b bytes.Buffer
	if _, err := conn.PgConn().CopyTo(ctx, &b, statement); err != nil {
		return nil, copy.Explain(fmt.Errorf("ask for the heading: %w", err))
	}
	head := b.Bytes()
	if nl := map[string]string{loadspec.NewlineCR: "\r", loadspec.NewlineCRLF: "\r\n"}[newline]; nl != "" {
		head = append(bytes.TrimSuffix(head, []byte("\n")), nl...)
	}
	return head, nil
}

// explainRead gives errors of reading a hint that fits.
func explainRead(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "42501":
			return fault.New(fault.Auth, "grant the role select on it", "%w", err)
		case "25006":
			return fault.New(fault.Usage, "run what changes data before the unload", "INPUT.QUERY: an unload reads only: %w", err)
		}
		if fault.HintOf(err) == "" {
			return copy.Explain(err)
		}
	}
	return err
}
