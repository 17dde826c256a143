// Package redistribute moves the tables of a cluster with segments to another
// number of segments: to more after segments were added, to fewer before
// segments are taken out. It decides from the world: a table is done when its
// distribution policy in every database says the wanted number. What it keeps
// besides, in schema cw_expand of database postgres, are wishes (ranks, pause,
// limits), attempts and progress, so that any machine can look and steer.
//
// It knows neither hosts nor the store: a Cluster answers for both.
package redistribute

import (
	"context"
	"time"
)

// Cluster is what the controller asks of an engine.
type Cluster interface {
	// Open opens a session of a database ("" is postgres) on the coordinator
	// as the superuser.
	Open(ctx context.Context, database string) (Session, error)
	// Sessions is how many sessions may be open at a time.
	Sessions() int
	// Look measures the hosts that carry segments. One that does not answer is in
	// the result with Err.
	Look(ctx context.Context) ([]Host, error)
}

// Session is a session of a database; one goroutine uses it at a time.
type Session interface {
	// Exec runs statements one after another, each in a transaction of its own,
	// and hands what each printed (without headers and padding) or its
	// *StatementError to each, in their order, as soon as it is known. The error
	// that it returns is about the session, which then is of no use any more.
	// When ctx ends the statement that runs is ended in the database too, and no
	// later one begins.
	Exec(ctx context.Context, statements []string, each func(i int, out string, err error)) error
	Close()
}

// Host is what one segment host has left.
type Host struct {
	Name  string
	Err   error
	Disks []Disk
}

// Disk is a file system that holds data directories.
type Disk struct {
	Mount    string
	Free     int64   // bytes
	Size     int64   // bytes
	Busy     float64 // part of the time since the last Look that the device worked, 0 to 1; below 0 is not known
	Contents []int   // segments with an instance (primary or mirror) on it; one with both is in it twice
}

// Window is a time of day, every day, in which tables may be moved; one that
// ends before it begins goes over midnight.
type Window struct {
	From string `json:"from"` // 22:00
	To   string `json:"to"`
}

// Options are what a redistribution is told. They are kept with the run, so
// that a resumed one does the same.
type Options struct {
	Target int `json:"target"` // number of segments that all tables shall be on

	Databases []string `json:"databases,omitempty"` // only these; empty is all
	Schemas   []string `json:"schemas,omitempty"`   // patterns with * and ?
	Tables    []string `json:"tables,omitempty"`    // patterns of schema.table or database.schema.table
	Exclude   []string `json:"exclude,omitempty"`   // as Tables
	First     []string `json:"first,omitempty"`     // as Tables: moved before all others, in this order
	Order     string   `json:"order,omitempty"`     // smallest (default) or largest first

	Parallel    int           `json:"parallel,omitempty"`     // tables at a time at most; 0 is 1
	LockTimeout time.Duration `json:"lock_timeout,omitempty"` // how long a move waits for its lock, and others behind it; 0 is 5 s
	Attempts    int           `json:"attempts,omitempty"`     // before a table is quarantined; 0 is 5
	Windows     []Window      `json:"windows,omitempty"`
	Until       time.Time     `json:"until,omitzero"`        // end of the whole attempt; zero is none
	FreeFactor  float64       `json:"free_factor,omitempty"` // free space needed per file system over what the table takes there; 0 is 1.2
	MaxBusy     float64       `json:"max_busy,omitempty"`    // disks busier than this part of the time lower the number of tables at once; 0 is off
	MaxLag      int64         `json:"max_lag,omitempty"`     // bytes that a mirror may be behind before fewer tables are moved at once; 0 is off
	Analyze     bool          `json:"analyze,omitempty"`     // ANALYZE each table that was moved

	By string `json:"-"` // who the controller is, for a second one
}

// The states of a table.
const (
	Pending     = "pending"
	Moving      = "moving"
	Moved       = "moved"
	Quarantined = "quarantined" // given up after its attempts; the last error says why
	Refused     = "refused"     // cannot be moved by cw; the reason says why
	Gone        = "gone"        // dropped meanwhile
)

// Table is one table (a partitioned table is one) and how far it is.
type Table struct {
	Database string     `json:"database"`
	Name     string     `json:"name"` // schema.table, quoted where need be
	OID      uint32     `json:"oid"`
	Bytes    int64      `json:"bytes"` // on disk, with indexes and partitions
	Rank     int        `json:"rank"`  // lower comes first
	State    string     `json:"state"`
	Segments int        `json:"segments"` // that it is on now
	Attempts int        `json:"attempts"`
	Error    string     `json:"error,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
}

// Progress is how far a redistribution is.
type Progress struct {
	Target   int    `json:"target"`
	Active   bool   `json:"active"` // a controller works on it
	Paused   bool   `json:"paused"`
	Waiting  string `json:"waiting,omitempty"` // what keeps it from beginning a table: a window, disk space on a host, its pause
	Parallel int    `json:"parallel"`          // tables at once now
	Why      string `json:"why,omitempty"`     // why Parallel is less than was asked for

	Tables     int   `json:"tables"`
	Moved      int   `json:"moved"`
	Bytes      int64 `json:"bytes"`
	MovedBytes int64 `json:"moved_bytes"`

	Rate float64 `json:"rate"`        // bytes per second, lately
	ETA  float64 `json:"eta_seconds"` // without the times outside windows; below 0 is not known

	Moving      []Table `json:"moving"`
	Quarantined []Table `json:"quarantined"`
	Refused     []Table `json:"refused"`
}

// Done says whether all tables are where they shall be.
func (p Progress) Done() bool { return p.Moved == p.Tables }
