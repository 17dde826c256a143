package tui

import (
	"slices"
	"strconv"
	"time"

	"cw/tui/source"
)

// fields writes "name value" pairs, as many to a line as fit.
type field struct {
	name  string
	value []byte
	style style
}

func (a *App) fields(c *painter, fs []field) {
	for i, f := range fs {
		need := len(f.name) + 1 + cells(f.value, a.g.ascii)
		if c.x > 0 && c.x+need+3 > c.w {
			c.nl()
		}
		if c.x > 0 {
			c.text(stPlain, "   ")
		}
		c.text(stDim, f.name+" ")
		c.bytes(f.style, f.value)
		if i == len(fs)-1 {
			c.nl()
		}
	}
}

func text(name, value string) field { return field{name: name, value: []byte(value)} }

func (a *App) findNode(id string) *source.Node {
	for i := range a.snap.Nodes.Items {
		if n := &a.snap.Nodes.Items[i]; n.ID == id {
			return n
		}
	}
	return nil
}

func (a *App) findLoad(id string) *source.Load {
	for i := range a.snap.Loads.Items {
		if l := &a.snap.Loads.Items[i]; l.ID == id {
			return l
		}
	}
	return nil
}

func (a *App) findSession(id string) *source.Session {
	var b [48]byte
	for i := range a.snap.Sessions.Items {
		if s := &a.snap.Sessions.Items[i]; string(appendSessionID(b[:0], s)) == id {
			return s
		}
	}
	return nil
}

func (a *App) pageTitle(pg *page) string {
	return [...]string{"Node ", "Host ", "Load ", "Session ", "Event ", "Log of "}[pg.kind] + pg.name
}

func (a *App) pageBody(c *painter, pg *page) {
	gone := func() {
		c.text(stWarn, "gone: the newest answer no longer has it")
		c.nl()
	}
	switch pg.kind {
	case pageNode:
		if a.findNode(pg.id) == nil {
			gone()
		}
		a.nodePage(c, pg)
	case pageHost:
		for i := range a.snap.Hosts.Items {
			if h := &a.snap.Hosts.Items[i]; h.Name == pg.id {
				a.hostPage(c, pg, h)
				return
			}
		}
		gone()
	case pageLoad:
		if l := a.findLoad(pg.id); l != nil {
			a.loadPage(c, pg, l)
		} else {
			gone()
		}
	case pageSession:
		if s := a.findSession(pg.id); s != nil {
			a.sessionPage(c, pg, s)
		} else {
			gone()
		}
	case pageEvent:
		e := &pg.event
		a.fields(c, []field{
			text("at", e.At.In(a.c.now.Location()).Format("2006-01-02 15:04:05 MST")),
			{"severity", []byte(e.Severity), eventStyle(nil, e)},
			text("type", e.Kind), text("cluster", e.Cluster), text("job", e.Job), text("host", e.Host),
		})
		c.nl()
		a.wrapped(c, pg, stPlain, e.Message)
	}
}

// nodePage shows both nodes of the pair.
func (a *App) nodePage(c *painter, pg *page) {
	for i := range a.snap.Nodes.Items {
		n := &a.snap.Nodes.Items[i]
		if n.Content != pg.content || n.ID != pg.id && !a.sum.pairs && pg.content >= 0 {
			continue
		}
		c.nl()
		mark := "  "
		if n.ID == pg.id {
			mark = a.g.cursor + " "
		}
		c.text(stKey, mark)
		h := nodeHealth(n)
		c.text(stTitle, n.Role+" "+n.Host+":"+strconv.Itoa(n.Port)+" ")
		c.text(h.style(), h.glyph(a.g)+" "+h.word())
		c.nl()
		lag := []byte("-")
		if n.LagBytes != nil {
			lag = appendSize(nil, *n.LagBytes)
		}
		a.fields(c, []field{
			text("content", strconv.Itoa(n.Content)), text("dbid", strconv.Itoa(n.DBID)), text("preferred", n.PreferredRole), text("mode", n.Mode),
			text("state", n.State),
			{"lag", lag, stPlain},
			{"since", appendAgo(nil, &a.c, n.Since), stPlain},
			text("datadir", n.DataDir),
		})
		if n.Detail != "" {
			a.wrapped(c, pg, stWarn, n.Detail)
		}
	}
}

