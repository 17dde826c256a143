package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/remote"
)

// statusPatience bounds what one host may take, so that a dead one does not
// keep the answer: status is there within five seconds.
const statusPatience = 4 * time.Second

// statusScript prints the disk of the data folder, then the state of the
// server process and, when it takes connections, what it says of itself.
const statusScript = `p=$1
while [ ! -e "$p" ]; do p=$(dirname "$p"); done
df -Pk "$p" | awk 'NR==2 {print $(NF-4), $(NF-2)}'
set -- "$1"
` + procScript

// statusQuery is one JSON object about a node.
const statusQuery = `set statement_timeout = '3s';
select json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'recovery', pg_is_in_recovery(),
  'lsn', pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, '0/0'),
  'receiver', (select status from pg_stat_wal_receiver),
  'senders', (select coalesce(json_agg(json_build_object('name', application_name, 'state', state, 'lag',
      case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) end)), '[]'::json)
    from pg_stat_replication));`

// answer is what statusQuery returns.
type answer struct {
	Version  string   `json:"version"`
	Recovery bool     `json:"recovery"`
	LSN      *int64   `json:"lsn"`
	Receiver string   `json:"receiver"`
	Senders  []sender `json:"senders"`
}

type sender struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Lag   *int64 `json:"lag"`
}

// sight is what was seen of one node.
type sight struct {
	node   cluster.Node
	disk   *cluster.DiskStatus
	proc   string
	answer *answer
	host   error // the host did not answer
	server error // the server runs but did not answer
}

// Status looks at all nodes at once. It never fails: what cannot be seen is
// part of the answer.
func (e *Engine) Status(ctx context.Context) cluster.Status {
	seen := make([]sight, len(e.lay.Nodes))
	var wg sync.WaitGroup
	for i, n := range e.lay.Nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, statusPatience)
			defer cancel()
			seen[i] = e.look(ctx, n)
		})
	}
	wg.Wait()
	return e.judge(seen)
}

func (e *Engine) look(ctx context.Context, n cluster.Node) sight {
	s := sight{node: n}
	out, err := e.sh(ctx, n, statusScript, n.DataDir)
	if err != nil {
		s.host = err
		return s
	}
	df, proc, _ := strings.Cut(strings.TrimSpace(out), "\n")
	s.proc = strings.TrimSpace(proc)
	if size, free, err := hostprep.ParseDF(df); err == nil {
		s.disk = &cluster.DiskStatus{Path: n.DataDir, Size: size, Free: free}
	}
	if s.proc != procReady {
		return s
	}
	// Any psql will do to ask; that of the server's own version is there.
	res, err := e.Fleet.Host(n.Host).Run(ctx, remote.Cmd{
		Args:  []string{"/bin/sh", "-c", `exec "$(dirname "$(readlink "/proc/$(head -n 1 "$1/postmaster.pid")/exe")")/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$2"`, "cw", n.DataDir, fmt.Sprintf("host=%s port=%d dbname=postgres user=%s connect_timeout=3", connValue(n.SocketDir()), n.Port, connValue(e.top.OSUser))},
		Stdin: strings.NewReader(statusQuery), As: e.top.OSUser, Dir: "/",
	})
	if err != nil {
		s.server = err
		return s
	}
	s.answer = &answer{}
	if err := json.Unmarshal(res.Stdout, s.answer); err != nil {
		s.answer, s.server = nil, fmt.Errorf("reading its answer: %w", err)
	}
	return s
}

// Endpoint is where clients connect and how they know whom they talk to.
func (e *Engine) Endpoint() (cluster.Endpoint, *cluster.TLSStatus) {
	p := e.lay.Primary()
	host, _ := e.top.Host(p.Host)
	to := cluster.Endpoint{Host: host.Address, Port: p.Port, Database: e.top.Database.Name, User: e.top.Database.Admin, PasswordFile: e.AdminPasswordFile()}
	if adopted(p) { // whoever may log in, it is not with a password of ours
		to.PasswordFile = ""
	}
	return to, &cluster.TLSStatus{Mode: e.top.TLS.Mode, CAFile: e.CAFile()}
}

