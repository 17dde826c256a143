package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// What brings a node back under its primary, from the cheapest to the dearest.
const (
	actNothing = "nothing" // it streams
	actWait    = "wait"    // nothing is wrong that can be seen: it starts, connects or catches up
	actStart   = "start"
	actPoint   = "point"  // write whom it follows
	actRewind  = "rewind" // it wrote what the primary never had: pg_rewind
	actCopy    = "copy"   // pg_basebackup
	actUnslot  = "unslot" // drop what it kept for standbys of its own
	actRefuse  = "refuse" // it is something else altogether
)

// diagnosis is what is to be done about a node, and why.
type diagnosis struct{ act, why string }

// diagnose finds out how the node of v can follow the primary of p again. It
// looks at the data, not at what ought to have happened to it.
func (e *Engine) diagnose(v, p view, u upstream, full bool) diagnosis {
	switch {
	case v.unfinished:
		return diagnosis{actCopy, "a copy or pg_rewind was interrupted"}
	case v.proc == procNone:
		return diagnosis{actCopy, "no data directory"}
	case full && v.copied != e.Run:
		return diagnosis{actCopy, "a full copy was asked for"}
	case v.control.system != p.control.system:
		return diagnosis{actRefuse, "another database system, made by another initdb"}
	case v.proc == procBusy:
		return diagnosis{actWait, "starting, recovering or stopping"}
	case !v.signal:
		return diagnoseFormer(v, p.live)
	case v.proc == procStopped && !u.follows(v):
		return diagnosis{actPoint, "stopped, and does not follow " + p.node.Name()}
	case v.proc == procStopped:
		return diagnosis{actStart, "stopped"}
	case v.live == nil:
		return diagnosis{actWait, "does not answer"}
	}
	if d := diagnoseRunning(v, p, u); d.act != actNothing || len(e.stale(v, p)) == 0 {
		return d
	}
	return diagnosis{actUnslot, "has slots of the time when it was the primary"}
}

// diagnoseFormer is for a node that is, or was, a primary itself.
func diagnoseFormer(v view, p *live) diagnosis {
	tli, why := v.control.tli, "was the primary"
	if v.primary() {
		tli, why = v.live.TLI, "takes writes as a second primary"
	}
	at, known := p.fork(tli)
	switch {
	case tli == p.TLI:
		// It wrote on the primary's own timeline, where pg_rewind sees no
		// difference.
		return diagnosis{actCopy, why + ", on the timeline of the primary"}
	case v.proc == procStopped && v.control.clean() && known && v.control.checkpoint < at:
		return diagnosis{actPoint, why + ", and was shut down before the other took over"}
	}
	return diagnosis{actRewind, why}
}

// diagnoseRunning is for a standby that answers.
func diagnoseRunning(v, p view, u upstream) diagnosis {
	state := p.live.sender(v)
	if state == cluster.ModeStreaming {
		return diagnosis{actNothing, state}
	}
	at, known := p.live.fork(v.live.TLI)
	switch {
	case !known || v.live.LSN > at:
		return diagnosis{actRewind, fmt.Sprintf("has WAL up to %s of timeline %d, which the primary never had", v.live.LSN, v.live.TLI)}
	case v.live.LSN > 0 && v.live.LSN < p.live.oldest() && !v.live.Archive:
		return diagnosis{actCopy, fmt.Sprintf("needs WAL from %s, the primary has it from %s", v.live.LSN, p.live.oldest())}
	case !u.follows(v):
		return diagnosis{actPoint, "does not follow " + p.node.Name()}
	case state == "":
		state = "not connected"
	}
	return diagnosis{actWait, state}
}

// pair looks at a standby and then at its primary: in that order, so that a
// standby is never seen ahead of a primary that it follows.
func (e *Engine) pair(ctx context.Context, n, p cluster.Node) (v, pv view, u upstream, err error) {
	if v = e.view(ctx, n); v.host != nil {
		return v, pv, u, v.host
	}
	if pv = e.view(ctx, p); pv.host != nil {
		return v, pv, u, pv.host
	}
	u, err = e.upstream(ctx, v, p)
	return v, pv, u, err
}

// rejoinStep makes node n a standby of p that streams, whatever it was before.
// seen, the diagnosis at planning time, only makes the title.
func (e *Engine) rejoinStep(n, p cluster.Node, o cluster.RecoverOptions, seen diagnosis, needs ...string) step.Step {
	look := func(ctx context.Context) (diagnosis, view, view, error) {
		v, pv, u, err := e.pair(ctx, n, p)
		if err != nil {
			return diagnosis{}, v, pv, err
		}
		if !pv.primary() {
			return diagnosis{actWait, "primary " + p.Name() + " does not take writes"}, v, pv, nil
		}
		return e.diagnose(v, pv, u, o.Full), v, pv, nil
	}
	return step.Step{
		ID: "rejoin@" + n.Host, Host: n.Host, Title: rejoinTitle(n, p, seen), Needs: needs, Destructive: seen.act == actRewind || seen.act == actCopy,
		Check: func(ctx context.Context) (step.Observed, error) {
			d, _, _, err := look(ctx)
			return step.Observed{Done: d.act == actNothing, Note: d.why}, err
		},
		Apply: func(ctx context.Context) error { return e.rejoin(ctx, n, p, o) },
		Verify: func(ctx context.Context) error {
			d, v, pv, err := look(ctx)
			if err != nil || d.act == actNothing || pv.live != nil && pv.live.sender(v) == cluster.ModeCatchup {
				return err
			}
			return fmt.Errorf("done, but then found: %s", d.why)
		},
		Undo: func(ctx context.Context) error { return e.sweep(ctx, n) },
	}
}

