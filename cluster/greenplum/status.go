package greenplum

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"cw/cluster"
)

// statusPatience bounds what one host may take, so that a dead one does not
// keep the answer: status is there within five seconds.
const statusPatience = 4 * time.Second

// statusQuery is one JSON object about the cluster, asked of the coordinator:
// version, catalogue, since when segments are down, and the standby's lag.
const statusQuery = `set statement_timeout = '3s';
select json_build_object(
  'version', substring(version() from 'Greenplum Database ([0-9.]+)'),
  'catalog', (select coalesce(json_agg(c), '[]') from (select dbid, content, role, preferred_role, mode, status, port, hostname, address, datadir from gp_segment_configuration order by dbid) c),
  'down', (select coalesce(json_agg(d), '[]') from (select dbid, extract(epoch from max(time)) as since from gp_configuration_history
     where dbid in (select dbid from gp_segment_configuration where status = 'd') group by dbid) d),
  'standby', (select json_build_object('state', state, 'lag', pg_xlog_location_diff(pg_current_xlog_location(), replay_location)) from pg_stat_replication order by state = 'streaming' desc limit 1));`

// answer is what statusQuery returns.
type answer struct {
	Version string  `json:"version"`
	Catalog catalog `json:"catalog"`
	Down    []struct {
		DBID  int     `json:"dbid"`
		Since float64 `json:"since"`
	} `json:"down"`
	Standby *struct {
		State string `json:"state"`
		Lag   *int64 `json:"lag"`
	} `json:"standby"`
}

// Status looks at all nodes at once.
func (e *Engine) Status(ctx context.Context) cluster.Status {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	var a *answer
	var asked error
	var wg sync.WaitGroup
	wg.Go(func() { a, asked = e.ask(ctx, e.coordinator()) })
	looks := make([]look, len(e.hosts()))
	for i, h := range e.hosts() {
		wg.Go(func() {
			looks[i].seen, _, looks[i].err = e.lookAt(ctx, h)
		})
	}
	wg.Wait()
	byHost := map[string]look{}
	for i, h := range e.hosts() {
		byHost[h] = looks[i]
	}
	return e.judge(byHost, a, asked)
}

// look is what one host showed.
type look struct {
	seen map[int]sight
	err  error
}

func (e *Engine) ask(ctx context.Context, n cluster.Node) (*answer, error) {
	out, err := e.sql(ctx, session{node: n, options: utility}, statusQuery)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if err := json.Unmarshal([]byte(out), a); err != nil {
		return nil, fmt.Errorf("reading the coordinator's answer: %w", err)
	}
	return a, nil
}

// Endpoint is where clients connect; nothing is said of TLS.
func (e *Engine) Endpoint() (cluster.Endpoint, *cluster.TLSStatus) {
	c := e.coordinator()
	host, _ := e.top.Host(c.Host)
	return cluster.Endpoint{Host: host.Address, Port: c.Port, Database: e.top.Database.Name, User: e.top.Database.Admin, PasswordFile: e.AdminPasswordFile()}, nil
}

// judge makes a status of what was seen and answered.
func (e *Engine) judge(looks map[string]look, a *answer, asked error) cluster.Status {
	c := e.coordinator()
	st := cluster.Status{
		Name: e.top.Name, Engine: cluster.EngineStatus{Kind: e.top.Engine.Kind, Version: e.lay.Version},
		Problems: []string{}, CheckedAt: time.Now().UTC(),
	}
	st.Endpoint, _ = e.Endpoint()
	if a != nil {
		st.Engine.Version = a.Version
	}
	up, leading := 0, false
	for _, n := range e.lay.Nodes {
		s, err := looks[n.Host].seen[n.ID], looks[n.Host].err
		ns := e.nodeStatus(n, s, err, a)
		if ns.State == cluster.NodeUp {
			up++
			leading = leading || ns.Role == cluster.NodeCoordinator && n.ID == c.ID
		}
		if p := problemOf(n, s, ns, err); p != "" {
			st.Problems = append(st.Problems, p)
		}
		st.Nodes = append(st.Nodes, ns)
	}
	for _, h := range e.top.Hosts {
		hs := cluster.HostStatus{Name: h.Name, Address: h.Address, Reachable: looks[h.Name].err == nil}
		if err := looks[h.Name].err; err != nil {
			hs.Error = err.Error()
		} else if on := e.lay.On(h.Name); len(on) > 0 {
			hs.Disk = looks[h.Name].seen[on[0].ID].Disk
		}
		st.Hosts = append(st.Hosts, hs)
	}
	if leading && asked != nil {
		st.Problems = append(st.Problems, "the coordinator does not answer: "+clean(asked.Error()))
	}
	switch {
	case len(st.Problems) == 0:
		st.State = cluster.Up
	case leading && a != nil && !lost(a.Catalog):
		st.State = cluster.Degraded
	case looks[c.Host].err != nil:
		st.State = cluster.Unknown
	case up > 0:
		st.State = cluster.Degraded
	default:
		st.State = cluster.Down
	}
	return st
}

