package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"cw/fault"
	"cw/schema"
)

// The states of a Job beside Running, Done, Failed and Interrupted.
const (
	Pending   = "pending"
	Paused    = "paused"
	Partial   = "partial" // done, with rejected rows
	Cancelled = "cancelled"
	Watching  = "watching" // all that there is is loaded; it looks for more
)

// What may be asked of a running job.
const (
	WantRun    = ""
	WantPause  = "pause"
	WantCancel = "cancel"
)

// Job is one load or unload. Bytes are those read from the source; rates and
// limits are bytes per second, 0 is no limit; ETASeconds is -1 when unknown.
type Job struct {
	ID       string
	Kind     string // load, unload
	SpecFile string // where the control file was read
	Spec     string // its text, without passwords
	Options  string // how it is run beyond that, in its runner's own words
	Target   string // database and table, for people
	State    string
	Phase    string // what it is doing now
	Error    string
	Owner    string // user@machine:pid of the process that runs it
	PID      int
	Timing   string // how the time was spent, as JSON; "" until the end
	Progress
	StartedAt  time.Time
	FinishedAt time.Time
	UpdatedAt  time.Time
	Control
}

// Progress is what a running job reports.
type Progress struct {
	Bytes, BytesTotal     int64
	Rows, Rejected        int64
	Objects, ObjectsTotal int64
	Skipped               int64  // objects that earlier jobs had loaded
	SkippedBy             string // those jobs, with commas between
	Rate, Limit           int64
	ETASeconds            int64
	LimitReason           string // what Limit comes from when not from WantLimit
}

// Control is what operators ask of a running job.
type Control struct {
	WantLimit int64 // bytes per second; 0 none
	Want      string
	Group     string // of jobs that share a limit; "" none
	// GroupLimit is that limit in bytes per second, 0 none; JobControl alone
	// tells it.
	GroupLimit int64
}

const jobColumns = `id, kind, spec_file, spec, target, state, phase, error, owner, pid, started_at, finished_at, updated_at,
	bytes, bytes_total, rows_loaded, rejected, objects, objects_total, rate, rate_limit, eta_seconds, want_limit, want,
	limit_reason, speed_group, timing, options, skipped, skipped_by`

func scanJob(scan func(...any) error) (Job, error) {
	var j Job
	var started, finished, updated int64
	err := scan(&j.ID, &j.Kind, &j.SpecFile, &j.Spec, &j.Target, &j.State, &j.Phase, &j.Error, &j.Owner, &j.PID, &started, &finished, &updated,
		&j.Bytes, &j.BytesTotal, &j.Rows, &j.Rejected, &j.Objects, &j.ObjectsTotal, &j.Rate, &j.Limit, &j.ETASeconds, &j.WantLimit, &j.Want,
		&j.LimitReason, &j.Group, &j.Timing, &j.Options, &j.Skipped, &j.SkippedBy)
	j.StartedAt, j.FinishedAt, j.UpdatedAt = fromMicros(started), fromMicros(finished), fromMicros(updated)
	return j, err
}

// CreateJob adds a job in state Pending, with a new id unless it has one.
func (s *Store) CreateJob(ctx context.Context, j Job) (Job, error) {
	now, err := s.now(ctx)
	if err != nil {
		return j, err
	}
	if j.ID == "" {
		j.ID = NewID("l")
	}
	j.State, j.StartedAt, j.UpdatedAt, j.Owner, j.PID, j.ETASeconds = Pending, now, now, s.self.String(), s.self.pid, -1
	_, err = s.exec(ctx, "insert into jobs ("+jobColumns+") values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		j.ID, j.Kind, j.SpecFile, j.Spec, j.Target, j.State, j.Phase, j.Error, j.Owner, j.PID, micros(j.StartedAt), 0, micros(now),
		j.Bytes, j.BytesTotal, j.Rows, j.Rejected, j.Objects, j.ObjectsTotal, j.Rate, j.Limit, j.ETASeconds, j.WantLimit, j.Want,
		j.LimitReason, j.Group, j.Timing, j.Options, j.Skipped, j.SkippedBy)
	return j, err
}

