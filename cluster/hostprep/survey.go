package hostprep

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"cw/cluster"
	"cw/remote"
)

// Access is what the SSH user may do on a host.
type Access struct {
	SSHUser    string
	UserExists bool  // the topology's os_user
	Err        error // why nothing can be done as os_user; nil when it can
}

// survey is all that the checks of one host look at. The checks are functions
// of it and ask nothing themselves.
type survey struct {
	host  cluster.Host
	nodes []cluster.Node
	uid   string // of the cluster
	err   error  // why there is no survey

	facts  remote.Facts
	same   []string       // hosts of the topology that are this machine, itself included
	beside []cluster.Node // nodes of all those hosts
	whole  cluster.Machine
	access Access

	userID, groupID int // of os_user, when it exists
	ipc             string
	locales         []string
	noLocales       bool // locale -a failed, saying what is in locales
	listeners       []netip.AddrPort
	disk            Disk // of the first data folder
	folders         []folder
	dirs            []Dir // of the nodes, in their order; nil when nobody could look
	rootErr         error // why root is not to be had; looked at when a folder needs it

	// Of engines with segments.
	kernel    map[string]string
	sems      []string
	system    system
	limits    map[string]limit // of processes of os_user
	names     map[string][]netip.Addr
	lookedUp  []string
	nodeDisks map[string]Disk // by the nearest folder that exists
	nearData  []string        // of layout.data_dirs, in their order
	files     int             // open files that a process of os_user may have; 0 when not known
	home      Home
	homeErr   error
	need      map[int]needs // of the nodes beside, by id
}

// surveys looks at all hosts, in parallel. First come the facts of all: which
// hosts are the same machine matters to each.
func (f *Fleet) surveys(ctx context.Context, uid string) []*survey {
	all := make([]*survey, len(f.Topology.Hosts))
	f.parallel(func(i int, h cluster.Host) {
		s := &survey{host: h, nodes: f.Layout.On(h.Name), uid: uid}
		s.facts, s.err = f.hosts[h.Name].Facts(ctx)
		all[i] = s
	})
	f.parallel(func(i int, _ cluster.Host) {
		s := all[i]
		if s.err != nil {
			return
		}
		for _, other := range all { // not Neighbours: it would wait again for hosts that are off
			if other == s || other.err == nil && s.facts.MachineID != "" && other.facts.MachineID == s.facts.MachineID {
				s.same = append(s.same, other.host.Name)
				s.beside = append(s.beside, other.nodes...)
			}
		}
		f.survey(ctx, s)
	})
	return all
}

// parallel calls fn for all hosts of the topology and waits.
func (f *Fleet) parallel(fn func(i int, h cluster.Host)) {
	var wg sync.WaitGroup
	for i, h := range f.Topology.Hosts {
		wg.Go(func() { fn(i, h) })
	}
	wg.Wait()
}

// survey asks one host. Root rights are tried only when they are needed, since
// trying may ask for a password.
func (f *Fleet) survey(ctx context.Context, s *survey) {
	t, host := f.Topology, s.host.Name
	s.access.SSHUser = s.facts.User
	s.lookedUp = hostNames(t)
	script := hostScript(t, s.lookedUp)
	self := s.facts.User == t.OSUser
	if self {
		script += ownerScript(t, s.nodes, true)
	}
	out, err := f.Script(ctx, host, "", script)
	if err != nil {
		s.access.Err = err
		return
	}
	parts := sections(out)
	s.readHost(parts)
	f.mu.Lock()
	f.disk[host] = s.disk
	f.mu.Unlock()
	if !self {
		as := t.OSUser
		if !s.access.UserExists {
			as = "root"
		}
		out, err := f.Script(ctx, host, as, ownerScript(t, s.nodes, s.access.UserExists))
		switch {
		case err != nil && s.access.UserExists:
			s.access.Err = err
		case err != nil:
			s.access.Err = fmt.Errorf("user %s does not exist and cannot be created without root: %w", t.OSUser, err)
		}
		for name, lines := range sections(out) {
			parts[name] = lines
		}
	}
	s.whole = cluster.Machine{Memory: s.facts.MemTotal, Swap: s.facts.SwapTotal, CPUs: s.facts.CPUs, Disk: s.disk.Size}
	if s.access.Err != nil {
		return
	}
	if err := s.readOwner(t, parts); err != nil {
		s.access.Err = err
		return
	}
	if s.access.UserExists { // the limits of root are not the owner's
		s.limits = parseLimits(parts["limits"])
		s.files = int(s.limits[limitFiles].soft)
	}
	f.lookAsRoot(ctx, s)
	if t.Engine.Kind != cluster.Postgres {
		s.home, s.homeErr = f.noteHome(host, parseHomes(parts["homes"]))
	}
	for i, d := range s.dirs {
		if d.State == DirAbsent && !s.folders[i].writable {
			s.rootErr = f.Root(ctx, host)
			break
		}
	}
}

