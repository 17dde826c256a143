package hostprep

import (
	"maps"
	"strings"

	"cw/cluster"
)

// The groups of Repairs; each has one file of cw's own.
const (
	GroupSysctl = "sysctl"     // settings of the kernel
	GroupLimits = "limits"     // resource limits of the database's user
	GroupMemory = "huge-pages" // transparent huge pages
	GroupDisks  = "disks"      // read-ahead and scheduler of block devices
	GroupSSHD   = "sshd"       // how many connections sshd takes at once
	GroupLogind = "logind"     // shared memory of users who log out
	GroupHosts  = "hosts"      // names of the cluster's hosts
)

// group is a kind of repair with its file, in which %s is the cluster.
type group struct{ name, path string }

func (g group) file(cluster string) string { return strings.ReplaceAll(g.path, "%s", cluster) }

// groups are the kinds of repair in the order in which they are made.
var groups = []group{ //nolint:gochecknoglobals // constant table
	{GroupSysctl, "/etc/sysctl.d/90-cw-%s.conf"},
	{GroupLimits, "/etc/security/limits.d/90-cw-%s.conf"},
	{GroupMemory, "/etc/tmpfiles.d/90-cw-%s.conf"},
	{GroupDisks, "/etc/udev/rules.d/90-cw-%s.rules"},
	// Of two MaxSessions sshd takes the first: this file is read early. Of two
	// MaxStartups it takes the last; a repair that loses is taken back.
	{GroupSSHD, "/etc/ssh/sshd_config.d/10-cw-%s.conf"},
	{GroupLogind, "/etc/systemd/logind.conf.d/90-cw-%s.conf"},
	{GroupHosts, "/etc/hosts"},
}

// wants is what has to be set to make checks pass.
type wants struct {
	kernel  map[string]string     // by key
	pages   map[string]string     // enabled and defrag of transparent huge pages
	devices map[string]deviceWant // by major:minor
	names   map[string]string     // address by name
	checks  map[string][]string   // ids of the checks by group
}

// deviceWant is what a block device should be set to; "" stays as it is.
type deviceWant struct {
	name, queue          string
	readAhead, scheduler string
}

// fixKernel gives a failed check the setting that makes it pass.
func (c *Check) fixKernel(key, value string) {
	c.Fix, c.want.kernel = GroupSysctl, map[string]string{key: value}
}

// add notes what another check wants.
func (w *wants) add(c Check) {
	if c.Fix == "" {
		return
	}
	if w.kernel == nil {
		w.kernel, w.pages, w.devices, w.names, w.checks = map[string]string{}, map[string]string{}, map[string]deviceWant{}, map[string]string{}, map[string][]string{}
	}
	maps.Copy(w.kernel, c.want.kernel)
	maps.Copy(w.pages, c.want.pages)
	maps.Copy(w.names, c.want.names)
	for id, d := range c.want.devices {
		old := w.devices[id]
		if d.readAhead == "" {
			d.readAhead = old.readAhead
		}
		if d.scheduler == "" {
			d.scheduler = old.scheduler
		}
		w.devices[id] = d
	}
	w.checks[c.Fix] = append(w.checks[c.Fix], c.ID)
}

// systemChecks are the checks of the operating system of one host.
func (s *survey) systemChecks(t *cluster.Topology, l *cluster.Layout) []Check {
	if s.access.Err != nil && len(s.kernel) == 0 {
		return nil
	}
	checks := []func(*cluster.Topology, *survey) []Check{checkHugePages, checkLimits, checkSSHD, checkServices, checkTime, checkSwap, checkCores, checkBoot}
	if t.Engine.Kind != cluster.Postgres {
		checks = append(checks, checkDevices, checkMounts)
	}
	out := checkKernel(t, l, s)
	for _, check := range checks {
		out = append(out, check(t, s)...)
	}
	for i := range out {
		out[i].Host = s.host.Name
		out[i] = out[i].settled()
	}
	return out
}
