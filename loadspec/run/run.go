// Package run is the job runner: it plans a load, reads the objects at the
// job's speed, cuts them into splits, and has them copied by several sessions,
// each split committed with its row in the ledger. What an earlier run of the
// job has committed is not loaded again.
//
// The way of a byte: source (fetched ahead, limited, decompressed) → split
// (cut at record boundaries) → queue → a worker's COPY → commit.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
	"cw/loadspec/split"
	"cw/loadspec/throttle"
	"cw/remote"
	"cw/schema"
)

// Options is everything a run needs.
type Options struct {
	Spec     *loadspec.Spec
	Job      string         // id, the same for every run of the job
	Source   source.Options // for tests; the zero value is right
	Control  func(context.Context) (Control, error)
	Reporter Reporter
	Warn     func(text string) // what of the control file has no effect on this engine; nil: silent
	Log      *slog.Logger      // nil: none
	Hosts    *remote.Pool      // the way to PARALLEL.HOSTS; nil: there is none
	Binary   string            // cw's file for them; "" the running program
	Patience time.Duration     // how long the database may be gone; 0: 5 minutes
	Workers  func([]Worker)    // told every few seconds which machines read, and how fast; nil: silent
	Again    bool              // load what an earlier job has loaded into the table, too
	Watch    time.Duration     // then look for new objects, this often, until the context ends; 0: only what there is
}

// Worker is a machine that reads for a job.
type Worker struct {
	Host   string    `json:"host"`
	Rate   int64     `json:"rate"`             // bytes per second
	Bytes  int64     `json:"bytes"`            // since the job's run began
	Silent bool      `json:"silent,omitempty"` // it does not answer
	SeenAt time.Time `json:"seen_at,omitzero"` // by Workers
}

// Control is what operators want of the running job.
type Control struct {
	Limit  int64 // bytes per second; 0 none
	Pause  bool
	Cancel bool
	Group  string
	Share  int64 // of the group's limit, bytes per second; 0 none
}

// ErrCancelled ends a run whose Control said Cancel.
var ErrCancelled = errors.New("cancelled")

// Result is what a finished run has done, all runs of the job together.
type Result struct {
	Progress
	ThisRun time.Duration
	Timing  *Timing
}

// job is one run in progress.
type job struct {
	o       Options
	spec    *loadspec.Spec
	set     *source.Set
	limiter *throttle.Limiter
	ledger  *ledger.Ledger
	table   *copy.Target // on PostgreSQL: what is loaded
	plan    *copy.Plan   // on PostgreSQL: how rows get there, or into a staging table
	// Of rows that PostgreSQL refuses; nil when one ends the job.
	tolerance *copy.Tolerance
	modes     *modes
	gp        *greenplum // on Greenplum; else nil
	server    *copy.Server
	encoding  string
	columns   []loadspec.Column // of the file
	workers   int
	objects   []object
	state     *tracker
	times     times
	steering  steering
	pieces    chan piece
	free      split.Pool // of the pieces' buffers
	warned    bool
	checking  bool  // nothing is to be changed
	most      int64 // bytes of rows that are read of each object; 0 all
	// unreadable, if set, is told of an object that cannot be read to its end;
	// the others go on.
	unreadable func(o *object, err error)
	created    bool      // this job has made the target
	creation   *creation // a check: the table that a run would make
	told       []string
	emptied    bool // by this job's own TRUNCATE

	// Of a job that watches.
	round   int64    // 0 is the job itself
	prior   Progress // of the rounds before
	watched watched
}

// object is an object of the plan with what is left of it.
type object struct {
	source.Object
	gaps []ledger.Gap
}

// piece is a split on its way from a reader to a worker.
type piece struct {
	*split.Piece
	r       ledger.Range
	release func()
}

// Run does the job, or what is left of it. Whatever ends it early leaves a
// state from which the next Run of the same Job goes on.
func Run(ctx context.Context, o Options) (*Result, error) {
	j := newJob(o)
	return j.conduct(ctx, j.run)
}

