package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/ledger"
)

const (
	// defaultCommit is how many bytes of rows one statement loads.
	defaultCommit = 10 << 30
	// pieceOnWire is what a segment gets at a time: so little that all
	// segments have work, so much that nobody notices the seams.
	pieceOnWire = 512 << 10

	// piecesBudget is how many bytes of rows may be on their way at the same
	// time, unless PARALLEL: SPLIT is larger.
	piecesBudget = 64 << 20
	// segmentsPerURL is how many segments read one location at most
	// (gp_external_max_segs' default).
	segmentsPerURL = 64
)

// greenplum is what a load into Greenplum is made of.
type greenplum struct {
	load     *external.Load
	table    external.Table // without name and locations
	segments []string       // addresses of the segments' hosts
	addrs    []string       // this machine as segments reach it
	perHost  int            // locations per server
}

// prepareGreenplum asks the database what the target is and builds the
// statements.
func (j *job) prepareGreenplum(ctx context.Context, conn *pgx.Conn) error {
	warnings, err := j.spec.OnGreenplum()
	if err != nil {
		return err
	}
	j.warn(warnings)
	if err := j.createTarget(ctx, conn); err != nil {
		return err
	}
	target, err := external.Describe(ctx, conn, j.spec.Output)
	if err != nil {
		return copy.Explain(err)
	}
	mapping, err := external.NewMapping(target, j.spec.Columns, j.spec.Output.Mapping)
	if err != nil {
		return err
	}
	o := j.spec.Output
	g := &greenplum{load: &external.Load{
		Target: target, Mapping: mapping, Staging: "pg_temp.cw_load_stage", Match: o.Match, Update: o.Update, Condition: o.Condition,
	}}
	if o.Mode != loadspec.ModeInsert {
		if err := g.load.Check(); err != nil {
			return err
		}
	}
	stamps := j.spec.Stamps(mapping.Columns)
	if len(stamps) > 0 && j.spec.Format.EscapeOff {
		return fault.New(fault.Usage, "leave ESCAPE: OFF out", "MAPPING: %s cannot be told from the fields of a file without escapes", stamps[0].Name)
	}
	g.table = external.Table{Schema: "pg_temp", Temp: true, Columns: slices.Concat(stamps, mapping.Columns), Encoding: j.spec.Format.Encoding}
	if g.table.Format, err = external.NewFormat(j.spec.Format, mapping.Columns); err != nil {
		return err
	}
	g.table.Format.Header = false // the server has dropped it
	// Without a limit, too, bad rows are logged: the log alone knows which
	// object and line it was. Two is the smallest limit there is.
	g.table.RejectLimit, g.table.LogErrors = max(j.spec.ErrorLimit, 2), true
	if j.spec.ErrorPercent > 0 {
		g.table.RejectLimit, g.table.Percent = int(j.spec.ErrorPercent), true
	}
	j.encoding = j.spec.Format.Encoding
	if j.encoding == "" {
		j.encoding = j.server.Encoding
	}
	if err := g.advertise(ctx, conn, j.spec.Sources[0]); err != nil {
		return err
	}
	g.perHost = max(1, (target.Engine.Primaries+segmentsPerURL-1)/segmentsPerURL)
	j.gp, j.columns = g, mapping.Columns
	return nil
}

// target is the table that is loaded, in SQL.
func (j *job) target() string {
	if j.gp != nil {
		return j.gp.load.Target.Name()
	}
	return j.table.Name()
}

// pieceSize is how many bytes of rows go together.
func (j *job) pieceSize() int {
	if j.gp != nil {
		return min(int(j.spec.Split), pieceOnWire)
	}
	if j.spec.Split != loadspec.DefaultSplit {
		return int(j.spec.Split)
	}
	// One in the hands of each reader and each worker.
	return min(loadspec.DefaultSplit, max(piecesBudget/(j.readers()+j.workers+1), loadspec.MinSplit))
}

// lock makes the job this session's. On Greenplum a session that was left
// behind ends only when its statement does: it is ended.
func (j *job) lock(ctx context.Context, conn *pgx.Conn) error {
	if j.gp == nil {
		return j.ledger.Lock(ctx, conn, 10*time.Second)
	}
	err := j.ledger.Lock(ctx, conn, time.Second)
	if fault.KindOf(err) == fault.Locked {
		// Whoever runs here holds the job's lease, so that session has no
		// owner any more.
		if _, err := conn.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()", "cw load "+j.o.Job); err != nil {
			return copy.Explain(err)
		}
		err = j.ledger.Lock(ctx, conn, 30*time.Second)
	}
	if err != nil {
		return err
	}
	return j.dropOrphans(ctx, conn)
}

// tablePrefix begins the names of a job's external tables.
func tablePrefix(job string) string { return "cw_load_" + job + "_" }

