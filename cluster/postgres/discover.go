package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/fault"
	"cw/remote"
)

// discovery is one search.
type discovery struct {
	pool  *remote.Pool
	o     cluster.AdoptOptions
	top   *cluster.Topology
	found *cluster.Found
	names map[string]bool // of hosts, as far as they are taken
}

// Discover finds the primary that listens on a port of a host and the standbys
// that stream from it, by their processes and their own words. It changes
// nothing.
func Discover(ctx context.Context, pool *remote.Pool, o cluster.AdoptOptions) (*cluster.Found, error) {
	top := &cluster.Topology{
		APIVersion: cluster.APIVersion, Kind: cluster.Kind, Name: o.Name, Engine: cluster.Engine{Kind: cluster.Postgres},
		SSH: o.SSH, OSUser: o.OSUser, TLS: cluster.TLS{Mode: cluster.TLSOff},
	}
	d := &discovery{pool: pool, o: o, top: top, found: &cluster.Found{Topology: top, Layout: &cluster.Layout{}}, names: map[string]bool{}}
	host := cluster.Host{Name: o.Address, Address: o.Address}
	p, err := d.primary(ctx, host)
	if err != nil {
		return nil, err
	}
	if err := d.describe(p); err != nil {
		return nil, err
	}
	if err := d.add(ctx, p, cluster.NodePrimary); err != nil {
		return nil, err
	}
	standbys, err := d.standbys(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, s := range standbys {
		if err := d.add(ctx, s, cluster.NodeStandby); err != nil {
			return nil, err
		}
	}
	return d.found, ctx.Err()
}

func (d *discovery) notef(format string, args ...any) {
	d.found.Notes = append(d.found.Notes, fmt.Sprintf(format, args...))
}

func (d *discovery) reach(h cluster.Host) *remote.Host {
	return d.pool.Host(hostprep.Target(d.top, h, ""))
}

// primary finds the server of the options' port.
func (d *discovery) primary(ctx context.Context, h cluster.Host) (server, error) {
	at := fmt.Sprintf("%s port %d", d.o.Address, d.o.Port)
	var seen []server
	var rootErr error
	for _, as := range []string{d.o.OSUser, "root"} {
		found, err := d.servers(ctx, h, as)
		if err != nil && (as != "root" || fault.KindOf(err) == fault.Unreachable) {
			return server{}, err
		}
		if rootErr = err; err != nil {
			break
		}
		seen = found
		for _, s := range found {
			if s.port == d.o.Port {
				return d.ask(ctx, s)
			}
		}
		if d.o.OSUser != "" {
			break
		}
	}
	ports := make([]string, 0, len(seen))
	for _, s := range seen {
		ports = append(ports, fmt.Sprint(s.port))
	}
	text := "none is there"
	if len(ports) > 0 {
		text = "there are ports " + strings.Join(ports, ", ")
	}
	hint := "look on the host: ss -ltnp"
	if rootErr != nil {
		text, hint = "none of the SSH user's is there, and to look at others needs root: "+rootErr.Error(), "name the owner of the database, or give the SSH user sudo"
	}
	return server{}, fault.New(fault.Check, hint, "%s: no PostgreSQL server runs there (%s)", at, text)
}

// describe fills in the topology from the primary.
func (d *discovery) describe(p server) error {
	a, at := p.about, fmt.Sprintf("%s port %d", p.host.Name, p.port)
	major := a.Version / 10000
	switch {
	case strings.Contains(a.Text, "Greenplum"), strings.Contains(a.Text, "Cloudberry"):
		return &OtherEngineError{At: at, Text: a.Text}
	case a.Recovery:
		hint := "adopt the primary instead"
		if a.Sender != "" {
			hint = "cw cluster adopt " + a.Sender
		}
		return fault.New(fault.Usage, hint, "%s is a standby", at)
	case major < cluster.MinPostgres || major > cluster.MaxPostgres:
		return fault.New(fault.Check, "", "%s runs PostgreSQL %d; cw knows %d to %d", at, major, cluster.MinPostgres, cluster.MaxPostgres)
	case !a.Super:
		return fault.New(fault.Check, fmt.Sprintf("on %s as a superuser: alter role %s superuser", p.host.Name, ident(p.user)), "%s: role %s, of the user who owns the database, is no superuser", at, p.user)
	}
	t := d.top
	t.OSUser, t.Engine.Version, t.Engine.Home = p.user, strconv.Itoa(major), path.Dir(p.bin)
	t.Database = cluster.Database{Name: "postgres", Port: p.port, Admin: p.user, Encoding: a.Encoding, Locale: a.Locale}
	if len(a.Databases) == 1 {
		t.Database.Name = a.Databases[0]
	}
	if a.SSL {
		t.TLS.Mode = cluster.TLSFiles
	}
	t.Layout.DataDirs = []string{path.Dir(p.data)}
	d.found.Layout.Version = t.Engine.Version
	return nil
}

// standbys finds the servers behind the primary's connections.
func (d *discovery) standbys(ctx context.Context, p server) ([]server, error) {
	facts, err := d.reach(p.host).Facts(ctx)
	if err != nil {
		return nil, err
	}
	own := ownAddrs(facts)
	hosts := map[string]bool{}
	for _, c := range p.about.Clients {
		if c.Name == "pg_basebackup" || c.Name == "pg_receivewal" {
			continue
		}
		if ip, err := netip.ParseAddr(c.Addr); err != nil || ip.IsLoopback() || own[ip] {
			c.Addr = p.host.Address
		}
		hosts[c.Addr] = true
	}
	var out []server
	for _, addr := range sortedKeys(hosts) {
		h := cluster.Host{Name: addr, Address: addr}
		if addr == p.host.Address {
			h = p.host
		}
		found, err := d.servers(ctx, h, p.user)
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			d.notef("something on %s streams from the primary and is not part of the cluster: %v", addr, err)
			continue
		}
		matched := 0
		for _, s := range found {
			if addr == p.host.Address && s.data == p.data {
				continue
			}
			s, err := d.ask(ctx, s)
			if err != nil || s.about.System != p.about.System || !s.about.Recovery {
				continue
			}
			matched++
			if len(s.about.Clients) > 0 {
				d.notef("standbys that stream from %s port %d, itself a standby, are not part of the cluster", addr, s.port)
			}
			out = append(out, s)
		}
		if matched == 0 {
			d.notef("something on %s streams from the primary and is not part of the cluster: user %s runs no standby of it there", addr, p.user)
		}
	}
	for _, s := range p.about.Idle {
		d.notef("replication slot %s is not used: a standby that is down is not part of the cluster", s)
	}
	return out, nil
}

