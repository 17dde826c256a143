package cluster

import (
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cw/schema"
)

var (
	clusterName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)
	hostName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	osUserName  = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	dnsName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?$`)
	roleName    = regexp.MustCompile(`^[^\x00-\x1f"'\\]{1,63}$`)
	localeName  = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,60}$`)
)

// ValidName says whether a text can be the name of a cluster. Names become
// folders and are typed to confirm a deletion, hence the small alphabet.
func ValidName(name string) bool { return clusterName.MatchString(name) }

// validate checks what a table of keys cannot: names, addresses, ports and
// the counts of roles that the engine wants.
func (p *parser) validate(t *Topology) {
	if t.Name != "" && !ValidName(t.Name) {
		p.add([]any{"name"}, "%q is not a cluster name: use up to 40 lower-case letters, digits, - and _, a letter first", t.Name)
	}
	p.validateEngine(t)
	p.validateDatabase(t)
	p.validateNetwork(t)
	p.validateTLS(t)
	if !osUserName.MatchString(t.OSUser) {
		p.add([]any{"os_user"}, "%q is not a user name", t.OSUser)
	} else if t.OSUser == "root" {
		p.add([]any{"os_user"}, "the database refuses to run as root: name another user, cw creates it")
	}
	if t.SSH.Port < 0 || t.SSH.Port > 65535 {
		p.add([]any{"ssh", "port"}, "%d is not a TCP port", t.SSH.Port)
	}
	p.validateHosts(t)
	p.validateDirs(t)
	p.validateRoles(t)
	if t.Engine.Kind != Postgres {
		p.validateSegments(t)
	}
}

func (p *parser) validateEngine(t *Topology) {
	if t.Engine.Kind == Postgres && t.Engine.Version != "" {
		if v, err := strconv.Atoi(t.Engine.Version); err != nil || v < MinPostgres || v > MaxPostgres {
			p.add([]any{"engine", "version"}, "%q is not a supported major version of PostgreSQL: %d to %d are", t.Engine.Version, MinPostgres, MaxPostgres)
		}
	}
	if t.Engine.Kind != Postgres {
		p.validateProduct(t.Engine)
	}
	if f := t.Engine.Package; f != "" && t.Engine.Kind != Postgres && !slices.ContainsFunc([]string{".tar.gz", ".tgz", ".deb", ".rpm"}, func(end string) bool { return strings.HasSuffix(f, end) }) {
		p.add([]any{"engine", "package"}, "%q is neither a .tar.gz nor a .deb nor a .rpm", path.Base(f))
	}
	if t.Engine.Kind == Postgres && t.Engine.ByUtilities() {
		p.add([]any{"engine", "via"}, "postgres has no utilities of its own: native is")
	}
	if t.Engine.Home != "" && !path.IsAbs(t.Engine.Home) {
		p.add([]any{"engine", "home"}, "%q must be an absolute path on the hosts", t.Engine.Home)
	}
}

func (p *parser) validateDatabase(t *Topology) {
	d := t.Database
	if d.Port < 1 || d.Port > 65535 {
		p.add([]any{"database", "port"}, "%d is not a TCP port", d.Port)
	} else if d.Port < 1024 {
		p.add([]any{"database", "port"}, "%d is a privileged port, which %s may not open: use 1024 or above", d.Port, t.OSUser)
	}
	if !roleName.MatchString(d.Name) || slices.Contains([]string{"postgres", "template0", "template1"}, d.Name) {
		p.add([]any{"database", "name"}, "%q cannot be the name of the database", d.Name)
	}
	if !roleName.MatchString(d.Admin) || strings.HasPrefix(d.Admin, "pg_") || d.Admin == ReplicationRole {
		p.add([]any{"database", "admin"}, "%q cannot be the name of a role", d.Admin)
	}
	if !localeName.MatchString(d.Locale) {
		p.add([]any{"database", "locale"}, "%q is not the name of a locale", d.Locale)
	}
	if !localeName.MatchString(d.Encoding) {
		p.add([]any{"database", "encoding"}, "%q is not the name of an encoding", d.Encoding)
	}
}

func (p *parser) validateNetwork(t *Topology) {
	seen := map[netip.Prefix]bool{}
	for i, text := range t.Network.Allow {
		at := []any{"network", "allow", i}
		prefix, err := ParseCIDR(text)
		switch {
		case err != nil:
			p.add(at, "%q is not an address range: write 10.0.0.0/8", text)
		case prefix != prefix.Masked():
			p.add(at, "%q has bits beyond its mask: write %s", text, prefix.Masked())
		case prefix.Bits() == 0 && !t.Network.Public:
			p.add(at, "%q lets the whole world connect: set network.public: true if that is meant", text)
		case seen[prefix]:
			p.add(at, "%q is given twice", text)
		}
		seen[prefix] = true
	}
}

// ParseCIDR reads an address range; a bare address is a range of one.
func ParseCIDR(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

func (p *parser) validateTLS(t *Topology) {
	if t.Engine.Kind != Postgres && t.TLS.Mode != TLSOff {
		p.add([]any{"tls", "mode"}, "%s is not supported for %s by this version of cw: off is", t.TLS.Mode, t.Engine.Kind)
	}
	files := map[string]string{"cert_file": t.TLS.CertFile, "key_file": t.TLS.KeyFile, "ca_file": t.TLS.CAFile}
	for _, key := range []string{"cert_file", "key_file", "ca_file"} {
		switch {
		case t.TLS.Mode == TLSFiles && files[key] == "" && key != "ca_file":
			p.add([]any{"tls"}, "mode files needs %s", key)
		case t.TLS.Mode != TLSFiles && files[key] != "":
			p.add([]any{"tls", key}, "only mode files takes it; the mode is %s", t.TLS.Mode)
		}
	}
}

func (p *parser) validateDirs(t *Topology) {
	seen := map[string]bool{}
	for i, dir := range t.Layout.DataDirs {
		at := []any{"layout", "data_dirs", i}
		switch {
		case !path.IsAbs(dir) || strings.ContainsAny(dir, "\n\r\t'\"\\"):
			p.add(at, "%q must be an absolute path on the hosts, without quotes and control characters", dir)
		case path.Clean(dir) == "/":
			p.add(at, "data does not go into /: name a folder")
		case seen[path.Clean(dir)]:
			p.add(at, "%q is given twice", dir)
		case t.Engine.Kind == Postgres && len(socketFile(nodeDir(path.Clean(dir), t.Name, 99), 65535)) > maxSocketPath:
			p.add(at, "%q is too long: the database's unix socket inside it would exceed %d bytes", dir, maxSocketPath)
		}
		t.Layout.DataDirs[i] = path.Clean(dir)
		seen[path.Clean(dir)] = true
	}
}

func (p *parser) validateHosts(t *Topology) {
	names, addresses := map[string]int{}, map[string]string{}
	for i, h := range t.Hosts {
		at := []any{"hosts", p.entries[i]}
		if !hostName.MatchString(h.Name) {
			p.add(append(at, "name"), "%q is not a host name: use letters, digits, dots, - and _", h.Name)
		}
		if first, dup := names[strings.ToLower(h.Name)]; dup {
			p.add(append(at, "name"), "host %s is given twice, first as hosts[%d]", h.Name, p.entries[first])
		} else {
			names[strings.ToLower(h.Name)] = i
		}
		if h.SSHPort < 0 || h.SSHPort > 65535 {
			p.add(append(at, "ssh_port"), "%d is not a TCP port", h.SSHPort)
		}
		own := map[string]bool{}
		for j, a := range append([]string{h.Address}, h.Interconnect...) {
			place := append(slices.Clone(at), "address")
			if j > 0 {
				place = append(slices.Clone(at), "interconnect", j-1)
			}
			if _, err := netip.ParseAddr(a); err != nil && !dnsName.MatchString(a) {
				p.add(place, "%q is neither an IP address nor a host name", a)
				continue
			}
			key := strings.ToLower(strings.TrimSuffix(a, "."))
			if other, dup := addresses[key]; dup && other != h.Name {
				p.add(place, "address %s is given to %s and to %s", a, other, h.Name)
			} else if own[key] && j > 1 {
				p.add(place, "address %s is given twice", a)
			}
			addresses[key], own[key] = h.Name, true
		}
	}
}

func (p *parser) validateRoles(t *Topology) {
	count := map[string][]string{}
	for i, h := range t.Hosts {
		at := []any{"hosts", p.entries[i], "roles"}
		if len(h.Roles) == 0 {
			p.add(at, "host %s has no role: give it one of coordinator, standby, segment", h.Name)
		}
		seen := map[string]bool{}
		for _, r := range h.Roles {
			if seen[r] {
				p.add(at, "role %s is given twice", r)
			}
			seen[r] = true
			count[r] = append(count[r], h.Name)
		}
		if seen[RoleCoordinator] && seen[RoleStandby] {
			p.add(at, "host %s is coordinator and standby at once: a standby on the same host protects nothing", h.Name)
		}
		if seen[RoleSegment] && t.Engine.Kind == Postgres {
			p.add(at, "role segment needs engine greenplum or cloudberry; postgres has coordinator and standby")
		}
	}
	switch n := len(count[RoleCoordinator]); {
	case n == 0 && len(t.Hosts) > 0:
		p.add([]any{"hosts"}, "no host has the role coordinator (or primary): exactly one must")
	case n > 1:
		p.add([]any{"hosts"}, "%s are all coordinators: exactly one host may be", strings.Join(count[RoleCoordinator], ", "))
	}
	if len(t.Hosts) == 0 && len(p.problems) == 0 {
		p.add([]any{"hosts"}, "the list is empty: a cluster has at least one host")
	}
	if t.Engine.Kind == Postgres || len(t.Hosts) == 0 {
		return
	}
	if len(count[RoleStandby]) > 1 {
		p.add([]any{"hosts"}, "%s are all standbys: %s has at most one", strings.Join(count[RoleStandby], ", "), t.Engine.Kind)
	}
	if len(count[RoleSegment]) == 0 {
		p.add([]any{"hosts"}, "no host has the role segment: %s needs at least one", t.Engine.Kind)
	}
}

// validateSegments checks the layout rule of engines with segments.
func (p *parser) validateSegments(t *Topology) {
	r, segments := t.Layout, 0
	for _, h := range t.Hosts {
		if h.Has(RoleSegment) {
			segments++
		}
	}
	per := max(segmentsMost, len(r.DataDirs)) // auto: what it may become
	if !r.Auto() {
		n, err := strconv.Atoi(r.SegmentsPerHost)
		if err != nil || n < 1 || n > 128 {
			p.add([]any{"layout", "segments_per_host"}, "%q is neither auto nor a number from 1 to 128", r.SegmentsPerHost)
			n = 1
		}
		per = n
	}
	kind, arg, _ := strings.Cut(r.Mirrors, " ")
	block, err := strconv.Atoi(arg)
	switch {
	case kind == MirrorsNone || kind == MirrorsGroup || kind == MirrorsSpread:
		if arg != "" {
			p.add([]any{"layout", "mirrors"}, "%s takes no number", kind)
		}
		if kind == MirrorsSpread && !r.Auto() && segments > 1 && segments <= per {
			p.add([]any{"layout", "mirrors"}, "spread needs more segment hosts (%d) than primaries per host (%d): add hosts, or write group", segments, per)
		}
	case kind != mirrorsBlock || err != nil || block < 2:
		msg := "%q must be none, group, spread or block N (N at least 2)"
		if near := schema.Nearest(kind, []string{MirrorsNone, MirrorsGroup, MirrorsSpread, mirrorsBlock}); near != "" && near != kind {
			msg += ": did you mean " + near + "?"
		}
		p.add([]any{"layout", "mirrors"}, msg, r.Mirrors)
	}
	if kind != MirrorsNone && segments == 1 {
		p.add([]any{"layout", "mirrors"}, "mirrors need two segment hosts: a mirror on its primary's host protects nothing")
	}
	for key, base := range map[string]int{"port_base": r.PortBase, "mirror_port_base": r.MirrorPortBase} {
		if base < 1024 || base+per > 65535 {
			p.add([]any{"layout", key}, "%d leaves no room for %d ports between 1024 and 65535", base, per)
		}
		if t.Database.Port >= base && t.Database.Port < base+per {
			p.add([]any{"layout", key}, "ports %d to %d hold database.port %d", base, base+per-1, t.Database.Port)
		}
	}
	if kind != MirrorsNone && r.PortBase < r.MirrorPortBase+per && r.MirrorPortBase < r.PortBase+per {
		p.add([]any{"layout", "mirror_port_base"}, "ports of mirrors (%d and up) and of primaries (%d and up) overlap", r.MirrorPortBase, r.PortBase)
	}
}
