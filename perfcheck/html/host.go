package html

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cw/perfcheck"
)

// host is a machine's inventory and the state that it was in.
type host struct {
	Name, Error string
	Facts       []fact
	All         []fact // everything that is known, by its path in the report
}

func hostOf(h *perfcheck.Host) host {
	out := host{Name: h.Name, Error: h.Error}
	inv := plain(h.Inventory)
	add := func(name, value string) {
		if value != "" {
			out.Facts = append(out.Facts, fact{name, value})
		}
	}
	c := inv.in("cpu")
	add("CPU", strings.Join(nonEmpty(c.text("model"), times(c.text("cpus"), "CPUs"), c.text("virtualisation")), ", "))
	add("kernel", strings.TrimSpace(c.text("kernel")+" "+c.text("architecture")))
	if total := inv.in("memory").number("total"); total > 0 {
		add("memory", gib(total))
	}
	for _, n := range inv.list("nics") {
		if n.text("up") == "true" {
			add("network", strings.Join(nonEmpty(n.text("name"), n.text("driver"), rate(n.number("speed")), prefixed("MTU ", n.text("mtu"))), ", "))
		}
	}
	for _, d := range inv.list("test_dirs") {
		var disks []string
		for _, b := range d.list("disks") {
			disks = append(disks, strings.Join(nonEmpty(b.text("name"), b.text("attached"), gib(b.number("size"))), " "))
		}
		add("disk", strings.Join(nonEmpty(d.text("dir"), d.text("filesystem"), strings.Join(disks, "; ")), ", "))
	}
	s := h.Health
	add("while measured", fmt.Sprintf("CPUs %.0f %% in use, %.1f %% stolen, starts %.0f ms apart at most", 100*s.CPU, 100*s.Steal, 1000*s.StartSkew))
	out.All = flatten("", map[string]any(inv))
	return out
}

// tree is a part of the inventory as JSON has it.
type tree map[string]any

// plain makes what an engine's own types hold readable by name.
func plain(v map[string]any) tree {
	var out tree
	data, err := json.Marshal(v)
	if err != nil || json.Unmarshal(data, &out) != nil {
		return nil
	}
	return out
}

func (t tree) in(name string) tree {
	sub, _ := t[name].(map[string]any)
	return sub
}

func (t tree) list(name string) []tree {
	all, _ := t[name].([]any)
	var out []tree
	for _, v := range all {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func (t tree) text(name string) string { return text(t[name]) }

func (t tree) number(name string) float64 {
	n, _ := t[name].(float64)
	return n
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		if v == float64(int64(v)) {
			return fmt.Sprint(int64(v))
		}
	}
	return fmt.Sprint(v)
}

// flatten lists everything by its path.
func flatten(path string, v any) []fact {
	var out []fact
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = append(out, flatten(strings.TrimPrefix(path+"."+k, "."), v[k])...)
		}
	case []any:
		for i, e := range v {
			out = append(out, flatten(fmt.Sprintf("%s[%d]", path, i), e)...)
		}
	default:
		if s := text(v); s != "" {
			out = append(out, fact{path, s})
		}
	}
	return out
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func prefixed(before, value string) string {
	if value == "" {
		return ""
	}
	return before + value
}

func times(n, of string) string {
	if n == "" {
		return ""
	}
	return n + " " + of
}

// gib writes bytes in binary units, as memory and disks are spoken of here.
func gib(n float64) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("%.1f GiB", n/(1<<30))
}

// rate writes the speed of an interface, in bits per second.
func rate(bits float64) string {
	switch {
	case bits <= 0:
		return ""
	case bits >= 1e9:
		return fmt.Sprintf("%g Gbit/s", bits/1e9)
	}
	return fmt.Sprintf("%g Mbit/s", bits/1e6)
}
