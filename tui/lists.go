package tui

import (
	"bytes"
	"cmp"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cw/tui/source"
)

// list is a table without its type of rows.
type list interface {
	paint(p *painter, c *scene, h int, cursor bool)
	move(n int)
	page(pages float64)
	top()
	bottom()
	sortNext(c *scene, step int) string
	sortTo(c *scene, name string) bool
	reverse(c *scene)
	setFilter(c *scene, text string) error
	filterText() string
	toggleProblems(c *scene) bool
	onlyProblems() bool
	hasProblems() bool
	toggleWide()
	toggleMark()
	clearMarks()
	counts() (shown, all, marks int)
	rowText(c *scene) string
	rowJSON() (string, error)
	names() []string
	sortName() string
	click(line int)
	rebuild(c *scene)
	refresh(c *scene)
}

// str is a cell that is a field.
func str[T any](field func(r *T) string) func(b []byte, c *scene, r *T) []byte {
	return func(b []byte, _ *scene, r *T) []byte { return append(b, field(r)...) }
}

// num is a cell that is a number.
func num[T any](field func(r *T) int) func(b []byte, c *scene, r *T) []byte {
	return func(b []byte, _ *scene, r *T) []byte { return strconv.AppendInt(b, int64(field(r)), 10) }
}

func by[T any, V cmp.Ordered](field func(r *T) V) func(a, b *T) int {
	return func(a, b *T) int { return cmp.Compare(field(a), field(b)) }
}

func byTime[T any](field func(r *T) time.Time) func(a, b *T) int {
	return func(a, b *T) int { return field(a).Compare(field(b)) }
}

func appendAgo(b []byte, c *scene, t time.Time) []byte {
	if t.IsZero() {
		return append(b, '-')
	}
	return appendSpan(b, c.now.Sub(t))
}

func roleLetter(role string) byte {
	if role == "" {
		return '-'
	}
	return role[0]
}

// roleRank puts the node that writes before the one that follows.
func roleRank(role string) int {
	if role == "coordinator" || role == "primary" {
		return 0
	}
	return 1
}

