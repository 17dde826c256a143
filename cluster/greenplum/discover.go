package greenplum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/fault"
	"cw/remote"
)

// findScript prints user, socket folder, program and data directory of the
// postmaster that listens on port $1, if the caller may look at it. A
// postmaster is the process that works in a data directory whose
// postmaster.pid names it.
const findScript = `for p in /proc/[0-9]*; do
  e=$(readlink "$p/exe" 2>/dev/null) || continue
  case ${e% (deleted)} in */postgres|*/postmaster) ;; *) continue;; esac
  d=$(readlink "$p/cwd" 2>/dev/null) || continue
  [ "$(head -n 1 "$d/postmaster.pid" 2>/dev/null)" = "${p#/proc/}" ] || continue
  [ "$(sed -n 4p "$d/postmaster.pid")" = "$1" ] || continue
  printf '%s\t%s\t%s\t%s\n' "$(stat -c %U "$p")" "$(sed -n 5p "$d/postmaster.pid")" "${e% (deleted)}" "$d"
done`

// about is what a coordinator says of its cluster.
type about struct {
	Version   string   `json:"version"`
	Role      string   `json:"role"`
	Encoding  string   `json:"encoding"`
	Locale    string   `json:"locale"`
	Super     bool     `json:"super"`
	Recovery  bool     `json:"recovery"`
	Databases []string `json:"databases"`
	Catalog   catalog  `json:"catalog"`
}

const aboutQuery = `select json_build_object('version', substring(version() from 'Greenplum Database ([0-9.]+)'), 'role', current_setting('gp_contentid'),
 'encoding', pg_encoding_to_char(d.encoding), 'locale', d.datcollate, 'recovery', pg_is_in_recovery(),
 'super', (select rolsuper from pg_roles where rolname = current_user),
 'databases', (select coalesce(json_agg(datname order by datname), '[]') from pg_database where not datistemplate and datname not in ('postgres', 'gpperfmon')),
 'catalog', (select coalesce(json_agg(c), '[]') from (select dbid, content, role, preferred_role, mode, status, port, hostname, address, datadir from gp_segment_configuration order by dbid) c))
from pg_database d where datname = 'template1';`

// Discover reads a running Greenplum 6 from the catalogue of the coordinator
// that listens on a port of a host. It changes nothing.
func Discover(ctx context.Context, pool *remote.Pool, o cluster.AdoptOptions) (*cluster.Found, error) {
	top := &cluster.Topology{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, Name: o.Name, Engine: cluster.Engine{Kind: cluster.Greenplum, Via: "native"},
		SSH: o.SSH, OSUser: o.OSUser, TLS: cluster.TLS{Mode: cluster.TLSOff}, NodeType: cluster.HighSpeed, Profile: "default",
	}
	d := &discovery{pool: pool, o: o, top: top}
	first := cluster.Host{Name: o.Address, Address: o.Address}
	a, err := d.ask(ctx, first)
	if err != nil {
		return nil, err
	}
	hosts, err := d.hosts(ctx, first, a.Catalog)
	if err != nil {
		return nil, err
	}
	found := &cluster.Found{Topology: top, Layout: d.layout(a.Catalog, hosts)}
	top.Hosts = hosts
	top.Engine.Version, _, _ = strings.Cut(a.Version, ".")
	found.Layout.Version = top.Engine.Version
	top.Database = cluster.Database{Name: "postgres", Port: o.Port, Admin: top.OSUser, Encoding: a.Encoding, Locale: a.Locale}
	if len(a.Databases) == 1 {
		top.Database.Name = a.Databases[0]
	}
	d.rule(found.Layout)
	for _, r := range a.Catalog {
		if r.Status == "d" {
			found.Notes = append(found.Notes, fmt.Sprintf("content %d on %s is down: cw cluster recover %s", r.Content, r.Hostname, o.Name))
		}
	}
	return found, nil
}

// NotGreenplumError is a port behind which no Greenplum was found.
type NotGreenplumError struct{ At string }