func rejoinTitle(n, p cluster.Node, d diagnosis) string {
	switch d.act {
	case actStart:
		return fmt.Sprintf("start standby %s", n.Name())
	case actPoint:
		return fmt.Sprintf("make %s follow %s", n.Name(), p.Name())
	case actRewind:
		return fmt.Sprintf("wind %s back with pg_rewind (or copy it anew) and make it follow %s", n.Name(), p.Name())
	case actCopy:
		return fmt.Sprintf("copy %s to %s anew", p.Name(), n.Name())
	}
	return fmt.Sprintf("see %s stream from %s", n.Name(), p.Name())
}

// rejoin does one thing after the other until the node streams. Each thing is
// done once: what did not help will not help the second time, only pg_rewind
// has something to fall back to.
func (e *Engine) rejoin(ctx context.Context, n, p cluster.Node, o cluster.RecoverOptions) error {
	tried := map[string]bool{}
	limit := time.Now().Add(followPatience)
	force := ""
	for {
		v, pv, u, err := e.pair(ctx, n, p)
		if err != nil {
			return err
		}
		if !pv.primary() {
			return fault.New(fault.Failed, "cw cluster start "+e.top.Name, "primary %s on %s does not take writes: %s", p.Name(), p.Host, pv.describe())
		}
		d := e.diagnose(v, pv, u, o.Full)
		if force != "" {
			d.act, force = force, ""
		}
		switch {
		case d.act == actNothing:
			return nil
		case d.act == actRefuse:
			return fault.New(fault.Check, fmt.Sprintf("cw cluster recover %s --host %s --full copies %s over it", e.top.Name, n.Host, p.Name()), "%s on %s holds %s", n.DataDir, n.Host, d.why)
		case d.act == actWait && time.Now().Before(limit):
			if err := pause(ctx, pollInterval); err != nil {
				return err
			}
			continue
		case d.act == actWait && d.why == cluster.ModeCatchup:
			e.leave("node %s on %s is still catching up with %s", n.Name(), n.Host, p.Name())
			return nil
		case v.badConf != "" && tried[d.act]:
			return e.unusableFiles(v)
		case d.act == actWait, tried[d.act] && d.act != actRewind:
			hint := fmt.Sprintf("cw cluster logs %s shows why; to copy it anew: cw cluster recover %s --host %s --full", e.top.Name, e.top.Name, n.Host)
			return e.notStreaming(n, hint, fmt.Sprintf(" (%s)%s", d.why, e.logTail(ctx, n)))
		case tried[d.act]:
			d.act = actCopy
		}
		tried[d.act] = true
		if d.act == actUnslot {
			if err := e.dropSlots(ctx, n, e.stale(v, pv)); err != nil {
				return err
			}
			continue
		}
		if force, err = e.act(ctx, d, v, p, u, o); err != nil {
			return err
		}
		limit = time.Now().Add(followPatience)
	}
}

// act does one thing; next is what must come after it, "" to look again.
func (e *Engine) act(ctx context.Context, d diagnosis, v view, p cluster.Node, u upstream, o cluster.RecoverOptions) (next string, err error) {
	n := v.node
	if err := e.ensureSlot(ctx, p, u.slot); err != nil {
		return "", err
	}
	switch d.act {
	case actStart:
		err = e.start(ctx, n)
		if err != nil && anotherWay(err) {
			return actRewind, nil
		}
		return "", err
	case actPoint:
		if err := e.point(ctx, n, n.DataDir, u); err != nil || v.proc == procStopped {
			return "", err
		}
		return "", e.tool(ctx, n, "pg_ctl", "reload", "-D", n.DataDir, "-s")
	case actRewind:
		err := e.rewind(ctx, v, p, u)
		if err == nil || ctx.Err() != nil {
			return "", err
		}
		e.leave("node %s on %s was copied anew: pg_rewind could not be used: %s", n.Name(), n.Host, strings.ReplaceAll(err.Error(), "\n", "; "))
		return actCopy, nil
	default:
		return "", e.copyAnew(ctx, v, p, u, o.Rate)
	}
}

// anotherWay says whether a standby could not start because its history is
// not the primary's; the words are the server's own (xlogrecovery.c).
func anotherWay(err error) bool {
	return strings.Contains(err.Error(), "is not a child of this server's history") || strings.Contains(err.Error(), "requested timeline")
}

// ensureSlot makes a slot on a primary, or makes it anew when its WAL is gone.
func (e *Engine) ensureSlot(ctx context.Context, p cluster.Node, name string) error {
	if name == "" {
		return nil
	}
	err := e.alter(ctx, p, fmt.Sprintf(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %[1]s and not active and wal_status = 'lost';
select pg_create_physical_replication_slot(%[1]s, true) where not exists (select from pg_replication_slots where slot_name = %[1]s);
`, literal(name)))
	if err != nil {
		return fmt.Errorf("making replication slot %s on %s: %w", name, p.Name(), err)
	}
	return nil
}

// dropSlots drops slots that nobody uses.
func (e *Engine) dropSlots(ctx context.Context, n cluster.Node, names []string) error {
	quoted := make([]string, len(names))
	for i, s := range names {
		quoted[i] = literal(s)
	}
	err := e.alter(ctx, n, fmt.Sprintf("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active and slot_name in (%s);\n", strings.Join(quoted, ", ")))
	if err != nil {
		return fmt.Errorf("dropping replication slots of %s: %w", n.Name(), err)
	}
	return nil
}
