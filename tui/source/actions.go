package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
	"cw/fault"
	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

// Do implements Source.
func (l *Live) Do(ctx context.Context, a Action) (string, error) {
	switch a.Kind {
	case Refresh:
		l.store.now()
		l.ask.now()
		l.judge.now()
		return "", nil
	case Interval:
		l.mu.Lock()
		l.interval = clampInterval(a.Every)
		every := l.interval
		l.mu.Unlock()
		l.ask.now()
		l.tick.now()
		return "interval " + every.String(), nil
	}
	if a.DryRun && (a.Kind == Recover || a.Kind == Rebalance) {
		return l.plans(ctx, a)
	}
	if l.o.ReadOnly {
		return "", fault.New(fault.Usage, "start cw top without --read-only", "%s: this dashboard only looks", a.Kind)
	}
	began := time.Now()
	text, err := l.act(ctx, a)
	l.record(ctx, a, err, time.Since(began))
	return text, err
}

func (l *Live) act(ctx context.Context, a Action) (string, error) {
	switch a.Kind {
	case SetLimit:
		j, err := run.SetLimit(ctx, l.o.Store, a.Load, a.Limit)
		l.store.now()
		if err == nil && !j.Active() {
			return fmt.Sprintf("load %s is %s: limit %s is for when it is resumed", a.Load, j.State, schema.FormatRate(a.Limit)), nil
		}
		return fmt.Sprintf("limit of load %s is %s", a.Load, schema.FormatRate(a.Limit)), err
	case PauseLoad:
		return l.want(a.Load, "pauses", run.Pause(ctx, l.o.Store, a.Load))
	case ContinueLoad:
		return l.want(a.Load, "goes on", run.Continue(ctx, l.o.Store, a.Load))
	case CancelLoad:
		j, err := run.Cancel(ctx, l.o.Store, a.Load)
		if err == nil && j.State == state.Cancelled {
			return l.want(a.Load, "is cancelled", nil)
		}
		return l.want(a.Load, "ends", err)
	case CancelSession, TerminateSession:
		return l.signal(ctx, a)
	case Recover, Rebalance:
		return l.operate(ctx, a)
	default:
		return "", fault.New(fault.Usage, "", "unknown action %q", a.Kind)
	}
}

func (l *Live) want(id, what string, err error) (string, error) {
	l.store.now()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("load %s %s", id, what), nil
}

// signal cancels or ends a session, if it is still the one that was meant.
func (l *Live) signal(ctx context.Context, a Action) (string, error) {
	if l.db == nil || l.o.Cluster == "" {
		return "", fault.New(fault.Usage, "", "%s: there is no database", a.Kind)
	}
	function, done := "pg_cancel_backend", "cancelled the query of session %d%s"
	if a.Kind == TerminateSession {
		function, done = "pg_terminate_backend", "ended session %d%s"
	}
	who := ""
	err := l.db.do(ctx, func(ctx context.Context, c *pgx.Conn, can *abilities) error {
		if a.BackendStart.IsZero() { // it could be any session that has the pid by now
			return fault.New(fault.Auth, grantHint(can), "role %s may not see when session %d began, and cannot signal it", can.user, a.PID)
		}
		var sent bool
		err := c.QueryRow(ctx, "select coalesce(usename::text, ''), "+function+"(pid) from pg_stat_activity where pid = $1 and backend_start = $2 and pid <> pg_backend_pid()", a.PID, a.BackendStart).Scan(&who, &sent)
		var refused *pgconn.PgError
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fault.New(fault.Failed, "", "session %d has ended already", a.PID)
		case errors.As(err, &refused) && refused.Code == "42501":
			hint := "grant pg_signal_backend to " + can.user
			if can.greenplum {
				hint = "connect as a superuser"
			}
			return fault.New(fault.Auth, hint, "role %s may not signal session %d: %s", can.user, a.PID, refused.Message)
		case err == nil && !sent:
			return fault.New(fault.Failed, "", "session %d could not be signalled", a.PID)
		}
		return err
	})
	if err != nil && fault.KindOf(err) == fault.Auth && l.look != nil && !a.BackendStart.IsZero() {
		// The session's role may not; the cluster's owner may.
		if asked, serr := l.look.Signal(ctx, l.o.Cluster, a.PID, a.BackendStart, a.Kind == TerminateSession); asked && serr == nil {
			err = nil
		} else if serr != nil {
			l.log.Debug("the owner could not signal the session either", "pid", a.PID, "error", serr)
		}
	}
	l.ask.now()
	if err != nil {
		return "", err
	}
	if who != "" {
		who = " (" + who + ")"
	}
	return fmt.Sprintf(done, a.PID, who), nil
}

