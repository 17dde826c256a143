package cluster

import "time"

// The states of a cluster.
const (
	Up       = "up"       // every node runs and follows
	Degraded = "degraded" // the primary runs, something else does not
	Down     = "down"     // the primary does not run
	Unknown  = "unknown"  // the primary's host does not answer
)

// The states of a node.
const (
	NodeUp      = "up"
	NodeDown    = "down"
	NodeAbsent  = "absent"  // its folder is not there
	NodeUnknown = "unknown" // its host does not answer
)

// The modes of a standby node, as its primary sees it.
const (
	ModeStreaming = "streaming"
	ModeCatchup   = "catchup"
	ModeDetached  = "detached" // runs, but does not stream
)

// The modes of a segment's nodes, as the coordinator's catalogue has them.
const (
	ModeSync    = "sync"     // primary and mirror have the same
	ModeNotSync = "not-sync" // the mirror is down or catching up
)

// Status is what `cw cluster status NAME -o json` prints, beside apiVersion
// and kind.
type Status struct {
	Name      string       `json:"name"`
	Engine    EngineStatus `json:"engine"`
	State     string       `json:"state"` // up, degraded, down, unknown
	Endpoint  Endpoint     `json:"endpoint"`
	Nodes     []NodeStatus `json:"nodes"`
	Hosts     []HostStatus `json:"hosts"`
	Problems  []string     `json:"problems"` // what keeps State from being up, one sentence each
	TLS       *TLSStatus   `json:"tls,omitempty"`
	CheckedAt time.Time    `json:"checked_at"`
}

// EngineStatus is the software a cluster runs.
type EngineStatus struct {
	Kind    string `json:"kind"`
	Version string `json:"version"` // full, as 15.18; the wanted major version when no node answers
}

// Endpoint is where clients connect.
type Endpoint struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Database string `json:"database"`
	User     string `json:"user,omitempty"`
	// PasswordFile is where User's password is, on the machine that made the cluster.
	PasswordFile string `json:"password_file,omitempty"`
}

// TLSStatus says how clients can check whom they talk to.
type TLSStatus struct {
	Mode   string `json:"mode"`
	CAFile string `json:"ca_file,omitempty"` // on this machine, for sslrootcert
}

// NodeStatus is one database instance as observed.
type NodeStatus struct {
	ID            string `json:"id"` // n1: the same number as Node.ID
	Content       int    `json:"content"`
	Role          string `json:"role"` // as it acts now
	PreferredRole string `json:"preferred_role"`
	Host          string `json:"host"`
	Port          int    `json:"port"`
	DataDir       string `json:"data_dir"`
	State         string `json:"state"`
	Mode          string `json:"mode"`      // of standbys and of nodes of segments; "" for the primary
	LagBytes      *int64 `json:"lag_bytes"` // of standbys, null when not known
	// DownSince is when the coordinator noted that the node is down; engines
	// without a history leave it out.
	DownSince *time.Time `json:"down_since,omitempty"`
	Detail    string     `json:"detail,omitempty"`
}

// HostStatus is one machine as observed.
type HostStatus struct {
	Name      string      `json:"name"`
	Address   string      `json:"address"`
	Reachable bool        `json:"reachable"`
	Error     string      `json:"error,omitempty"`
	Disk      *DiskStatus `json:"disk"` // of the data folder; null when not reachable
}

// DiskStatus is the file system of a host's data folder.
type DiskStatus struct {
	Path string `json:"path"`
	Size int64  `json:"size"` // bytes
	Free int64  `json:"free"` // bytes available to an ordinary user
}

// StopMode is how a database is asked to stop.
type StopMode string

// The stop modes of PostgreSQL.
const (
	Smart     StopMode = "smart"     // wait for clients to leave
	Fast      StopMode = "fast"      // end their sessions, shut down cleanly
	Immediate StopMode = "immediate" // drop everything; recovery at next start
)
