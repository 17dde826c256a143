// Package postgres runs clusters of plain PostgreSQL: one primary and any
// number of streaming standbys with physical slots. It makes steps out of
// initdb, pg_basebackup, pg_ctl and psql on the hosts; running them is the
// business of cluster/step, remembering them of cluster/manage.
//
// The folder of a node, <data_dir>/<cluster>/<node>, holds data (the data
// directory), log, run (the unix socket), tls, passfile and the marker that
// says whose it is. data is made under the name data.cw-new and renamed when
// it is complete, so that a data directory that exists can be used. While
// pg_rewind or a copy works in it the note "unfinished" lies in the node's
// folder, and nothing starts the server.
//
// Nodes of a cluster that was adopted keep their data directory where it is;
// their folder, <data directory>.cw, holds the rest.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/fault"
	"cw/remote"
)

// Config is what an Engine works on.
type Config struct {
	Fleet *hostprep.Fleet
	UID   string // the cluster's unique id, for the markers
	Run   string // id of this run, for the markers and for restart
	Dir   string // folder of this machine for CA, passwords and keys of the cluster
}

// Engine is one PostgreSQL cluster.
type Engine struct {
	Config
	top *cluster.Topology
	lay *cluster.Layout
	*memory
}

// memory is what an Engine has found out; those of one run share it.
type memory struct {
	mu      sync.Mutex
	bins    map[string]hostprep.Binaries
	major   int
	left    []string
	peers   map[string]peer           // by host
	markers map[int][]hostprep.Marker // of folders that were removed, by node id
}

// New makes the engine of one cluster; it contacts nobody.
func New(c Config) *Engine {
	return &Engine{Config: c, top: c.Fleet.Topology, lay: c.Fleet.Layout, memory: &memory{bins: map[string]hostprep.Binaries{}, peers: map[string]peer{}, markers: map[int][]hostprep.Marker{}}}
}

// with is the same cluster with other roles or another profile: the one that
// it will be when the steps are done.
func (e *Engine) with(top *cluster.Topology, lay *cluster.Layout) *Engine {
	return &Engine{Config: e.Config, top: top, lay: lay, memory: e.memory}
}

// Left is what a run found and did not do, one sentence each.
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

// leaveOnce is leave for what several steps would say.
func (e *Engine) leaveOnce(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.left, text) {
		e.left = append(e.left, text)
	}
}

// Checks are the engine's own checks of a host.
func (e *Engine) Checks(ctx context.Context, host string) []hostprep.Check {
	c := hostprep.Check{ID: "postgresql", Host: host, Severity: hostprep.Required, Expected: strings.TrimSpace("PostgreSQL " + e.top.Engine.Version)}
	b, err := e.binaries(ctx, host)
	missing := (*hostprep.MissingError)(nil)
	switch {
	case err == nil:
		c.OK, c.Observed = true, b.Version+" in "+b.Dir
	case e.top.Engine.Install && errors.As(err, &missing):
		c.OK, c.Observed = true, "will be installed"
		if err := e.Fleet.Root(ctx, host); err != nil {
			return []hostprep.Check{hostprep.FailedBy(c.ID, host, c.Expected, fmt.Errorf("installing needs root: %w", err))}
		}
	default:
		return []hostprep.Check{hostprep.FailedBy(c.ID, host, c.Expected, err)}
	}
	return []hostprep.Check{c}
}

// Version is the major version the cluster runs, as text.
func (e *Engine) Version(ctx context.Context) (string, error) {
	v, err := e.version(ctx)
	return strconv.Itoa(v), err
}

// version is the major version the cluster runs.
func (e *Engine) version(ctx context.Context) (int, error) {
	e.mu.Lock()
	known := e.major
	e.mu.Unlock()
	if known != 0 {
		return known, nil
	}
	v, err := e.Fleet.PostgresMajor(ctx)
	if err == nil {
		e.mu.Lock()
		e.major = v
		e.mu.Unlock()
	}
	return v, err
}

// binaries finds PostgreSQL on a host, once.
func (e *Engine) binaries(ctx context.Context, host string) (hostprep.Binaries, error) {
	e.mu.Lock()
	b, ok := e.bins[host]
	e.mu.Unlock()
	if ok {
		return b, nil
	}
	major, err := e.version(ctx)
	if err != nil {
		return b, err
	}
	if b, err = e.Fleet.Postgres(ctx, host, major); err != nil {
		return b, err
	}
	e.mu.Lock()
	e.bins[host] = b
	e.mu.Unlock()
	return b, nil
}

