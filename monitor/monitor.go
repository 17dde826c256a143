// Package monitor has the words of the watcher: what can be wrong (rules),
// what is seen to be wrong at a moment (conditions), and its configuration
// file. It looks at nothing itself: monitor/run does, with the probes, and
// tells by way of monitor/alert.
package monitor

import (
	"strings"
	"time"
)

// Condition is something that is seen to be wrong at a moment. It becomes an
// alert when it stays so for its rule's Confirm.
type Condition struct {
	Rule     string // one of Rules, or of an inspection: inspect.NAME
	Severity string // state.Warning or state.Critical
	Cluster  string
	Host     string
	Object   string // node, mount point, database: what of the host or cluster
	Job      string
	Message  string // one sentence that names the object
	Remedy   string // the next command
	// Since is since when it is so, where that is known better than by having
	// been seen first: a silent host is so since its last sign of life.
	Since time.Time
}

// Mark tells conditions apart: two of one mark are the same thing.
func (c Condition) Mark() string {
	return strings.Join([]string{c.Rule, c.Cluster, c.Host, c.Object, c.Job}, "|")
}

// The names of the built-in rules. Alert routes and silences match them:
// rules are added, never renamed.
const (
	HostSilent     = "host.silent"
	HostClock      = "host.clock"
	DiskFull       = "disk.full"
	DiskForecast   = "disk.forecast"
	NodeDown       = "node.down"
	NodeSync       = "node.sync"
	NodeRole       = "node.role"
	NodeLag        = "node.lag"
	ClusterDown    = "cluster.down"
	ClusterUnknown = "cluster.unknown"
	DatabaseAccess = "database.access"
	LoadFailed     = "load.failed"
	LoadStalled    = "load.stalled"
	CertExpiry     = "certificate.expiry"
	HealingStopped = "auto-recovery.stopped"
	InspectPrefix  = "inspect." // + the name of a rule of monitor/inspect that says watch: true
)

// Rule is one thing a monitor watches for.
type Rule struct {
	Name    string
	Meaning string
	// Confirm is how long it has to be so, without a break, before it is an
	// alert; Clear how long it has to be well before it is over. What flaps in
	// between is one alert.
	Confirm, Clear time.Duration
	// Bounds from which on it is a warning, and critical, in Unit; 0 where it
	// has none: then its severity is Severity.
	Warn, Critical float64
	Below          bool // small values are the bad ones
	Unit           string
	Severity       string
	Off            bool // it is not watched for
}
