package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/fault"
	"cw/remote"
	"cw/state"
)

// Manager runs the verbs.
type Manager struct {
	Store *state.Store
	// Pool gives the connections of a cluster.
	Pool func(cluster string) (*remote.Pool, error)
	// Dir is the folder of this machine for a cluster's known_hosts, CA and
	// passwords.
	Dir func(cluster string) string
}

// The keys of state.Cluster.Facts.
const (
	factUID     = "uid"
	factMachine = "machine." // + host: the machine-id at first contact
)

// The verbs, as runs are recorded.
const (
	VerbCreate  = "create"
	VerbStart   = "start"
	VerbStop    = "stop"
	VerbRestart = "restart"
	VerbReload  = "reload"
	VerbRecover = "recover"
	VerbPromote = "promote"
	VerbExpand  = "expand"
	VerbShrink  = "shrink"
	VerbConfig  = "config"
	VerbDelete  = "delete"
	VerbAdopt   = "adopt"
)

// known is a cluster of the store, decoded.
type known struct {
	record state.Cluster
	top    *cluster.Topology
	lay    *cluster.Layout
}

// find reads a cluster from the store.
func (m *Manager) find(ctx context.Context, name string) (*known, error) {
	record, err := m.Store.Cluster(ctx, name)
	if err != nil {
		return nil, err
	}
	k := &known{record: record, top: &cluster.Topology{}, lay: &cluster.Layout{}}
	if err := errors.Join(json.Unmarshal([]byte(record.Topology), k.top), json.Unmarshal([]byte(record.Layout), k.lay)); err != nil {
		return nil, fmt.Errorf("reading cluster %s from the store: %w", name, err)
	}
	return k, nil
}

// newKnown is a cluster that is not in the store yet.
func newKnown(t *cluster.Topology) (*known, error) {
	lay, err := cluster.Expand(t, nil)
	if err != nil {
		return nil, err
	}
	k := &known{top: t, lay: lay, record: state.Cluster{
		Name: t.Name, Engine: t.Engine.Kind, State: state.ClusterCreating, Facts: map[string]string{factUID: state.NewID("c")},
	}}
	return k, k.encode()
}

// encode writes topology and layout into the record.
func (k *known) encode() error {
	top, err1 := json.Marshal(k.top)
	lay, err2 := json.Marshal(k.lay)
	k.record.Topology, k.record.Layout = string(top), string(lay)
	return errors.Join(err1, err2)
}

func (k *known) uid() string { return k.record.Facts[factUID] }

// fleet connects the cluster's hosts to the machines seen at first contact.
func (m *Manager) fleet(k *known) (*hostprep.Fleet, error) {
	pool, err := m.Pool(k.top.Name)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for key, id := range k.record.Facts {
		if host, ok := strings.CutPrefix(key, factMachine); ok {
			ids[host] = id
		}
	}
	return hostprep.NewFleet(pool, k.top, k.lay, ids), nil
}

// noteMachines records the machine-ids of hosts seen for the first time.
func (k *known) noteMachines(ctx context.Context, fleet *hostprep.Fleet) {
	for _, h := range fleet.Hosts() {
		key := factMachine + h.Name()
		if k.record.Facts[key] != "" {
			continue
		}
		if facts, err := h.Facts(ctx); err == nil && facts.MachineID != "" {
			k.record.Facts[key] = facts.MachineID
		}
	}
}

// guard fails when a host is another machine than at first contact. Hosts
// that do not answer are left to the steps.
func guard(ctx context.Context, fleet *hostprep.Fleet) error {
	_, err := remote.Each(ctx, fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
		_, err := h.Facts(ctx)
		var wrong *remote.WrongHostError
		if errors.As(err, &wrong) {
			return struct{}{}, err
		}
		return struct{}{}, nil
	})
	var all *remote.HostErrors
	if errors.As(err, &all) {
		return all.Errs[0].Err // one wrong host is enough to touch none
	}
	return err
}