// operation plans what cw cluster recover would do.
func (l *Live) operation(ctx context.Context, a Action) (*manage.Operation, error) {
	if l.o.Manager == nil || l.o.Cluster == "" {
		return nil, fault.New(fault.Usage, "", "%s: there is no cluster", a.Kind)
	}
	if a.Cluster != "" && a.Cluster != l.o.Cluster {
		return nil, fault.New(fault.Usage, "", "%s: this dashboard is about cluster %s, not %s", a.Kind, l.o.Cluster, a.Cluster)
	}
	return l.o.Manager.Recover(ctx, l.o.Cluster, cluster.RecoverOptions{Rebalance: a.Kind == Rebalance})
}

// plans says what would be done, one step a line.
func (l *Live) plans(ctx context.Context, a Action) (string, error) {
	op, err := l.operation(ctx, a)
	if err != nil || op.Nothing != "" {
		return "", err // no plan: the dashboard says that there is nothing to do
	}
	view, err := op.Look(ctx)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, s := range view.Steps {
		if s.State == step.Skipped || s.State == step.Done {
			continue
		}
		where := s.Host
		if where == "" {
			where = "this machine"
		}
		line := where + ": " + s.Title
		if s.Destructive {
			line += " (removes data)"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n"), nil
}

func nothing(op *manage.Operation) string {
	if op == nil {
		return ""
	}
	return op.Nothing
}

func (l *Live) operate(ctx context.Context, a Action) (string, error) {
	op, err := l.operation(ctx, a)
	if err != nil || op.Nothing != "" {
		return nothing(op), err
	}
	out, err := op.Run(ctx, func(e step.Event) {
		l.log.Info("step", "verb", op.Verb, "step", e.Step.ID, "state", e.State, "error", e.Err)
	})
	l.ask.now()
	l.judge.now()
	l.store.now()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s: %d steps done, %d were done already, in %s", op.Verb, op.Cluster, len(out.Summary.Done), len(out.Summary.Skipped), out.Took.Round(100*time.Millisecond)), nil
}

// record writes an action into the audit and the events, whatever it came to
// and even when the dashboard is being left.
func (l *Live) record(ctx context.Context, a Action, err error, took time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	what := describe(a)
	audit := state.AuditRecord{Argv: "cw top: " + what, Cluster: l.o.Cluster, Duration: took}
	event := state.Event{Kind: state.EventAction, Cluster: l.o.Cluster, Job: a.Load, Message: what}
	if err != nil {
		audit.ExitCode, audit.Error = 1, reason(err)
		event.Severity, event.Message = state.Warning, what+": "+reason(err)
	}
	werr := errors.Join(l.o.Store.AddAudit(ctx, audit), l.o.Store.AddEvent(ctx, event))
	if werr != nil {
		l.log.Error("action not recorded", "action", what, "error", werr)
	}
	l.store.now()
}

// describe is an action as one types it, as far as there is a command for it.
func describe(a Action) string {
	switch a.Kind {
	case SetLimit:
		return fmt.Sprintf("load limit %s %s", a.Load, schema.FormatRate(a.Limit))
	case PauseLoad, ContinueLoad, CancelLoad:
		return fmt.Sprintf("load %s %s", a.Kind, a.Load)
	case CancelSession, TerminateSession:
		return fmt.Sprintf("%s %d", a.Kind, a.PID)
	}
	return string(a.Kind)
}
