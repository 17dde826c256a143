package cluster

// RecoverOptions say what a recovery may do.
type RecoverOptions struct {
	Hosts     []string `json:"hosts,omitempty"`     // only nodes on these hosts; empty is all
	Full      bool     `json:"full,omitempty"`      // copy everything, not only what differs
	Rate      int64    `json:"rate,omitempty"`      // bytes per second and node that a full copy may read; 0 is no limit
	Rebalance bool     `json:"rebalance,omitempty"` // afterwards give every node its preferred role again
}

// On says whether a host is among those to recover.
func (o RecoverOptions) On(host string) bool {
	for _, h := range o.Hosts {
		if h == host {
			return true
		}
	}
	return len(o.Hosts) == 0
}

// PromoteOptions say which standby becomes the primary (the coordinator).
type PromoteOptions struct {
	Node string `json:"node,omitempty"` // n2; "" is the only standby, or the one that has most
	// Force goes on when the old primary's host does not answer, on the user's
	// word that it is off: two primaries would both take writes.
	Force bool `json:"force,omitempty"`
}

// The scopes of a ConfigChange.
const (
	ScopeAll         = "all"
	ScopeCoordinator = "coordinator" // coordinator and standby; the postgres engine has only these
	ScopeSegments    = "segments"    // primaries and mirrors
)

// ConfigChange sets and resets settings of the database's nodes.
type ConfigChange struct {
	Scope   string            `json:"scope,omitempty"` // "" is all
	Set     map[string]string `json:"set,omitempty"`
	Reset   []string          `json:"reset,omitempty"`   // back to the default
	Profile string            `json:"profile,omitempty"` // a built-in configuration group to apply first
	// Overrides are the settings of the profile file that Profile names; only a
	// change that takes another one back goes back to a file.
	Overrides map[string]string `json:"overrides,omitempty"`
}

// NodeSetting is a setting of one node.
type NodeSetting struct {
	Node           string `json:"node"`
	Role           string `json:"role"`
	Host           string `json:"host"`
	Name           string `json:"name"`
	Value          string `json:"value"`                     // running, as SHOW prints it
	Configured     string `json:"configured,omitempty"`      // in the file, when that is not what runs
	PendingRestart bool   `json:"pending_restart,omitempty"` // Configured needs a restart
	Error          string `json:"error,omitempty"`           // why it is not known
}