// Check makes all checks of a topology's hosts and changes nothing. A cluster
// of that name in the store lends its identity, so that its own folders are
// known as its own.
func (m *Manager) Check(ctx context.Context, t *cluster.Topology) (hostprep.Report, error) {
	c, err := m.newChecker(ctx, t)
	if err != nil {
		return hostprep.Report{}, err
	}
	return c.check(ctx)
}

// checker makes the checks of a topology's hosts.
type checker struct {
	m     *Manager
	k     *known
	fleet *hostprep.Fleet
	sized hostprep.Check
}

func (m *Manager) newChecker(ctx context.Context, t *cluster.Topology) (*checker, error) {
	k, sized, err := m.newSized(ctx, t)
	if err != nil {
		return nil, err
	}
	if old, err := m.find(ctx, t.Name); err == nil {
		k.record.Facts, k.lay.Version = old.record.Facts, old.lay.Version
		// Its nodes are where they are; a file that lacks some is another's.
		if lay, err := cluster.Expand(t, old.lay); err == nil {
			k.lay = lay
		}
	} else if !errors.Is(err, state.ErrNotFound) {
		return nil, err
	}
	fleet, err := m.fleet(k)
	return &checker{m: m, k: k, fleet: fleet, sized: sized}, err
}

func (c *checker) check(ctx context.Context) (hostprep.Report, error) {
	eng, err := c.m.engine(c.fleet, c.k.uid(), "")
	if err != nil {
		return hostprep.Report{}, err
	}
	r := note(hostprep.Run(ctx, c.fleet, c.k.uid(), eng.Checks), c.sized)
	c.m.checked(ctx, c.k.top.Name, r)
	return r, ctx.Err()
}

// CheckNamed is Check for a cluster of the store.
func (m *Manager) CheckNamed(ctx context.Context, name string) (hostprep.Report, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return hostprep.Report{}, err
	}
	return m.Check(ctx, k.top)
}

// Topology returns what is kept of a cluster's topology and layout.
func (m *Manager) Topology(ctx context.Context, name string) (*cluster.Topology, *cluster.Layout, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return k.top, k.lay, nil
}

// Fleet returns the hosts of a cluster, for exec, push and pull.
func (m *Manager) Fleet(ctx context.Context, name string) (*hostprep.Fleet, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	return m.fleet(k)
}

// FleetOf returns the hosts of a topology that need not be a cluster yet.
func (m *Manager) FleetOf(t *cluster.Topology) (*hostprep.Fleet, error) {
	k, err := newKnown(t)
	if err != nil {
		return nil, err
	}
	return m.fleet(k)
}

// Status looks at a cluster.
func (m *Manager) Status(ctx context.Context, name string) (cluster.Status, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return cluster.Status{}, err
	}
	fleet, err := m.fleet(k)
	if err != nil {
		return cluster.Status{}, err
	}
	eng, err := m.engine(fleet, k.uid(), "")
	if err != nil {
		return cluster.Status{}, err
	}
	st := eng.Status(ctx)
	if s := k.record.State; s == state.ClusterCreating || s == state.ClusterDeleting {
		st.Problems = append(st.Problems, fmt.Sprintf("%s is not finished: cw cluster resume %s", verbOf(s), name))
		if st.State == cluster.Up {
			st.State = cluster.Degraded
		}
	}
	if k.lay.Pending != nil {
		st.Problems = append(st.Problems, fmt.Sprintf("expand is not finished: cw cluster resume %s", name))
		if st.State == cluster.Up {
			st.State = cluster.Degraded
		}
	}
	return st, ctx.Err()
}

// verbOf is the verb of an unfinished cluster.
func verbOf(recordState string) string {
	if recordState == state.ClusterDeleting {
		return VerbDelete
	}
	return VerbCreate
}

// Summary is a cluster in a list.
type Summary struct {
	Name     string `json:"name"`
	Engine   string `json:"engine"`
	Version  string `json:"version,omitempty"`
	State    string `json:"state"` // creating, up, stopped, deleting: what cw last did
	Hosts    int    `json:"hosts"`
	Nodes    int    `json:"nodes"`
	Endpoint string `json:"endpoint"`
	LockedBy string `json:"locked_by,omitempty"`
	// Health is up, degraded, down or unknown as a monitor saw it at SeenAt
	// (RFC 3339); "" when nobody has looked lately.
	Health    string `json:"health,omitempty"`
	SeenAt    string `json:"seen_at,omitempty"`
	CreatedAt string `json:"created_at"` // RFC 3339
}

