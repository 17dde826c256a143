package run

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/fdist"
	"cw/loadspec/ledger"
	"cw/loadspec/sink"
	"cw/loadspec/source"
	"cw/loadspec/throttle"
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

// statement writes all rows and publishes the objects.
func (r *unload) statement(ctx context.Context, conn *pgx.Conn) error {
	r.state.phase(PhasePlan)
	table, from, err := r.table(ctx, conn)
	if err != nil {
		return err
	}
	token := strings.ToLower(rand.Text())
	var head []byte
	if r.u.Format.Header {
		if head, err = r.header(ctx, conn, from); err != nil {
			return err
		}
	}
	out, err := sink.NewOutputs(r.store, sink.OutputOptions{
		Name: func(string) string { return r.name }, Merge: r.u.Merge, Compression: compressionOf(r.u.Format), Epoch: r.o.Job, Explicit: true,
		Header: head, MaxSize: r.u.MaxSize, Count: rowCounter(r.u.Format),
	})
	if err != nil {
		return err
	}
	defer func() { // what is not published by then is not wanted any more
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = out.Abort(late)
	}()
	counted := &counter{outputs: out, token: token, state: r.state}
	r.state.rollback()
	srv, err := r.startGpfdist(ctx, fdist.Options{Outputs: counted, Limits: budget{r.limiter}, SessionIdle: unloadIdle})
	if err != nil {
		return err
	}
	defer srv.stop(ctx)
	table.Name = tablePrefix(r.o.Job) + token[:12]
	// No wildcards, no slash at the end, and one path for all: the server
	// makes objects of it.
	table.Locations = nil
	for _, a := range r.gp.addrs {
		table.Locations = append(table.Locations, srv.url(a, token))
	}
	create, err := table.Create()
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, create, pgx.QueryExecModeSimpleProtocol); err != nil {
		return r.explainWave(err)
	}
	r.state.phase(PhaseUnload)
	tag, err := conn.Exec(ctx, "INSERT INTO "+table.SQLName()+" "+from, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return r.explainWave(err)
	}
	r.rows = tag.RowsAffected()
	if _, err := conn.Exec(ctx, table.Drop(), pgx.QueryExecModeSimpleProtocol); err != nil {
		return copy.Explain(err)
	}
	r.state.phase(PhasePublish)
	if err := ofStore(counted.finish(ctx)); err != nil {
		return err
	}
	if n := out.Rows(); n != r.rows {
		return fault.New(fault.Failed, "unload with other DELIMITER, QUOTE and ESCAPE, and report this", "%d rows have arrived, the database has sent %d", n, r.rows)
	}
	return r.publish(ctx, conn, out.Commit)
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
	conn, err = r.note(ctx, conn, ledger.Unloaded)
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

// table is the external table, without name and place, and what fills it.
func (r *unload) table(ctx context.Context, conn *pgx.Conn) (*external.Table, string, error) {
	t := &external.Table{Schema: "pg_temp", Temp: true, Writable: true, Encoding: r.u.Format.Encoding}
	var from string
	if r.u.Query == "" {
		target, err := external.Describe(ctx, conn, r.u.Table)
		if err != nil {
			return nil, "", copy.Explain(err)
		}
		for _, c := range target.Columns {
			t.Columns = append(t.Columns, loadspec.Column{Name: c.Name, Type: c.Type})
		}
		t.DistributedBy = target.Key // the rows stay on their segments
		from = "SELECT * FROM " + target.Name()
	} else {
		columns, err := queryColumns(ctx, conn, query(r.u))
		if err != nil {
			return nil, "", err
		}
		t.Columns, from = columns, query(r.u)
	}
	var err error
	if r.u.Format.Kind == loadspec.FormatJSON {
		from = asJSON(t, from, r.u.Format.Newline)
		return t, from, r.gp.advertise(ctx, conn, r.spec.Sources[0])
	}
	if t.Format, err = external.NewFormat(r.u.Format, t.Columns); err != nil {
		return nil, "", err
	}
	t.Format.ForceQuote = r.u.ForceQuote
	t.Format.Header = false // it begins the objects, not the rows of each segment
	return t, from, r.gp.advertise(ctx, conn, r.spec.Sources[0])
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

// counter lets the statement's own segments in, and counts their bytes. All
// its write sessions are one output: a segment that comes when the others are
// done makes a session of its own.
type counter struct {
	outputs *sink.Outputs
	token   string
	state   *tracker
	mu      sync.Mutex
	out     fdist.Output
}

// Create begins or continues the output of the statement that knows the token.
func (c *counter) Create(ctx context.Context, r *fdist.Request) (fdist.Output, error) {
	if r.Path != c.token {
		return nil, &fdist.StatusError{Code: http.StatusNotFound, Reason: "cw unload: this statement is over"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		out, err := c.outputs.Create(ctx, r)
		if err != nil {
			return nil, err
		}
		c.out = out
	}
	return c, nil
}

// Append stores rows and counts them.
func (c *counter) Append(ctx context.Context, segment int, rows []byte) error {
	err := c.out.Append(ctx, segment, rows)
	if err == nil {
		c.state.served(ledger.Range{SourceBytes: int64(len(rows))})
	}
	return err
}

// Publish waits for the statement's end, which the database alone knows.
func (c *counter) Publish(context.Context) error { return nil }

// Abort leaves it to the statement, which fails when a segment has.
func (c *counter) Abort(context.Context) error { return nil }

// Late lets segments come whenever they do.
func (c *counter) Late() fdist.Late { return fdist.LateAgain }

// finish brings everything to the store. The statement is over.
func (c *counter) finish(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		return nil // no rows
	}
	return c.out.Publish(ctx)
}

// budget is a job's speed limit for a server that is asked to write.
type budget struct{ l *throttle.Limiter }

// Wait takes n bytes of the budget.
func (b budget) Wait(ctx context.Context, _ *fdist.Request, n int) error { return b.l.Wait(ctx, n) }

// Quantum is how many bytes to ask for at a time; 0 without a limit.
func (b budget) Quantum(*fdist.Request) int {
	if b.l.Rate() == 0 {
		return 0
	}
	return b.l.Quantum()
}

// url is a location of the server.
func (s *gpfdist) url(host, path string) string {
	return s.scheme + "://" + net.JoinHostPort(host, fmt.Sprint(s.port)) + "/" + path
}
