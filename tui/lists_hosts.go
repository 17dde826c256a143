package tui

import (
	"cmp"
	"strconv"
	"time"

	"cw/tui/source"
)

func busy(h *source.Host) float64 { return h.User + h.System + h.IOWait + h.Steal }

// fullest is the share used of the fullest file system.
func fullest(h *source.Host) float64 {
	top := 0.0
	for _, m := range h.Mounts {
		top = max(top, share(m.Used, m.Size))
	}
	return top
}

// hot colours a share: a warning from warn on, red from bad on.
func hot(v, warn, bad float64) style {
	switch {
	case v >= bad:
		return stBad
	case v >= warn:
		return stWarn
	}
	return stPlain
}

func hostTrouble(h *source.Host, now time.Time) bool {
	_, old := stale(h, now)
	return old || h.Err != "" || fullest(h) >= 0.9 || share(h.MemUsed, h.MemTotal) >= 0.95
}

func newHostTable() *table[source.Host] {
	type H = source.Host
	// known leaves a cell empty until there is a sample.
	known := func(f func(b []byte, c *scene, h *H) []byte) func(b []byte, c *scene, h *H) []byte {
		return func(b []byte, c *scene, h *H) []byte {
			if h.SampledAt.IsZero() {
				return append(b, '-')
			}
			return f(b, c, h)
		}
	}
	part := func(name string, v func(h *H) float64) column[H] {
		return column[H]{name: name, wide: true, prio: 6, min: 5, max: 5, right: true, cmp: by(v), cell: known(func(b []byte, _ *scene, h *H) []byte { return appendPercent(b, v(h)) })}
	}
	rate := func(name string, prio int, v func(h *H) float64) column[H] {
		return column[H]{name: name, prio: prio, min: 7, max: 8, right: true, cmp: by(v), cell: known(func(b []byte, _ *scene, h *H) []byte { return appendRate(b, int64(v(h))) })}
	}
	chart := func(name string, top float64, v func(h *H) []float64) column[H] {
		return column[H]{
			name: name, from: 120, prio: 7, min: 8, max: 20, flex: 1, style: always[H](stAccent), find: nothing[H],
			cell: func(b []byte, c *scene, h *H) []byte { return appendSpark(b, v(h), 20, top, c.g.spark) },
		}
	}
	mem := func(h *H) float64 { return share(h.MemUsed, h.MemTotal) }
	return &table[H]{
		id:      func(b []byte, h *H) []byte { return append(b, h.Name...) },
		problem: func(c *scene, h *H) bool { return hostTrouble(h, c.now) },
		empty:   "no hosts known yet", sortBy: -1,
		rowSt: func(c *scene, h *H) style {
			if _, old := stale(h, c.now); old {
				return stDim
			}
			return stPlain
		},
		cols: []column[H]{
			{name: "HOST", prio: 0, min: 8, max: 24, cell: str(func(h *H) string { return h.Name }), cmp: by(func(h *H) string { return h.Name })},
			{name: "ADDRESS", wide: true, prio: 7, min: 9, max: 24, cell: str(func(h *H) string { return h.Address }), cmp: by(func(h *H) string { return h.Address })},
			{name: "CPU", prio: 0, min: 4, max: 4, right: true, cmp: by(busy), style: func(_ *scene, h *H) style { return hot(busy(h), 0.85, 0.97) }, cell: known(func(b []byte, _ *scene, h *H) []byte { return appendPercent(b, busy(h)) })},
			chart("CPU-HIST", 1, func(h *H) []float64 { return h.CPUHist }),
			part("USR", func(h *H) float64 { return h.User }), part("SYS", func(h *H) float64 { return h.System }),
			part("IOW", func(h *H) float64 { return h.IOWait }), part("STEAL", func(h *H) float64 { return h.Steal }),
			{name: "LOAD", prio: 3, min: 5, max: 6, right: true, cmp: by(func(h *H) float64 { return h.Load1 }), cell: known(func(b []byte, _ *scene, h *H) []byte { return strconv.AppendFloat(b, h.Load1, 'f', 1, 64) })},
			{name: "MEM", prio: 1, min: 4, max: 4, right: true, cmp: by(mem), style: func(_ *scene, h *H) style { return hot(mem(h), 0.85, 0.95) }, cell: known(func(b []byte, _ *scene, h *H) []byte { return appendPercent(b, mem(h)) })},
			{name: "SWAP", prio: 5, min: 5, max: 6, right: true, cmp: by(func(h *H) int64 { return h.SwapUsed }), cell: known(func(b []byte, _ *scene, h *H) []byte { return appendSize(b, h.SwapUsed) })},
			rate("READ", 2, func(h *H) float64 { return h.ReadRate }), rate("WRITE", 2, func(h *H) float64 { return h.WriteRate }),
			{name: "UTIL", prio: 2, min: 4, max: 4, right: true, cmp: by(func(h *H) float64 { return h.DiskBusy }), style: func(_ *scene, h *H) style { return hot(h.DiskBusy, 0.85, 0.97) }, cell: known(func(b []byte, _ *scene, h *H) []byte { return appendPercent(b, h.DiskBusy) })},
			chart("DISK-HIST", 0, func(h *H) []float64 { return h.DiskHist }),
			rate("RX", 3, func(h *H) float64 { return h.RxRate }), rate("TX", 3, func(h *H) float64 { return h.TxRate }),
			{name: "FS", prio: 1, min: 4, max: 4, right: true, cmp: by(fullest), style: func(_ *scene, h *H) style { return hot(fullest(h), 0.8, 0.9) }, cell: known(func(b []byte, _ *scene, h *H) []byte { return appendPercent(b, fullest(h)) })},
			{name: "SEGS", prio: 4, min: 4, max: 5, right: true, cell: hostSegments},
			{name: "AGE", prio: 0, min: 5, max: 10, right: true, cell: hostAge, style: hostAgeStyle, cmp: byTime(func(h *H) time.Time { return h.SampledAt })},
			{name: "ERROR", from: 160, prio: 8, min: 10, max: 40, flex: 1, style: always[H](stWarn), cell: str(func(h *H) string { return h.Err })},
		},
	}
}