// List lists the clusters of the store without contacting them.
func (m *Manager) List(ctx context.Context) ([]Summary, error) {
	records, err := m.Store.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := m.Store.Members(ctx, state.MemberCluster)
	if err != nil {
		return nil, err
	}
	out := make([]Summary, 0, len(records))
	for _, r := range records {
		s := Summary{Name: r.Name, Engine: r.Engine, State: r.State, CreatedAt: r.CreatedAt.UTC().Format("2006-01-02T15:04:05Z")}
		var top cluster.Topology
		var lay cluster.Layout
		if json.Unmarshal([]byte(r.Topology), &top) == nil && json.Unmarshal([]byte(r.Layout), &lay) == nil {
			p := lay.Primary()
			h, _ := top.Host(p.Host)
			s.Version, s.Hosts, s.Nodes, s.Endpoint = lay.Version, len(top.Hosts), len(lay.Nodes), fmt.Sprintf("%s:%d/%s", h.Address, p.Port, top.Database.Name)
		}
		if held, err := m.Store.Holder(ctx, leaseName(r.Name)); err == nil {
			s.LockedBy = held.Owner
		}
		if i := slices.IndexFunc(seen, func(m state.Member) bool { return m.Name == r.Name }); i >= 0 {
			s.Health, s.SeenAt = seen[i].State, seen[i].SeenAt.Format("2006-01-02T15:04:05Z")
		}
		out = append(out, s)
	}
	return out, nil
}

func leaseName(cluster string) string { return "cluster " + cluster }

// Holder is who holds a lease of a cluster, first that of its changes, then
// that of the move of its tables; nil when nobody does.
func (m *Manager) Holder(ctx context.Context, name string) (*state.LockedError, error) {
	held, err := m.Store.Holder(ctx, leaseName(name))
	if errors.Is(err, state.ErrNotFound) {
		held, err = m.Store.Holder(ctx, redistributeLease(name))
	}
	if !errors.Is(err, state.ErrNotFound) {
		return held, err
	}
	_, err = m.Store.Cluster(ctx, name) // a wrong name is an error, an unlocked cluster is not
	return nil, err
}

// Changing is who changes a cluster just now; nil when nobody does. That its
// tables are being moved is no such change.
func (m *Manager) Changing(ctx context.Context, name string) (*state.LockedError, error) {
	held, err := m.Store.Holder(ctx, leaseName(name))
	if errors.Is(err, state.ErrNotFound) {
		return nil, nil
	}
	return held, err
}

// Unlock takes the leases of a cluster away from whoever holds them.
func (m *Manager) Unlock(ctx context.Context, name string) error {
	return errors.Join(m.breakLease(ctx, name, leaseName(name)), m.breakLease(ctx, name, redistributeLease(name)))
}

func (m *Manager) breakLease(ctx context.Context, name, lease string) error {
	held, err := m.Store.Holder(ctx, lease)
	if err != nil && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	if err := m.Store.BreakLease(ctx, lease); err != nil || held == nil {
		return err
	}
	_ = m.Store.AddEvent(ctx, state.Event{
		Kind: state.EventAction, Severity: state.Warning, Cluster: name, Data: map[string]any{"by": m.Store.Who(), "from": held.Owner},
		Message: fmt.Sprintf("the lock of cluster %s was taken from %s (%s) by %s", name, held.Owner, held.Purpose, m.Store.Who()),
	})
	return nil
}

// locked gives a lease's error the command that breaks it.
func locked(name string, err error) error {
	var held *state.LockedError
	if errors.As(err, &held) {
		return fault.New(fault.Locked, "wait for it, or if it is dead: cw cluster unlock "+name, "%w", err)
	}
	return err
}