// The places inside a node's folder.
func newData(n cluster.Node) string     { return n.DataDir + ".cw-new" }
func passFile(n cluster.Node) string    { return path.Join(n.Dir, "passfile") }
func logDir(n cluster.Node) string      { return path.Join(n.Dir, "log") }
func startLog(n cluster.Node) string    { return path.Join(logDir(n), "startup.log") }
func tlsFile(n cluster.Node) string     { return path.Join(n.Dir, "tls", "server.pem") }
func rootFile(n cluster.Node) string    { return path.Join(n.Dir, "tls", "root.crt") }
func unfinished(n cluster.Node) string  { return path.Join(n.Dir, "unfinished") }
func keptConf(n cluster.Node) string    { return path.Join(n.Dir, "conf-kept") }
func optionsFile(n cluster.Node) string { return path.Join(n.Dir, "options") }
func systemFile(n cluster.Node) string  { return path.Join(n.Dir, "system") }

// adopted says whether somebody else made the node.
func adopted(n cluster.Node) bool { return n.Socket != "" }

// slot is the name of a node's replication slot on its primary.
func slot(n cluster.Node) string {
	if n.Slot != "" {
		return n.Slot
	}
	return "cw_" + n.Name()
}

// CAFile is the CA certificate for clients, on this machine; "" without TLS.
func (e *Engine) CAFile() string {
	switch e.top.TLS.Mode {
	case cluster.TLSSelfSigned:
		return filepath.Join(e.Dir, "ca.crt")
	case cluster.TLSFiles:
		return e.top.TLS.CAFile
	}
	return ""
}

func (e *Engine) marker(n cluster.Node) hostprep.Marker {
	return hostprep.Marker{Cluster: e.top.Name, UID: e.UID, Node: n.Name(), Run: e.Run}
}

// sh runs a script as the database's owner on a node's host.
func (e *Engine) sh(ctx context.Context, n cluster.Node, script string, args ...string) (string, error) {
	return e.Fleet.Script(ctx, n.Host, e.top.OSUser, script, args...)
}

// tool runs a program of PostgreSQL as the database's owner.
func (e *Engine) tool(ctx context.Context, n cluster.Node, name string, args ...string) error {
	b, err := e.binaries(ctx, n.Host)
	if err != nil {
		return err
	}
	_, err = e.Fleet.Host(n.Host).Run(ctx, remote.Cmd{Args: append([]string{path.Join(b.Dir, name)}, args...), As: e.top.OSUser, Dir: "/"})
	return toolError(n, name, err)
}

// telling are the words of the lines that say what went wrong; the last lines
// of initdb and pg_basebackup are about cleaning up.
var telling = regexp.MustCompile(`(?i)error|fatal|panic|could not|no space|denied|refused|failed|detail:|hint:`)

// toolError shortens the failure of a program to what it says about the cause.
func toolError(n cluster.Node, name string, err error) error {
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	var lines []string
	for _, l := range strings.Split(exit.Stderr, "\n") {
		if l = strings.TrimSpace(l); telling.MatchString(l) {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return err
	}
	hint := ""
	text := strings.Join(lines[max(0, len(lines)-4):], "; ")
	if strings.Contains(exit.Stderr, "No space left on device") || strings.Contains(exit.Stderr, "Check free disk space") {
		hint = fmt.Sprintf("free space on %s: df -h %s", n.Host, n.Dir)
		text = "no space left on the device: " + text
	}
	return fault.New(fault.Failed, hint, "%s: %s ended with status %d: %s", n.Host, name, exit.Code, text)
}

// sql runs statements in database postgres of a node over its unix socket, as
// the superuser. They go over standard input: what is in them is in no argv. The
// result is the output of psql without headers and padding.
func (e *Engine) sql(ctx context.Context, n cluster.Node, statements string) (string, error) {
	b, err := e.binaries(ctx, n.Host)
	if err != nil {
		return "", err
	}
	conninfo := fmt.Sprintf("host=%s port=%d dbname=postgres user=%s connect_timeout=5", connValue(n.SocketDir()), n.Port, connValue(e.top.OSUser))
	res, err := e.Fleet.Host(n.Host).Run(ctx, remote.Cmd{
		Args:  []string{path.Join(b.Dir, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", conninfo},
		Stdin: strings.NewReader(statements), As: e.top.OSUser, Dir: "/",
	})
	return strings.TrimSpace(string(res.Stdout)), err
}

// Signal cancels what a session of the primary does, or ends it, as the
// superuser; none is touched that began at another time.
func (e *Engine) Signal(ctx context.Context, pid int, began time.Time, end bool) error {
	function := "pg_cancel_backend"
	if end {
		function = "pg_terminate_backend"
	}
	out, err := e.sql(ctx, e.lay.Primary(), fmt.Sprintf("select %s(pid) from pg_stat_activity where pid = %d and backend_start = %s",
		function, pid, literal(began.UTC().Format("2006-01-02 15:04:05.000000+00"))))
	if err == nil && out != "t" {
		err = fmt.Errorf("session %d has ended already", pid)
	}
	return err
}

// connValue quotes a value of a libpq connection string.
func connValue(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// ident quotes an SQL identifier, literal a string constant.
func ident(s string) string   { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
