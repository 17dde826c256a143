package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cw/fault"
)

// The states of a Run and of a StepRecord.
const (
	Running     = "running"
	Done        = "done"
	Failed      = "failed"
	Interrupted = "interrupted"
	Skipped     = "skipped"
)

// Run is one execution of a plan.
type Run struct {
	ID         string
	Cluster    string
	Verb       string
	Plan       string // JSON
	State      string
	Owner      string // user@machine:pid
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
}

// StepRecord is the journal's line of one step of a run.
type StepRecord struct {
	Run        string
	Step       string
	Host       string
	State      string
	Observed   string
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
}

// StartRun records the beginning of a run and returns it with id, owner and
// start time filled in.
func (s *Store) StartRun(ctx context.Context, cluster, verb, plan string) (Run, error) {
	now, err := s.now(ctx)
	if err != nil {
		return Run{}, err
	}
	r := Run{ID: NewID("r"), Cluster: cluster, Verb: verb, Plan: plan, State: Running, Owner: s.self.String(), StartedAt: now}
	_, err = s.exec(ctx, `insert into runs (id, cluster, verb, plan, state, owner, error, started_at, finished_at) values (?,?,?,?,?,?,?,?,?)`,
		r.ID, r.Cluster, r.Verb, r.Plan, r.State, r.Owner, "", micros(now), 0)
	return r, err
}

// FinishRun records how a run ended.
func (s *Store) FinishRun(ctx context.Context, id, state, errText string) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	n, err := s.exec(ctx, "update runs set state=?, error=?, finished_at=? where id=?", state, fault.Redact(errText), micros(now), id)
	if err == nil && n == 0 {
		err = fmt.Errorf("run %s: %w", id, ErrNotFound)
	}
	return err
}

const runColumns = "id, cluster, verb, plan, state, owner, error, started_at, finished_at"

func scanRun(scan func(...any) error) (Run, error) {
	var r Run
	var started, finished int64
	err := scan(&r.ID, &r.Cluster, &r.Verb, &r.Plan, &r.State, &r.Owner, &r.Error, &started, &finished)
	r.StartedAt, r.FinishedAt = fromMicros(started), fromMicros(finished)
	return r, err
}

// LastRun returns the newest run of a cluster.
func (s *Store) LastRun(ctx context.Context, cluster string) (Run, error) {
	r, err := scanRun(s.queryRow(ctx, "select "+runColumns+" from runs where cluster=? order by started_at desc, id desc limit 1", cluster).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.Usage, "see the clusters with: cw cluster list", "no run of cluster %q: %w", cluster, ErrNotFound)
	}
	return r, s.failed(err)
}

// Runs lists the runs of a cluster, newest first; "" lists those of all.
func (s *Store) Runs(ctx context.Context, cluster string) ([]Run, error) {
	return collect(ctx, s, scanRun, "select "+runColumns+" from runs where cluster=? or ?='' order by started_at desc, id desc", cluster, cluster)
}

// RecordStep writes a step's line of the journal, replacing an earlier one of
// the same run. It is on disk when RecordStep returns.
func (s *Store) RecordStep(ctx context.Context, r StepRecord) error {
	_, err := s.exec(ctx, `insert into steps (run, step, host, state, observed, error, started_at, finished_at) values (?,?,?,?,?,?,?,?)
		on conflict (run, step) do update set state=excluded.state, observed=excluded.observed, error=excluded.error,
		started_at=excluded.started_at, finished_at=excluded.finished_at`,
		r.Run, r.Step, r.Host, r.State, fault.Redact(r.Observed), fault.Redact(r.Error), micros(r.StartedAt), micros(r.FinishedAt))
	return err
}

// Steps lists the journal of a run in the order the steps started.
func (s *Store) Steps(ctx context.Context, run string) ([]StepRecord, error) {
	return collect(ctx, s, func(scan func(...any) error) (StepRecord, error) {
		var r StepRecord
		var started, finished int64
		err := scan(&r.Run, &r.Step, &r.Host, &r.State, &r.Observed, &r.Error, &started, &finished)
		r.StartedAt, r.FinishedAt = fromMicros(started), fromMicros(finished)
		return r, err
	}, "select run, step, host, state, observed, error, started_at, finished_at from steps where run=? order by started_at, step", run)
}