// add makes host and node of a server.
func (d *discovery) add(ctx context.Context, s server, role string) error {
	facts, err := d.reach(s.host).Facts(ctx)
	if err != nil {
		return err
	}
	n := cluster.Node{
		ID: len(d.found.Layout.Nodes) + 1, Content: -1, Role: role, PreferredRole: role, Port: s.port,
		Dir: s.data + ".cw", DataDir: s.data, Socket: s.socket, Slot: s.about.Slot,
	}
	if path.Dir(s.about.Config) != s.data {
		n.ConfigFile = s.about.Config
	}
	h := s.host
	h.Name = facts.Hostname
	if !plainHost.MatchString(h.Name) {
		h.Name = "host-" + n.Name()
	}
	if d.names[h.Name] { // two nodes on one machine, or two machines of one name
		h.Name += "-" + n.Name()
	}
	d.names[h.Name] = true
	h.Roles = []string{cluster.RoleStandby}
	if role == cluster.NodePrimary {
		h.Roles, n.Slot = []string{cluster.RoleCoordinator}, ""
	}
	n.Host = h.Name
	if home := path.Dir(s.bin); home != d.top.Engine.Home && d.top.Engine.Home != "" {
		d.notef("PostgreSQL is in different folders of the hosts (%s, %s): the one in the usual place is used", d.top.Engine.Home, home)
		d.top.Engine.Home = ""
	}
	d.top.Hosts = append(d.top.Hosts, h)
	d.found.Layout.Nodes = append(d.found.Layout.Nodes, n)
	return nil
}

func ownAddrs(facts remote.Facts) map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	for _, nic := range facts.NICs {
		for _, a := range nic.Addrs {
			text, _, _ := strings.Cut(a, "/")
			if ip, err := netip.ParseAddr(text); err == nil {
				own[ip] = true
			}
		}
	}
	return own
}

// plainHost is a host name that can name a machine in a topology.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

func sortedKeys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
