package greenplum

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cw/cluster"
)

// entry is a row of gp_segment_configuration.
type entry struct {
	DBID      int    `json:"dbid"`
	Content   int    `json:"content"`
	Role      string `json:"role"` // p or m
	Preferred string `json:"preferred_role"`
	Mode      string `json:"mode"`   // s in sync, n not
	Status    string `json:"status"` // u up, d down
	Port      int    `json:"port"`
	Hostname  string `json:"hostname"`
	Address   string `json:"address"`
	DataDir   string `json:"datadir"`
}

// catalog is gp_segment_configuration.
type catalog []entry

const catalogQuery = `select coalesce(json_agg(c), '[]') from (select dbid, content, role, preferred_role, mode, status, port, hostname, address, datadir from gp_segment_configuration order by dbid) c;`

// catalog reads gp_segment_configuration from the coordinator.
func (e *Engine) catalog(ctx context.Context) (catalog, error) {
	out, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, catalogQuery)
	if err != nil {
		return nil, fmt.Errorf("reading gp_segment_configuration: %w", err)
	}
	var c catalog
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		return nil, fmt.Errorf("reading gp_segment_configuration: %w", err)
	}
	return c, nil
}

// of finds the row of a node. Nodes and rows belong together by place, not by
// dbid: a standby that is made anew gets another one.
func (c catalog) of(n cluster.Node) (entry, bool) {
	for _, r := range c {
		if r.Content == n.Content && r.Port == n.Port && r.DataDir == n.DataDir {
			return r, true
		}
	}
	return entry{}, false
}

// acting is the row of the primary of a content.
func (c catalog) acting(content int) (entry, bool) {
	for _, r := range c {
		if r.Content == content && r.Role == "p" {
			return r, true
		}
	}
	return entry{}, false
}

// peer is the other row of a content.
func (c catalog) peer(of entry) (entry, bool) {
	for _, r := range c {
		if r.Content == of.Content && r.DBID != of.DBID {
			return r, true
		}
	}
	return entry{}, false
}

// node finds the node of the layout that a row is about.
func (e *Engine) node(r entry) (cluster.Node, bool) {
	for _, n := range e.lay.Nodes {
		if r.Content == n.Content && r.Port == n.Port && r.DataDir == n.DataDir {
			return n, true
		}
	}
	return cluster.Node{}, false
}

// probe has the fault tolerance server look at all segments and returns the
// catalogue it leaves.
func (e *Engine) probe(ctx context.Context) (catalog, error) {
	out, err := e.sql(ctx, session{node: e.coordinator()}, "select gp_request_fts_probe_scan();\n"+catalogQuery)
	if err != nil {
		return nil, fmt.Errorf("probing the segments: %w", err)
	}
	_, rows, _ := strings.Cut(out, "\n")
	var c catalog
	if err := json.Unmarshal([]byte(rows), &c); err != nil {
		return nil, fmt.Errorf("reading gp_segment_configuration: %w", err)
	}
	return c, nil
}

// await probes until a catalogue is as wanted, or patience ends; then the
// error is what want says is missing.
func (e *Engine) await(ctx context.Context, patience time.Duration, want func(catalog) error) error {
	limit := time.Now().Add(patience)
	for {
		c, err := e.probe(ctx)
		if err != nil {
			return err
		}
		missing := want(c)
		if missing == nil {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("after %s: %w", patience, missing)
		}
		if err := pause(ctx, probeInterval); err != nil {
			return err
		}
	}
}

const probeInterval = 100 * time.Millisecond

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
