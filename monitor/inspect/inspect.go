// Package inspect finds what is wrong with a database, or soon will be, by
// rules: each a question in SQL, the bounds of its answer, how bad it is
// beyond them, and what to do. The rules are a table in a file, and a DBA's
// own files add to it. Only what SQL cannot tell, as whether a password is its
// role's name, is code.
package inspect

import (
	"context"
	"time"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Notice   Severity = "notice"   // worth knowing
	Warning  Severity = "warning"  // soon a problem, or one already for some
	Critical Severity = "critical" // a problem now
)

// Scope says where a rule's question is asked.
type Scope string

// The scopes.
const (
	Cluster  Scope = "cluster"  // once
	Database Scope = "database" // in every database that takes connections
)

// Rule is one thing that is looked at.
type Rule struct {
	Name    string // stable, as table.bloat
	Title   string
	Engines []string // none is all
	Scope   Scope
	SQL     string // answers with object, and if it likes value and detail
	// Superuser is for what others see only in part, without an error.
	Superuser bool
	Needs     string // a relation or extension without which it is left out
	From, To  int    // server versions as server_version_num has them, To excluded; 0 is no bound
	// Bounds of value, in Unit. Without any each row is a finding of Severity.
	Warn, Critical *float64
	Below          bool // less is worse
	Unit           Unit
	Severity       Severity
	Remedy         string // {object}, {database} and {value} are replaced
	Watch          bool   // a monitor asks it every minute, and alerts
	File           string // where it is from
}

// Unit of a rule's values, for people.
type Unit string

// The units.
const (
	Plain   Unit = ""
	Bytes   Unit = "bytes"
	Seconds Unit = "seconds"
	Share   Unit = "share" // of 1, shown in percent
)

// Finding is what a rule found.
type Finding struct {
	Rule     string   `json:"rule"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Database string   `json:"database,omitempty"`
	Object   string   `json:"object"`
	Value    *float64 `json:"value,omitempty"`
	Unit     Unit     `json:"unit,omitempty"`
	Text     string   `json:"text"`   // the value for people, and the detail
	Remedy   string   `json:"remedy"` // the next step
}

// Omitted is a rule that was not asked, or not everywhere, and why.
type Omitted struct {
	Rule     string `json:"rule"`
	Database string `json:"database,omitempty"`
	Reason   string `json:"reason"`
}

// Result is what an inspection found, the worst first.
type Result struct {
	Findings []Finding `json:"findings"`
	Omitted  []Omitted `json:"omitted,omitempty"`
	Asked    int       `json:"asked"` // rules that were asked
}

// Answer is one row of a rule's question.
type Answer struct {
	Object string
	Value  *float64
	Detail string
}

// Server is the database under inspection.
type Server interface {
	// Facts tell the version and the databases that take connections.
	Facts(ctx context.Context) (Facts, error)
	// Ask asks a question in a database; "" is the one that was connected to.
	// It ends after limit.
	Ask(ctx context.Context, database, sql string, limit time.Duration) ([]Answer, error)
	// Has tells whether a relation or an extension is there.
	Has(ctx context.Context, database, what string) (bool, error)
	// Secrets are the roles that may log in and their stored passwords.
	Secrets(ctx context.Context) (map[string]string, error)
}

// Facts of a server.
type Facts struct {
	Version   int // server_version_num
	Databases []string
}
