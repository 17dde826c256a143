// Package greenplum runs clusters of Greenplum Database 6 without the
// engine's own management utilities: it makes steps out of initdb, postgres,
// pg_ctl, pg_basebackup, pg_rewind and psql on the hosts. What it makes is an
// ordinary Greenplum, which those utilities accept. How Greenplum wants its
// instances made, started and registered is in the 6.24 sources: gpMgmt/bin
// and src/backend/utils/gp/segadmin.c.
//
// The folder of a node, <data_dir>/<cluster>/n<ID>, holds gpseg<content> (the
// data directory) and the marker that says whose it is. A data directory is
// made under the name gpseg<content>.cw-new and renamed when it is complete,
// so that one that exists can be used. A host that carries nodes holds for a
// while <first node's folder>/template, which they are copied from.
//
// Which node is primary and which mirror changes without us: the layout says
// what was planned, gp_segment_configuration on the coordinator what is, and
// recovery.conf in a data directory how an instance would start.
package greenplum

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/remote"
)

// Config is what an Engine works on.
type Config struct {
	Fleet *hostprep.Fleet
	UID   string // the cluster's unique id, for the markers
	Run   string // id of this run, for the markers and for restart
	Dir   string // folder of this machine for passwords of the cluster
}

// Engine is one Greenplum cluster.
type Engine struct {
	Config
	top *cluster.Topology
	lay *cluster.Layout

	sights    map[string]*sighting // by host; fixed set
	template  template
	growing   bool // nodes that are being added are to be started
	beingMade bool // by Create: data directories that are missing are still to come

	growth growth

	settingsOnce sync.Mutex
	settings     computed

	offline     sync.Mutex // a single-user server is alone in its directory
	offlineRows catalog

	mu      sync.Mutex
	left    []string
	markers map[string][]hostprep.Marker // of folders that were removed, by host
}

// New makes the engine of one cluster; it contacts nobody.
func New(c Config) *Engine {
	e := &Engine{Config: c, top: c.Fleet.Topology, lay: c.Fleet.Layout, sights: map[string]*sighting{}, markers: map[string][]hostprep.Marker{}}
	for _, h := range e.top.Hosts {
		e.sights[h.Name] = &sighting{}
	}
	return e
}

// Left is what a Delete found and did not remove, one sentence each.
func (e *Engine) Left() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.left...)
}

func (e *Engine) leave(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = append(e.left, fmt.Sprintf(format, args...))
}

// The roles of a node as its folder name, its start and its neighbours need them.
func isCoordinator(n cluster.Node) bool { return n.Content < 0 }

// coordinator is the node that the layout calls so.
func (e *Engine) coordinator() cluster.Node { return e.lay.Primary() }

// standby is the standby coordinator, if there is one.
func (e *Engine) standby() (cluster.Node, bool) {
	for _, n := range e.lay.Nodes {
		if n.Content < 0 && n.Role == cluster.NodeStandby {
			return n, true
		}
	}
	return cluster.Node{}, false
}

// segments are the primaries and mirrors on a host.
func (e *Engine) segments(host string) []cluster.Node {
	var out []cluster.Node
	for _, n := range e.lay.On(host) {
		if !isCoordinator(n) {
			out = append(out, n)
		}
	}
	return out
}

// segmentHosts are the hosts that carry segments, in the topology's order.
func (e *Engine) segmentHosts() []string {
	var out []string
	for _, h := range e.top.Hosts {
		if len(e.segments(h.Name)) > 0 {
			out = append(out, h.Name)
		}
	}
	return out
}

// address is where other nodes reach a node.
func (e *Engine) address(n cluster.Node) string {
	if n.Address != "" {
		return n.Address
	}
	h, _ := e.top.Host(n.Host)
	return h.Peer()
}

func (e *Engine) marker(n cluster.Node) hostprep.Marker {
	return hostprep.Marker{Cluster: e.top.Name, UID: e.UID, Node: n.Name(), Run: e.Run}
}

