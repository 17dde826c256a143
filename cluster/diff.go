package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Change is one difference between the topology a cluster was made from and
// the one at hand.
type Change struct {
	Key  string `json:"key"`
	Old  string `json:"old"`
	New  string `json:"new"`
	Verb string `json:"verb"` // the command that makes it, "" when it only concerns how cw reaches the hosts
}

func (c Change) String() string {
	text := fmt.Sprintf("%s: %s, now %s", c.Key, orNothing(c.Old), orNothing(c.New))
	if c.Verb != "" {
		text += " (" + c.Verb + ")"
	}
	return text
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Diff lists what differs, by key. Hosts are compared by name.
func Diff(old, now *Topology) ([]Change, error) {
	a, err := flatten(old)
	if err != nil {
		return nil, err
	}
	b, err := flatten(now)
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	var out []Change
	for k := range keys {
		if a[k] != b[k] {
			out = append(out, Change{Key: k, Old: a[k], New: b[k], Verb: verbFor(k, a[k], b[k], old.Name)})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out, nil
}

func flatten(t *Topology) (map[string]string, error) {
	copied := *t
	copied.Hosts = nil
	data, err := json.Marshal(copied)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		return nil, err
	}
	delete(tree, "hosts")
	out := map[string]string{}
	walk(out, "", tree)
	for _, h := range t.Hosts {
		out["hosts."+h.Name] = strings.Join(h.Roles, ", ")
		out["hosts."+h.Name+".address"] = h.Address
		out["hosts."+h.Name+".interconnect"] = strings.Join(h.Interconnect, ", ")
		out["hosts."+h.Name+".zone"] = h.Zone
		if h.SSHPort != 0 {
			out["hosts."+h.Name+".ssh_port"] = fmt.Sprint(h.SSHPort)
		}
	}
	return out, nil
}

func walk(out map[string]string, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, sub := range v {
			walk(out, strings.TrimPrefix(prefix+"."+k, "."), sub)
		}
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = fmt.Sprint(e)
		}
		out[prefix] = strings.Join(parts, ", ")
	default:
		out[prefix] = fmt.Sprint(v)
	}
}

// verbFor names the command that would make a change.
func verbFor(key, old, now, name string) string {
	top, rest, _ := strings.Cut(key, ".")
	switch {
	case top == "ssh" || top == "protected" || strings.HasSuffix(key, ".ssh_port") || key == "database.password_file" || key == "engine.install" || key == "layout.measured" || top == "measured":
		return ""
	case top == "hosts" && !strings.Contains(rest, ".") && onlyMore(old, now):
		return "cw cluster expand " + name
	case key == "layout.mirrors" && (old == "" || old == MirrorsNone):
		return "cw cluster expand " + name
	case key == "layout.segments_per_host":
		return perHostVerb(old, now, name)
	case top == "hosts" && !strings.Contains(rest, ".") && now == "":
		return "cw cluster shrink " + name
	case top == "hosts" && (old == "" || now == ""):
		return "with the host"
	case slices.Contains([]string{"profile", "node_type", "overrides", "network"}, top):
		return "cw cluster config set " + name
	}
	return "only in a new cluster"
}

// onlyMore says whether the roles of a host are those it had and others.
func onlyMore(old, now string) bool {
	has := strings.Split(now, ", ")
	for _, r := range strings.Split(old, ", ") {
		if r != "" && !slices.Contains(has, r) {
			return false
		}
	}
	return now != ""
}

// perHostVerb is the command for another number of segments per host. What
// auto has become is in the layout and not known here: expand compares with it.
func perHostVerb(old, now, name string) string {
	is, err := strconv.Atoi(now)
	if err != nil {
		return "" // auto: new hosts get what the others have
	}
	if was, err := strconv.Atoi(old); err == nil && is < was {
		return "cw cluster shrink " + name
	}
	return "cw cluster expand " + name
}
