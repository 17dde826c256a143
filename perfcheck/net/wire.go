package net

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"cw/fault"
)

// A hello is the first thing on every connection and on every UDP socket of a
// test. It has a fixed size, so that a stranger costs a few bytes of a
// stack, and carries the hash of the run's token.
const (
	helloMagic = "cwperf1"
	helloSize  = 8 + 32 + 8 + 4
)

// What a connection is for.
const (
	forControl = 'C' // JSON lines, one connection per test
	forData    = 'D' // belongs to a session
	forRequest = 'R' // one byte is sent back, then it is closed
	forUDP     = 'U' // the first datagram of a socket
)

type hello struct {
	what    byte
	session uint64
	stream  uint32
}

// tokenHash is what travels in the place of the token.
func tokenHash(token string) [32]byte { return sha256.Sum256([]byte("cw perf " + token)) }

func (h hello) encode(key [32]byte) [helloSize]byte {
	var b [helloSize]byte
	copy(b[:], helloMagic)
	b[7] = h.what
	copy(b[8:], key[:])
	binary.BigEndian.PutUint64(b[40:], h.session)
	binary.BigEndian.PutUint32(b[48:], h.stream)
	return b
}

// decodeHello tells whether b is a hello with the right key.
func decodeHello(b []byte, key [32]byte) (hello, bool) {
	if len(b) != helloSize || string(b[:7]) != helloMagic || subtle.ConstantTimeCompare(b[8:40], key[:]) != 1 {
		return hello{}, false
	}
	return hello{what: b[7], session: binary.BigEndian.Uint64(b[40:]), stream: binary.BigEndian.Uint32(b[48:])}, true
}

// Every datagram of a test begins with a header. Clocks need not agree: the
// stamp is only ever compared with other stamps.
const (
	packetMagic = 0x63775044
	headerSize  = 32
)

type header struct {
	phase   uint16 // 0 warm-up, else measured; the step of a pps search
	stream  uint16
	session uint64
	seq     uint64
	stamp   int64 // ns, of the sender's clock
}

func (h *header) encode(b []byte) {
	binary.BigEndian.PutUint32(b, packetMagic)
	binary.BigEndian.PutUint16(b[4:], h.phase)
	binary.BigEndian.PutUint16(b[6:], h.stream)
	binary.BigEndian.PutUint64(b[8:], h.session)
	binary.BigEndian.PutUint64(b[16:], h.seq)
	binary.BigEndian.PutUint64(b[24:], uint64(h.stamp))
}

func (h *header) decode(b []byte) bool {
	if len(b) < headerSize || binary.BigEndian.Uint32(b) != packetMagic {
		return false
	}
	h.phase, h.stream = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	h.session, h.seq = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	h.stamp = int64(binary.BigEndian.Uint64(b[24:]))
	return true
}

// The types of messages on a control connection.
const (
	msgRequest = "request" // client: what is wanted
	msgReady   = "ready"   // server: here is your session
	msgHeard   = "heard"   // client: all hellos are answered
	msgJoined  = "joined"  // server: all data connections are here
	msgGo      = "go"      // client: the warm-up begins now
	msgSecond  = "second"  // a value of the series
	msgSent    = "sent"    // the sender has sent all of it
	msgResult  = "result"  // what the side saw
	msgStep    = "step"    // client: a step of a search
	msgStop    = "stop"    // client: done
	msgBeat    = "beat"    // still here
	msgError   = "error"
)

type message struct {
	Type    string   `json:"type"`
	Request *Job     `json:"request,omitempty"` // without target and token
	Session uint64   `json:"session,omitempty"`
	Port    int      `json:"port,omitempty"` // of iperf3's server
	At      float64  `json:"at,omitempty"`
	Value   float64  `json:"value,omitempty"`
	Step    int      `json:"step,omitempty"`
	Half    *half    `json:"half,omitempty"`
	Error   *failure `json:"error,omitempty"`
}

// half is what one side saw of a test.
type half struct {
	Bytes   float64   `json:"bytes"`
	Elapsed float64   `json:"elapsed"` // seconds
	Series  []float64 `json:"series,omitempty"`
	// Of a sender.
	Retransmits int64   `json:"retransmits,omitempty"`
	Segments    int64   `json:"segments,omitempty"`
	Sent        int64   `json:"sent,omitempty"`     // packets
	Achieved    float64 `json:"achieved,omitempty"` // share of the rate asked for
	// Of a receiver of datagrams.
	Packets   int64   `json:"packets,omitempty"`
	Reordered int64   `json:"reordered,omitempty"`
	Duplicate int64   `json:"duplicate,omitempty"`
	Jitter    float64 `json:"jitter,omitempty"`
	Drops     int64   `json:"drops,omitempty"` // at the receiving sockets
	Reasm     int64   `json:"reasm,omitempty"` // datagrams with missing fragments
	Softnet   int64   `json:"softnet,omitempty"`
	// Of the interface that should have carried it.
	NIC      string `json:"nic,omitempty"`
	NICBytes int64  `json:"nic_bytes,omitempty"`
	// Of a server of connections.
	ListenDrops int64 `json:"listen_drops,omitempty"`
}

// failure carries an error with its kind and hint over the wire.
type failure struct {
	Kind fault.Kind `json:"kind"`
	Text string     `json:"text"`
	Hint string     `json:"hint,omitempty"`
}

func failureOf(err error) *failure {
	return &failure{Kind: fault.KindOf(err), Text: err.Error(), Hint: fault.HintOf(err)}
}
