package hostprep

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/remote"
)

// consistency compares the hosts with each other and names the minority: what
// most of them have is taken for right. It returns checks by host.
func consistency(t *cluster.Topology, surveys []*survey) [][]Check {
	out := make([][]Check, len(surveys))
	compare := func(id, severity, remedy string, value func(*survey) string) {
		for i, c := range odd(surveys, value) {
			if c.ID == "" {
				continue
			}
			c.ID, c.Severity = id, severity
			if !c.OK {
				c.Remedy = remedy
			}
			out[i] = append(out[i], c)
		}
	}
	compare("architecture", Required, "use machines of one kind: data files and the engine's software are copied between them", func(s *survey) string { return s.facts.Arch })
	compare("user id", Advised, fmt.Sprintf("give %s the same ids everywhere with usermod and groupmod; shared file systems and backups go by them", t.OSUser), func(s *survey) string {
		if !s.access.UserExists {
			return ""
		}
		return fmt.Sprintf("%s is %d:%d", t.OSUser, s.userID, s.groupID)
	})
	compare("same greenplum", Required, "install the same package on all hosts", func(s *survey) string {
		if s.homeErr != nil || s.home.Dir == "" {
			return ""
		}
		return s.home.build()
	})
	compare("same kernel", Advised, "bring the hosts to one kernel: reports of one then hold for all", func(s *survey) string { return kernelLine(s.facts.Kernel) })
	compare("same system", Advised, "bring the hosts to one release of the operating system", func(s *survey) string { return strings.TrimSpace(s.facts.OS + " " + s.facts.OSVersion) })
	compare("same libc", Advised, "bring the hosts to one release: another glibc may sort text differently, and indexes that were copied are then wrong", func(s *survey) string { return s.system.libc })
	compare("same time zone", Advised, "set one time zone everywhere: timedatectl set-timezone", func(s *survey) string { return s.system.zone })
	compare("same mtu", Advised, "set one MTU on the cluster's network everywhere: larger packets vanish at the smaller one", func(s *survey) string { return s.mtu() })
	compare("same link speed", Advised, "look at the slower link: cable, port, or type of machine", func(s *survey) string { return s.linkSpeed() })
	segments := func(value func(*survey) string) func(*survey) string {
		return func(s *survey) string {
			if t.Engine.Kind != cluster.Postgres && !s.host.Has(cluster.RoleSegment) {
				return "" // a coordinator may be of another type
			}
			return value(s)
		}
	}
	compare("same cores", Advised, "use machines of one type: a query waits for its slowest segment", segments(func(s *survey) string { return fmt.Sprintf("%d cores", s.facts.CPUs) }))
	compare("same memory", Advised, "use machines of one type: the smallest one's memory decides for all", segments(func(s *survey) string { return fmt.Sprintf("about %d GB", (s.facts.MemTotal+gibibyte/2)/gibibyte) }))
	for i, c := range clocks(surveys) {
		if c.ID != "" {
			out[i] = append(out[i], c)
		}
	}
	return out
}

// clocks compares the hosts' clocks with that of most: they are measured
// against this machine's, which may itself be wrong.
func clocks(surveys []*survey) []Check {
	out := make([]Check, len(surveys))
	var skews []time.Duration
	for _, s := range surveys {
		if s.err == nil {
			skews = append(skews, s.facts.ClockSkew)
		}
	}
	if len(skews) < 2 {
		return out
	}
	slices.Sort(skews)
	middle := skews[(len(skews)-1)/2]
	for i, s := range surveys {
		if s.err != nil {
			continue
		}
		off := (s.facts.ClockSkew - middle).Round(10 * time.Millisecond)
		out[i] = Check{ID: "same clock", Host: s.host.Name, Severity: Advised, OK: off.Abs() <= clockAdvised, Expected: "within " + clockAdvised.String() + " of the others'", Observed: off.String() + " from the others"}
		if !out[i].OK {
			out[i].Remedy = "have all hosts follow one time server: timedatectl set-ntp true"
		}
	}
	return out
}

// kernelLine is the release without what a distribution counts, 5.14 of
// 5.14.0-362.el9.x86_64.
func kernelLine(release string) string {
	w := strings.SplitN(release, ".", 3)
	if len(w) < 2 {
		return release
	}
	minor, _, _ := strings.Cut(w[1], "-")
	return w[0] + "." + minor
}

// peerNIC is the interface with the address under which others reach the host.
func (s *survey) peerNIC() (remote.NIC, bool) {
	want, err := netip.ParseAddr(s.host.Peer())
	if err != nil {
		return remote.NIC{}, false
	}
	for _, n := range s.facts.NICs {
		for _, a := range n.Addrs {
			if p, err := netip.ParsePrefix(a); err == nil && p.Addr() == want {
				return n, true
			}
		}
	}
	return remote.NIC{}, false
}

func (s *survey) mtu() string {
	if n, ok := s.peerNIC(); ok && n.MTU > 0 {
		return fmt.Sprintf("MTU %d", n.MTU)
	}
	return ""
}

func (s *survey) linkSpeed() string {
	if n, ok := s.peerNIC(); ok && s.system.links[n.Name] != "" {
		return s.system.links[n.Name] + " Mbit/s"
	}
	return ""
}

// odd makes a check for each host that has a value: whether it is the value
// that most hosts have. Of equally frequent ones the first host's counts.
func odd(surveys []*survey, value func(*survey) string) []Check {
	values, count := make([]string, len(surveys)), map[string]int{}
	for i, s := range surveys {
		if s.err == nil && s.access.Err == nil {
			values[i] = value(s)
			count[values[i]]++
		}
	}
	most := ""
	for _, v := range values {
		if v != "" && (most == "" || count[v] > count[most]) {
			most = v
		}
	}
	out := make([]Check, len(surveys))
	for i, s := range surveys {
		v := values[i]
		if v == "" {
			continue
		}
		out[i] = Check{ID: "same", Host: s.host.Name, OK: v == most, Expected: most, Observed: v}
		if v != most {
			out[i].Expected = fmt.Sprintf("%s, as on %s", most, hosts(surveys, values, most))
		}
	}
	return out
}

// hosts names those with a value: one by its name, many by their number.
func hosts(surveys []*survey, values []string, value string) string {
	var names []string
	for i, v := range values {
		if v == value {
			names = append(names, surveys[i].host.Name)
		}
	}
	if len(names) > 3 {
		return fmt.Sprintf("%d other hosts", len(names))
	}
	return strings.Join(names, ", ")
}

// packageName is a local package file without its folder.
func packageName(t *cluster.Topology) string { return path.Base(t.Engine.Package) }
