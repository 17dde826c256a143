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
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

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
	name  string // of the objects, without segment and job
	rows  int64
}

// Manifest is the list of an unload's objects, an object itself.
type Manifest struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Job        string           `json:"job"`
	Source     string           `json:"source"` // table, or "query"
	Format     string           `json:"format"`
	Rows       int64            `json:"rows"`
	Finished   time.Time        `json:"finished_at"`
	Objects    []sink.Published `json:"objects"`
}

// Unload writes the rows of a table or query into objects. One that was
// interrupted starts over and writes the same objects; one that has published
// its manifest is done.
func Unload(ctx context.Context, u *loadspec.Unload, o Options) (*Result, error) {
	started := time.Now()
	o.Spec = &loadspec.Spec{Conn: u.Conn, Sources: []loadspec.Source{u.Sink}, Format: u.Format, Limit: u.Limit}
	run := &unload{job: newJob(o), u: u}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var control errgroup.Group
	control.Go(func() error { return run.control(ctx, cancel) })
	err := run.run(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	cancel(nil)
	_ = control.Wait()
	run.state.report()
	res := &Result{Progress: run.state.progress(), ThisRun: time.Since(started)}
	if errors.Is(err, context.Canceled) {
		err = fault.Wrap(fault.Interrupted, "cw load resume "+o.Job, errors.New("interrupted"))
	}
	return res, err
}

func (r *unload) run(ctx context.Context) error {
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
	if err := r.store.Check(ctx); err != nil {
		return err
	}
	retry := r.newRetry()
	for {
		err := r.attempt(ctx)
		if err == nil || !retry.again(ctx, err) {
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
	if !r.server.Greenplum {
		return fault.New(fault.Usage, `until then: psql -c "\copy (query) to 'file' csv"`, "%s:%d is PostgreSQL: cw unload works on Greenplum only so far", r.server.Host, r.server.Port)
	}
	r.gp = &greenplum{} // for the lock, and for what it leaves behind
	if err := ledger.Ensure(ctx, conn); err != nil {
		return err
	}
	if err := r.lock(ctx, conn); err != nil {
		return err
	}
	journal, err := r.ledger.TakeOver(ctx, conn)
	if err != nil {
		return copy.Explain(err)
	}
	// The job's id is in the names of its objects, and the job is ours alone.
	if err := r.store.Sweep(ctx, r.o.Job); err != nil {
		r.o.Log.Warn("not swept", "error", err) // rubbish is no reason not to unload
	}
	if journal.Done[ledger.Unloaded] {
		return nil
	}
	return r.statement(ctx, conn)
}

// statement writes all rows and publishes the objects.
func (r *unload) statement(ctx context.Context, conn *pgx.Conn) error {
	r.state.phase(PhasePlan)
	table, from, err := r.table(ctx, conn)
	if err != nil {
		return err
	}
	token := strings.ToLower(rand.Text())
	out, err := sink.NewOutputs(r.store, sink.OutputOptions{
		Name: func(string) string { return r.name }, Merge: r.u.Merge, Compression: compressionOf(r.u.Format), Epoch: r.o.Job, Explicit: true,
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
	if err := counted.finish(ctx); err != nil {
		return err
	}
	return r.publish(ctx, conn, out, counted.bytes.Load())
}

// publish makes the objects visible, the manifest last, and notes that it is
// done.
func (r *unload) publish(ctx context.Context, conn *pgx.Conn, out *sink.Outputs, bytes int64) error {
	published, err := out.Commit(ctx)
	if err != nil {
		return err
	}
	m := Manifest{
		APIVersion: "cw/v1", Kind: "UnloadManifest", Job: r.o.Job, Source: r.u.Subject(), Format: r.u.Format.Kind, Rows: r.rows,
		Finished: time.Now().UTC().Truncate(time.Second), Objects: published,
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	o, err := r.store.Create(ctx, r.name+"."+r.o.Job+".manifest.json")
	if err != nil {
		return err
	}
	if _, err = o.Write(append(data, '\n')); err == nil {
		err = o.Commit(ctx)
	}
	if err != nil {
		_ = o.Abort(context.WithoutCancel(ctx))
		return fmt.Errorf("write the manifest: %w", err)
	}
	r.state.rollback()
	r.state.update(func(p *Progress) {
		n := int64(len(published))
		p.Rows, p.Bytes, p.BytesTotal, p.Objects, p.ObjectsTotal = r.rows, bytes, bytes, n, max(n, 1)
		if n == 0 {
			p.Objects = 1 // the manifest, which says that there was nothing
		}
	})
	return r.ledger.Once(ctx, conn, ledger.Unloaded, func(pgx.Tx) error { return nil })
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
		columns, err := queryColumns(ctx, conn, r.u.Query)
		if err != nil {
			return nil, "", err
		}
		t.Columns, from = columns, strings.TrimSuffix(strings.TrimSpace(r.u.Query), ";")
	}
	var err error
	if t.Format, err = external.NewFormat(r.u.Format, t.Columns); err != nil {
		return nil, "", err
	}
	t.Format.ForceQuote = r.u.ForceQuote
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

// compressionOf leaves auto to the object's name.
func compressionOf(f loadspec.Format) string {
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
	bytes   atomic.Int64

	mu  sync.Mutex
	out fdist.Output
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
		c.bytes.Add(int64(len(rows)))
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
