// Package report makes the inspection report of a cluster: one document of
// its health, capacity and forecast, of what rules find in it, and of what a
// DBA looks at beside; and prints it for people. It knows neither hosts nor
// the verbs of clusters: who builds a report hands in what asks them.
package report

import (
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/state"
)

// Kind is the kind of the document, beside apiVersion cw/v1.
const Kind = "InspectionReport"

// Report is the document. Sizes are bytes, durations seconds, times RFC 3339;
// keys are added, never renamed.
type Report struct {
	Cluster string               `json:"cluster"`
	Engine  cluster.EngineStatus `json:"engine"`
	MadeAt  time.Time            `json:"made_at"`
	By      string               `json:"by"`
	Summary Summary              `json:"summary"`
	Missing []Missing            `json:"missing"` // what could not be had, and why
	// Unreachable says why the database could not be asked; "" when it was.
	Unreachable string            `json:"unreachable,omitempty"`
	Health      *Health           `json:"health,omitempty"`
	Capacity    *Capacity         `json:"capacity,omitempty"`
	Findings    []inspect.Finding `json:"findings"`
	Omitted     []inspect.Omitted `json:"omitted"`
	Asked       int               `json:"asked"` // rules that were asked
	Tables      []Table           `json:"largest_tables"`
	Queries     []Query           `json:"top_queries"`
	Settings    []Setting         `json:"settings"`
	Roles       []Role            `json:"roles"`
	Backup      *Backup           `json:"backup,omitempty"`
	Loads       *Loads            `json:"loads,omitempty"`
	Alerts      []state.Alert     `json:"alerts"` // firing, or over within the last 30 days
}

// The sections of a report.
const (
	SectionHealth   = "health"
	SectionCapacity = "capacity"
	SectionFindings = "findings"
	SectionTables   = "tables"
	SectionQueries  = "queries"
	SectionSettings = "settings"
	SectionRoles    = "roles"
	SectionBackup   = "backup"
	SectionLoads    = "loads"
	SectionAlerts   = "alerts"
)

// Sections are all of them, in the order of the report.
func Sections() []string {
	return []string{
		SectionHealth, SectionCapacity, SectionFindings, SectionTables, SectionQueries,
		SectionSettings, SectionRoles, SectionBackup, SectionLoads, SectionAlerts,
	}
}

// Missing is a section, or a part of one, that could not be had.
type Missing struct {
	Section  string `json:"section"`
	Database string `json:"database,omitempty"`
	Reason   string `json:"reason"`
}

// The verdicts.
const (
	OK        = "ok"        // at most notices
	Attention = "attention" // something becomes a problem, or is not known
	Critical  = "critical"  // something is one
)

// Summary is the report in one line.
type Summary struct {
	Verdict  string `json:"verdict"`
	Critical int    `json:"critical"` // findings by severity
	Warning  int    `json:"warning"`
	Notice   int    `json:"notice"`
	Firing   int    `json:"firing"` // alerts
}

// Health is the cluster as its engine sees it.
type Health struct {
	State    string               `json:"state"` // up, degraded, down, unknown
	Endpoint cluster.Endpoint     `json:"endpoint"`
	Problems []string             `json:"problems"`
	Nodes    []cluster.NodeStatus `json:"nodes"`
	Hosts    []cluster.HostStatus `json:"hosts"`
}

// Capacity is what there is of room, and how long it lasts.
type Capacity struct {
	Hosts     []HostCapacity `json:"hosts"`
	Databases []DatabaseSize `json:"databases"`
}

// HostCapacity are the file systems of a host.
type HostCapacity struct {
	Name   string  `json:"name"`
	Mounts []Mount `json:"mounts"`
}

// Mount is a file system.
type Mount struct {
	Path     string   `json:"path"`
	Size     int64    `json:"size"`
	Used     int64    `json:"used"`
	Free     int64    `json:"free"`
	Forecast Forecast `json:"forecast"`
	History  []Point  `json:"history,omitempty"` // bytes in use
}