func newNodeTable() *table[source.Node] {
	type N = source.Node
	health := func(b []byte, c *scene, n *N) []byte {
		h := nodeHealth(n)
		return append(append(append(b, h.glyph(c.g)...), ' '), h.word()...)
	}
	return &table[N]{
		id:      func(b []byte, n *N) []byte { return append(b, n.ID...) },
		problem: func(_ *scene, n *N) bool { return nodeHealth(n) != healthOK },
		empty:   "no nodes known yet", sortBy: 0,
		cols: []column[N]{
			{
				name: "CONTENT", prio: 2, min: 7, max: 9, right: true, cell: num(func(n *N) int { return n.Content }),
				cmp: func(a, b *N) int {
					return cmp.Or(cmp.Compare(a.Content, b.Content), cmp.Compare(roleRank(a.Role), roleRank(b.Role)), strings.Compare(a.ID, b.ID))
				},
			},
			{name: "DBID", wide: true, prio: 6, min: 4, max: 6, right: true, cell: num(func(n *N) int { return n.DBID }), cmp: by(func(n *N) int { return n.DBID })},
			{name: "ROLE", prio: 1, min: 7, max: 11, cell: str(func(n *N) string { return n.Role }), cmp: by(func(n *N) string { return n.Role })},
			{
				name: "PREF", prio: 4, min: 4, max: 4, cmp: by(func(n *N) string { return n.PreferredRole }),
				cell: func(b []byte, c *scene, n *N) []byte {
					b = append(b, roleLetter(n.PreferredRole))
					if n.PreferredRole != "" && n.Role != n.PreferredRole {
						b = append(append(b, ' '), c.g.switched...)
					}
					return b
				},
				style: func(_ *scene, n *N) style {
					if n.PreferredRole != "" && n.Role != n.PreferredRole {
						return stWarn
					}
					return stPlain
				},
			},
			{name: "STATE", prio: 0, min: 9, max: 13, cell: health, style: func(_ *scene, n *N) style { return nodeHealth(n).style() }, cmp: by(func(n *N) int { return int(nodeHealth(n)) })},
			{name: "MODE", prio: 3, min: 8, max: 9, cell: str(func(n *N) string { return n.Mode }), cmp: by(func(n *N) string { return n.Mode })},
			{
				name: "HOST:PORT", prio: 0, min: 10, max: 30,
				cell: func(b []byte, _ *scene, n *N) []byte {
					return strconv.AppendInt(append(append(b, n.Host...), ':'), int64(n.Port), 10)
				},
				cmp: func(a, b *N) int {
					return cmp.Or(strings.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
				},
			},
			{
				name: "LAG", prio: 4, min: 5, max: 6, right: true,
				cell: func(b []byte, c *scene, n *N) []byte {
					if n.LagBytes == nil && c.snap.Degraded["lag"] != "" && roleRank(n.Role) > 0 {
						return append(b, "n/a"...)
					}
					if n.LagBytes == nil {
						return append(b, '-')
					}
					return appendSize(b, *n.LagBytes)
				},
				cmp: by(func(n *N) int64 {
					if n.LagBytes == nil {
						return -1
					}
					return *n.LagBytes
				}),
			},
			{name: "SINCE", prio: 5, min: 6, max: 6, right: true, cell: func(b []byte, c *scene, n *N) []byte { return appendAgo(b, c, n.Since) }, cmp: byTime(func(n *N) time.Time { return n.Since })},
			{name: "DATADIR", prio: 6, min: 12, max: 40, flex: 1, cell: str(func(n *N) string { return n.DataDir }), cmp: by(func(n *N) string { return n.DataDir })},
			{name: "DETAIL", prio: 7, from: 120, min: 10, max: 40, flex: 2, cell: str(func(n *N) string { return n.Detail })},
		},
	}
}

func newLoadTable() *table[source.Load] {
	type L = source.Load
	return &table[L]{
		id:      func(b []byte, l *L) []byte { return append(b, l.ID...) },
		problem: func(_ *scene, l *L) bool { return l.Rejected > 0 || l.Error != "" || l.State == "failed" },
		empty:   "no loads lately (cw load run FILE starts one)", sortBy: -1,
		rowSt: func(_ *scene, l *L) style {
			if !loadActive(l) && l.Error == "" {
				return stDim
			}
			return stPlain
		},
		cols: []column[L]{
			{name: "ID", prio: 0, min: 8, max: 10, cell: str(func(l *L) string { return l.ID }), cmp: by(func(l *L) string { return l.ID })},
			{name: "SPEC", wide: true, prio: 7, min: 10, max: 30, cell: func(b []byte, _ *scene, l *L) []byte { return append(b, filepath.Base(l.Spec)...) }, cmp: by(func(l *L) string { return l.Spec })},
			{name: "TABLE", prio: 2, min: 10, max: 30, flex: 1, cell: str(func(l *L) string { return l.Target }), cmp: by(func(l *L) string { return l.Target })},
			{name: "STATE", prio: 1, min: 9, max: 13, cell: loadState, style: loadStyle, cmp: by(func(l *L) string { return l.State })},
			{name: "PHASE", prio: 6, min: 6, max: 10, cell: str(func(l *L) string { return l.Phase }), cmp: by(func(l *L) string { return l.Phase })},
			{name: "DONE", prio: 1, min: 4, max: 4, right: true, cell: loadDone, cmp: by(func(l *L) float64 { return share(l.Bytes, l.BytesTotal) })},
			{name: "ROWS", prio: 4, min: 6, max: 6, right: true, cell: func(b []byte, _ *scene, l *L) []byte { return appendCount(b, l.Rows) }, cmp: by(func(l *L) int64 { return l.Rows })},
			{
				name: "BAD", prio: 3, min: 5, max: 6, right: true, cell: func(b []byte, _ *scene, l *L) []byte { return appendCount(b, l.Rejected) }, cmp: by(func(l *L) int64 { return l.Rejected }),
				style: func(_ *scene, l *L) style {
					if l.Rejected > 0 {
						return stWarn
					}
					return stPlain
				},
			},
			{name: "RATE", prio: 0, min: 8, max: 8, right: true, cell: func(b []byte, _ *scene, l *L) []byte { return appendRate(b, l.Rate) }, style: always[L](stAccent), cmp: by(func(l *L) int64 { return l.Rate })},
			{name: "LIMIT", prio: 0, min: 8, max: 8, right: true, cell: func(b []byte, _ *scene, l *L) []byte { return appendLimit(b, l.Limit) }, cmp: by(func(l *L) int64 { return l.Limit })},
			{name: "ETA", prio: 3, min: 6, max: 6, right: true, cell: loadETA, cmp: by(func(l *L) int64 { return l.ETA })},
			{name: "TIME", prio: 5, min: 6, max: 6, right: true, cell: loadTime, cmp: byTime(func(l *L) time.Time { return l.StartedAt })},
			{
				name: "SPEED", from: 120, prio: 6, min: 12, max: 24, flex: 1, style: always[L](stAccent), find: nothing[L],
				cell: func(b []byte, c *scene, l *L) []byte { return appendSpark(b, l.RateHist, 24, 0, c.g.spark) },
			},
		},
	}
}

// always is a column of one style; nothing is what filters see of a chart.
func always[T any](s style) func(*scene, *T) style { return func(*scene, *T) style { return s } }

func nothing[T any](b []byte, _ *scene, _ *T) []byte { return b }

func loadState(b []byte, c *scene, l *source.Load) []byte {
	var g string
	switch {
	case l.State == "failed", l.Error != "":
		g = c.g.down
	case loadPaused(l):
		g = c.g.paused
	case loadActive(l):
		g = c.g.live
	default:
		g = c.g.ok
	}
	return append(append(append(b, g...), ' '), l.State...)
}

func loadStyle(_ *scene, l *source.Load) style {
	switch {
	case l.State == "failed", l.Error != "":
		return stBad
	case loadPaused(l), l.State == "partial", l.State == "interrupted":
		return stWarn
	}
	return stGood
}

func loadDone(b []byte, _ *scene, l *source.Load) []byte {
	if l.BytesTotal <= 0 {
		return append(b, '-')
	}
	return appendPercent(b, min(1, share(l.Bytes, l.BytesTotal)))
}

func loadETA(b []byte, _ *scene, l *source.Load) []byte {
	if !loadActive(l) || l.ETA <= 0 {
		return append(b, '-')
	}
	return appendSpan(b, time.Duration(l.ETA)*time.Second)
}

func loadTime(b []byte, c *scene, l *source.Load) []byte {
	if l.StartedAt.IsZero() {
		return append(b, '-')
	}
	end := l.FinishedAt
	if end.IsZero() {
		end = c.now
	}
	return appendSpan(b, end.Sub(l.StartedAt))
}

func newEventTable() *table[source.Event] {
	type E = source.Event
	return &table[E]{
		// The database's own history has no ids: time, kind and text tell.
		id: func(b []byte, e *E) []byte {
			if e.ID != 0 {
				return strconv.AppendInt(b, e.ID, 10)
			}
			b = e.At.AppendFormat(b, time.RFC3339Nano)
			return append(append(b, e.Kind...), e.Message...)
		},
		problem: func(_ *scene, e *E) bool { return e.Severity != "info" && e.Severity != "" },
		empty:   "nothing has happened yet", sortBy: -1, follow: true,
		cols: []column[E]{
			{name: "TIME", prio: 0, min: 8, max: 19, cell: eventTime, cmp: byTime(func(e *E) time.Time { return e.At })},
			{name: "SEVERITY", prio: 2, min: 10, max: 10, cell: eventSeverity, style: eventStyle, cmp: by(func(e *E) string { return e.Severity })},
			{name: "TYPE", prio: 1, min: 10, max: 16, cell: str(func(e *E) string { return e.Kind }), cmp: by(func(e *E) string { return e.Kind })},
			{name: "HOST", prio: 5, min: 6, max: 16, cell: str(func(e *E) string { return e.Host }), cmp: by(func(e *E) string { return e.Host })},
			{name: "JOB", prio: 4, min: 8, max: 10, cell: str(func(e *E) string { return e.Job }), cmp: by(func(e *E) string { return e.Job })},
			{name: "CLUSTER", wide: true, prio: 6, min: 7, max: 16, cell: str(func(e *E) string { return e.Cluster }), cmp: by(func(e *E) string { return e.Cluster })},
			{name: "MESSAGE", prio: 0, min: 10, max: 60, flex: 1, cell: str(func(e *E) string { return e.Message }), cmp: by(func(e *E) string { return e.Message })},
		},
	}
}

// eventTime has the day only where it is another one.
func eventTime(b []byte, c *scene, e *source.Event) []byte {
	t := e.At.In(c.now.Location())
	if c.wide || t.YearDay() != c.now.YearDay() || t.Year() != c.now.Year() {
		return t.AppendFormat(b, "2006-01-02 15:04:05")
	}
	return t.AppendFormat(b, "15:04:05")
}

func eventSeverity(b []byte, c *scene, e *source.Event) []byte {
	g := c.g.ok
	switch e.Severity {
	case "critical":
		g = c.g.down
	case "warning":
		g = "!"
	}
	return append(append(append(b, g...), ' '), e.Severity...)
}

func eventStyle(_ *scene, e *source.Event) style {
	switch e.Severity {
	case "critical":
		return stBad
	case "warning":
		return stWarn
	}
	return stDim
}

// oneLine takes the line breaks and the indentation out of a query.
func oneLine(b []byte, q string) []byte {
	if !strings.ContainsAny(q, "\n\t\r") {
		return append(b, strings.TrimSpace(q)...)
	}
	start := len(b)
	for f := range strings.FieldsSeq(q) {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, f...)
	}
	return bytes.TrimRight(b, " ")
}
