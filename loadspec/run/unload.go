package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/sink"
	"cw/loadspec/source"
)

// The phases of an unload beside connect and plan.
const (
	PhaseUnload  = "unload"
	PhasePublish = "publish" // the objects are made visible
)

// unloadIdle is how long a segment may have nothing to write: as long as the
// statement runs, a query may take its time.
const unloadIdle = 7 * 24 * time.Hour

// unload is a run of an unload. Its objects become visible when the statement
// is through, the manifest last: whoever reads by the manifest sees all of
// them or none.
type unload struct {
	*job
	u     *loadspec.Unload
	store sink.Store
	name  string // of the objects, without segment or part, and job
	rows  int64
	told  map[string]bool
	held  bool // the job was this run's
}

// Manifest is the list of an unload's objects, an object itself.
type Manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Job        string `json:"job"`
	Source     string `json:"source"` // table, or "query"
	Format     string `json:"format"`
	Rows       int64  `json:"rows"`
	// Bytes are rows as the database gave them, before compression.
	Bytes       int64            `json:"bytes"`
	StoredBytes int64            `json:"stored_bytes"`
	Checksum    string           `json:"checksum"` // what the objects' sums are
	Finished    time.Time        `json:"finished_at"`
	Objects     []sink.Published `json:"objects"`
}

// Unload writes the rows of a table or query into objects. One that was
// interrupted starts over and writes the same objects; one that has published
// its manifest is done.
func Unload(ctx context.Context, u *loadspec.Unload, o Options) (*Result, error) {
	run := newUnload(u, o)
	return run.conduct(ctx, run.run)
}

func newUnload(u *loadspec.Unload, o Options) *unload {
	o.Spec = &loadspec.Spec{Conn: u.Conn, Sources: []loadspec.Source{u.Sink}, Format: u.Format, Speed: u.Speed, Workers: u.Workers, Notify: u.Notify}
	return &unload{job: newJob(o), u: u}
}

// open prepares the store and sees whether it can be written.
func (r *unload) open(ctx context.Context) error {
	var place string
	place, r.name = r.u.Place()
	var err error
	access := source.AccessOf(r.u.Sink)
	r.store, err = sink.Open(place, sink.Options{
		Access: &access, Credentials: r.o.Source.Credentials, Attempts: r.o.Source.Attempts, Backoff: r.o.Source.Backoff, Stall: r.o.Source.Stall, OnRetry: r.o.Source.OnRetry,
	})
	if err != nil {
		return err
	}
	return r.store.Check(ctx)
}

func (r *unload) run(ctx context.Context) (err error) {
	if err := r.open(ctx); err != nil {
		return err
	}
	defer func() {
		// An upload whose beginning was not answered has no name here. What is
		// not published by now is not wanted, if the job is still ours.
		if r.held && fault.KindOf(err) != fault.Locked {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
			defer cancel()
			_ = r.store.Sweep(late, r.o.Job)
		}
	}()
	retry := r.newRetry()
	for {
		begun := time.Now()
		err := r.attempt(ctx)
		if err == nil || r.server == nil && copy.NoServer(err) {
			return err // at the start somebody is looking
		}
		r.state.rollback()
		if time.Since(begun) > r.o.Patience {
			retry.reset() // it has worked for a while
		}
		var store *storeError
		if errors.As(err, &store) || !retry.again(ctx, err) {
			return err
		}
	}
}

// attempt is everything in one session.
func (r *unload) attempt(ctx context.Context) error {
	r.state.phase(PhaseConnect)
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	if r.server, err = copy.Ask(ctx, conn); err != nil {
		return err
	}
	r.state.waiting(nil)
	if r.server.Greenplum {
		r.gp = &greenplum{} // for the lock, and for what it leaves behind
		warnings, err := r.u.OnGreenplum()
		if err != nil {
			return err
		}
		r.warn(warnings)
	}
	if !r.server.Standby {
		if err := ledger.Ensure(ctx, conn); err != nil {
			return err
		}
	}
	if err := r.lock(ctx, conn); err != nil {
		return err
	}
	journal, err := r.takeOver(ctx, conn)
	if err != nil {
		return copy.Explain(err)
	}
	if err := r.tryProbe(ctx, conn); err != nil {
		return err
	}
	r.held = true
	// The job's id is in the names of its objects, and the job is ours alone.
	if err := r.store.Sweep(ctx, r.o.Job); err != nil {
		r.o.Log.Warn("not swept", "error", err) // rubbish is no reason not to unload
	}
	switch {
	case journal.Done[ledger.Unloaded]:
		return nil
	case journal.Done[ledger.Publishing]:
		// A run was ended while it made its objects visible: this one's are
		// others.
		if err := r.store.Clear(ctx, r.o.Job); err != nil {
			return err
		}
	}
	if r.gp == nil {
		return r.extract(ctx, conn)
	}
	return r.statement(ctx, conn)
}