// dropOrphans removes external tables of earlier sessions of the job: a
// session that ends because a segment went away leaves its temporary tables.
func (j *job) dropOrphans(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select n.nspname::text, c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname like 'pg\_temp\_%' and substr(c.relname, 1, length($1::text)) = $1::text`, tablePrefix(j.o.Job))
	if err != nil {
		return copy.Explain(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Schema, Name string }])
	if err != nil {
		return copy.Explain(err)
	}
	for _, t := range tables {
		orphan := external.Table{Schema: t.Schema, Name: t.Name}
		if _, err := conn.Exec(ctx, orphan.Drop(), pgx.QueryExecModeSimpleProtocol); err != nil {
			return copy.Explain(err)
		}
	}
	return nil
}

// strikes is how often in a row segments may lose this server before the load
// gives up.
const strikes = 3

// runGreenplum loads what is left, over as many sessions as it takes. After a
// lost one the ledger says what was committed.
func (j *job) runGreenplum(ctx context.Context, conn *pgx.Conn, journal *ledger.Journal) error {
	retry := j.newRetry()
	lost := 0
	for {
		before := j.state.committedBytes()
		err := j.course(ctx, conn, journal)
		closeConn(ctx, conn)
		if err == nil {
			return nil
		}
		served := j.state.progress().Bytes > before
		j.state.rollback()
		if j.state.committedBytes() > before {
			retry.reset()
			lost = 0
		}
		var segments *segmentsError
		if errors.As(err, &segments) {
			// Where nothing has ever arrived, nothing will: the address, a
			// firewall or the certificate is wrong.
			if lost++; !served || lost > strikes || ctx.Err() != nil {
				return err
			}
			j.o.Log.Warn("segments lost this server; trying again", "error", err)
		} else if !retry.again(ctx, err) {
			return err
		}
		if conn, journal, err = j.setUp(ctx); err != nil {
			return err
		}
		j.state.waiting(nil)
	}
}

// segmentsError is what segments say when they cannot read from this machine.
// It is no lost database connection, whose SQLSTATE it has.
type segmentsError struct {
	text  string
	addrs []string
}

func (e *segmentsError) Error() string { return e.text }

// FaultKind says that somebody is not reached.
func (e *segmentsError) FaultKind() fault.Kind { return fault.Unreachable }

// FaultHint says what to open.
func (e *segmentsError) FaultHint() string {
	return fmt.Sprintf("segments read from this machine at %s: open its port for them, or name an address they reach under LOCAL_HOSTNAME (and PORT_RANGE)", strings.Join(e.addrs, ", "))
}

// course is everything the job does in one session.
func (j *job) course(ctx context.Context, conn *pgx.Conn, journal *ledger.Journal) error {
	steps := &stepper{j: j, conn: conn, done: journal.Done, here: true}
	if journal.Done[ledger.After] {
		return nil
	}
	if err := ledger.EnsureErrors(ctx, conn); err != nil {
		return err
	}
	w, err := j.startSuppliers(ctx)
	if err != nil {
		return err
	}
	defer w.stop(ctx)
	if j.spec.Truncate && !journal.Done[ledger.Truncate] && j.round == 0 {
		return j.allAtOnce(ctx, conn, w)
	}
	if err := steps.once(ctx, ledger.Before, j.spec.Before); err != nil {
		return err
	}
	j.state.phase(PhaseLoad)
	for {
		more, err := j.wave(ctx, conn, w, j.commitBytes(), nil)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	if j.tolerance != nil {
		if err := j.tolerance.End(); err != nil {
			return err
		}
	}
	return steps.once(ctx, ledger.After, j.spec.After)
}

func (j *job) commitBytes() int64 {
	if j.spec.Commit > 0 {
		return j.spec.Commit
	}
	return defaultCommit
}

// allAtOnce empties the table and loads it in one transaction: nobody ever
// sees it empty, and a load that fails leaves it as it was.
func (j *job) allAtOnce(ctx context.Context, conn *pgx.Conn, w suppliers) error {
	inside := func(tx pgx.Tx, step ledger.Step, sql string) error {
		j.state.phase(string(step))
		if err := j.ledger.OnceIn(ctx, tx, step, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil || step != ledger.Truncate {
				return err
			}
			return j.ledger.Emptied(ctx, tx, j.targetOf())
		}); err != nil {
			return stepError(step, err)
		}
		return nil
	}
	first := func(tx pgx.Tx) error {
		if err := inside(tx, ledger.Truncate, "TRUNCATE "+j.target()); err != nil {
			return err
		}
		if j.spec.Before != "" {
			if err := inside(tx, ledger.Before, j.spec.Before); err != nil {
				return err
			}
		}
		j.state.phase(PhaseLoad)
		return nil
	}
	last := func(tx pgx.Tx) error {
		if j.spec.After == "" {
			return nil
		}
		return inside(tx, ledger.After, j.spec.After)
	}
	more, err := j.wave(ctx, conn, w, 1<<62, &around{first, last})
	if err != nil || more {
		return err
	}
	// Nothing to load: the objects are empty.
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		return last(tx)
	})
}

// around is what happens in the transaction of the only wave.
type around struct{ first, last func(pgx.Tx) error }

// explainWave makes what Greenplum says about its segments' trouble with this
// server into something to act on.
func (j *job) explainWave(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "08006" {
		text := pg.Message
		if pg.Detail != "" {
			text += ": " + pg.Detail
		}
		return &segmentsError{text: text, addrs: j.gp.addrs}
	}
	if errors.As(err, &pg) && pg.Code == "42501" {
		return fault.New(fault.Auth, "as a superuser: alter role "+loadspec.QuoteIdent(j.server.User)+" createexttable (type='readable', protocol='gpfdist') createexttable (type='writable', protocol='gpfdist')", "%w", err)
	}
	return copy.Explain(err)
}
