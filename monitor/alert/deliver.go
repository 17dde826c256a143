package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
	"cw/state"
)

// work tells one receiver, one message after the other: a slow one holds up
// nobody but itself. It begins nothing after ctx, and what it sends ends with
// sending.
func (d *Dispatcher) work(ctx, sending context.Context, in <-chan []batch) {
	for {
		select {
		case <-ctx.Done():
			return
		case list := <-in:
			told := false
			for len(list) > 0 && ctx.Err() == nil {
				b := list[0]
				list = list[1:]
				told = d.tell(ctx, sending, b) || told
				select { // what was decided before a slow try may be old
				case list = <-in:
				default:
				}
			}
			if told {
				d.Poke() // what comes after these
			}
		}
	}
}

// tell claims a batch, sends it and says how that went. It is false when the
// batch is somebody else's.
func (d *Dispatcher) tell(ctx, sending context.Context, b batch) bool {
	logger := d.o.Log.With("receiver", b.receiver.Name, "reason", b.reason)
	// Each claim goes from one state to the next only: a copy of the store
	// that lags must not mix what was tried with what is new.
	stale, retry := never, never
	switch {
	case b.stale:
		stale = timeout(b.receiver) + spareTime
	case b.tries > 0:
		retry = backoff(b.tries)
	}
	claim, err := d.o.Store.ClaimDeliveries(ctx, b.receiver.Name, b.notices, stale, retry)
	if err != nil || len(claim.Notices) == 0 {
		if err != nil && ctx.Err() == nil {
			logger.Warn("a notice cannot be claimed", "error", err)
		}
		return false
	}
	alerts := make([]state.Alert, 0, len(claim.Notices))
	for i, n := range b.notices {
		if slices.Contains(claim.Notices, n) {
			alerts = append(alerts, b.alerts[i])
		}
	}
	now, late := claim.At, time.Duration(0)
	if over := now.Sub(b.due); b.tries > 0 && over >= lateFrom {
		late = over
	}
	status := monitor.Firing
	if b.reason == monitor.ReasonResolved {
		status = monitor.Resolved
	}
	n := monitor.NewNotice(messageID(b.receiver.Name, claim.Notices), status, b.reason, b.receiver.Name, b.group, now, late, alerts)
	how := state.GivenUp
	if b.tries > 0 && now.Sub(b.due) > giveUp {
		err = fmt.Errorf("for %s it could not be told: %s", giveUp, b.problem)
	} else {
		how, err = d.send(sending, b.receiver, n)
	}
	d.finish(sending, claim, how, err)
	d.count(b.receiver.Name, how)
	d.o.OnTold(b.receiver, n, how, err)
	if err != nil {
		logger.Warn("a receiver could not be told", "result", how, "tries", claim.Tries, "error", err)
	}
	if how == state.GivenUp {
		d.gaveUp(sending, n, err)
	}
	return true
}

// send says what becomes of a notice that is sent.
func (d *Dispatcher) send(ctx context.Context, r monitor.Receiver, n monitor.Notice) (string, error) {
	err := d.o.Send(ctx, r, n)
	var refused *notify.RefusedError
	var partly *partlyError
	switch {
	case err == nil || errors.As(err, &partly): // which of the addresses have it not is in the error
		return state.Sent, err
	case errors.As(err, &refused):
		return state.GivenUp, err
	}
	return state.TryLater, err
}

// finish records how it went. Nothing is worse than not to know that something
// was sent: it is tried until others would take the claim for abandoned.
func (d *Dispatcher) finish(sending context.Context, c state.Claim, how string, reason error) {
	text := ""
	if reason != nil {
		text = d.o.Redact(monitor.OneLine(reason.Error(), 500))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sending), spareTime)
	defer cancel()
	for {
		mine, err := d.o.Store.FinishDeliveries(ctx, c, how, text)
		if err == nil {
			if !mine {
				d.o.Log.Warn("a notice took so long that another monitor took it over", "receiver", c.Receiver, "notices", c.Notices)
			}
			return
		}
		select {
		case <-ctx.Done():
			d.o.Log.Error("that a notice was "+how+" cannot be recorded", "receiver", c.Receiver, "notices", c.Notices, "error", err)
			return
		case <-sending.Done():
			return // the store is gone and the monitor is to end
		case <-time.After(beat):
		}
	}
}

// gaveUp makes an event of what somebody was not told.
func (d *Dispatcher) gaveUp(sending context.Context, n monitor.Notice, reason error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(sending), spareTime)
	defer cancel()
	message := fmt.Sprintf("receiver %s was not told %q", n.Receiver, n.Title)
	if reason != nil {
		message += ": " + monitor.OneLine(reason.Error(), 500)
	}
	e := state.Event{Kind: state.EventNotTold, Severity: state.Warning, Cluster: n.Group["cluster"], Message: d.o.Redact(message), Data: map[string]any{"receiver": n.Receiver, "notice": n.ID}}
	if err := d.o.Store.AddEvent(ctx, e); err != nil {
		d.o.Log.Warn("an event could not be written", "error", err)
	}
}