// conduct does a job's work under control: at the speed that is wanted, until
// it is through or cancelled.
func (j *job) conduct(ctx context.Context, work func(context.Context) error) (*Result, error) {
	started := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := j.steering.begin(j); err != nil {
		return nil, err
	}
	var control errgroup.Group
	control.Go(func() error { return j.control(ctx, cancel) })
	if p := j.steering.probe; p != nil {
		control.Go(func() error { p.run(ctx); return nil })
	}
	err := work(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // what ended the context is the reason, not what broke because of it
	}
	cancel(nil)
	_ = control.Wait()
	j.state.report()
	err = j.wider(err)
	res := &Result{Progress: j.state.progress(), ThisRun: time.Since(started), Timing: j.timing()}
	if errors.Is(err, context.Canceled) {
		err = fault.Wrap(fault.Interrupted, "cw load resume "+j.o.Job, errors.New("interrupted"))
	}
	return res, err
}

func newJob(o Options) *job {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	if o.Reporter == nil {
		o.Reporter = discard{}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Watch > 0 {
		o.Source.EmptyOK = true
	}
	logger := o.Log
	if o.Source.OnRetry == nil {
		o.Source.OnRetry = func(url string, err error, wait time.Duration) {
			logger.Warn("reading is tried again", "object", url, "error", err, "wait", wait)
		}
	}
	var j *job
	o.Source.OnNote = func(text string) { j.tell(text) }
	j = &job{
		o: o, spec: o.Spec, set: source.New(o.Spec.Sources, o.Source), limiter: throttle.New(o.Spec.Limit, nil),
		ledger: &ledger.Ledger{Job: o.Job, Epoch: rand.Text()}, workers: o.Spec.Workers,
	}
	if j.workers == 0 {
		// More sessions than cores of this machine rarely help when the
		// database is beside it, and two are needed to keep it busy.
		j.workers = min(max(runtime.NumCPU(), 2), 4)
	}
	j.state = newTracker(o.Reporter, j.limiter)
	return j
}

// warn tells, once, what of the control file has no effect.
func (j *job) warn(warnings schema.Problems) {
	if j.warned {
		return
	}
	j.warned = true
	for _, w := range warnings {
		j.o.Warn(w.String())
	}
}

func (j *job) connect(ctx context.Context) (*pgx.Conn, error) {
	return copy.Connect(ctx, j.spec.Conn, "cw load "+j.o.Job)
}

// run is the job's course, in order.
func (j *job) run(ctx context.Context) error {
	conn, journal, err := j.setUp(ctx)
	for err == nil {
		if j.gp != nil {
			err = j.runGreenplum(ctx, conn, journal)
		} else {
			err = j.runPostgres(ctx, conn, journal)
		}
		if err != nil || j.o.Watch == 0 {
			return err
		}
		conn, journal, err = j.await(ctx)
	}
	return err
}

// runPostgres is a round of the job.
func (j *job) runPostgres(ctx context.Context, conn *pgx.Conn, journal *ledger.Journal) error {
	steps := &stepper{j: j, conn: conn, done: journal.Done}
	defer func() { closeConn(ctx, steps.conn) }()
	if j.spec.Truncate && j.round == 0 {
		if err := steps.once(ctx, ledger.Truncate, "TRUNCATE "+j.target()); err != nil {
			return err
		}
	}
	if err := steps.once(ctx, ledger.Before, j.spec.Before); err != nil {
		return err
	}
	if err := j.modes.stage(ctx, steps); err != nil {
		return err
	}
	j.state.phase(PhaseLoad)
	if err := j.load(ctx); err != nil {
		return err
	}
	if j.tolerance != nil {
		if err := j.tolerance.End(); err != nil {
			return err
		}
	}
	if err := j.modes.apply(ctx, steps); err != nil {
		return err
	}
	return steps.once(ctx, ledger.After, j.spec.After)
}

// setUp looks at the database, takes the job and plans it. A database that is
// not there is an error at once: at the start somebody is looking. A session
// that is lost on the way is opened again.
func (j *job) setUp(ctx context.Context) (*pgx.Conn, *ledger.Journal, error) {
	retry := j.newRetry()
	for {
		j.state.phase(PhaseConnect)
		conn, err := j.connect(ctx)
		if copy.NoServer(err) {
			return nil, nil, err
		}
		if err == nil {
			var journal *ledger.Journal
			if journal, err = j.take(ctx, conn); err == nil {
				retry.reset()
				return conn, journal, nil
			}
			closeConn(ctx, conn)
		}
		if !retry.again(ctx, err) {
			return nil, nil, err
		}
	}
}

// take makes the job this runner's and plans what is left of it.
func (j *job) take(ctx context.Context, conn *pgx.Conn) (*ledger.Journal, error) {
	if err := j.prepare(ctx, conn); err != nil {
		return nil, err
	}
	j.state.phase(PhasePlan)
	if err := ledger.Ensure(ctx, conn); err != nil {
		return nil, err
	}
	if err := j.lock(ctx, conn); err != nil {
		return nil, err
	}
	journal, err := j.takeRound(ctx, conn)
	if err != nil {
		return nil, copy.Explain(err)
	}
	if err := j.tryProbe(ctx, conn); err != nil {
		return nil, err
	}
	if err := j.planObjects(ctx, conn, journal); err != nil {
		return nil, err
	}
	return journal, j.tolerate(ctx, conn)
}

// tolerate prepares for rows that PostgreSQL refuses; Greenplum keeps count of
// its own, but for those that it never sees.
func (j *job) tolerate(ctx context.Context, conn *pgx.Conn) error {
	if !j.spec.Tolerates() {
		return nil
	}
	if j.gp != nil {
		if j.spec.Convert != nil && j.tolerance == nil {
			j.tolerance = copy.NewTolerance(int64(j.spec.ErrorLimit), j.spec.ErrorPercent, 0, 0)
		}
		return nil
	}
	if err := ledger.EnsureErrors(ctx, conn); err != nil {
		return copy.Explain(err)
	}
	before, err := j.ledger.RejectedBefore(ctx, conn)
	if err != nil {
		return copy.Explain(err)
	}
	j.tolerance = copy.NewTolerance(int64(j.spec.ErrorLimit), j.spec.ErrorPercent, before, j.state.progress().Rows+before)
	j.tolerance.Converted = j.spec.Convert != nil
	j.state.update(func(p *Progress) { p.Rejected = j.prior.Rejected + before })
	return nil
}

// prepare asks the database what it is and builds the statements.
func (j *job) prepare(ctx context.Context, conn *pgx.Conn) error {
	var err error
	if j.server, err = copy.Ask(ctx, conn); err != nil {
		return err
	}
	if j.server.Greenplum {
		return j.prepareGreenplum(ctx, conn)
	}
	warnings, err := j.spec.OnPostgres()
	if err != nil {
		return err
	}
	j.warn(warnings)
	if err := j.createTarget(ctx, conn); err != nil {
		return err
	}
	target, err := copy.Find(ctx, conn, j.spec.Output)
	if err != nil {
		return err
	}
	j.encoding = j.spec.Format.Encoding
	if j.encoding == "" {
		j.encoding = j.server.Encoding
	}
	if j.plan, err = copy.NewPlan(j.spec, target, j.encoding); err != nil {
		return err
	}
	j.table, j.columns = target, j.plan.Columns
	return j.prepareModes(target)
}

// load reads all gaps and copies them, until all is done or one thing fails.
func (j *job) load(ctx context.Context) error {
	j.pieces = make(chan piece, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return j.readAll(ctx) })
	for range j.workers {
		g.Go(func() error { return j.work(ctx) })
	}
	return g.Wait()
}

// mostReaders are more than the cores of a machine that decompresses, and as
// many streams as a fast network takes.
const mostReaders = 16

// readers is how many objects are read at the same time.
func (j *job) readers() int { return min(len(j.objects), j.workers, mostReaders) }

// closeConn ends a session politely even when the context is over.
func closeConn(ctx context.Context, c *pgx.Conn) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = c.Close(ctx)
}