func (a *App) hostPage(c *painter, pg *page, h *source.Host) {
	if age, old := stale(h, a.c.now); old {
		c.text(stWarn, string(appendSpan([]byte("stale: the last sample is "), age))+" old")
		c.nl()
	}
	if h.Err != "" {
		a.wrapped(c, pg, stWarn, h.Err)
	}
	pct := func(v float64) []byte { return appendPercent(nil, v) }
	rate := func(v float64) []byte { return appendRate(nil, int64(v)) }
	a.fields(c, []field{
		text("address", h.Address), text("cpus", strconv.Itoa(h.CPUs)),
		{"usr", pct(h.User), stPlain},
		{"sys", pct(h.System), stPlain},
		{"iowait", pct(h.IOWait), stPlain},
		{"steal", pct(h.Steal), stPlain},
		{"load", strconv.AppendFloat(nil, h.Load1, 'f', 2, 64), stPlain},
		{"memory", append(append(appendSize(nil, h.MemUsed), " of "...), appendSize(nil, h.MemTotal)...), stPlain},
		{"swap", append(append(appendSize(nil, h.SwapUsed), " of "...), appendSize(nil, h.SwapTotal)...), stPlain},
	})
	kind := sparkBraille
	if a.g.ascii {
		kind = sparkASCII
	}
	high := 3
	if a.h >= 40 {
		high = 6
	}
	for _, g := range []struct {
		name string
		hist []float64
		top  float64
		now  []byte
	}{
		{"cpu", h.CPUHist, 1, pct(busy(h))},
		{"memory", h.MemHist, 1, pct(share(h.MemUsed, h.MemTotal))},
		{"disk", h.DiskHist, 0, rate(h.ReadRate + h.WriteRate)},
		{"net", h.NetHist, 0, rate(h.RxRate + h.TxRate)},
	} {
		c.nl()
		c.text(stTitle, g.name+" ")
		c.bytes(stAccent, g.now)
		if g.top == 0 && len(g.hist) > 0 {
			top := 0.0
			for _, v := range g.hist[max(0, len(g.hist)-2*c.w):] {
				top = max(top, v)
			}
			c.bytes(stDim, append([]byte("  full height "), rate(top)...))
		}
		c.nl()
		for row := range high {
			a.lineBuf = appendChart(a.lineBuf[:0], g.hist, c.w, high, row, g.top, kind)
			c.bytes(stAccent, a.lineBuf)
			c.nl()
		}
	}
	a.hostParts(c, h)
}

func (a *App) hostParts(c *painter, h *source.Host) {
	c.nl()
	c.text(stTitle, "disks, networks, file systems")
	c.nl()
	for _, d := range h.Disks {
		a.fields(c, []field{text("disk", d.Name), {"read", appendRate(nil, int64(d.ReadRate)), stPlain}, {"write", appendRate(nil, int64(d.WriteRate)), stPlain}, {"busy", appendPercent(nil, d.Busy), hot(d.Busy, 0.85, 0.97)}})
	}
	for _, n := range h.NICs {
		a.fields(c, []field{text("net", n.Name), {"rx", appendRate(nil, int64(n.RxRate)), stPlain}, {"tx", appendRate(nil, int64(n.TxRate)), stPlain}})
	}
	for _, m := range h.Mounts {
		used := share(m.Used, m.Size)
		a.lineBuf = appendBar(a.lineBuf[:0], used, 20, a.g.ascii)
		a.fields(c, []field{text("fs", m.Path), {"used", appendPercent(nil, used), hot(used, 0.8, 0.9)}, {"of", appendSize(nil, m.Size), stPlain}, {"", a.lineBuf, stAccent}})
	}
	for i := range a.snap.Nodes.Items {
		if n := &a.snap.Nodes.Items[i]; n.Host == h.Name {
			st := nodeHealth(n)
			a.fields(c, []field{text("node", n.ID), text("content", strconv.Itoa(n.Content)), text("role", n.Role), {"", []byte(st.glyph(a.g) + " " + st.word()), st.style()}})
		}
	}
}

