package state

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"cw/fault"
)

// Cluster is what is kept of a cluster. Topology is the file as it was given,
// Layout the expanded nodes, which are never renumbered; both are text to the
// store. Facts are small notes such as machine ids, by key.
type Cluster struct {
	Name      string
	Engine    string
	Topology  string
	Layout    string
	Facts     map[string]string
	State     string // creating, up, stopped, deleting: what cw last did, not what is true now
	CreatedAt time.Time
	UpdatedAt time.Time
}

// The states of a Cluster.
const (
	ClusterCreating = "creating"
	ClusterUp       = "up"
	ClusterStopped  = "stopped"
	ClusterDeleting = "deleting"
)

const clusterColumns = "name, engine, topology, layout, facts, state, created_at, updated_at"

func scanCluster(scan func(...any) error) (Cluster, error) {
	var c Cluster
	var facts string
	var created, updated int64
	if err := scan(&c.Name, &c.Engine, &c.Topology, &c.Layout, &facts, &c.State, &created, &updated); err != nil {
		return c, err
	}
	c.CreatedAt, c.UpdatedAt = fromMicros(created), fromMicros(updated)
	return c, json.Unmarshal([]byte(facts), &c.Facts)
}

// PutCluster adds a cluster or replaces what is kept of it.
func (s *Store) PutCluster(ctx context.Context, c Cluster) error {
	now, err := s.now(ctx)
	if err != nil {
		return err
	}
	if c.CreatedAt.IsZero() {
		c.CreatedAt = now
	}
	if c.Facts == nil {
		c.Facts = map[string]string{}
	}
	facts, err := json.Marshal(c.Facts)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, `insert into clusters (`+clusterColumns+`) values (?,?,?,?,?,?,?,?)
		on conflict (name) do update set engine=excluded.engine, topology=excluded.topology, layout=excluded.layout,
		facts=excluded.facts, state=excluded.state, updated_at=excluded.updated_at`,
		c.Name, c.Engine, c.Topology, c.Layout, string(facts), c.State, micros(c.CreatedAt), micros(now))
	return err
}

// Cluster finds a cluster by name; a missing one wraps ErrNotFound.
func (s *Store) Cluster(ctx context.Context, name string) (Cluster, error) {
	c, err := scanCluster(s.queryRow(ctx, "select "+clusterColumns+" from clusters where name=?", name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fault.New(fault.Usage, s.meant(ctx, name, "select name from clusters order by name", "see the names with: cw cluster list"),
			"cluster %q: %w in store %s", name, ErrNotFound, s.where)
	}
	return c, s.failed(err)
}

// Clusters lists all clusters by name.
func (s *Store) Clusters(ctx context.Context) ([]Cluster, error) {
	return collect(ctx, s, scanCluster, "select "+clusterColumns+" from clusters order by name")
}

// DeleteCluster forgets a cluster; its runs, events and audit stay.
func (s *Store) DeleteCluster(ctx context.Context, name string) error {
	_, err := s.exec(ctx, "delete from clusters where name=?", name)
	return err
}
