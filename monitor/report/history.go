package report

import (
	"context"
	"time"

	"cw/state"
)

// loads counts the jobs of the last days. A job does not say which cluster it
// is for: they are all that the store has.
func (b *builder) loads(ctx context.Context) {
	if !b.wants(SectionLoads) {
		return
	}
	since := b.o.Now.Add(-BackDays * 24 * time.Hour)
	jobs, err := b.o.Store.RecentJobs(ctx, since)
	if err != nil {
		b.missing(SectionLoads, "", err)
		return
	}
	l := &Loads{Days: BackDays}
	for _, j := range jobs {
		l.Count++
		switch {
		case j.State == state.Failed || j.State == state.Interrupted:
			l.Failed++
		case j.Active():
			l.Running++
		}
		l.Bytes += j.Bytes
		l.Rows += j.Rows
		l.Rejected += j.Rejected
	}
	b.r.Loads = l
}

func (b *builder) alerts(ctx context.Context) {
	if !b.wants(SectionAlerts) {
		return
	}
	all, err := b.o.Store.Alerts(ctx, state.AlertFilter{Cluster: b.o.Cluster, Since: b.o.Now.Add(-BackDays * 24 * time.Hour), Limit: 1000})
	b.missing(SectionAlerts, "", err)
	for _, a := range all {
		a.Message = b.o.Redact(a.Message)
		b.r.Alerts = append(b.r.Alerts, a)
	}
}
