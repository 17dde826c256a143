// Package net measures the network between two hosts: the listening side
// (Listen) runs on one, Run on the other. Bytes are counted where they
// arrive, retransmits where they are sent. The package also holds what turns
// such measurements of many pairs into an answer: schedules of pairs, the
// class of a line, tiers of round-trip times, and the pairs that are clearly
// slower than the others.
package net

import (
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// Kind is what a job measures.
type Kind string

// The kinds of jobs.
const (
	TCP  Kind = "tcp"  // throughput of 1 to 128 streams
	UDP  Kind = "udp"  // paced datagrams: loss, reordering, jitter
	RR   Kind = "rr"   // one byte there and one back, on a connection that stays
	CRR  Kind = "crr"  // connect, one request, close
	PPS  Kind = "pps"  // the highest packet rate without loss
	HTTP Kind = "http" // GET, with keep-alive or one connection per request
	PMTU Kind = "pmtu" // the path's MTU, and whether large datagrams arrive
	NICs Kind = "nics" // TCP over several interfaces, alone and together
)

// EngineIperf3 in Job.Engine lets iperf3, installed on both hosts, measure TCP and UDP.
const EngineIperf3 = "iperf3"

// Job is one measurement. Zero fields take the kind's defaults.
type Job struct {
	perfcheck.Timing
	Kind   Kind   `json:"kind"`
	Target string `json:"target"` // host:port of the listening side
	Token  string `json:"token"`  // the run's secret, as given to Listen
	// Streams are parallel connections (tcp, rr, crr, http) or sockets (udp, pps).
	Streams int  `json:"streams,omitempty"`
	Reverse bool `json:"reverse,omitempty"` // the listening side sends (tcp, udp)
	Bidir   bool `json:"bidir,omitempty"`   // both send, on Streams connections each (tcp)
	Packet  int  `json:"packet,omitempty"`  // bytes of payload per datagram (udp, pps)
	// Rate makes an open loop: payload bytes per second of all streams (udp),
	// operations per second (rr, http), packets per second that are held
	// instead of searched for (pps). 0 is as fast as it goes.
	Rate float64 `json:"rate,omitempty"`
	// Share is used when Rate is 0: this share of a maximum that is measured
	// first, of TCP for udp, of the closed loop for http and rr, of the search
	// for pps. That takes time before Start matters: tests of a barrier are
	// better given their Rate.
	Share     float64 `json:"share,omitempty"`
	Source    string  `json:"source,omitempty"` // local address
	Device    string  `json:"device,omitempty"` // local interface, bound by SO_BINDTODEVICE
	Body      int     `json:"body,omitempty"`   // bytes of an answer (http)
	KeepAlive bool    `json:"keep_alive,omitempty"`
	// ReceiveBuffer is the receiving socket's buffer in bytes (udp, pps); 0 is 4 MiB.
	ReceiveBuffer int    `json:"receive_buffer,omitempty"`
	Engine        string `json:"engine,omitempty"` // "" or iperf3
	Links         []Link `json:"links,omitempty"`  // the ways of a nics job
}

// Link is one way between two hosts with several interfaces.
type Link struct {
	Source string `json:"source,omitempty"`
	Device string `json:"device,omitempty"`
	Target string `json:"target"` // host:port of the listening side by this way
}

// Limits of a job, on both sides.
const (
	maxStreams  = 128
	maxPacket   = 65507 // the largest payload of a UDP datagram over IPv4
	maxBody     = 1 << 20
	maxLinks    = 16
	maxDuration = 48 * time.Hour
	maxBuffer   = 1 << 30
	// quiet is how long a side may say nothing before it counts as dead; both
	// say something every second.
	quiet = 6 * time.Second
)

// defaults fills in what is zero.
func (j Job) defaults() Job {
	if j.Streams == 0 {
		j.Streams = 1
		switch j.Kind {
		case CRR, PPS:
			j.Streams = 4
		case HTTP:
			j.Streams = 16
		}
	}
	if j.Packet == 0 {
		j.Packet = 1400
		if j.Kind == PPS {
			j.Packet = 64
		}
	}
	if j.Body == 0 {
		j.Body = 1024
	}
	if j.ReceiveBuffer == 0 {
		j.ReceiveBuffer = 4 << 20
	}
	return j
}

// check refuses what cannot be measured. Both sides do it: the listening one
// allocates by these numbers.
func (j *Job) check() error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Usage, "", "network job "+string(j.Kind)+": "+format, args...)
	}
	switch j.Kind {
	case TCP, UDP, RR, CRR, PPS, HTTP, PMTU:
	case NICs:
		if len(j.Links) < 2 || len(j.Links) > maxLinks {
			return bad("it takes 2 to %d links, not %d", maxLinks, len(j.Links))
		}
	default:
		return bad("there is no such kind")
	}
	switch {
	case j.Streams < 1 || j.Streams > maxStreams:
		return bad("%d streams are not 1 to %d", j.Streams, maxStreams)
	case j.Packet < headerSize || j.Packet > maxPacket:
		return bad("packets of %d bytes are not %d to %d", j.Packet, headerSize, maxPacket)
	case j.Body < 1 || j.Body > maxBody:
		return bad("a body of %d bytes is not 1 to %d", j.Body, maxBody)
	case j.ReceiveBuffer < 1 || j.ReceiveBuffer > maxBuffer:
		return bad("a receive buffer of %d bytes is not 1 to %d", j.ReceiveBuffer, maxBuffer)
	case j.Warmup < 0 || j.Duration <= 0 || j.Warmup > maxDuration || j.Duration > maxDuration:
		return bad("warm-up %s and duration %s are not possible", j.Warmup, j.Duration)
	case !(j.Rate >= 0 && j.Rate < 1e13), !(j.Share >= 0 && j.Share <= 2): // NaN, too
		return bad("rate %g with share %g is not possible", j.Rate, j.Share)
	case j.Reverse && j.Kind != TCP && j.Kind != UDP:
		return bad("only tcp and udp can be reversed")
	case j.Bidir && (j.Kind != TCP || j.Reverse):
		return bad("only tcp can go both ways at once, and then is not reversed")
	case j.Engine != "" && j.Engine != EngineIperf3:
		return fault.New(fault.Usage, "leave --engine out, or write --engine iperf3", "there is no network engine %q", j.Engine)
	case j.Engine == EngineIperf3 && j.Kind != TCP && j.Kind != UDP:
		return bad("iperf3 measures only tcp and udp")
	}
	return nil
}
