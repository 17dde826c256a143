package greenplum

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// holdPatience is how long the catalogue lock is waited for. While it is, the
// engine refuses changes of the catalogue already, so that it must not be long.
const holdPatience = time.Minute

// hold is a session of the coordinator with an open transaction that holds the
// engine's catalogue lock (gp_expand_lock_catalog in gpexpand.c): nobody else
// changes the catalogue while it is there, which is refused with "gpexpand in
// progress"; rows are read and written as ever. The session reads from a pipe
// of this process: when cw ends, however it does, so does the session, and the
// transaction with the lock is rolled back.
type hold struct {
	in    *io.PipeWriter
	lines chan string
	ended chan struct{}
	err   error // why it ended; to be read when ended is closed
	marks int
}

// holdCatalog opens the session and takes the lock. It lasts until release, or
// until ctx ends.
func (e *Engine) holdCatalog(ctx context.Context) (*hold, error) {
	s := session{node: e.coordinator(), options: utility}
	home, err := e.home(ctx, s.node.Host)
	if err != nil {
		return nil, err
	}
	input, in := io.Pipe()
	output, out := io.Pipe()
	h := &hold{in: in, lines: make(chan string), ended: make(chan struct{})}
	go func() {
		defer close(h.lines)
		for r := bufio.NewScanner(output); r.Scan(); {
			select {
			case h.lines <- r.Text():
			case <-ctx.Done():
				_ = output.CloseWithError(context.Cause(ctx))
				return
			}
		}
	}()
	go func() {
		_, err := e.Fleet.Host(s.node.Host).Run(ctx, remote.Cmd{
			Args: []string{"/bin/sh", "-c", prelude + psqlScript, "cw", home, e.connInfo(s), e.dialect(s.options)}, As: e.top.OSUser, Dir: "/", Stdin: input, Stdout: out,
		})
		var exit *remote.ExitError
		switch {
		case errors.As(err, &exit):
			err = fmt.Errorf("%s: %s", exit.Host, clean(exit.Stderr))
		case err == nil:
			err = errors.New("the session has ended")
		}
		h.err = err
		_ = input.CloseWithError(err)
		_ = out.Close()
		close(h.ended)
	}()
	err = h.exec(ctx, fmt.Sprintf("set client_min_messages = warning;\nset statement_timeout = 0;\nset lock_timeout = '%ds';\nbegin;\nselect gp_expand_lock_catalog();", int(holdPatience.Seconds())))
	if err != nil {
		h.release()
		return nil, e.notHeld(ctx, err)
	}
	return h, nil
}

// exec runs statements in the session. The first error ends the session, and
// with it everything it did.
func (h *hold) exec(ctx context.Context, statements string) error {
	h.marks++
	mark := fmt.Sprintf("cw-mark-%d", h.marks)
	if _, err := fmt.Fprintf(h.in, "%s\n\\echo %s\n", statements, mark); err != nil {
		<-h.ended
		return h.err
	}
	for {
		select {
		case line, ok := <-h.lines:
			switch {
			case !ok:
				<-h.ended
				return h.err
			case line == mark:
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// alive says whether the session is there, and the lock with it.
func (h *hold) alive() bool {
	select {
	case <-h.ended:
		return false
	default:
		return true
	}
}

// release ends the session; what it did not commit is rolled back.
func (h *hold) release() {
	_ = h.in.Close()
	<-h.ended
}

// notHeld explains why the lock was not had: it names who has it.
func (e *Engine) notHeld(ctx context.Context, err error) error {
	if !strings.Contains(err.Error(), "lock timeout") {
		return fmt.Errorf("locking the catalogue: %w", err)
	}
	// The tag of the lock is in gpexpand.c.
	out, qerr := e.sql(ctx, session{node: e.coordinator(), options: utility}, `select coalesce(string_agg(distinct usename || ' (process ' || a.pid || ', ' || state || ')', ', '), 'nobody any more')
from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'userlock' and l.granted;`)
	if qerr != nil {
		out = "unknown: " + clean(qerr.Error())
	}
	return fault.New(fault.Locked, "have them commit, or end them with pg_terminate_backend",
		"the catalogue could not be locked within %s: transactions that changed it are open: %s", holdPatience, out)
}

// holdStep takes the catalogue lock for the steps that follow.
func (e *Engine) holdStep(needs []string, unneeded func(context.Context) (bool, error)) step.Step {
	return step.Step{
		ID: "hold@" + e.coordinator().Name(), Host: e.coordinator().Host, Title: "hold the catalogue: others change rows, but no tables, until the point of no return", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if done, err := unneeded(ctx); err != nil || done {
				return step.Observed{Done: done, Note: "not needed any more"}, err
			}
			held := e.growth.current() != nil
			return step.Observed{Done: held, Note: choose(held, "held", "not held")}, nil
		},
		Apply: func(ctx context.Context) error {
			h, err := e.holdCatalog(ctx)
			if err != nil {
				return err
			}
			e.growth.take(h)
			return nil
		},
	}
}
