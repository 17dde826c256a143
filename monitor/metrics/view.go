// Package metrics shows what a monitor knows to programs: /metrics in the
// text format of Prometheus, /healthz, and a dashboard for Grafana. The
// format is a page of rules and is written by hand: its client library would
// add megabytes to the one binary of cw.
package metrics

import (
	"time"

	"cw/monitor"
	"cw/state"
	"cw/tui/source"
)

// View is what a monitor knows at a moment. It is not changed once it is
// handed over.
type View struct {
	Leading bool      // it acts; otherwise it stands by
	Since   time.Time // since when it does one or the other
	// LookedAt is when the clusters were looked at last; zero is never. One
	// that stands by does not look.
	LookedAt time.Time
	// StoreErr is why the store cannot be used at the moment; "" when it can.
	StoreErr string
	Clusters []*source.Snapshot    // the newest of each watched cluster
	Jobs     []state.Job           // of the store, that run or ended lately
	Alerts   []state.Alert         // those that fire
	Notices  []monitor.NoticeCount // what this process told so far
}
