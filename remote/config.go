package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"

	"cw/fault"
)

// endpoint is one machine to log in to, with all defaults filled in.
type endpoint struct {
	name           string // for messages
	host           string // name or address to dial and to look up in known_hosts
	port           int
	user           string
	identities     []string // key files, in the order to try
	chosen         bool     // the identities were named by someone, they are not OpenSSH's defaults
	identitiesOnly bool
	passwordFile   string
	hostKey        string
	via            []*endpoint // the hops before it, nearest to us first
}

// addr is what is dialled: host:port.
func (e *endpoint) addr() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// key identifies a connection: who, where, how, and through what. The name is
// part of it so that errors call a host as its topology does, even when
// another host's file calls it a jump host.
func (e *endpoint) key() string {
	key := fmt.Sprintf("%s %s@%s %q %q %s", e.name, e.user, e.addr(), e.identities, e.passwordFile, e.hostKey)
	for _, hop := range e.via {
		key += " via " + hop.user + "@" + hop.addr()
	}
	return key
}

// login is the ssh command line that does the same by hand.
func (e *endpoint) login() string {
	args := []string{"ssh"}
	if e.port != 22 {
		args = append(args, "-p", strconv.Itoa(e.port))
	}
	if e.chosen && len(e.identities) > 0 {
		args = append(args, "-i", e.identities[0])
	}
	if len(e.via) > 0 {
		hops := make([]string, len(e.via))
		for i, hop := range e.via {
			hops[i] = hop.user + "@" + hop.addr()
		}
		args = append(args, "-J", strings.Join(hops, ","))
	}
	return Quote(append(args, e.user+"@"+e.host))
}

// maxHops ends ProxyJump lines that go round in a circle.
const maxHops = 8

// resolver fills targets in from an ssh_config file.
type resolver struct {
	config *ssh_config.Config // nil without a file
	home   string
	local  string // name of the local user
}

func newResolver(file string) (*resolver, error) {
	r := &resolver{}
	if u, err := user.Current(); err == nil {
		r.home, r.local = u.HomeDir, u.Username
	}
	if home, err := os.UserHomeDir(); err == nil {
		r.home = home
	}
	if file == "" {
		return r, nil
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the ssh configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	if r.config, err = ssh_config.Decode(f); err != nil {
		return nil, fault.New(fault.Usage, "check it with: ssh -G -F "+quoteWord(file)+" HOST", "parse %s: %w", file, err)
	}
	return r, nil
}

func (r *resolver) get(alias, key string) string {
	if r.config == nil {
		return ""
	}
	v, _ := r.config.Get(alias, key) // its only error is an Include that cannot be read, which OpenSSH skips too
	return strings.Trim(v, `"`)
}

// target resolves a Target with its hops.
func (r *resolver) target(t Target) (*endpoint, error) {
	if t.HostKey != "" && t.HostKey != HostKeyAcceptNew && t.HostKey != HostKeyStrict {
		return nil, fault.New(fault.Usage, "host_key is accept-new or strict", "host %s: unknown host key policy %q", t.Name, t.HostKey)
	}
	e, err := r.endpoint(t)
	if err != nil {
		return nil, err
	}
	jump := t.Jump
	if jump == "" {
		jump = r.get(t.Address, "ProxyJump")
	}
	if e.via, err = r.hops(jump, e.hostKey, 0); err != nil {
		return nil, fmt.Errorf("host %s: %w", t.Name, err)
	}
	for _, hop := range e.via {
		// A key named for the host opens its jump hosts too, unless
		// ssh_config names theirs.
		if t.IdentityFile != "" && !hop.chosen {
			hop.identities, hop.chosen = e.identities, true
		}
	}
	return e, nil
}

// hops resolves a ProxyJump list. As with OpenSSH, only the first of its hops
// may have a ProxyJump of its own.
func (r *resolver) hops(list, hostKey string, depth int) ([]*endpoint, error) {
	if list == "" || strings.EqualFold(list, "none") {
		return nil, nil
	}
	if depth >= maxHops {
		return nil, fault.New(fault.Usage, "look for a circle of ProxyJump lines", "more than %d jump hosts", maxHops)
	}
	var via []*endpoint
	for i, hop := range strings.Split(list, ",") {
		t, err := ParseTarget(strings.TrimSpace(hop))
		if err != nil {
			return nil, err
		}
		t.HostKey = hostKey
		e, err := r.endpoint(t)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			own := r.get(t.Address, "ProxyJump")
			if own == hop {
				own = "" // "Host *" with a ProxyJump that it matches itself
			}
			if via, err = r.hops(own, hostKey, depth+1); err != nil {
				return nil, err
			}
		}
		e.via = append([]*endpoint(nil), via...)
		via = append(via, e)
	}
	return via, nil
}