// lost says whether a content has no instance that is up.
func lost(c catalog) bool {
	alive := map[int]bool{}
	for _, r := range c {
		alive[r.Content] = alive[r.Content] || r.Status == "u"
	}
	for _, ok := range alive {
		if !ok {
			return true
		}
	}
	return false
}

func (e *Engine) nodeStatus(n cluster.Node, s sight, err error, a *answer) cluster.NodeStatus {
	ns := cluster.NodeStatus{ID: n.Name(), Content: n.Content, Role: n.Role, PreferredRole: n.PreferredRole, Host: n.Host, Port: n.Port, DataDir: n.DataDir}
	switch {
	case err != nil:
		ns.State = cluster.NodeUnknown
	case !s.Data:
		ns.State = cluster.NodeAbsent
	case s.up():
		ns.State = cluster.NodeUp
	case s.Proc == procStopped:
		ns.State = cluster.NodeDown
	default:
		ns.State, ns.Detail = cluster.NodeDown, "starting, recovering or stopping"
	}
	if isCoordinator(n) {
		switch {
		case s.Data && s.Follower:
			ns.Role = cluster.NodeStandby
		case ns.State == cluster.NodeUp:
			ns.Role = cluster.NodeCoordinator
		}
		if ns.Role == cluster.NodeStandby && a != nil {
			ns.Mode = cluster.ModeDetached
			if a.Standby != nil {
				ns.Mode, ns.LagBytes = a.Standby.State, a.Standby.Lag
			}
		}
		return ns
	}
	if a == nil {
		return ns
	}
	row, known := a.Catalog.of(n)
	if !known {
		ns.Detail = "not in the catalogue"
		return ns
	}
	ns.Role = map[string]string{"p": cluster.NodePrimary, "m": cluster.NodeMirror}[row.Role]
	if _, mirrored := a.Catalog.peer(row); mirrored {
		ns.Mode = map[string]string{"s": cluster.ModeSync, "n": cluster.ModeNotSync}[row.Mode]
	}
	if row.Status == "d" {
		if ns.State == cluster.NodeUp {
			ns.State, ns.Detail = cluster.NodeDown, "runs, but the coordinator holds it for down"
		}
		for _, d := range a.Down {
			if d.DBID == row.DBID {
				t := time.Unix(int64(d.Since), 0).UTC()
				ns.DownSince = &t
			}
		}
	}
	return ns
}

// problemOf says in one sentence what is wrong with a node; "" for nothing.
func problemOf(n cluster.Node, s sight, ns cluster.NodeStatus, err error) string {
	what := fmt.Sprintf("%s on %s", describe(n), n.Host)
	switch {
	case ns.State == cluster.NodeUnknown:
		return fmt.Sprintf("host %s does not answer: state of %s is not known (%v)", n.Host, describe(n), clean(err.Error()))
	case ns.State == cluster.NodeAbsent:
		return fmt.Sprintf("%s has no data directory %s", what, n.DataDir)
	case s.Rewound:
		return what + ": its recovery was interrupted"
	case ns.State == cluster.NodeDown && ns.Detail != "":
		return fmt.Sprintf("%s: %s", what, ns.Detail)
	case ns.State == cluster.NodeDown:
		return what + " is stopped"
	case ns.Detail != "":
		return fmt.Sprintf("%s: %s", what, ns.Detail)
	case ns.Role == cluster.NodeCoordinator && n.Role == cluster.NodeStandby:
		return what + " acts as a second coordinator"
	case ns.Role != n.PreferredRole:
		return fmt.Sprintf("%s acts as %s", what, ns.Role)
	case ns.Mode == cluster.ModeNotSync:
		return what + " is not in sync"
	case ns.Mode == cluster.ModeDetached:
		return what + " does not stream from the coordinator"
	}
	return ""
}