func (a *App) loadPage(c *painter, pg *page, l *source.Load) {
	c.bytes(loadStyle(nil, l), loadState(nil, &a.c, l))
	c.text(stPlain, "  ")
	a.lineBuf = appendBar(a.lineBuf[:0], share(l.Bytes, l.BytesTotal), min(40, c.w/2), a.g.ascii)
	c.bytes(stAccent, a.lineBuf)
	c.bytes(stPlain, append([]byte{' '}, loadDone(nil, nil, l)...))
	c.nl()
	a.fields(c, []field{
		text("table", l.Target), text("file", l.Spec), text("kind", l.Kind), text("phase", l.Phase),
		{"bytes", append(append(appendSize(nil, l.Bytes), " of "...), appendSize(nil, l.BytesTotal)...), stPlain},
		{"rows", strconv.AppendInt(nil, l.Rows, 10), stPlain},
		{"rejected", strconv.AppendInt(nil, l.Rejected, 10), hot(float64(l.Rejected), 1, 1e18)},
		{"rate", appendRate(nil, l.Rate), stAccent},
		{"limit", appendLimit(nil, l.Limit), stTitle},
		{"eta", loadETA(nil, nil, l), stPlain},
		{"time", loadTime(nil, &a.c, l), stPlain},
		text("started", l.StartedAt.In(a.c.now.Location()).Format(time.DateTime)),
	})
	if l.Error != "" {
		a.wrapped(c, pg, stBad, l.Error)
	}
	kind := sparkBraille
	if a.g.ascii {
		kind = sparkASCII
	}
	c.nl()
	c.text(stTitle, "rate")
	c.nl()
	for row := range 4 {
		a.lineBuf = appendChart(a.lineBuf[:0], l.RateHist, c.w, 4, row, 0, kind)
		c.bytes(stAccent, a.lineBuf)
		c.nl()
	}
}

func (a *App) sessionPage(c *painter, pg *page, s *source.Session) {
	blocked := stPlain
	if len(s.BlockedBy) > 0 {
		blocked = stBad
	}
	a.fields(c, []field{
		text("user", s.User), text("database", s.Database), text("application", s.App), text("client", s.Client), text("group", s.ResGroup),
		text("state", s.State),
		{"wait", []byte(s.Wait), blocked},
		{"blocked by", appendPIDs(nil, s.BlockedBy), blocked},
		{"holds up", strconv.AppendInt(nil, int64(a.sum.blocking[s.PID]), 10), hot(float64(a.sum.blocking[s.PID]), 1, 1)},
		{"query", appendAgo(nil, &a.c, s.Start), stPlain},
		{"transaction", appendAgo(nil, &a.c, s.XactStart), stPlain},
		{"connected", appendAgo(nil, &a.c, s.Backend), stPlain},
	})
	c.nl()
	c.text(stTitle, "query")
	c.nl()
	a.wrapped(c, pg, stPlain, s.Query)
	for i := range a.snap.Sessions.Items {
		o := &a.snap.Sessions.Items[i]
		word := ""
		switch {
		case slices.Contains(s.BlockedBy, o.PID):
			word = "is blocked by "
		case slices.Contains(o.BlockedBy, s.PID):
			word = "holds up "
		default:
			continue
		}
		c.nl()
		c.text(stBad, word+strconv.Itoa(o.PID))
		c.text(stPlain, "  "+o.User+"@"+o.Database+"  "+o.State)
		c.nl()
		a.wrapped(c, pg, stPlain, string(oneLine(nil, o.Query)))
	}
}
