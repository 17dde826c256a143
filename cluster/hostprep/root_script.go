package hostprep

import (
	"fmt"
	"strings"

	"cw/cluster"
	"cw/remote"
)

// RootScript is a script of /bin/sh that root runs on each host: it does what
// the steps of Repairs do, or with revert what RevertSteps do, for hosts on
// which cw cannot become root. It can be run any number of times.
func (r Report) RootScript(t *cluster.Topology, revert bool) string {
	var b strings.Builder
	verb := "--fix"
	if revert {
		verb = "--fix --revert"
	}
	fmt.Fprintf(&b, `#!/bin/sh
# What cw cluster check %s %s would do as root, as a script for one or all
# hosts of cluster %s. Run it as root on each host; running it again changes nothing.
# shellcheck disable=SC3045
if [ "$(id -u)" != 0 ]; then echo "run this as root" >&2; exit 1; fi
`, t.Name, verb, t.Name)
	b.WriteString(repairHead(t.Name, "root-script"))
	if revert {
		b.WriteString("\nrevert_all\n")
		return b.String()
	}
	repairs := r.Repairs(t)
	repairs = append(repairs, r.unseen(t)...)
	b.WriteString("\nfailed=0\ncase $(uname -n)/$(cat /etc/machine-id 2>/dev/null) in\n")
	for _, s := range r.surveys {
		var calls []string
		for _, p := range repairs {
			if p.Host == s.host.Name {
				call := "  " + p.call("fix") + " || failed=1\n"
				if p.Group == GroupLimits { // where root may not raise them nobody could log in
					call = fmt.Sprintf("  if (ulimit -n %d) 2>/dev/null; then\n  %s  fi\n", wantFiles, call)
				}
				calls = append(calls, call)
			}
		}
		if s.err != nil || len(s.same) > 0 && s.same[0] != s.host.Name {
			continue
		}
		fmt.Fprintf(&b, "%s) # %s\n%s  ;;\n", r.pattern(s), s.host.Name, strings.Join(calls, ""))
	}
	b.WriteString("*) echo \"$(uname -n) is not one of the hosts that this script was made for\" >&2; failed=1;;\nesac\nexit $failed\n")
	return b.String()
}

// pattern is how a host's own script finds out that it is meant: by its name,
// and where several have that by the machine-id too.
func (r Report) pattern(s *survey) string {
	id := "*"
	for _, o := range r.surveys {
		if o != s && o.err == nil && o.facts.Hostname == s.facts.Hostname && o.facts.MachineID != s.facts.MachineID {
			id = remote.Quote([]string{s.facts.MachineID})
		}
	}
	return remote.Quote([]string{s.facts.Hostname}) + "/" + id
}

// unseen are repairs of what only root could have looked at.
func (r Report) unseen(t *cluster.Topology) []Repair {
	var out []Repair
	for _, s := range r.surveys {
		if s.err != nil || len(s.same) > 0 && s.same[0] != s.host.Name {
			continue
		}
		w := wants{}
		if s.system.sshd == nil && s.system.has["sshd"] {
			w.add(Check{ID: "sshd", Fix: GroupSSHD})
		}
		if s.limits == nil && s.system.has["pam_limits"] {
			w.add(Check{ID: "open files", Fix: GroupLimits})
		}
		for _, g := range groups {
			if len(w.checks[g.name]) > 0 {
				out = append(out, s.repair(t, g, w))
			}
		}
	}
	return out
}