// DatabaseSize is the size of a database, over all nodes.
type DatabaseSize struct {
	Name         string   `json:"name"`
	Size         int64    `json:"size"`
	GrowthPerDay *float64 `json:"growth_per_day"` // bytes; null when not known
	WhyNot       string   `json:"why_not,omitempty"`
	History      []Point  `json:"history,omitempty"`
}

// Point is a value at a time.
type Point = monitor.Point

// Table is one of the largest tables; partitions are summed under their root.
type Table struct {
	Database   string   `json:"database"`
	Schema     string   `json:"schema"`
	Name       string   `json:"name"`
	Kind       string   `json:"kind"` // table, partitioned table, materialised view
	Size       int64    `json:"size"` // with indexes and toast, over all segments
	Indexes    int64    `json:"indexes"`
	Toast      int64    `json:"toast"`
	Rows       *float64 `json:"rows"` // the planner's estimate; null where nobody has counted
	Partitions int      `json:"partitions,omitempty"`
	Skew       *float64 `json:"skew,omitempty"` // the fullest segment's part, 1 is even
}

// FullName is the table as SQL names it, with its database.
func (t Table) FullName() string { return t.Database + ": " + t.Schema + "." + t.Name }

// Query is a kind of statement as pg_stat_statements counts it.
type Query struct {
	Query        string   `json:"query"` // shortened, without passwords
	Database     string   `json:"database"`
	User         string   `json:"user"`
	Calls        int64    `json:"calls"`
	TotalSeconds float64  `json:"total_seconds"`
	Share        float64  `json:"share"` // of the time of all
	MeanSeconds  float64  `json:"mean_seconds"`
	Rows         int64    `json:"rows"`
	HitRatio     *float64 `json:"hit_ratio"` // shared blocks found in the cache; null when none were read
}

// Setting is one that is not as one would expect.
type Setting struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default,omitempty"`
	Profile string `json:"profile,omitempty"` // what the cluster's profile has
	Source  string `json:"source,omitempty"`  // file, database or role that sets it
	Nodes   string `json:"nodes,omitempty"`
	Reason  string `json:"reason"`
}

// The reasons of a Setting.
const (
	ReasonProfile = "away-from-profile" // another file overrules the profile
	ReasonRestart = "needs-restart"     // the file's value waits for a restart
	ReasonReload  = "needs-reload"      // the file's value was not read yet
	ReasonDiffers = "differs"           // between nodes that should agree
	ReasonScope   = "for-some"          // set for a database or a role
	ReasonChanged = "changed"           // not the server's default
)

// Role is a role that may do more than own its objects.
type Role struct {
	Name        string     `json:"name"`
	Superuser   bool       `json:"superuser"`
	Login       bool       `json:"login"`
	CreateRole  bool       `json:"create_role"`
	CreateDB    bool       `json:"create_db"`
	Replication bool       `json:"replication"`
	BypassRLS   bool       `json:"bypass_rls"`
	Password    string     `json:"password"` // scram-sha-256, md5, none, unknown
	ValidUntil  *time.Time `json:"valid_until,omitempty"`
	MemberOf    []string   `json:"member_of"`
}

// Backup is what can be known of the newest backup.
type Backup struct {
	Known      bool       `json:"known"`
	Newest     *time.Time `json:"newest,omitempty"`
	AgeSeconds *int64     `json:"age_seconds,omitempty"`
	By         string     `json:"by,omitempty"` // where it is known from
	WhyNot     string     `json:"why_not,omitempty"`
	Archive    *Archive   `json:"archive,omitempty"`
}

// Archive is the state of continuous archiving, which is no backup by itself.
type Archive struct {
	Mode         string     `json:"mode"`
	LastArchived *time.Time `json:"last_archived,omitempty"`
	LastFailed   *time.Time `json:"last_failed,omitempty"`
	Failures     int64      `json:"failures"`
}

// Loads are the jobs of the last days that the store knows.
type Loads struct {
	Days     int   `json:"days"`
	Count    int   `json:"count"`
	Failed   int   `json:"failed"`
	Running  int   `json:"running"`
	Bytes    int64 `json:"bytes"`
	Rows     int64 `json:"rows"`
	Rejected int64 `json:"rejected"`
}