func hostSegments(b []byte, c *scene, h *source.Host) []byte {
	n := c.sum.segs[h.Name]
	if n.down > 0 {
		b = append(strconv.AppendInt(b, int64(n.all-n.down), 10), '/')
	}
	return strconv.AppendInt(b, int64(n.all), 10)
}

func hostAge(b []byte, c *scene, h *source.Host) []byte {
	age, old := stale(h, c.now)
	switch {
	case h.SampledAt.IsZero() && !old:
		return append(b, "..."...)
	case h.SampledAt.IsZero():
		return append(b, "no answer"...)
	case old:
		return appendSpan(append(b, "stale "...), age)
	}
	return appendSpan(b, age)
}

func hostAgeStyle(c *scene, h *source.Host) style {
	if _, old := stale(h, c.now); old {
		return stWarn
	}
	return stDim
}

// sessionSet is which sessions are shown.
type sessionSet uint8

const (
	sessionsAll sessionSet = iota
	sessionsWaiting
	sessionsBlocking
)

func (s sessionSet) String() string { return [...]string{"all", "waiting", "blocking"}[s] }

func sessionStart(s *source.Session) time.Time {
	if s.State == "idle" {
		return time.Time{}
	}
	if s.Start.IsZero() {
		return s.XactStart
	}
	return s.Start
}

func appendSessionID(b []byte, s *source.Session) []byte {
	return strconv.AppendInt(append(strconv.AppendInt(b, int64(s.PID), 10), '@'), s.Backend.UnixMicro(), 10)
}