func (e *NotGreenplumError) Error() string {
	return e.At + ": no Greenplum server runs there that can be looked at"
}

// FaultKind makes *NotGreenplumError a fault.Kinder.
func (e *NotGreenplumError) FaultKind() fault.Kind { return fault.Check }

// FaultHint makes *NotGreenplumError a fault.Hinter.
func (e *NotGreenplumError) FaultHint() string { return "look on the host: ss -ltnp" }

type discovery struct {
	pool *remote.Pool
	o    cluster.AdoptOptions
	top  *cluster.Topology
}

func (d *discovery) run(ctx context.Context, h cluster.Host, c remote.Cmd) (string, error) {
	res, err := d.pool.Host(hostprep.Target(d.top, h, "")).Run(ctx, c)
	return string(res.Stdout), err
}

// ask finds the server of the options' port and has it tell about itself.
func (d *discovery) ask(ctx context.Context, h cluster.Host) (about, error) {
	at := fmt.Sprintf("%s port %d", d.o.Address, d.o.Port)
	var out string
	var err error
	for _, as := range []string{d.o.OSUser, "root"} {
		out, err = d.run(ctx, h, remote.Cmd{Args: []string{"/bin/sh", "-c", findScript, "cw", strconv.Itoa(d.o.Port)}, As: as, Dir: "/"})
		if out != "" || d.o.OSUser != "" || err != nil {
			break
		}
	}
	if err != nil {
		return about{}, err
	}
	line, _, _ := strings.Cut(out, "\n")
	f := strings.Split(line, "\t")
	if len(f) != 4 {
		return about{}, &NotGreenplumError{At: at}
	}
	user, socket, program := f[0], f[1], f[2]
	_, err = d.run(ctx, h, remote.Cmd{Args: []string{"/bin/sh", "-c", prelude + `exec "$GPHOME/bin/postgres" --gp-version`, "cw", path.Dir(path.Dir(program))}, As: user, Dir: "/"})
	var exit *remote.ExitError
	if errors.As(err, &exit) {
		return about{}, &NotGreenplumError{At: at}
	} else if err != nil {
		return about{}, err
	}
	d.top.OSUser, d.top.Engine.Home = user, path.Dir(path.Dir(program))
	info := fmt.Sprintf("host=%s port=%d dbname=template1 user=%s connect_timeout=5", connValue(socket), d.o.Port, connValue(user))
	out, err = d.run(ctx, h, remote.Cmd{
		Args:  []string{"/bin/sh", "-c", prelude + `PGOPTIONS="` + utility + `" exec psql -X -q -A -t -w -v ON_ERROR_STOP=1 -d "$1"`, "cw", d.top.Engine.Home, info},
		Stdin: strings.NewReader(aboutQuery), As: user, Dir: "/",
	})
	if err != nil {
		return about{}, fmt.Errorf("asking the server at %s: %w", at, err)
	}
	var a about
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return a, fmt.Errorf("asking the server at %s: %w", at, err)
	}
	switch major, _, _ := strings.Cut(a.Version, "."); {
	case a.Role != "-1" || len(a.Catalog) == 0:
		return a, fault.New(fault.Usage, "name the coordinator's host and port", "%s is a segment, not a coordinator", at)
	case major != cluster.GreenplumMajor:
		return a, fault.New(fault.Check, "", "%s runs Greenplum %s; cw runs version %s natively", at, a.Version, cluster.GreenplumMajor)
	case !a.Super:
		return a, fault.New(fault.Check, "", "%s: role %s is no superuser", at, user)
	}
	return a, nil
}

// resolveScript prints an address for each name that the coordinator's host
// knows; the control machine need not know the names of the cluster.
const resolveScript = `for h in "$@"; do echo "$h $(getent ahostsv4 "$h" | awk 'NR==1 {print $1}')"; done`