// readHost reads what hostScript printed.
func (s *survey) readHost(parts map[string][]string) {
	s.userID, s.groupID, s.access.UserExists = parseID(parts["id"])
	s.ipc = strings.TrimSpace(strings.Join(parts["ipc"], " "))
	s.locales = trimLines(strings.Join(parts["locale"], "\n"))
	_, s.noLocales = parts["nolocale"]
	s.listeners = parseListeners(strings.Join(parts["listen"], "\n"))
	s.nodeDisks, s.nearData = parseDisks(parts["disk"])
	if len(s.nearData) > 0 {
		s.disk = s.nodeDisks[s.nearData[0]]
	}
	s.kernel = map[string]string{}
	for _, line := range parts["kernel"] {
		key, value, _ := strings.Cut(line, ":")
		s.kernel[key] = strings.Join(strings.Fields(value), " ")
	}
	s.sems = parts["sems"]
	s.system = readSystem(parts)
	s.names = parseNames(parts["names"], s.lookedUp)
}

// readOwner reads what ownerScript printed.
func (s *survey) readOwner(t *cluster.Topology, parts map[string][]string) error {
	s.folders = parseFolders(strings.Join(parts["folders"], "\n"))
	if len(s.folders) != len(s.nodes) {
		return fmt.Errorf("%s: looking at %d folders: an answer in an unknown form: %q", s.host.Name, len(s.nodes), parts["folders"])
	}
	s.dirs = make([]Dir, len(s.nodes))
	for i, n := range s.nodes {
		s.dirs[i] = s.folders[i].owned(Marker{Cluster: t.Name, UID: s.uid, Node: n.Name()})
	}
	disks, _ := parseDisks(parts["nodedisk"])
	for p, d := range disks {
		s.nodeDisks[p] = d
	}
	return nil
}

// resumed says whether a node of the host was begun by an earlier run.
func (s *survey) resumed() bool {
	for _, d := range s.dirs {
		if d.State == DirOurs {
			return true
		}
	}
	return false
}

// machine is what the host has to offer one of its nodes.
func (s *survey) machine() cluster.Machine { return s.whole.Share(len(s.beside)) }

// hostNames are the names that the hosts of a cluster call each other by: those
// of the topology, and addresses that are names.
func hostNames(t *cluster.Topology) []string {
	var names []string
	seen := map[string]bool{}
	for _, h := range t.Hosts {
		for _, a := range append([]string{h.Name, h.Address}, h.Interconnect...) {
			if _, err := netip.ParseAddr(a); err != nil && a != "" && !seen[a] {
				seen[a] = true
				names = append(names, a)
			}
		}
	}
	return names
}

// Root fails when commands cannot run as root.
func (f *Fleet) Root(ctx context.Context, host string) error {
	_, err := f.Script(ctx, host, "root", ":")
	return err
}

// UserExists says whether the topology's os_user is on the host.
func (f *Fleet) UserExists(ctx context.Context, host string) (bool, error) {
	out, err := f.Script(ctx, host, "", `if id -u "$1" >/dev/null 2>&1; then echo yes; else echo no; fi`, f.Topology.OSUser)
	return len(trimLines(out)) > 0 && trimLines(out)[0] == "yes", err
}

// CreateUser makes the topology's os_user with a home folder and no password.
// It is a system user: systemd (RemoveIPC) takes the shared memory of ordinary
// users away when they log out.
func (f *Fleet) CreateUser(ctx context.Context, host string) error {
	_, err := f.Script(ctx, host, "root", `useradd --system --create-home --user-group --shell /bin/bash --comment "database owner, made by cw" "$1" || id -u "$1" >/dev/null`, f.Topology.OSUser)
	if err != nil {
		return fmt.Errorf("creating user %s: %w", f.Topology.OSUser, err)
	}
	return nil
}
