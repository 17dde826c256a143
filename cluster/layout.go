package cluster

import (
	"fmt"
	"path"
	"slices"
	"strconv"

	"cw/fault"
)

// The oldest and newest major version of PostgreSQL that cw runs.
const (
	MinPostgres = 13
	MaxPostgres = 18
)

// GreenplumMajor is the major version of Greenplum that cw runs without the
// engine's own utilities.
const GreenplumMajor = "6"

// ReplicationRole is the database role with which standbys stream.
const ReplicationRole = "cw_replication"

// maxSocketPath is what fits into sockaddr_un on Linux (108 with the zero).
const maxSocketPath = 107

// The roles of a node.
const (
	NodeCoordinator = "coordinator"
	NodePrimary     = "primary"
	NodeStandby     = "standby"
	NodeMirror      = "mirror"
)

// Node is one database instance. Its id, port and folders never change once
// the layout was stored.
type Node struct {
	ID            int    `json:"id"`
	Content       int    `json:"content"` // segment number; -1 for coordinator and standbys
	Role          string `json:"role"`
	PreferredRole string `json:"preferred_role"`
	Host          string `json:"host"` // name in the topology
	Port          int    `json:"port"`
	Dir           string `json:"dir"`      // everything of the node: data, log, socket, keys
	DataDir       string `json:"data_dir"` // the engine's data directory

	// Address is where other nodes reach this one, when that is not Host.Peer of
	// its host: hosts with several interconnect addresses spread them.
	Address string `json:"address,omitempty"`
	// Socket and ConfigFile are set for clusters that cw did not make.
	Socket     string `json:"socket,omitempty"`      // folder of the unix socket
	ConfigFile string `json:"config_file,omitempty"` // postgresql.conf outside the data directory
	Slot       string `json:"slot,omitempty"`        // the replication slot that a standby had
}

// Name is the node's short name, n1 for id 1: its folder, its replication
// slot and its application_name carry it.
func (n Node) Name() string { return "n" + strconv.Itoa(n.ID) }

// SocketDir is the folder of the node's unix socket.
func (n Node) SocketDir() string {
	if n.Socket != "" {
		return n.Socket
	}
	return path.Join(n.Dir, "run")
}

func nodeDir(dataDir, clusterName string, id int) string {
	return path.Join(dataDir, clusterName, Node{ID: id}.Name())
}

func socketFile(dir string, port int) string {
	return path.Join(dir, "run", ".s.PGSQL."+strconv.Itoa(port))
}

// Layout is a topology expanded to nodes. It is stored when a cluster is
// created and only ever added to.
type Layout struct {
	// Version is the engine's major version that was found when the cluster was
	// made. A newer one that is installed later changes nothing.
	Version string `json:"version,omitempty"`
	// SegmentsPerHost is the number of primaries per segment host, once it was
	// decided: what layout.segments_per_host: auto has become.
	SegmentsPerHost int    `json:"segments_per_host,omitempty"`
	Nodes           []Node `json:"nodes"`
	// Pending is an expansion that has begun and is not through.
	Pending *Pending `json:"pending,omitempty"`
}

// Pending are nodes of a layout that are being added, and what was before.
type Pending struct {
	Nodes           []int     `json:"nodes"` // ids
	Before          *Topology `json:"before"`
	SegmentsPerHost int       `json:"segments_per_host,omitempty"`
}

// Adding says whether a node belongs to an expansion that is not through.
func (l *Layout) Adding(n Node) bool {
	return l.Pending != nil && slices.Contains(l.Pending.Nodes, n.ID)
}

// Segments is the number of segments.
func (l *Layout) Segments() int {
	n := 0
	for _, o := range l.Nodes {
		n = max(n, o.Content+1)
	}
	return n
}

// Primary is the node that takes writes (the coordinator).
func (l *Layout) Primary() Node {
	for _, n := range l.Nodes {
		if n.Content < 0 && (n.Role == NodePrimary || n.Role == NodeCoordinator) {
			return n
		}
	}
	return Node{}
}

// Standbys are the nodes that follow the primary.
func (l *Layout) Standbys() []Node {
	var out []Node
	for _, n := range l.Nodes {
		if n.Role == NodeStandby {
			out = append(out, n)
		}
	}
	return out
}

// Node returns the node of a name.
func (l *Layout) Node(name string) (Node, bool) {
	for _, n := range l.Nodes {
		if n.Name() == name {
			return n, true
		}
	}
	return Node{}, false
}

// Promote swaps the roles of the primary and of a standby: what was the
// primary is a standby from now on, even if it is gone and must be recovered.
func (l *Layout) Promote(name string) {
	old := l.Primary()
	to, ok := l.Node(name)
	if !ok || to.ID == old.ID {
		return
	}
	for i := range l.Nodes {
		switch n := &l.Nodes[i]; n.ID {
		case old.ID:
			n.Role, n.PreferredRole = to.Role, to.Role
		case to.ID:
			n.Role, n.PreferredRole = old.Role, old.Role
		}
	}
}

// On are the nodes of a host.
func (l *Layout) On(host string) []Node {
	var out []Node
	for _, n := range l.Nodes {
		if n.Host == host {
			out = append(out, n)
		}
	}
	return out
}

// Expand turns the layout rule of a topology into nodes. Nodes of prev, which
// may be nil, are kept as they are; new ones get the next free ids. Hosts of
// prev that the topology no longer names are an error: taking a host out is a
// verb of its own, never an omission.
//
// For layout.segments_per_host: auto the number comes from prev, which may for
// that be an otherwise empty layout: &Layout{SegmentsPerHost: n}, with n from
// AutoSegments. While nobody has looked at the hosts it is the number of data
// folders.
func Expand(t *Topology, prev *Layout) (*Layout, error) {
	out := &Layout{}
	next := 1
	if prev != nil {
		for _, n := range prev.Nodes {
			if _, ok := t.Host(n.Host); !ok {
				return nil, fault.New(fault.Usage, "put the host back into the topology", "host %s carries node %s but is no longer in the topology", n.Host, n.Name())
			}
			next = max(next, n.ID+1)
		}
		out.Version, out.SegmentsPerHost, out.Nodes, out.Pending = prev.Version, prev.SegmentsPerHost, slices.Clone(prev.Nodes), prev.Pending
	}
	if t.Engine.Kind != Postgres {
		return out, expandSegments(t, out, next)
	}
	add := func(h Host, role string) {
		n := Node{ID: next, Content: -1, Role: role, PreferredRole: role, Host: h.Name, Port: t.Database.Port}
		n.Dir = nodeDir(t.Layout.DataDirs[0], t.Name, n.ID)
		n.DataDir = path.Join(n.Dir, "data")
		out.Nodes = append(out.Nodes, n)
		next++
	}
	for _, pass := range []struct{ host, node string }{{RoleCoordinator, NodePrimary}, {RoleStandby, NodeStandby}} {
		for _, h := range t.Hosts {
			if h.Has(pass.host) && len(out.On(h.Name)) == 0 {
				add(h, pass.node)
			}
		}
	}
	for _, n := range out.Nodes {
		if l := len(socketFile(n.Dir, n.Port)); l > maxSocketPath {
			return nil, fmt.Errorf("node %s: its unix socket path has %d bytes, %d are possible: use a shorter layout.data_dirs", n.Name(), l, maxSocketPath)
		}
	}
	return out, nil
}
