package perfcheck

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cw/fault"
	"cw/schema"
)

const kindVendor = "PerfVendor"

//go:embed vendor.yaml
var vendorData []byte

// Vendor is a file of what a vendor promises of its disks.
type Vendor struct {
	Name   string
	Source string
	Date   string // when the source was read
	Disks  map[string]VendorDisk
	tests  map[string][]string // throughput, iops, latency → metrics of tests
}

// VendorDisk is one type of disk. Zero values promise nothing.
type VendorDisk struct {
	Title      string
	From, To   float64 // capacities in GB that can be had
	Throughput Formula // B/s
	IOPS       Formula // /s
	Latency    float64 // seconds
}

// Formula is a linear function of the capacity in GB with a greatest value.
type Formula struct{ Base, PerGB, Max float64 }

// At is the value for a capacity in GB.
func (f Formula) At(gb float64) float64 {
	v := f.Base + f.PerGB*gb
	if f.Max > 0 {
		v = min(v, f.Max)
	}
	return v
}

// BuiltinVendor is the vendor file that cw comes with.
func BuiltinVendor() (*Vendor, error) { return ParseVendor("cw's vendor.yaml", vendorData) }

type vendorFile struct {
	Name   string                    `yaml:"name"`
	Source string                    `yaml:"source"`
	Date   string                    `yaml:"date"`
	Tests  map[string][]string       `yaml:"tests"`
	Disks  map[string]vendorDiskFile `yaml:"disks"`
}

type vendorDiskFile struct {
	Title      string                    `yaml:"title"`
	Capacity   struct{ From, To number } `yaml:"capacity"`
	Throughput formulaFile               `yaml:"throughput"`
	IOPS       formulaFile               `yaml:"iops"`
	Latency    number                    `yaml:"latency"`
}

type formulaFile struct {
	Base  number `yaml:"base"`
	PerGB number `yaml:"per_gb"`
	Max   number `yaml:"max"`
}

// VendorSchema is the table of the keys of a vendor's file.
func VendorSchema() schema.Key {
	formula := func(name, doc string) schema.Key {
		return schema.Key{Name: name, Type: schema.Map, Doc: doc, Keys: []schema.Key{
			{Name: "base", Required: true, Example: "2000", Doc: "Value of a disk of no capacity."},
			{Name: "per_gb", Doc: "What each GB (decimal) adds."},
			{Name: "max", Doc: "The greatest value."},
		}}
	}
	list := func(name string) schema.Key {
		return schema.Key{Name: name, Type: schema.List, Elem: &schema.Key{}, Doc: "Tests and metrics that it is held against, as disk.read.1m.qd16.throughput."}
	}
	disk := schema.Key{Type: schema.Map, Required: true, Keys: []schema.Key{
		{Name: "title", Doc: "The vendor's name of it."},
		{Name: "capacity", Type: schema.Map, Doc: "Capacities that can be had, in GB.", Keys: []schema.Key{{Name: "from", Doc: "The least."}, {Name: "to", Doc: "The greatest."}}},
		formula("throughput", "Sequential throughput in bytes per second."),
		formula("iops", "Random requests per second."),
		{Name: "latency", Doc: "Seconds of one request at a time."},
	}}
	return schema.Key{Type: schema.Map, Keys: append(head(kindVendor),
		schema.Key{Name: "source", Required: true, Example: "https://…", Doc: "Where the numbers are from."},
		schema.Key{Name: "date", Required: true, Example: `"2026-01-31"`, Doc: "When they were read."},
		schema.Key{Name: "tests", Type: schema.Map, Required: true, Keys: []schema.Key{list("throughput"), list("iops"), list("latency")}, Doc: "What the numbers are held against."},
		schema.Key{Name: "disks", Type: schema.Map, Required: true, Elem: &disk, Doc: "Types of disks."},
	)}
}

// ParseVendor reads a vendor's file.
func ParseVendor(file string, data []byte) (*Vendor, error) {
	node, problems := schema.Check(file, data, VendorSchema())
	if problems.Err() != nil {
		return nil, problems.Err()
	}
	var in vendorFile
	if err := node.Decode(&in); err != nil {
		return nil, schema.Problems{{File: file, Message: err.Error()}}
	}
	v := &Vendor{Name: in.Name, Source: in.Source, Date: in.Date, Disks: map[string]VendorDisk{}, tests: in.Tests}
	for _, targets := range in.Tests {
		for _, t := range targets {
			if _, _, ok := splitMetric(t); !ok {
				problems = append(problems, schema.Problem{File: file, Path: "tests", Message: fmt.Sprintf("tests: %q is no metric of a test: write disk.read.1m.qd16.throughput", t)})
			}
		}
	}
	for name, d := range in.Disks {
		path := "disks." + name + "."
		for key, n := range map[string]*number{
			"capacity.from": &d.Capacity.From, "capacity.to": &d.Capacity.To, "latency": &d.Latency,
			"throughput.base": &d.Throughput.Base, "throughput.per_gb": &d.Throughput.PerGB, "throughput.max": &d.Throughput.Max,
			"iops.base": &d.IOPS.Base, "iops.per_gb": &d.IOPS.PerGB, "iops.max": &d.IOPS.Max,
		} {
			n.check(file, path+key, &problems)
		}
		v.Disks[name] = VendorDisk{
			Title: d.Title, From: d.Capacity.From.value, To: d.Capacity.To.value, Latency: d.Latency.value,
			Throughput: Formula{d.Throughput.Base.value, d.Throughput.PerGB.value, d.Throughput.Max.value},
			IOPS:       Formula{d.IOPS.Base.value, d.IOPS.PerGB.value, d.IOPS.Max.value},
		}
	}
	return v, problems.Err()
}

// Reference is what the vendor promises of a disk of a type and capacity in
// bytes.
func (v *Vendor) Reference(disk string, capacity int64) (Reference, error) {
	d, ok := v.Disks[disk]
	if !ok {
		names := slices.Sorted(maps.Keys(v.Disks))
		hint := "one of: " + strings.Join(names, ", ")
		if near := schema.Nearest(disk, names); near != "" {
			hint = "did you mean " + near + "? " + hint
		}
		return Reference{}, fault.New(fault.Usage, hint, "%s has no disk type %q", v.Name, disk)
	}
	gb := float64(capacity) / 1e9
	if gb < d.From || d.To > 0 && gb > d.To {
		return Reference{}, fault.New(fault.Usage, fmt.Sprintf("between %sGB and %sGB", plain(d.From), plain(d.To)), "%s.%s is not sold with %sGB", v.Name, disk, plain(gb))
	}
	r := Reference{ID: fmt.Sprintf("%s.%s:%sGB", v.Name, disk, plain(gb)), Kind: KindVendor}
	for what, value := range map[string]float64{"throughput": d.Throughput.At(gb), "iops": d.IOPS.At(gb), "latency": d.Latency} {
		for _, t := range v.tests[what] {
			if id, metric, ok := splitMetric(t); ok && value > 0 {
				r.Bounds = append(r.Bounds, Bound{Test: id, Metric: metric, Value: value})
			}
		}
	}
	slices.SortFunc(r.Bounds, func(a, b Bound) int { return strings.Compare(a.Test+a.Metric, b.Test+b.Metric) })
	return r, nil
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// splitMetric parts disk.read.1m.qd16.throughput into test and metric.
func splitMetric(text string) (id, metric string, ok bool) {
	i := strings.LastIndexByte(text, '.')
	if i <= 0 || i == len(text)-1 {
		return "", "", false
	}
	return text[:i], text[i+1:], true
}