// StartJob marks a job as running in this process and clears an earlier end
// and an earlier request to stop.
func (s *Store) StartJob(ctx context.Context, id string) error {
	return s.updateJob(ctx, id, "state=?, owner=?, pid=?, finished_at=0, error='', want=''", Running, s.self.String(), s.self.pid)
}

// SetJobState records a state and phase of a job that goes on.
func (s *Store) SetJobState(ctx context.Context, id, state, phase string) error {
	return s.updateJob(ctx, id, "state=?, phase=?", state, phase)
}

// SetJobProgress records how far a job is.
func (s *Store) SetJobProgress(ctx context.Context, id string, p Progress) error {
	return s.updateJob(ctx, id, "bytes=?, bytes_total=?, rows_loaded=?, rejected=?, objects=?, objects_total=?, rate=?, rate_limit=?, eta_seconds=?, limit_reason=?, skipped=?, skipped_by=?",
		p.Bytes, p.BytesTotal, p.Rows, p.Rejected, p.Objects, p.ObjectsTotal, p.Rate, p.Limit, p.ETASeconds, p.LimitReason, p.Skipped, p.SkippedBy)
}

// FinishJob records how a job ended; timing is how its time was spent, as
// JSON, or "".
func (s *Store) FinishJob(ctx context.Context, id, state, errText, timing string) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	return s.updateJob(ctx, id, "state=?, error=?, timing=?, finished_at=?, rate=0, phase=''", state, fault.Redact(errText), timing, micros(now))
}

// SetJobLimit asks a job to go at limit bytes per second; 0 is no limit. The
// change is an event, written with it: who changed it from what to what.
func (s *Store) SetJobLimit(ctx context.Context, id string, limit int64) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = tx.Rollback() }()
	query := "select kind, want_limit from jobs where id=?"
	if s.shared {
		query += " for update"
	}
	var kind string
	var before int64
	err = tx.QueryRowContext(ctx, s.rebind(query), id).Scan(&kind, &before)
	if errors.Is(err, sql.ErrNoRows) {
		_ = tx.Rollback() // it holds the only connection, which noJob needs
		return s.noJob(ctx, id)
	}
	if err != nil {
		return s.failed(err)
	}
	if _, err := tx.ExecContext(ctx, s.rebind("update jobs set want_limit=?, updated_at=? where id=?"), limit, micros(time.Now()), id); err != nil {
		return s.failed(err)
	}
	if limit != before {
		row, err := Event{Kind: EventLimitChanged, Job: id, Data: map[string]any{"from": before, "to": limit, "by": s.Who()}, Message: fmt.Sprintf(
			"limit of %s %s changed from %s to %s by %s", kind, id, schema.FormatRate(before), schema.FormatRate(limit), s.Who())}.row(now)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, s.rebind(insertEvent), row...); err != nil {
			return s.failed(err)
		}
	}
	return s.failed(tx.Commit())
}

// SetJobOptions changes how a job is run when it is resumed.
func (s *Store) SetJobOptions(ctx context.Context, id, options string) error {
	return s.updateJob(ctx, id, "options=?", options)
}

// SetJobWant asks a job to pause, cancel or go on.
func (s *Store) SetJobWant(ctx context.Context, id, want string) error {
	return s.updateJob(ctx, id, "want=?", want)
}

func (s *Store) updateJob(ctx context.Context, id, set string, args ...any) error {
	n, err := s.exec(ctx, "update jobs set "+set+", updated_at=? where id=?", append(args, micros(time.Now()), id)...)
	if err == nil && n == 0 {
		return s.noJob(ctx, id)
	}
	return err
}

