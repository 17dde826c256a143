// Package source is where the dashboard's numbers come from: the live
// collectors, a recording, or a made-up cluster. The dashboard knows only
// Snapshot and Source; so do --once, --watch, --record and the tests.
package source

import (
	"context"
	"time"
)

// Source delivers snapshots and does what the user asks for.
type Source interface {
	// Start begins to collect. The channel is closed when the context ends
	// or a recording is over. The first snapshot comes at once, with what is
	// known without asking anybody.
	Start(ctx context.Context) (<-chan *Snapshot, error)
	// Do carries out an action and returns what to tell the user.
	Do(ctx context.Context, a Action) (string, error)
	// Detail asks for what only a page about one thing shows. It may take
	// long: never called while painting.
	Detail(ctx context.Context, d DetailRequest) (Detail, error)
}

// Snapshot is everything that is known at one moment. It is never changed
// once it is sent: sections that did not change are shared with the one
// before.
type Snapshot struct {
	At       time.Time   `json:"at"`
	Cluster  ClusterInfo `json:"cluster"`
	Nodes    Nodes       `json:"nodes"`
	Hosts    Hosts       `json:"hosts"`
	Loads    Loads       `json:"loads"`
	Sessions Sessions    `json:"sessions"`
	Events   Events      `json:"events"`
	// Degraded names data that cannot be had and why, by column: "resgroup"
	// → "no privilege on gp_toolkit". A missing privilege degrades one column.
	Degraded map[string]string `json:"degraded,omitempty"`
}

// Section is what every part of a snapshot carries.
type Section struct {
	CollectedAt time.Time `json:"collected_at,omitzero"` // zero: not yet
	Err         string    `json:"error,omitempty"`       // why it is not newer
}

// ClusterInfo is the cluster's line.
type ClusterInfo struct {
	Section
	Name      string    `json:"name"` // "" when there is none: loads only
	Engine    string    `json:"engine"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at,omitzero"`
	State     string    `json:"state"` // up, degraded, down, unknown: as cluster.Status
	Problems  []string  `json:"problems,omitempty"`
}

// Nodes are the database instances.
type Nodes struct {
	Section
	Items []Node `json:"items"`
}

// Node is one database instance.
type Node struct {
	ID            string    `json:"id"`
	Content       int       `json:"content"`
	DBID          int       `json:"dbid,omitempty"`
	Role          string    `json:"role"` // coordinator, standby, primary, mirror, replica
	PreferredRole string    `json:"preferred_role"`
	Mode          string    `json:"mode"`  // sync, not-sync, streaming, catchup, detached
	State         string    `json:"state"` // up, down, absent, unknown
	Host          string    `json:"host"`
	Port          int       `json:"port"`
	DataDir       string    `json:"data_dir"`
	LagBytes      *int64    `json:"lag_bytes,omitempty"`
	Since         time.Time `json:"since,omitzero"` // when it came into this state, as far as known
	Detail        string    `json:"detail,omitempty"`
}

// Hosts are the machines.
type Hosts struct {
	Section
	Items []Host `json:"items"`
}

// Host is one machine. Rates are per second over the last sample; histories
// are one value a sample, newest last, at most an hour.
type Host struct {
	Name      string    `json:"name"`
	Address   string    `json:"address"`
	SampledAt time.Time `json:"sampled_at,omitzero"` // zero: never; older than 3 s is stale
	Err       string    `json:"error,omitempty"`
	CPUs      int       `json:"cpus"`
	User      float64   `json:"user"` // shares of all CPUs, 0 to 1
	System    float64   `json:"system"`
	IOWait    float64   `json:"iowait"`
	Steal     float64   `json:"steal"`
	Load1     float64   `json:"load1"`
	MemTotal  int64     `json:"mem_total"` // bytes
	MemUsed   int64     `json:"mem_used"`
	SwapTotal int64     `json:"swap_total"`
	SwapUsed  int64     `json:"swap_used"`
	ReadRate  float64   `json:"read_rate"` // bytes per second of all disks
	WriteRate float64   `json:"write_rate"`
	DiskBusy  float64   `json:"disk_busy"` // of the busiest disk, 0 to 1
	RxRate    float64   `json:"rx_rate"`
	TxRate    float64   `json:"tx_rate"`
	Disks     []Disk    `json:"disks,omitempty"`
	NICs      []NIC     `json:"nics,omitempty"`
	Mounts    []Mount   `json:"mounts,omitempty"` // of data directories, the fullest first
	CPUHist   []float64 `json:"cpu_history,omitempty"`
	MemHist   []float64 `json:"mem_history,omitempty"`
	DiskHist  []float64 `json:"disk_history,omitempty"` // bytes per second
	NetHist   []float64 `json:"net_history,omitempty"`
	// ClockOffset is how many seconds the host's clock is ahead of the one here;
	// the truth is between it and ClockError more.
	ClockOffset *float64 `json:"clock_offset,omitempty"`
	ClockError  float64  `json:"clock_error,omitempty"`
}

