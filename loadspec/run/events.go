package run

import (
	"context"
	"fmt"
	"time"

	"cw/schema"
	"cw/state"
)

// eventNames are the kinds of events of a job, by its kind.
var eventNames = map[string]jobEvents{ //nolint:gochecknoglobals // constant table
	"load": {
		"into", state.EventLoadStarted, state.EventLoadProgress, state.EventLoadPaused, state.EventLoadContinued,
		map[string]string{
			state.Done: state.EventLoadFinished, state.Partial: state.EventLoadFinished, state.Failed: state.EventLoadFailed,
			state.Cancelled: state.EventLoadCancelled, state.Interrupted: state.EventLoadInterrupted,
		},
	},
	"unload": {
		"of", state.EventUnloadStarted, state.EventUnloadProgress, state.EventUnloadPaused, state.EventUnloadContinued,
		map[string]string{
			state.Done: state.EventUnloadFinished, state.Partial: state.EventUnloadFinished, state.Failed: state.EventUnloadFailed,
			state.Cancelled: state.EventUnloadCancelled, state.Interrupted: state.EventUnloadInterrupted,
		},
	},
}

type jobEvents struct {
	whose                                string // what stands between the job and its target
	started, progress, paused, continued string
	ended                                map[string]string // by the state it ended in
}

// started is the event of a job that begins or goes on.
func (r *recorder) started(j state.Job) {
	if j.State == state.Interrupted && j.FinishedAt.IsZero() { // killed: nobody could write it then
		r.event(eventNames[r.kind].ended[state.Interrupted], "", "interrupted: its process "+j.Owner+" was gone", map[string]any{"state": state.Interrupted})
	}
	message := "started"
	if j.Bytes > 0 || j.Rows > 0 {
		message = fmt.Sprintf("goes on: %d rows, %s were done before", j.Rows, schema.FormatSize(j.Bytes))
	}
	r.mark.begin(time.Now(), j.Bytes, j.BytesTotal)
	r.event(eventNames[r.kind].started, "", message, map[string]any{"spec": j.SpecFile, "target": j.Target, "limit": j.WantLimit, "by": r.st.Who()})
}

// happened writes the events of a report: what changed, and milestones.
func (r *recorder) happened(p Progress) {
	names := eventNames[r.kind]
	if p.Paused != r.last.Paused {
		if p.Paused {
			r.event(names.paused, "", "paused at "+doneText(p), nil)
		} else {
			r.event(names.continued, "", "continued", nil)
		}
	}
	switch {
	case p.Waiting != nil && r.last.Waiting == nil:
		r.event(state.EventFault, state.Warning, "the database is gone, waiting for it: "+p.Waiting.Error(), nil)
	case p.Waiting == nil && r.last.Waiting != nil:
		r.event(state.EventRecovered, "", "the database is back", nil)
	}
	if (p.Phase == PhaseLoad || p.Phase == PhaseUnload) && !p.Paused && p.Waiting == nil && r.mark.reached(time.Now(), p.Bytes, p.BytesTotal) {
		n := numbers(p)
		r.event(names.progress, "", fmt.Sprintf("%s, %s", doneText(p), speedText(p)), map[string]any{
			"bytes": n.Bytes, "bytes_total": n.BytesTotal, "rows": n.Rows, "rejected": n.Rejected, "rate": n.Rate, "limit": n.Limit, "eta_seconds": n.ETASeconds,
		})
	}
}

// ended is the event of a job's end; text is its error, "" without one.
func (r *recorder) ended(end, severity, text string, res *Result) {
	message := map[string]string{
		state.Done: "finished", state.Partial: "finished", state.Failed: "failed", state.Cancelled: "cancelled", state.Interrupted: "interrupted",
	}[end]
	data := map[string]any{"state": end}
	if res != nil && res.ObjectsTotal > 0 {
		data["rows"], data["bytes"], data["rejected"], data["seconds"] = res.Rows, res.Bytes, res.Rejected, res.ThisRun.Seconds()
		if end == state.Done || end == state.Partial {
			message += fmt.Sprintf(": %d rows, %s in %s", res.Rows, schema.FormatSize(res.Bytes), res.ThisRun.Round(100*time.Millisecond))
		}
	}
	if text != "" && text != message {
		message += ": " + text
	}
	r.event(eventNames[r.kind].ended[end], severity, message, data)
}

func doneText(p Progress) string {
	if p.BytesTotal == 0 {
		return fmt.Sprintf("%s, %d rows", schema.FormatSize(p.Bytes), p.Rows)
	}
	return fmt.Sprintf("%d%% of %s, %d rows", 100*p.Bytes/p.BytesTotal, schema.FormatSize(p.BytesTotal), p.Rows)
}

func speedText(p Progress) string {
	text := schema.FormatSize(p.Rate) + "/s"
	if p.Limit > 0 {
		text += ", limit " + schema.FormatRate(p.Limit)
	}
	if p.ETASeconds >= 0 {
		text += ", " + (time.Duration(p.ETASeconds) * time.Second).String() + " left"
	}
	return text
}

// event writes down what happened to the job.
func (r *recorder) event(kind, severity, message string, data map[string]any) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 5*time.Second)
	defer cancel()
	if err := r.st.AddEvent(ctx, state.Event{
		Kind: kind, Severity: severity, Job: r.id, Message: fmt.Sprintf("%s %s %s %s: %s", r.kind, r.id, eventNames[r.kind].whose, r.target, message), Data: data,
	}); err != nil {
		r.warn(err)
	}
}

// milestone decides when a job's progress is an event: at every tenth of the
// whole, and after a while without one. The while grows with the time that the
// job has taken, so that a job of days writes some hundred events, not
// thousands.
type milestone struct {
	began, last time.Time
	tenth       int64
}

const (
	milestoneLeast = 30 * time.Second
	milestoneShare = 20 // of the time so far
)

func (m *milestone) begin(now time.Time, bytes, total int64) {
	m.began, m.last, m.tenth = now, now, tenthOf(bytes, total)
}

func (m *milestone) reached(now time.Time, bytes, total int64) bool {
	tenth := tenthOf(bytes, total)
	if tenth >= 10 { // which is for the end to say
		return false
	}
	if tenth <= m.tenth && now.Sub(m.last) < max(milestoneLeast, now.Sub(m.began)/milestoneShare) {
		return false
	}
	m.last, m.tenth = now, max(tenth, m.tenth)
	return true
}

func tenthOf(bytes, total int64) int64 {
	if total <= 0 {
		return 0
	}
	return int64(10 * (float64(bytes) / float64(total)))
}