func newSessionTable() *table[source.Session] {
	type S = source.Session
	waitStyle := func(_ *scene, s *S) style {
		if len(s.BlockedBy) > 0 {
			return stBad
		}
		return stPlain
	}
	return &table[S]{
		id:      appendSessionID,
		problem: func(c *scene, s *S) bool { return len(s.BlockedBy) > 0 || c.sum.blocking[s.PID] > 0 },
		empty:   "no sessions", sortBy: 9, desc: true,
		rowSt: func(_ *scene, s *S) style {
			if s.State == "idle" {
				return stDim
			}
			return stPlain
		},
		cols: []column[S]{
			{name: "PID", prio: 0, min: 6, max: 7, right: true, cell: num(func(s *S) int { return s.PID }), cmp: by(func(s *S) int { return s.PID })},
			{name: "SESS", wide: true, prio: 7, min: 5, max: 7, right: true, cell: num(func(s *S) int { return s.SessID }), cmp: by(func(s *S) int { return s.SessID })},
			{name: "USER", prio: 1, min: 7, max: 16, cell: str(func(s *S) string { return s.User }), cmp: by(func(s *S) string { return s.User })},
			{name: "DB", prio: 5, min: 6, max: 16, cell: str(func(s *S) string { return s.Database }), cmp: by(func(s *S) string { return s.Database })},
			{name: "APP", prio: 6, from: 120, min: 6, max: 16, cell: str(func(s *S) string { return s.App }), cmp: by(func(s *S) string { return s.App })},
			{name: "CLIENT", wide: true, prio: 7, min: 9, max: 20, cell: str(func(s *S) string { return s.Client }), cmp: by(func(s *S) string { return s.Client })},
			{name: "GROUP", prio: 6, from: 100, min: 8, max: 16, cell: degradable("resgroup", func(b []byte, s *S) []byte { return append(b, s.ResGroup...) }), cmp: by(func(s *S) string { return s.ResGroup })},
			{name: "STATE", prio: 2, min: 6, max: 12, cell: str(func(s *S) string { return s.State }), cmp: by(func(s *S) string { return s.State })},
			{name: "WAIT", prio: 3, min: 6, max: 20, style: waitStyle, cell: str(func(s *S) string { return s.Wait }), cmp: by(func(s *S) string { return s.Wait })},
			{name: "TIME", prio: 0, min: 6, max: 6, right: true, cell: func(b []byte, c *scene, s *S) []byte { return appendAgo(b, c, sessionStart(s)) }, cmp: bySessionAge},
			{name: "BLOCKED-BY", prio: 2, min: 6, max: 14, style: waitStyle, cell: degradable("blocked_by", func(b []byte, s *S) []byte { return appendPIDs(b, s.BlockedBy) }), cmp: by(func(s *S) int { return len(s.BlockedBy) })},
			{
				name: "HOLDS-UP", prio: 4, min: 8, max: 8, right: true, style: always[S](stWarn), find: nothing[S],
				cell: func(b []byte, c *scene, s *S) []byte {
					if n := c.sum.blocking[s.PID]; n > 0 {
						return strconv.AppendInt(b, int64(n), 10)
					}
					return b
				},
			},
			{name: "QUERY", prio: 0, min: 18, max: 60, flex: 1, cell: degradable("query", func(b []byte, s *S) []byte { return oneLine(b, s.Query) }), cmp: by(func(s *S) string { return s.Query })},
		},
	}
}

// degradable says n/a where there is nothing for want of a privilege; the
// footer says which.
func degradable(key string, field func(b []byte, s *source.Session) []byte) func(b []byte, c *scene, s *source.Session) []byte {
	return func(b []byte, c *scene, s *source.Session) []byte {
		n := len(b)
		if b = field(b, s); len(b) == n && c.snap.Degraded[key] != "" {
			return append(b, "n/a"...)
		}
		return b
	}
}

// bySessionAge orders by how long the statement runs; idle ones are youngest.
func bySessionAge(a, b *source.Session) int {
	x, y := sessionStart(a), sessionStart(b)
	switch {
	case x.IsZero() && y.IsZero():
		return 0
	case x.IsZero():
		return -1
	case y.IsZero():
		return 1
	}
	return cmp.Or(y.Compare(x), cmp.Compare(a.PID, b.PID))
}

func appendPIDs(b []byte, pids []int) []byte {
	for i, p := range pids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(p), 10)
	}
	return b
}