// The places inside a node's folder.
func newData(n cluster.Node) string { return n.DataDir + ".cw-new" }

// noEngine is how a script ends where the engine's software is not.
const noEngine = "73"

// prelude makes the engine's programs and libraries found. greenplum_path.sh
// is not read: with some shells it wants lsof to find itself.
const prelude = `export GPHOME="$1"; shift
[ -x "$GPHOME/bin/postgres" ] || exit ` + noEngine + `
export PATH="$GPHOME/bin:$PATH" LD_LIBRARY_PATH="$GPHOME/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONPATH="$GPHOME/lib/python"
[ ! -e "$GPHOME/etc/openssl.cnf" ] || export OPENSSL_CONF="$GPHOME/etc/openssl.cnf"
`

// sh runs a script as the database's owner on a host, with the engine's
// programs in the PATH.
func (e *Engine) sh(ctx context.Context, host, script string, args ...string) (string, error) {
	return e.shInput(ctx, host, "", script, args...)
}

func (e *Engine) shInput(ctx context.Context, host, input, script string, args ...string) (string, error) {
	home, err := e.home(ctx, host)
	if err != nil {
		return "", err
	}
	out, err := e.Fleet.ScriptInput(ctx, host, e.top.OSUser, e.dialect(input), prelude+e.dialect(script), append([]string{home}, args...)...)
	var exit *remote.ExitError
	if errors.As(err, &exit) && strconv.Itoa(exit.Code) == noEngine {
		if _, missing := e.Fleet.Greenplum(ctx, host); missing != nil {
			return out, missing
		}
	}
	return out, err
}

// utility is the option of a session that talks to one instance alone.
const utility = "-c gp_session_role=utility"

// session says where statements go.
type session struct {
	node    cluster.Node
	db      string // "" is postgres
	options string // PGOPTIONS
}

// sql runs statements over the instance's unix socket as the superuser. They
// go over standard input: what is in them is in no argv. The result is the
// output of psql without headers and padding.
func (e *Engine) sql(ctx context.Context, s session, statements string) (string, error) {
	out, err := e.shInput(ctx, s.node.Host, statements, psqlScript, e.connInfo(s), e.dialect(s.options))
	return strings.TrimSpace(out), err
}

// psqlScript runs statements from standard input.
const psqlScript = `PGOPTIONS="$2" exec psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1"`

// connInfo is the connection string of a session.
func (e *Engine) connInfo(s session) string {
	return fmt.Sprintf("host=%s port=%d dbname=%s user=%s connect_timeout=5", connValue(socketDir(s.node)), s.node.Port, connValue(cmp.Or(s.db, "postgres")), connValue(e.top.OSUser))
}

// socketDir is where an instance listens; the engine's own tools look in /tmp.
func socketDir(n cluster.Node) string {
	if n.Socket != "" {
		return n.Socket
	}
	return "/tmp"
}

// connValue quotes a value of a libpq connection string.
func connValue(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// ident quotes an SQL identifier, literal a string constant.
func ident(s string) string   { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// isMissing says whether there is no engine on a host.
func isMissing(err error) bool {
	var missing *hostprep.MissingGreenplumError
	return errors.As(err, &missing)
}

// ignoreAbsent turns the failure to become a user who does not exist yet, or to
// find software that is not installed yet, into a Check's "not done": both
// are made by earlier steps.
func ignoreAbsent(err error) error {
	if isMissing(err) {
		return nil
	}
	var sudo *remote.SudoError
	if errors.As(err, &sudo) && (strings.Contains(sudo.Text, "unknown user") || strings.Contains(sudo.Text, "no such user")) {
		return nil
	}
	return err
}

// names lists nodes for a title: n2, n3.
func names(nodes []cluster.Node) string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.Name()
	}
	return strings.Join(out, ", ")
}
