package size

import (
	"strconv"
	"strings"

	"cw/fault"
	"cw/perfcheck"
	"cw/schema"
)

// DemandNames are the names that ParseDemand takes.
func DemandNames() []string {
	return []string{"scan", "write", "iops", "commits", "memory", "cores", "network", "bandwidth"}
}

func (d *Demand) field(name string) (to *float64, unit string) {
	switch name {
	case "scan":
		return &d.Scan, perfcheck.BytesPerSecond
	case "write":
		return &d.Write, perfcheck.BytesPerSecond
	case "iops":
		return &d.IOPS, perfcheck.PerSecond
	case "commits":
		return &d.Commits, perfcheck.PerSecond
	case "memory":
		return &d.Memory, perfcheck.Bytes
	case "cores":
		return &d.Cores, perfcheck.Count
	case "network":
		return &d.Network, perfcheck.BytesPerSecond
	case "bandwidth":
		return &d.Bandwidth, perfcheck.BytesPerSecond
	}
	return nil, ""
}

// ParseDemand changes what is named, as scan=200MB/s or memory=8GiB; 0 leaves
// the resource out.
func (d *Demand) ParseDemand(items []string) error {
	for _, item := range items {
		name, text, ok := strings.Cut(item, "=")
		to, unit := d.field(strings.TrimSpace(name))
		if !ok || to == nil {
			hint := "one of: " + strings.Join(DemandNames(), ", ")
			if near := schema.Nearest(name, DemandNames()); near != "" {
				hint = "did you mean " + near + "=?"
			}
			return fault.New(fault.Usage, hint, "%q is no demand", item)
		}
		text = strings.TrimSpace(text)
		var v float64
		var err error
		switch {
		case text == "0":
		case unit == perfcheck.BytesPerSecond:
			var n int64
			n, err = schema.ParseRate(text)
			v = float64(n)
		case unit == perfcheck.Bytes:
			var n int64
			n, err = schema.ParseSize(text)
			v = float64(n)
		default:
			v, err = strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
		}
		if err != nil || !(v >= 0 && v < 1e15) {
			return fault.New(fault.Usage, "write scan=150MB/s, memory=8GiB, cores=2 or iops=300; 0 leaves it out", "%s=%s is no amount", name, text)
		}
		*to = v
	}
	return nil
}
