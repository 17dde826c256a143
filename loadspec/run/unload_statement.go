package run

import (
	"context"
	"crypto/rand"
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
	"cw/loadspec/throttle"
)

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
