package run

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/speed"
	"cw/schema"
)

// probe measures, in a session of its own, how the database does.
type probe struct {
	j    *job
	want *loadspec.Adaptive
	conn loadspec.Conn
	old  bool // the server tells who waits as it did before 9.6

	ready     chan struct{} // closed once the probe has been tried
	closeOnce sync.Once

	mu      sync.Mutex
	control *speed.Adaptive
	asked   time.Time // when the measurement began that is not through; zero when none is
	err     error     // why the last one failed
}

func newProbe(j *job) *probe {
	a := j.spec.Adaptive
	return &probe{j: j, want: a, conn: j.spec.Conn, ready: make(chan struct{}), control: speed.NewAdaptive(a.Target, a.Min, a.Max)}
}

// decide says how fast the job may go that has moved total bytes.
func (p *probe) decide(now time.Time, total int64) speed.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	pending := 0.0
	if !p.asked.IsZero() && p.want.Signal != loadspec.SignalWaits {
		pending = now.Sub(p.asked).Seconds()
	}
	if p.err != nil {
		p.control.Stop()
	}
	return p.control.Decide(now, total, pending)
}

func (p *probe) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// unit writes a value as people read it.
func (p *probe) unit(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nothing measured yet"
	case p.want.Signal == loadspec.SignalWaits:
		return fmt.Sprintf("%.0f", v)
	}
	d := time.Duration(v * float64(time.Second))
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

// check tries the probe once before anything is loaded: a query that cannot
// run is a mistake in the control file, and a target that is missed without
// the load cannot be kept with it.
func (p *probe) check(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{})
	if err != nil {
		return copy.Explain(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if p.want.Signal == loadspec.SignalQuery { // a query that writes is found out here
		if _, err := tx.Exec(ctx, "set transaction read only"); err != nil {
			return copy.Explain(err)
		}
	}
	// The first one pays for what the next ones find in the cache.
	var value float64
	old := p.j.server.Waiting
	for range 2 {
		if value, err = p.measure(ctx, conn, old); err != nil {
			return fault.New(fault.Usage, "try it with psql; it has to be a query that reads", "SPEED.ADAPTIVE: the probe fails: %w", copy.Explain(err))
		}
	}
	defer p.closeOnce.Do(func() {
		p.old = old
		close(p.ready)
	})
	if value > p.want.Target {
		p.j.o.Warn(fmt.Sprintf("SPEED.ADAPTIVE: without the load the %s is %s already, and the target is %s: the load will go at %s unless that changes",
			p.want.Signal, p.unit(value), p.unit(p.want.Target), schema.FormatRate(p.want.Min)))
	}
	return nil
}

// run measures until the context ends. A database that does not answer keeps
// the job at its least speed.
func (p *probe) run(ctx context.Context) {
	select {
	case <-p.ready:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(p.want.Every)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() { closeConn(ctx, conn) }()
	for {
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = p.connect(ctx)
		}
		if err == nil {
			err = p.once(ctx, conn)
		}
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *probe) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := copy.Connect(ctx, p.conn, "cw probe "+p.j.o.Job)
	if err != nil {
		return nil, err
	}
	if p.want.Signal == loadspec.SignalQuery {
		if _, err = conn.Exec(ctx, "set default_transaction_read_only = on"); err != nil {
			closeConn(ctx, conn)
			return nil, err
		}
	}
	return conn, nil
}

func (p *probe) once(ctx context.Context, conn *pgx.Conn) error {
	p.mu.Lock()
	p.asked = time.Now()
	p.mu.Unlock()
	value, err := p.measure(ctx, conn, p.old)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = time.Time{}
	if err == nil {
		p.control.Sample(time.Now(), value)
	}
	return err
}

// A message in the write-ahead log that nobody reads: its commit is flushed,
// and waits for synchronous replicas, like that of any other change.
const commitProbe = "select pg_logical_emit_message(true, 'cw', '')"

// Who waits, beside this job's own sessions. Greenplum 6 tells no more than
// that somebody does.
const (
	waitsProbe = `select count(*)::float8 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()
		and wait_event_type in ('Lock', 'LWLock', 'BufferPin', 'IO') and application_name not in ($1, $2)`
	waitsProbeGreenplum = `select count(*)::float8 from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()
		and waiting and application_name not in ($1, $2)`
)

// measure is seconds, or sessions that wait.
func (p *probe) measure(ctx context.Context, conn *pgx.Conn, old bool) (value float64, err error) {
	began := time.Now()
	switch p.want.Signal {
	case loadspec.SignalWaits:
		query := waitsProbe
		if old {
			query = waitsProbeGreenplum
		}
		return value, conn.QueryRow(ctx, query, "cw load "+p.j.o.Job, "cw probe "+p.j.o.Job).Scan(&value)
	case loadspec.SignalCommit:
		_, err = conn.Exec(ctx, commitProbe)
	default:
		_, err = conn.Exec(ctx, p.want.Probe)
	}
	return time.Since(began).Seconds(), err
}
