// Package replace measures how long it takes until a failed node has been
// replaced by a new machine with a volume of a snapshot: phase by phase, by
// one monotonic clock. It knows the cloud by its interfaces and the machines
// by a Site; what a phase needs and nobody gave is said, not guessed.
package replace

import (
	"cw/perfcheck"
)

// The phases, in their order.
const (
	Fault           = "fault"
	Detected        = "replace.detected"
	Requested       = "replace.requested"
	Running         = "replace.running"
	SSHOpen         = "replace.ssh_open"
	FirstCommand    = "replace.first_command"
	agentReady      = "agent"
	VolumeAvailable = "replace.volume_available"
	Attached        = "replace.attached"
	Visible         = "replace.visible"
	Mounted         = "replace.mounted"
	FirstByte       = "replace.first_byte"
	ColdReads       = "replace.cold_reads"
	DatabaseUp      = "replace.database_up"
	Hydrated        = "replace.hydrated"
)

// phase is one step of the replacement.
type phase struct {
	id, title string
	after     []string // it begins when all of these are over
	// aside: its time is not on the way to what follows; it is there to
	// measure, or to make measuring possible.
	aside bool
	// hidden: it is no test of its own.
	hidden bool
}

// phases is the table of a replacement. The volume is asked for beside the
// machine, as whoever replaces a node in a hurry would do it. The database is
// started before everything has been read: nobody waits for that.
func phases() []phase {
	return []phase{
		{id: Fault, hidden: true},
		{id: Detected, title: "the failure is noticed", after: []string{Fault}},
		{id: Requested, title: "the cloud accepted the new machine", after: []string{Detected}},
		{id: Running, title: "the machine is running", after: []string{Requested}},
		{id: SSHOpen, title: "its SSH port answers", after: []string{Running}},
		{id: FirstCommand, title: "the first command has run", after: []string{SSHOpen}},
		{id: VolumeAvailable, title: "the volume is made of the snapshot", after: []string{Detected}},
		{id: Attached, title: "the volume is attached", after: []string{Running, VolumeAvailable}},
		{id: Visible, title: "the guest sees the device", after: []string{Attached, FirstCommand}},
		{id: Mounted, title: "the filesystem is mounted", after: []string{Visible}},
		// Not before: bringing cw there would slow down what is measured.
		{id: agentReady, after: []string{Mounted, FirstCommand}, aside: true, hidden: true},
		{id: FirstByte, title: "the first byte is read", after: []string{agentReady}},
		{id: ColdReads, title: "random reads before everything is there", after: []string{FirstByte}, aside: true},
		{id: DatabaseUp, title: "the database answers", after: []string{ColdReads}},
		{id: Hydrated, title: "all blocks have been read once", after: []string{DatabaseUp}},
	}
}

// Metrics of a phase.
const (
	MetricSeconds = "seconds"     // from the end of what it waited for
	MetricMax     = "max"         // the longest of the repetitions
	MetricSince   = "since_fault" // from the fault, without what only measures
)

// Tests are the definitions of the phases.
func Tests() []perfcheck.Definition {
	var defs []perfcheck.Definition
	for _, p := range phases() {
		if p.hidden {
			continue
		}
		d := perfcheck.Definition{ID: p.id, Title: p.title, Area: perfcheck.Replace, Scope: perfcheck.Alone}
		if p.id == ColdReads {
			d.Metrics = coldMetrics()
		} else {
			d.Metrics = []perfcheck.MetricDef{
				{Name: MetricSeconds, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateFail},
				{Name: MetricMax, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn, Worst: true},
				{Name: MetricSince, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn},
			}
		}
		if p.id == Hydrated {
			d.Metrics = append(d.Metrics,
				perfcheck.MetricDef{Name: "throughput", Unit: perfcheck.BytesPerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateWarn},
				perfcheck.MetricDef{Name: "bytes", Unit: perfcheck.Bytes})
		}
		defs = append(defs, d)
	}
	return defs
}

// coldMetrics are what users feel before everything has been read.
func coldMetrics() []perfcheck.MetricDef {
	lower := func(name string, gate perfcheck.Gate) perfcheck.MetricDef {
		return perfcheck.MetricDef{Name: name, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: gate}
	}
	worst := lower("response_max", perfcheck.GateWarn)
	worst.Worst = true
	return []perfcheck.MetricDef{
		lower("response_p50", perfcheck.GateFail), lower("response_p99", perfcheck.GateWarn), worst,
		lower("service_p50", perfcheck.GateNone), lower("service_p99", perfcheck.GateNone),
		{Name: "rate", Unit: perfcheck.PerSecond, Better: perfcheck.Higher, Gate: perfcheck.GateNone},
	}
}