// ParseTarget reads a host as people write it: [ssh://][user@]host[:port].
func ParseTarget(s string) (Target, error) {
	t := Target{}
	rest := strings.TrimSuffix(strings.TrimPrefix(s, "ssh://"), "/")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		t.User, rest = rest[:i], rest[i+1:]
	}
	host := rest
	if h, p, err := net.SplitHostPort(rest); err == nil {
		port, err := strconv.Atoi(p)
		if err != nil || port < 1 || port > 65535 {
			return t, fault.New(fault.Usage, "write user@host:port", "host %q: bad port", s)
		}
		host, t.Port = h, port
	}
	t.Address = strings.Trim(host, "[]")
	if t.Address == "" || strings.ContainsAny(t.Address, " \t/") {
		return t, fault.New(fault.Usage, "write user@host:port", "host %q: no host name", s)
	}
	t.Name = t.Address
	return t, nil
}

// endpoint fills in everything but the hops.
func (r *resolver) endpoint(t Target) (*endpoint, error) {
	alias := t.Address
	e := &endpoint{name: t.Name, host: alias, port: t.Port, user: t.User, passwordFile: t.PasswordFile, hostKey: t.HostKey}
	if e.host == "" {
		return nil, fault.New(fault.Usage, "", "host %s has no address", t.Name)
	}
	if name := r.get(alias, "HostName"); name != "" {
		e.host = strings.ReplaceAll(strings.ReplaceAll(name, "%h", alias), "%%", "%")
	}
	e.host = strings.Trim(e.host, "[]")
	if e.port == 0 {
		e.port = 22
		if p := r.get(alias, "Port"); p != "" {
			var err error
			if e.port, err = strconv.Atoi(p); err != nil {
				return nil, fault.New(fault.Usage, "", "ssh configuration of %s: Port %q is not a number", alias, p)
			}
		}
	}
	if e.user == "" {
		if e.user = r.get(alias, "User"); e.user == "" {
			e.user = r.local
		}
	}
	if e.hostKey == "" {
		e.hostKey = HostKeyAcceptNew
	}
	e.identitiesOnly = strings.EqualFold(r.get(alias, "IdentitiesOnly"), "yes")
	r.identities(e, t.IdentityFile, alias)
	return e, nil
}

// identities decides which key files to try: the one named for the host,
// those of ssh_config, or OpenSSH's defaults.
func (r *resolver) identities(e *endpoint, named, alias string) {
	if named != "" {
		e.identities, e.chosen = []string{r.expand(named, e)}, true
		return
	}
	if r.config != nil {
		files, _ := r.config.GetAll(alias, "IdentityFile") // as in get
		for _, f := range files {
			if f = strings.Trim(f, `"`); !strings.EqualFold(f, "none") {
				e.identities = append(e.identities, r.expand(f, e))
			}
		}
	}
	if e.chosen = len(e.identities) > 0; e.chosen || r.home == "" {
		return
	}
	for _, kind := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
		e.identities = append(e.identities, filepath.Join(r.home, ".ssh", kind))
	}
}

// expand does the tilde and the tokens of ssh_config(5) that matter.
func (r *resolver) expand(path string, e *endpoint) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(r.home, rest)
	}
	return strings.NewReplacer("%%", "%", "%d", r.home, "%h", e.host, "%r", e.user, "%u", r.local, "%p", strconv.Itoa(e.port)).Replace(path)
}
