package fdist

import (
	"context"
	"time"
)

// Options sets a Server. The zero value serves nothing, but answers.
type Options struct {
	Inputs  Inputs  // what GET reads; nil: reading is refused
	Outputs Outputs // what POST writes to; nil: writing is refused
	Limits  Limits  // nil: no speed limit
	Log     Log     // nil: silent

	Version  string // of the X-GPFDIST-VERSION header; "" is this program's own
	Compress bool   // zstd on the wire for those who ask
	// ForcePath takes the place of every request's path (gpfdist -f).
	ForcePath string
	// ForceProto takes the place of every request's protocol (gpfdist -g).
	ForceProto *int

	HeaderTimeout time.Duration // until a request's header is whole (gpfdist -t); 0: 5 s, negative: no limit
	CloseTimeout  time.Duration // until the peer closes after the answer; 0: 60 s
	Heartbeat     time.Duration // between signs of life to a segment that has to wait; 0: 1 s
	Tombstone     time.Duration // how long ended read sessions are remembered for late joiners; 0: 24 h
	Linger        time.Duration // write sessions stay open this long after the last DONE (gpfdist -w)
	SessionIdle   time.Duration // write sessions without requests are given up after this (gpfdist -k); 0: 300 s
	MaxBody       int64         // largest body of a POST in bytes; 0: 1 GiB
}

// Limits is a speed limit as connections meet it.
type Limits interface {
	// Wait takes n bytes of the request's budget, waiting for them. Its error
	// is the context's.
	Wait(ctx context.Context, r *Request, n int) error
	// Quantum is how many bytes to ask for at a time; 0 while there is no
	// limit for this request.
	Quantum(r *Request) int
}

const (
	defaultHeaderTimeout = 5 * time.Second
	defaultCloseTimeout  = 60 * time.Second
	defaultHeartbeat     = time.Second
	defaultTombstone     = 24 * time.Hour
	defaultSessionIdle   = 300 * time.Second
	defaultMaxBody       = 1 << 30
	defaultVersion       = "cw"
)

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.HeaderTimeout, defaultHeaderTimeout)
	set(&o.CloseTimeout, defaultCloseTimeout)
	set(&o.Heartbeat, defaultHeartbeat)
	set(&o.Tombstone, defaultTombstone)
	set(&o.SessionIdle, defaultSessionIdle)
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Version == "" {
		o.Version = defaultVersion
	}
	if o.Limits == nil {
		o.Limits = noLimits{}
	}
	if o.Log == nil {
		o.Log = func(Level, Where, string) {}
	}
	return o
}

type noLimits struct{}

func (noLimits) Wait(ctx context.Context, _ *Request, _ int) error { return ctx.Err() }
func (noLimits) Quantum(*Request) int                              { return 0 }

// Level is how much a log line matters, with gpfdist's names.
type Level int

// The levels. Verbose lines are those that gpfdist prints for reads always
// and for writes only when asked to be very verbose.
const (
	LevelDebug Level = iota
	LevelVerbose
	LevelInfo
	LevelWarn
	LevelError
)

// Where says which request a log line is about; all zero for none.
type Where struct {
	Session int64
	Request int64
	Segment int
	Socket  int
	Write   bool
}

// Log takes the server's log lines, from any goroutine. The text has no line
// end.
type Log func(level Level, at Where, text string)
