package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"cw/fault"
)

// KindMeasured is the kind of the document that cw perf size writes.
const KindMeasured = "MeasuredSizing"

// Measured is what machines of one type were measured to carry: the part of
// cw perf size's document that layout.measured is read for.
type Measured struct {
	SegmentsPerHost int             `yaml:"segments_per_host" json:"segments_per_host"` // primaries
	Bound           string          `yaml:"bound" json:"bound"`                         // the resource that decides, and how
	Mirrored        bool            `yaml:"mirrored" json:"mirrored"`                   // a primary's mirror was counted with it
	Machine         MeasuredMachine `yaml:"machine" json:"machine"`
	Runs            []string        `yaml:"runs" json:"runs,omitempty"`
}

// MeasuredMachine is what the machines have that were measured.
type MeasuredMachine struct {
	CPUs   int   `yaml:"cpus" json:"cpus"`
	Memory int64 `yaml:"memory" json:"memory"` // bytes
}

// ParseMeasured reads the document that cw perf size writes.
func ParseMeasured(data []byte) (*Measured, error) {
	var doc struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Measured   `yaml:",inline"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("it is not what cw perf size --save writes: %w", err)
	}
	m := doc.Measured
	switch {
	case doc.APIVersion != APIVersion || doc.Kind != KindMeasured:
		return nil, fmt.Errorf("it is not what cw perf size --save writes: apiVersion %q, kind %q in place of %s, %s", doc.APIVersion, doc.Kind, APIVersion, KindMeasured)
	case m.SegmentsPerHost < 1 || m.SegmentsPerHost > 128:
		return nil, fmt.Errorf("segments_per_host is %d: 1 to 128 are possible", m.SegmentsPerHost)
	case m.Machine.CPUs < 1 || m.Machine.Memory < mib:
		return nil, fmt.Errorf("machine has %d virtual CPUs and %d bytes of memory: it must say what was measured", m.Machine.CPUs, m.Machine.Memory)
	}
	return &m, nil
}

// measured reads the file of layout.measured, whose content is kept with the
// topology.
func (p *parser) measured(t *Topology) {
	if t.Layout.Measured == "" {
		return
	}
	at := []any{"layout", "measured"}
	if t.Engine.Kind == Postgres {
		p.add(at, "postgres has no segments to size: take it out")
		return
	}
	file, err := localPath(filepath.Dir(p.file), t.Layout.Measured)
	if err != nil {
		p.add(at, "%v", err)
		return
	}
	data, err := os.ReadFile(file)
	if err != nil {
		p.add(at, "reading the file: %v (cw perf size RUN --save %s writes it)", err, t.Layout.Measured)
		return
	}
	m, err := ParseMeasured(data)
	if err != nil {
		p.add(at, "%s: %v", file, err)
		return
	}
	mirrors := t.Layout.Mirrors != "" && t.Layout.Mirrors != MirrorsNone
	switch {
	case !t.Layout.Auto():
		p.add(at, "segments_per_host is %s: measured figures bound auto only", t.Layout.SegmentsPerHost)
	case mirrors && !m.Mirrored:
		p.add(at, "%s was computed for primaries without mirrors, and mirrors is %s: cw perf size RUN --mirrors --save %s", file, t.Layout.Mirrors, t.Layout.Measured)
	}
	t.Layout.Measured, t.Measured = file, m
}

// memoryTolerance is by how much the memory of machines of one type may
// differ: what the kernel and the firmware keep is not always the same.
const memoryTolerance = 0.10

// Fits is an error when a host is not of the type that was measured.
func (m *Measured) Fits(host string, is Machine) error {
	memory := float64(is.Memory) / float64(m.Machine.Memory)
	if is.CPUs == m.Machine.CPUs && memory > 1-memoryTolerance && memory < 1+memoryTolerance {
		return nil
	}
	return fault.New(fault.Usage, "measure these machines (cw perf all -d DIR -f HOSTS, then cw perf size RUN --save FILE), or take layout.measured out",
		"host %s has %d virtual CPUs and %s of memory, what layout.measured says was measured on %d and %s: it is another type of machine",
		host, is.CPUs, gbText(is.Memory), m.Machine.CPUs, gbText(m.Machine.Memory))
}

// AutoSegmentsOf is the number of primaries that a topology gives a segment
// host: AutoSegments, and no more than what was measured where layout.measured
// names that.
func AutoSegmentsOf(t *Topology, h Host, m Machine) (n int, reason string, err error) {
	dirs, addresses := len(t.Layout.DataDirs), max(len(h.Interconnect), 1)
	if t.Measured == nil {
		n, reason = AutoSegmentsAt(m, dirs, addresses, AutoDensity(t))
		return n, reason, nil
	}
	if err := t.Measured.Fits(h.Name, m); err != nil {
		return 0, "", err
	}
	from := "measured"
	if len(t.Measured.Runs) > 0 {
		from += " in run " + t.Measured.Runs[0]
	}
	n, reason = autoSegments(m, dirs, addresses, AutoDensity(t), autoBound{int64(t.Measured.SegmentsPerHost), from + ": " + t.Measured.Bound})
	return n, reason, nil
}
