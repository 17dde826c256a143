// Package vip measures how long a virtual address is away when it moves from
// one machine to another. A client asks the address every ten milliseconds by
// UDP and by a new TCP connection; two machines hold a server for it, of which
// the one with the address answers. What counts is what the client sees: the
// time from the last good answer of the one to the first good answer of the
// other.
//
// Client and Holder are the sides on the machines, Run the protocol.
package vip

import (
	"context"
	"time"

	"cw/perfcheck"
)

// Client asks the address.
type Client interface {
	// InUse tells whether somebody on the client's network has the address:
	// by its hardware address, or "".
	InUse(ctx context.Context, address string) (string, error)
	// Begin starts asking. It returns who answers, once that is steady.
	Begin(ctx context.Context, a ClientArgs) (holder int, err error)
	// Finish waits until the answers of a holder are steady, and stops.
	Finish(ctx context.Context, holder int) (Seen, error)
}

// Holder can have the address.
type Holder interface {
	// Listen opens the server; port 0 is any. It tells whether the machine
	// has the address already.
	Listen(ctx context.Context, a HolderArgs) (Listening, error)
	// Take gives the machine the address, and tells the network of it unless
	// quiet.
	Take(ctx context.Context, quiet bool) error
	// Drop takes the address away.
	Drop(ctx context.Context) error
	// Down takes the interface down, as a failure would; Up is the reverse,
	// and takes the address away.
	Down(ctx context.Context) error
	Up(ctx context.Context) error
}

// ClientArgs say what is asked.
type ClientArgs struct {
	Address string        `json:"address"`
	Port    int           `json:"port"`
	Token   uint64        `json:"token"` // that answers must know
	Every   time.Duration `json:"every"`
	Calm    time.Duration `json:"calm"`    // how long answers must come to be steady
	Timeout time.Duration `json:"timeout"` // until they are
}

// HolderArgs say what is answered, and by whom.
type HolderArgs struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
	Token   uint64 `json:"token"`
	ID      int    `json:"id"`  // that it answers with, from 1
	Dev     string `json:"dev"` // "" is the interface in the address's network
	// Foreign: somebody else moves the address, and it is never touched here.
	Foreign bool `json:"foreign,omitempty"`
	// Loopback gives the machine the address on its loopback as long as it
	// listens: a cloud that sends packets to another machine does not make
	// that one accept them.
	Loopback bool `json:"loopback,omitempty"`
}

// Listening is what a holder says.
type Listening struct {
	Port int    `json:"port"`
	Dev  string `json:"dev"`
	Has  bool   `json:"has"` // the address, before anything was done
	// Bound says why the interface must not be taken down: what else depends
	// on it; "" when nothing does.
	Bound string `json:"bound,omitempty"`
}

// Seen is what the client saw of one move. Durations are in seconds.
type Seen struct {
	Outage    float64 `json:"outage"`     // UDP
	TCPOutage float64 `json:"tcp_outage"` // new connections
	Lost      int     `json:"lost"`       // UDP probes without an answer
	TCPLost   int     `json:"tcp_lost"`
	Sent      int     `json:"sent"`
	// ARP is when the client's table had another hardware address for it,
	// after the last good answer; -1 when it never changed, as when the
	// address is behind a router.
	ARP float64 `json:"arp"`
	// Both counts answers of the old holder after the first of the new one:
	// the two had the address at the same time.
	Both int `json:"both"`
	// Late is the longest time by which the client itself sent too late.
	Late float64 `json:"late"`
}

// Ids of the tests.
const (
	TestPlanned        = "vip.planned"
	TestPlannedQuiet   = "vip.planned.nogarp"
	TestUnplanned      = "vip.unplanned"
	TestUnplannedQuiet = "vip.unplanned.nogarp"
)

// Tests lists the catalogue.
func Tests() []perfcheck.Definition {
	var out []perfcheck.Definition
	for _, t := range []struct{ id, title string }{
		{TestPlanned, "an address moves: taken away here, given there, told to the network"},
		{TestPlannedQuiet, "the same without a gratuitous ARP"},
		{TestUnplanned, "the holder of an address fails: it is detected, given to the other, told to the network"},
		{TestUnplannedQuiet, "the same without a gratuitous ARP"},
	} {
		worst := func(name string) perfcheck.MetricDef {
			return perfcheck.MetricDef{Name: name, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn, Worst: true}
		}
		out = append(out, perfcheck.Definition{
			ID: t.id, Title: t.title, Area: perfcheck.VIP, Scope: perfcheck.Pair, Profiles: []string{"quick", "standard", "soak"},
			Metrics: []perfcheck.MetricDef{
				{Name: "outage", Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateFail},
				{Name: P95, Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn},
				worst("outage_max"),
				{Name: "tcp_outage", Unit: perfcheck.Seconds, Better: perfcheck.Lower, Gate: perfcheck.GateWarn},
				worst("tcp_outage_max"),
				{Name: "lost", Unit: perfcheck.Count, Better: perfcheck.Lower},
				{Name: "tcp_lost", Unit: perfcheck.Count, Better: perfcheck.Lower},
				{Name: "moved", Unit: perfcheck.Seconds, Better: perfcheck.Lower},
			},
		})
	}
	return out
}

// Find returns a test by its id.
func Find(id string) perfcheck.Definition {
	for _, d := range Tests() {
		if d.ID == id {
			return d
		}
	}
	return perfcheck.Definition{ID: id, Area: perfcheck.VIP}
}

// P95 is the metric of the outage that one move in twenty is above.
const P95 = "outage_p95"