// hosts are the machines of a catalogue, the coordinator's first, with the
// addresses that SSH goes to.
func (d *discovery) hosts(ctx context.Context, first cluster.Host, c catalog) ([]cluster.Host, error) {
	var names []string
	roles := map[string][]string{}
	interconnect := map[string][]string{}
	for _, r := range c {
		if !slices.Contains(names, r.Hostname) {
			names = append(names, r.Hostname)
		}
		role := cluster.RoleSegment
		if r.Content == -1 {
			role = choose(r.Role == "p", cluster.RoleCoordinator, cluster.RoleStandby)
		}
		if !slices.Contains(roles[r.Hostname], role) {
			roles[r.Hostname] = append(roles[r.Hostname], role)
		}
		if r.Address != r.Hostname && !slices.Contains(interconnect[r.Hostname], r.Address) {
			interconnect[r.Hostname] = append(interconnect[r.Hostname], r.Address)
		}
	}
	out, err := d.run(ctx, first, remote.Cmd{Args: append([]string{"/bin/sh", "-c", resolveScript, "cw"}, names...), Dir: "/"})
	if err != nil {
		return nil, err
	}
	address := map[string]string{}
	for line := range strings.Lines(out) {
		name, a, _ := strings.Cut(strings.TrimSpace(line), " ")
		if ip, err := netip.ParseAddr(a); err == nil && !ip.IsLoopback() {
			address[name] = a
		}
	}
	var hosts []cluster.Host
	for _, n := range names {
		h := cluster.Host{Name: n, Address: address[n], Roles: roles[n], Interconnect: interconnect[n]}
		switch {
		case slices.Contains(h.Roles, cluster.RoleCoordinator):
			h.Address = d.o.Address
		case h.Address == "" && len(h.Interconnect) > 0 && net.ParseIP(h.Interconnect[0]) != nil:
			h.Address = h.Interconnect[0]
		case h.Address == "":
			h.Address = n
		}
		if len(h.Interconnect) == 1 && h.Interconnect[0] == h.Address {
			h.Interconnect = nil
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// layout makes nodes of the catalogue's rows. Their folder is beside the data
// directory: nothing of ours lies in what the engine copies and rewinds.
func (d *discovery) layout(c catalog, hosts []cluster.Host) *cluster.Layout {
	l := &cluster.Layout{}
	for _, r := range c {
		role := map[string]string{"p": cluster.NodePrimary, "m": cluster.NodeMirror}[r.Preferred]
		if r.Content == -1 {
			role = choose(r.Role == "p", cluster.NodeCoordinator, cluster.NodeStandby)
		}
		n := cluster.Node{
			ID: r.DBID, Content: r.Content, Role: role, PreferredRole: role, Host: r.Hostname, Port: r.Port,
			Dir: r.DataDir + ".cw", DataDir: r.DataDir, Socket: cluster.SegmentSocket,
		}
		for _, h := range hosts {
			if h.Name == r.Hostname && h.Peer() != r.Address {
				n.Address = r.Address
			}
		}
		l.Nodes = append(l.Nodes, n)
	}
	sort.Slice(l.Nodes, func(i, j int) bool { return l.Nodes[i].ID < l.Nodes[j].ID })
	return l
}

// rule fills in what the layout was made by, as far as it can be read off.
func (d *discovery) rule(l *cluster.Layout) {
	r := cluster.Rule{Mirrors: cluster.MirrorsNone, PortBase: 65535, MirrorPortBase: 65535}
	count := map[string]int{}
	for _, n := range l.Nodes {
		switch dir := path.Dir(n.DataDir); n.Role {
		case cluster.NodePrimary:
			count[n.Host]++
			r.PortBase = min(r.PortBase, n.Port)
			if !slices.Contains(r.DataDirs, dir) {
				r.DataDirs = append(r.DataDirs, dir)
			}
		case cluster.NodeMirror:
			r.Mirrors, r.MirrorPortBase = "group", min(r.MirrorPortBase, n.Port)
		}
	}
	per := 1
	for _, n := range count {
		per = max(per, n)
	}
	if r.MirrorPortBase == 65535 {
		r.MirrorPortBase = r.PortBase + 1000
	}
	r.SegmentsPerHost = strconv.Itoa(per)
	l.SegmentsPerHost = per
	d.top.Layout = r
}