// JobControl reads what is asked of a job and of its group. It is cheap:
// runners call it several times a second.
func (s *Store) JobControl(ctx context.Context, id string) (Control, error) {
	var c Control
	err := s.queryRow(ctx, "select j.want_limit, j.want, j.speed_group, coalesce(g.rate_limit, 0) from jobs j left join speed_groups g on g.name=j.speed_group where j.id=?", id).
		Scan(&c.WantLimit, &c.Want, &c.Group, &c.GroupLimit)
	if errors.Is(err, sql.ErrNoRows) {
		return c, s.noJob(ctx, id)
	}
	return c, s.failed(err)
}

// JobLease is the name of the lease that a job's runner holds.
func JobLease(id string) string { return "job/" + id }

// Job finds a job. One that says it runs though no live process holds its
// lease is reported as Interrupted.
func (s *Store) Job(ctx context.Context, id string) (Job, error) {
	j, err := scanJob(s.queryRow(ctx, "select "+jobColumns+" from jobs where id=?", id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return j, s.noJob(ctx, id)
	}
	if err != nil {
		return j, s.failed(err)
	}
	return j, s.markInterrupted(ctx, &j)
}

// Jobs lists jobs, newest first, interrupted ones marked as in Job.
func (s *Store) Jobs(ctx context.Context) ([]Job, error) {
	jobs, err := collect(ctx, s, scanJob, "select "+jobColumns+" from jobs order by started_at desc, id desc")
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if err := s.markInterrupted(ctx, &jobs[i]); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// RecentJobs lists the jobs that are being worked on and those that changed
// since then, newest first, without the texts of their control files: it is
// for those who ask every second.
func (s *Store) RecentJobs(ctx context.Context, since time.Time) ([]Job, error) {
	jobs, err := collect(ctx, s, scanJob, "select "+briefColumns()+" from jobs where updated_at>=? or state in (?,?,?,?) order by started_at desc, id desc",
		micros(since), Running, Paused, Pending, Watching)
	if err != nil {
		return nil, err
	}
	recent := jobs[:0]
	for _, j := range jobs {
		if err := s.markInterrupted(ctx, &j); err != nil {
			return nil, err
		}
		if j.Active() || !j.UpdatedAt.Before(since) {
			recent = append(recent, j)
		}
	}
	return recent, nil
}

// NewestJobs lists at most n of the jobs whose ids begin so, the newest first,
// without the texts of their control files: for those who want names at once.
func (s *Store) NewestJobs(ctx context.Context, prefix string, n int) ([]Job, error) {
	jobs, err := collect(ctx, s, scanJob, "select "+briefColumns()+" from jobs where substr(id, 1, ?)=? order by started_at desc, id desc limit ?",
		utf8.RuneCountInString(prefix), prefix, n)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if err := s.markInterrupted(ctx, &jobs[i]); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// briefColumns are jobColumns without what is long.
func briefColumns() string {
	return strings.NewReplacer("spec_file, spec,", "spec_file, '',", "timing, options,", "'', options,").Replace(jobColumns)
}

// Active says whether a job is being worked on as far as its record says.
func (j Job) Active() bool {
	return j.State == Running || j.State == Paused || j.State == Pending || j.State == Watching
}

func (s *Store) markInterrupted(ctx context.Context, j *Job) error {
	if !j.Active() {
		return nil
	}
	held, err := s.LeaseHeld(ctx, JobLease(j.ID))
	if err == nil && !held && time.Since(j.UpdatedAt) > pendingGrace(j.State) {
		j.State, j.Rate = Interrupted, 0
	}
	return err
}

// pendingGrace leaves a job that was just created the moment it needs to take
// its lease; a running job took it before it said so.
func pendingGrace(state string) time.Duration {
	if state == Pending {
		return 5 * time.Second
	}
	return 0
}

func (s *Store) noJob(ctx context.Context, id string) error {
	// The newest are enough: nobody mistypes an id of last year.
	return fault.New(fault.Usage, s.meant(ctx, id, "select id from jobs order by started_at desc limit 1000", "see the jobs with: cw load list"),
		"job %q: %w in store %s", id, ErrNotFound, s.where)
}
