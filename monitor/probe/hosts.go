package probe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/monitor"
	"cw/schema"
	"cw/state"
	"cw/tui/source"
)

// unknown is that no host answers.
func (l *sight) unknown() {
	var last time.Time
	for _, h := range l.s.Hosts.Items {
		if h.SampledAt.After(last) {
			last = h.SampledAt
		}
	}
	l.add(monitor.Condition{
		Rule: monitor.ClusterUnknown, Severity: state.Critical, Since: last,
		Message: fmt.Sprintf("none of the %d hosts of cluster %s answers, nor its database: they are gone, or the network between (%s)", len(l.s.Hosts.Items), l.name, l.s.Hosts.Items[0].Err),
		Remedy:  "cw cluster status " + l.name,
	})
}

func (l *sight) hosts() {
	for _, h := range l.s.Hosts.Items {
		switch {
		case h.Err != "":
			l.silentHost(h)
		case h.SampledAt.IsZero(): // not yet
			l.unseen(h.Name, "", "")
		}
	}
}

// silentHost is a host with all that runs on it.
func (l *sight) silentHost(h source.Host) {
	c := monitor.Condition{Rule: monitor.HostSilent, Severity: l.severity(monitor.HostSilent), Host: h.Name, Since: h.SampledAt, Remedy: "look at the machine and its network; then: cw cluster status " + l.name}
	c.Message = fmt.Sprintf("host %s does not answer", h.Name)
	if why := h.Err; !strings.HasPrefix(why, "no sample") { // for so many seconds, which would be other words every second
		why, _, _ = strings.Cut(why, " (/bin/sh ") // the command that watches it is no news
		c.Message += ": " + why
	}
	var names []string
	lost := false
	for _, n := range l.s.Nodes.Items {
		if n.Host == h.Name {
			names = append(names, n.PreferredRole+" "+n.ID)
			lost = lost || l.lost[n.ID]
		}
	}
	if len(names) > 0 {
		c.Message += "; " + few(names) + " " + plural(len(names), "is", "are") + " there"
	}
	if lost {
		c.Severity, c.Message = state.Critical, c.Message+l.because()
	}
	l.add(c)
	l.unseen(h.Name, "", "")
}

func (l *sight) because() string { return fmt.Sprintf("; cluster %s is down because of it", l.name) }

func (l *sight) severity(rule string) string {
	r, _ := l.rules(rule)
	return r.Severity
}

// disks are the file systems of hosts that answer.
func (l *sight) disks() {
	for _, h := range l.s.Hosts.Items {
		if l.silent[h.Name] {
			continue
		}
		if len(h.Mounts) == 0 {
			l.unseen(h.Name, "", monitor.DiskFull)
		}
		for _, m := range h.Mounts {
			share := float64(m.Used) / float64(max(m.Size, 1))
			severity := l.rules.judge(monitor.DiskFull, share)
			if severity == "" {
				continue
			}
			c := monitor.Condition{Rule: monitor.DiskFull, Severity: severity, Host: h.Name, Object: m.Path, Remedy: fmt.Sprintf("make room: cw cluster exec %s --host %s -- du -xh --max-depth=2 %s", l.name, h.Name, m.Path)}
			c.Message = fmt.Sprintf("file system %s of host %s is %.0f %% full: %s of %s", m.Path, h.Name, 100*share, schema.FormatSize(m.Used), schema.FormatSize(m.Size))
			var stuck []string
			lost := false
			for _, n := range l.s.Nodes.Items {
				if n.Host == h.Name && mountOf(n.DataDir, h.Mounts) == m.Path && stopped(n) && severity == state.Critical {
					l.full[n.ID] = m.Path
					stuck = append(stuck, n.PreferredRole+" "+n.ID)
					lost = lost || l.lost[n.ID]
				}
			}
			if len(stuck) > 0 {
				c.Message += fmt.Sprintf("; %s there %s not run", few(stuck), plural(len(stuck), "does", "do"))
			}
			if lost {
				c.Message += l.because()
			}
			l.add(c)
		}
	}
}

// mountOf is the file system that holds a folder.
func mountOf(dir string, mounts []source.Mount) string {
	best := ""
	for _, m := range mounts {
		below := m.Path == "/" || dir == m.Path || strings.HasPrefix(dir, m.Path+"/")
		if below && len(m.Path) > len(best) {
			best = m.Path
		}
	}
	return best
}

// clocks compares the hosts' clocks with the one here; when most of them agree
// that it is this one that is wrong, with each other.
func (l *sight) clocks() {
	type clock struct {
		host   string
		offset float64 // the least that it can be, nearest to 0
	}
	var all []clock
	for _, h := range l.s.Hosts.Items {
		switch {
		case l.silent[h.Name]:
		case h.ClockOffset == nil:
			l.unseen(h.Name, "", monitor.HostClock)
		default:
			all = append(all, clock{h.Name, nearest(*h.ClockOffset, *h.ClockOffset+h.ClockError)})
		}
	}
	if len(all) == 0 {
		l.unseen("", "", monitor.HostClock)
		return
	}
	middle, whose := 0.0, "that of the monitor"
	if len(all) >= 3 {
		sorted := slices.Clone(all)
		slices.SortFunc(sorted, func(a, b clock) int { return int(sign(a.offset - b.offset)) })
		if m := sorted[len(sorted)/2].offset; l.rules.judge(monitor.HostClock, abs(m)) != "" {
			middle, whose = m, "those of the others"
			l.add(monitor.Condition{
				Rule: monitor.HostClock, Severity: l.rules.judge(monitor.HostClock, abs(m)), Object: "monitor",
				Message: fmt.Sprintf("the clock of the monitor's own machine is %s those of the hosts of cluster %s", aside(-m), l.name), Remedy: "look at its time service: chronyc tracking, or timedatectl",
			})
		}
	}
	for _, c := range all {
		off := c.offset - middle
		if severity := l.rules.judge(monitor.HostClock, abs(off)); severity != "" {
			l.add(monitor.Condition{
				Rule: monitor.HostClock, Severity: severity, Host: c.host,
				Message: fmt.Sprintf("the clock of host %s is %s %s", c.host, aside(off), whose), Remedy: fmt.Sprintf("cw cluster exec %s --host %s -- timedatectl; its time service has to run", l.name, c.host),
			})
		}
	}
}

// nearest is the value between two that is nearest to 0.
func nearest(low, high float64) float64 {
	switch {
	case low > 0:
		return low
	case high < 0:
		return high
	}
	return 0
}

func abs(v float64) float64 { return max(v, -v) }

func sign(v float64) float64 {
	switch {
	case v < 0:
		return -1
	case v > 0:
		return 1
	}
	return 0
}

// aside says how far a clock is ahead or behind, coarsely: it drifts.
func aside(seconds float64) string {
	d := time.Duration(abs(seconds) * float64(time.Second)).Round(100 * time.Millisecond)
	if d > 10*time.Second {
		d = d.Round(time.Second)
	}
	if seconds > 0 {
		return d.String() + " ahead of"
	}
	return d.String() + " behind"
}

// few names some, and counts the rest.
func few(names []string) string {
	const most = 6
	if len(names) > most+1 {
		names = append(slices.Clone(names[:most]), fmt.Sprintf("%d more", len(names)-most))
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
