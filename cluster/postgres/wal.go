package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"cw/cluster"
)

// lsn is a position in the WAL.
type lsn uint64

func parseLSN(s string) (lsn, error) {
	hi, lo, ok := strings.Cut(s, "/")
	a, err1 := strconv.ParseUint(hi, 16, 32)
	b, err2 := strconv.ParseUint(lo, 16, 32)
	if !ok || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no position in the WAL", s)
	}
	return lsn(a<<32 | b), nil
}

func (l lsn) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint32(l)) }

// UnmarshalJSON reads a pg_lsn.
func (l *lsn) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	var err error
	*l, err = parseLSN(s)
	return err
}

// oldest is where the WAL that a server still has begins.
func (l *live) oldest() lsn {
	if len(l.Oldest) != 16 || l.SegSize <= 0 {
		return 0
	}
	hi, err1 := strconv.ParseUint(l.Oldest[:8], 16, 32)
	lo, err2 := strconv.ParseUint(l.Oldest[8:], 16, 32)
	if err1 != nil || err2 != nil {
		return 0
	}
	return lsn(hi<<32 + lo*uint64(l.SegSize))
}

// fork is where a primary's history left timeline tli; ok is false when it
// never was on it. The primary's own timeline ends where it writes.
func (l *live) fork(tli int64) (at lsn, ok bool) {
	if tli == l.TLI {
		return l.LSN, true
	}
	for line := range strings.Lines(l.History) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if id, err := strconv.ParseInt(f[0], 10, 64); err == nil && id == tli {
			at, err := parseLSN(f[1])
			return at, err == nil
		}
	}
	return 0, false
}

// sender is the state in which a primary sends to node n; "" for not at all.
// The standbys of an adopted cluster carry names of their own: what they say
// themselves has to do.
func (l *live) sender(v view) string {
	if adopted(v.node) {
		if v.standby() && v.live.TLI == l.TLI {
			return v.live.Receiver
		}
		return ""
	}
	state := ""
	for _, s := range l.Senders {
		if s.Name == v.node.Name() && state != cluster.ModeStreaming {
			state = s.State
		}
	}
	return state
}