// Disk is one block device.
type Disk struct {
	Name      string  `json:"name"`
	ReadRate  float64 `json:"read_rate"`
	WriteRate float64 `json:"write_rate"`
	Busy      float64 `json:"busy"`
}

// NIC is one network interface.
type NIC struct {
	Name   string  `json:"name"`
	RxRate float64 `json:"rx_rate"`
	TxRate float64 `json:"tx_rate"`
}

// Mount is a file system.
type Mount struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Used int64  `json:"used"`
}

// Loads are the jobs of the store: running ones, and those that ended lately.
type Loads struct {
	Section
	Items []Load `json:"items"`
}

// Load is one load or unload.
type Load struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"` // load, unload
	Spec       string    `json:"spec"` // file
	Target     string    `json:"target"`
	State      string    `json:"state"`
	Phase      string    `json:"phase"`
	Bytes      int64     `json:"bytes"`
	BytesTotal int64     `json:"bytes_total"`
	Rows       int64     `json:"rows"`
	Rejected   int64     `json:"rejected"`
	Rate       int64     `json:"rate"`  // bytes per second
	Limit      int64     `json:"limit"` // bytes per second, 0 none
	ETA        int64     `json:"eta_seconds"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
	Error      string    `json:"error,omitempty"`
	RateHist   []float64 `json:"rate_history,omitempty"`
}

// Sessions are the clients of the database.
type Sessions struct {
	Section
	Items []Session `json:"items"`
}

// Session is one client.
type Session struct {
	PID       int       `json:"pid"`
	SessID    int       `json:"sess_id,omitempty"` // Greenplum
	User      string    `json:"user"`
	Database  string    `json:"database"`
	App       string    `json:"app"`
	Client    string    `json:"client"`
	ResGroup  string    `json:"resgroup,omitempty"`
	State     string    `json:"state"`
	Wait      string    `json:"wait"`       // what it waits for: of another session, not for its client
	BlockedBy []int     `json:"blocked_by"` // pids
	Query     string    `json:"query"`      // as the database has it: may hold anything
	XactStart time.Time `json:"xact_start,omitzero"`
	Start     time.Time `json:"query_start,omitzero"`
	Backend   time.Time `json:"backend_start,omitzero"`
}

// Events are what happened, newest last.
type Events struct {
	Section
	Items []Event `json:"items"`
}

// Event is something that happened.
type Event struct {
	ID       int64     `json:"id"` // of the store; 0 for the database's own history
	At       time.Time `json:"at"`
	Kind     string    `json:"type"`
	Severity string    `json:"severity"` // info, warning, critical
	Cluster  string    `json:"cluster,omitempty"`
	Job      string    `json:"job,omitempty"`
	Host     string    `json:"host,omitempty"`
	Message  string    `json:"message"`
}

// ActionKind is what a user can do.
type ActionKind string

// The actions.
const (
	SetLimit         ActionKind = "limit"             // Load, Limit
	PauseLoad        ActionKind = "pause"             // Load
	ContinueLoad     ActionKind = "continue"          // Load
	CancelLoad       ActionKind = "cancel"            // Load
	CancelSession    ActionKind = "cancel-session"    // PID, BackendStart
	TerminateSession ActionKind = "terminate-session" // PID, BackendStart
	Recover          ActionKind = "recover"           // Cluster
	Rebalance        ActionKind = "rebalance"         // Cluster
	Refresh          ActionKind = "refresh"           // ask everybody now
	Interval         ActionKind = "interval"          // Every
)

// Action is something a user does, on a thing pinned by its identity.
type Action struct {
	Kind  ActionKind
	Load  string
	Limit int64 // bytes per second, 0 none
	PID   int
	// BackendStart tells a session from a later one with the same pid.
	BackendStart time.Time
	Cluster      string
	Every        time.Duration
	// DryRun only says what would be done: the plan of recover and rebalance,
	// one step a line.
	DryRun bool
}

// DetailRequest asks about one thing.
type DetailRequest struct {
	Node    string // an id: replication and the last lines of the log
	PID     int    // a session: its locks, its progress, the whole query
	Load    string // a job: its events, its rejected rows
	LogTail string // an id of a node: the last lines of its log
}

// Detail is paragraphs of lines for a page.
type Detail struct {
	Title    string
	Sections []DetailSection
}

// DetailSection is one paragraph.
type DetailSection struct {
	Title string
	Lines []string
}
