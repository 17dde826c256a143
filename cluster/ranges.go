package cluster

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxRange bounds what one range may expand to, so that a typing error does
// not become a million hosts.
const maxRange = 4096

// rangePart is a range in square brackets: [01-16], [1,3,7-9]. A bracketed
// IPv6 address does not match, for it has colons.
var rangePart = regexp.MustCompile(`\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]`)

// ExpandRange turns sdw[01-03] into sdw01, sdw02, sdw03; the width of the
// first number is kept. Text without a range gives itself. Only one range per
// text is allowed.
func ExpandRange(s string) ([]string, error) {
	found := rangePart.FindAllStringSubmatchIndex(s, -1)
	switch len(found) {
	case 0:
		return []string{s}, nil
	case 1:
	default:
		return nil, fmt.Errorf("%q has %d ranges: only one is allowed", s, len(found))
	}
	before, after := s[:found[0][0]], s[found[0][1]:]
	var out []string
	for _, part := range strings.Split(s[found[0][2]:found[0][3]], ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		lo, err1 := strconv.Atoi(first)
		hi, err2 := strconv.Atoi(last)
		switch {
		case err1 != nil || err2 != nil:
			return nil, fmt.Errorf("%q has a number that is too large", s)
		case hi < lo:
			return nil, fmt.Errorf("%q runs backwards: write [%s-%s]", s, last, first)
		case hi-lo >= maxRange || len(out)+hi-lo >= maxRange:
			return nil, fmt.Errorf("%q stands for more than %d hosts", s, maxRange)
		}
		for n := lo; n <= hi; n++ {
			out = append(out, fmt.Sprintf("%s%0*d%s", before, len(first), n, after))
		}
	}
	return out, nil
}

// expandHost turns one entry of hosts into the hosts it stands for. Texts
// without a range in an entry with one are an error, except the roles and the
// zone, since two hosts cannot share an address.
func expandHost(h Host) ([]Host, error) {
	names, err := ExpandRange(h.Name)
	if err != nil {
		return nil, err
	}
	column := func(what, text string) ([]string, error) {
		vals, err := ExpandRange(text)
		if err == nil && len(vals) != len(names) {
			err = fmt.Errorf("%s %q stands for %d, but name %q for %d hosts", what, text, len(vals), h.Name, len(names))
		}
		return vals, err
	}
	if h.Address == "" {
		h.Address = h.Name
	}
	addresses, err := column("address", h.Address)
	if err != nil {
		return nil, err
	}
	inter := make([][]string, len(h.Interconnect))
	for i, text := range h.Interconnect {
		if inter[i], err = column("interconnect", text); err != nil {
			return nil, err
		}
	}
	out := make([]Host, len(names))
	for i := range names {
		out[i] = Host{Name: names[i], Address: addresses[i], Roles: append([]string(nil), h.Roles...), Zone: h.Zone, SSHPort: h.SSHPort}
		for _, col := range inter {
			out[i].Interconnect = append(out[i].Interconnect, col[i])
		}
	}
	return out, nil
}
