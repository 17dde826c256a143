package greenplum

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// toStart leaves out of nodes what which does not want, and former primaries: after a failover their
// data directory still starts as a primary, but the segment lives on in the
// other node. Where recovery.conf alone cannot tell (both nodes of a content
// have none, or one cannot be looked at), the catalogue does.
func (e *Engine) toStart(ctx context.Context, nodes []cluster.Node, which func(sight) bool) ([]cluster.Node, error) {
	var out []cluster.Node
	for _, n := range nodes {
		s, err := e.see(ctx, n)
		if err != nil {
			return nil, err
		}
		if !which(s) {
			continue
		}
		if e.lay.Adding(n) && !e.growing { // by a run that did not get through: perhaps nobody knows it
			c, err := e.held(ctx)
			if err != nil {
				return nil, err
			}
			if _, known := c.of(n); !known {
				continue
			}
		}
		if isCoordinator(n) || s.Follower || !s.Data || s.Proc != procStopped || !e.contested(ctx, n) {
			out = append(out, n)
			continue
		}
		c, err := e.held(ctx)
		if err != nil {
			return nil, err
		}
		if row, ok := c.of(n); !ok || row.Role == "p" || row.Status == "u" {
			out = append(out, n)
		}
	}
	return out, nil
}

// contested says whether the other node of a content may be its primary.
func (e *Engine) contested(ctx context.Context, n cluster.Node) bool {
	for _, o := range e.pair(n.Content) {
		if o.ID == n.ID {
			continue
		}
		if s, err := e.see(ctx, o); err != nil || s.Data && !s.Follower {
			return true
		}
	}
	return false
}

// held is the catalogue, of a coordinator that need not run.
func (e *Engine) held(ctx context.Context) (catalog, error) {
	n := e.coordinator()
	s, err := e.see(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("the coordinator cannot be asked which segments are up: %w", err)
	}
	if s.Proc == procReady {
		return e.catalog(ctx)
	}
	if s.Proc != procStopped || !s.Data {
		return nil, fault.New(fault.Failed, "cw cluster status "+e.top.Name, "%s: the coordinator (%s) cannot be asked which segments are up", n.Host, s.Proc)
	}
	e.offline.Lock()
	defer e.offline.Unlock()
	if e.offlineRows == nil {
		if e.offlineRows, err = e.readOffline(ctx, n); err != nil {
			return nil, err
		}
	}
	return e.offlineRows, nil
}

// offlineScript asks the stopped coordinator in $1.
const offlineScript = `echo "select 'cw' || replace(json_agg(c)::text, chr(10), '') || 'cw' as rows from gp_segment_configuration c;" |
postgres --single -D "$1" -c gp_role=utility -c gp_contentid=-1 template1 2>/dev/null | sed -n 's/.*rows = "cw\(.*\)cw".*/\1/p'`

func (e *Engine) readOffline(ctx context.Context, n cluster.Node) (catalog, error) {
	out, err := e.sh(ctx, n.Host, offlineScript, n.DataDir)
	if err != nil {
		return nil, err
	}
	var c catalog
	if err := json.Unmarshal([]byte(strings.TrimSpace(out)), &c); err != nil || len(c) == 0 {
		return nil, fmt.Errorf("%s: reading gp_segment_configuration of the stopped coordinator: no answer", n.Host)
	}
	return c, nil
}
