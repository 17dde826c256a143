package monitor

import (
	"strings"
	"time"

	"cw/state"
)

// The units of a rule's bounds.
const (
	UnitShare   = "share" // of 1
	UnitBytes   = "bytes"
	UnitSeconds = "seconds"
)

const (
	daySeconds = 24 * 3600.0
	mebi       = 1 << 20
)

// Rules are the built-in rules.
//
// The times of hosts, nodes and clusters are chosen so that a fault is an
// alert within ten seconds and a network that is cut for three is none. After
// such a cut TCP waits for its next retransmission, which may be as long away
// as the cut was: a host is then silent for up to 6.5 s, and 8 are needed.
func Rules() []Rule {
	return []Rule{
		{Name: HostSilent, Meaning: "A host does not answer. What runs on it is part of the alert.", Confirm: 8 * time.Second, Clear: 10 * time.Second, Severity: state.Warning},
		{Name: HostClock, Meaning: "A host's clock is away from that of the monitor.", Confirm: time.Minute, Clear: 2 * time.Minute, Warn: 0.5, Critical: 5, Unit: UnitSeconds},
		{Name: DiskFull, Meaning: "A file system with a data directory is nearly full.", Confirm: 5 * time.Second, Clear: 30 * time.Second, Warn: 0.85, Critical: 0.95, Unit: UnitShare},
		{Name: DiskForecast, Meaning: "A file system with a data directory will be full soon, if it goes on growing as it did.", Clear: 2 * time.Hour, Warn: 3 * daySeconds, Critical: daySeconds, Below: true, Unit: UnitSeconds},
		{Name: NodeDown, Meaning: "A node does not run, or does not take connections, on a host that answers.", Confirm: 4 * time.Second, Clear: 5 * time.Second, Severity: state.Warning},
		{Name: NodeSync, Meaning: "A standby or mirror runs, and does not follow its primary.", Confirm: time.Minute, Clear: 10 * time.Second, Severity: state.Warning},
		{Name: NodeRole, Meaning: "A node acts in another role than it should.", Confirm: 30 * time.Second, Clear: 10 * time.Second, Severity: state.Warning},
		{Name: NodeLag, Meaning: "A standby or mirror is far behind its primary.", Confirm: time.Minute, Clear: time.Minute, Warn: 256 * mebi, Critical: 4096 * mebi, Unit: UnitBytes},
		{Name: ClusterDown, Meaning: "A cluster does not work, and no single host or node explains it.", Confirm: 4 * time.Second, Clear: 5 * time.Second, Severity: state.Critical},
		{Name: ClusterUnknown, Meaning: "No host of a cluster answers: it, or the network between, is gone.", Confirm: 8 * time.Second, Clear: 10 * time.Second, Severity: state.Critical},
		{Name: DatabaseAccess, Meaning: "The nodes run, and the database lets the monitor not in.", Confirm: 5 * time.Second, Clear: 5 * time.Second, Severity: state.Critical},
		{Name: LoadFailed, Meaning: "A load or unload failed.", Severity: state.Critical},
		{Name: LoadStalled, Meaning: "A load or unload runs, and reads nothing.", Confirm: 10 * time.Minute, Severity: state.Warning},
		{Name: CertExpiry, Meaning: "The certificate of a cluster's endpoint runs out.", Warn: 21 * daySeconds, Critical: 3 * daySeconds, Below: true, Unit: UnitSeconds},
		{Name: HealingStopped, Meaning: "Automatic recovery was tried too often, or is not possible, and was given up.", Severity: state.Critical},
	}
}

// Inspections are asked once a minute: what is found twice in a row is sure,
// and what is not found twice is over.
const (
	inspectConfirm = 50 * time.Second
	inspectClear   = 110 * time.Second
)

// Rule is a rule as a configuration has it; false when there is none of that
// name. Every inspect.NAME is a rule; its bounds are in the inspection's file,
// unless they are changed.
func (c Config) Rule(name string) (Rule, bool) {
	for _, r := range Rules() {
		if r.Name == name {
			return r.With(c.Rules[name]), true
		}
	}
	if strings.HasPrefix(name, InspectPrefix) {
		r := Rule{Name: name, Meaning: "An inspection of the database found it.", Confirm: inspectConfirm, Clear: inspectClear, Severity: state.Warning}
		return r.With(c.Rules[name]), true
	}
	return Rule{}, false
}

// With is the rule with what a configuration says of it.
func (r Rule) With(c RuleChange) Rule {
	r.Off = r.Off || c.Off
	for _, f := range []struct {
		to   *float64
		from *float64
	}{{&r.Warn, c.Warn}, {&r.Critical, c.Critical}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	for _, d := range []struct {
		to   *time.Duration
		from *time.Duration
	}{{&r.Confirm, c.Confirm}, {&r.Clear, c.Clear}} {
		if d.from != nil {
			*d.to = *d.from
		}
	}
	return r
}

// Judge says how bad a value is; "" when it is not. A bound of 0 is none.
func (r Rule) Judge(v float64) string {
	beyond := func(bound float64) bool {
		return bound != 0 && (!r.Below && v >= bound || r.Below && v <= bound)
	}
	switch {
	case r.Off:
		return ""
	case beyond(r.Critical):
		return state.Critical
	case beyond(r.Warn):
		return state.Warning
	}
	return ""
}