// takeOver makes the job this run's. A standby has no ledger to write: the
// job's lease and lock keep others away, and whatever there is of it is
// another run's that did not come to its end.
func (r *unload) takeOver(ctx context.Context, conn *pgx.Conn) (*ledger.Journal, error) {
	if r.server.Standby {
		return &ledger.Journal{Done: map[ledger.Step]bool{ledger.Publishing: true}}, nil
	}
	return r.ledger.TakeOver(ctx, conn)
}

// publish makes the objects visible, the manifest last, and notes that it is
// done.
func (r *unload) publish(ctx context.Context, conn *pgx.Conn, commit func(context.Context) ([]sink.Published, error)) error {
	conn, err := r.note(ctx, conn, ledger.Publishing)
	defer func() { closeConn(ctx, conn) }()
	if err != nil {
		return err
	}
	published, err := r.show(ctx, commit)
	err = ofStore(err)
	if err != nil {
		// Nobody may take what is visible for the whole.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return errors.Join(err, r.store.Clear(late, r.o.Job))
	}
	r.state.rollback()
	r.state.update(func(p *Progress) {
		n, bytes := int64(len(published)), int64(0)
		for _, o := range published {
			bytes += o.Bytes
		}
		p.Rows, p.Bytes, p.BytesTotal, p.Objects, p.ObjectsTotal, p.Estimated = r.rows, bytes, bytes, n, max(n, 1), false
		if n == 0 {
			p.Objects = 1 // the manifest, which says that there was nothing
		}
	})
	// The manifest is there and may be read: to be interrupted now would have
	// the next run take it away again.
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	conn, err = r.note(late, conn, ledger.Unloaded)
	return err
}

// show makes the objects visible, and at last the manifest that lists them.
func (r *unload) show(ctx context.Context, commit func(context.Context) ([]sink.Published, error)) ([]sink.Published, error) {
	published, err := commit(ctx)
	if err != nil {
		return nil, err
	}
	m := Manifest{
		APIVersion: "cw/v1", Kind: "UnloadManifest", Job: r.o.Job, Source: r.u.Subject(), Format: r.u.Format.Kind, Rows: r.rows,
		Checksum: sink.Checksum, Finished: time.Now().UTC().Truncate(time.Second), Objects: published,
	}
	for _, o := range published {
		m.Bytes += o.Bytes
		m.StoredBytes += o.StoredBytes
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	o, err := r.store.Create(ctx, r.name+"."+r.o.Job+".manifest.json")
	if err != nil {
		return nil, err
	}
	if _, err = o.Write(append(data, '\n')); err == nil {
		err = o.Commit(ctx)
	}
	if err != nil {
		_ = o.Abort(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return published, nil
}

// note writes a step into the ledger, on a new session if the old one is lost.
// The session that it ends with is the caller's to close.
func (r *unload) note(ctx context.Context, conn *pgx.Conn, step ledger.Step) (*pgx.Conn, error) {
	if r.server.Standby {
		return conn, nil
	}
	retry := r.newRetry()
	for {
		var err error
		if conn.IsClosed() {
			var again *pgx.Conn
			if again, err = r.connect(ctx); err == nil {
				conn = again
			}
		}
		if err == nil {
			err = r.ledger.Once(ctx, conn, step, func(pgx.Tx) error { return nil })
		}
		if err == nil || !retry.again(ctx, err) {
			return conn, copy.Explain(err)
		}
	}
}

// queryColumns asks the database what a query's columns are.
func queryColumns(ctx context.Context, conn *pgx.Conn, query string) ([]loadspec.Column, error) {
	d, err := conn.Prepare(ctx, "", query)
	if err != nil {
		return nil, copy.Explain(fmt.Errorf("INPUT.QUERY: %w", err))
	}
	if len(d.Fields) == 0 {
		return nil, fault.New(fault.Usage, "write a select", "INPUT.QUERY gives no rows to unload")
	}
	columns := make([]loadspec.Column, len(d.Fields))
	for i, f := range d.Fields {
		columns[i].Name = f.Name
		if err := conn.QueryRow(ctx, "select format_type($1::oid, $2::int)", f.DataTypeOID, f.TypeModifier).Scan(&columns[i].Type); err != nil {
			return nil, copy.Explain(err)
		}
	}
	return columns, nil
}

// compressionOf leaves auto to the object's name. A Parquet file is not
// compressed, its pages are.
func compressionOf(f loadspec.Format) string {
	if f.Kind == loadspec.FormatParquet {
		return "none"
	}
	if f.Compression == loadspec.CompressionAuto {
		return ""
	}
	return f.Compression
}
