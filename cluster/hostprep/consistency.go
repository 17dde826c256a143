package hostprep

import (
	"fmt"
	"path"
	"strings"

	"cw/cluster"
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
	return out
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