// judge turns sights into a status.
func (e *Engine) judge(seen []sight) cluster.Status {
	p := e.lay.Primary()
	major := e.lay.Version
	st := cluster.Status{
		Name: e.top.Name, Engine: cluster.EngineStatus{Kind: cluster.Postgres, Version: major},
		Problems:  []string{},
		CheckedAt: time.Now().UTC(),
	}
	st.Endpoint, st.TLS = e.Endpoint()
	var primary *answer
	for _, s := range seen {
		if s.node.ID == p.ID {
			primary = s.answer
		}
		if s.answer != nil && (st.Engine.Version == major || s.node.ID == p.ID) {
			st.Engine.Version = s.answer.Version
		}
	}
	up, answered := 0, 0
	for _, s := range seen {
		ns := e.nodeStatus(s, primary)
		if ns.State == cluster.NodeUp {
			up++
		}
		if s.host == nil {
			answered++
		}
		if problem := problemOf(s, ns, primary != nil && !primary.Recovery); problem != "" {
			st.Problems = append(st.Problems, problem)
		}
		st.Nodes = append(st.Nodes, ns)
		h, _ := e.top.Host(s.node.Host)
		hs := cluster.HostStatus{Name: h.Name, Address: h.Address, Reachable: s.host == nil, Disk: s.disk}
		if s.host != nil {
			hs.Error = s.host.Error()
		}
		st.Hosts = append(st.Hosts, hs)
	}
	switch {
	case len(st.Problems) == 0:
		st.State = cluster.Up
	case up > 0:
		st.State = cluster.Degraded
	case answered < len(seen):
		st.State = cluster.Unknown
	default:
		st.State = cluster.Down
	}
	return st
}

func (e *Engine) nodeStatus(s sight, primary *answer) cluster.NodeStatus {
	n := s.node
	ns := cluster.NodeStatus{ID: n.Name(), Content: n.Content, Role: n.Role, PreferredRole: n.PreferredRole, Host: n.Host, Port: n.Port, DataDir: n.DataDir}
	switch {
	case s.host != nil:
		ns.State = cluster.NodeUnknown
	case s.proc == procNone:
		ns.State = cluster.NodeAbsent
	case s.answer == nil:
		ns.State = cluster.NodeDown
		if s.proc == procBusy {
			ns.Detail = "starting, recovering or stopping"
		} else if s.server != nil {
			ns.Detail = s.server.Error()
		}
	default:
		ns.State = cluster.NodeUp
		ns.Role = cluster.NodePrimary
		if s.answer.Recovery {
			ns.Role = cluster.NodeStandby
		}
	}
	if n.PreferredRole != cluster.NodeStandby || ns.State != cluster.NodeUp {
		return ns
	}
	ns.Mode = cluster.ModeDetached
	if primary == nil {
		return ns
	}
	for _, snd := range primary.Senders {
		if snd.Name == n.Name() {
			ns.Mode, ns.LagBytes = snd.State, snd.Lag
		}
	}
	if adopted(n) && s.answer.Receiver != "" { // its name on the primary is not ours
		ns.Mode = s.answer.Receiver
	}
	if ns.LagBytes == nil && primary.LSN != nil && s.answer.LSN != nil {
		lag := max(*primary.LSN-*s.answer.LSN, 0)
		ns.LagBytes = &lag
	}
	return ns
}

// problemOf says in one sentence what is wrong with a node; "" for nothing. led
// says whether the primary of the layout takes writes.
func problemOf(s sight, ns cluster.NodeStatus, led bool) string {
	what := fmt.Sprintf("%s %s on %s", ns.PreferredRole, s.node.Name(), ns.Host)
	switch {
	case ns.State == cluster.NodeUnknown:
		return fmt.Sprintf("host %s does not answer: state of %s %s is not known (%v)", ns.Host, ns.PreferredRole, s.node.Name(), s.host)
	case ns.State == cluster.NodeAbsent:
		return fmt.Sprintf("%s has no data directory %s", what, path.Clean(ns.DataDir))
	case ns.State == cluster.NodeDown && ns.Detail != "":
		return fmt.Sprintf("%s does not take connections: %s", what, ns.Detail)
	case ns.State == cluster.NodeDown:
		return what + " is stopped"
	case ns.Role == cluster.NodePrimary && ns.PreferredRole == cluster.NodeStandby && led:
		return fmt.Sprintf("%s acts as a second primary: both take writes, and those of one will be lost", what)
	case ns.Role != ns.PreferredRole:
		return fmt.Sprintf("%s acts as %s", what, ns.Role)
	case ns.Mode == cluster.ModeDetached:
		return what + " does not stream from the primary"
	}
	return ""
}
