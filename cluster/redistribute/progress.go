package redistribute

import (
	"cmp"
	"slices"
	"time"
)

// tally sums tables up.
func tally(p *Progress, tables []Table) {
	p.Moving, p.Quarantined, p.Refused = []Table{}, []Table{}, []Table{}
	for _, t := range tables {
		if t.State == Gone {
			continue
		}
		p.Tables++
		p.Bytes += t.Bytes
		switch t.State {
		case Moved:
			p.Moved++
			p.MovedBytes += t.Bytes
		case Moving:
			p.Moving = append(p.Moving, t)
		case Quarantined:
			p.Quarantined = append(p.Quarantined, t)
		case Refused:
			p.Refused = append(p.Refused, t)
		}
	}
	for _, list := range [][]Table{p.Moving, p.Quarantined, p.Refused} {
		slices.SortFunc(list, func(a, b Table) int { return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.Name, b.Name)) })
	}
}

// progress is how far the controller is.
func (c *controller) progress() Progress {
	p := Progress{Target: c.o.Target, Active: true, Paused: c.orders.Paused, Waiting: c.waiting, Parallel: c.limit, ETA: -1}
	if c.limit < c.o.Parallel {
		p.Why = c.why
	}
	tables := make([]Table, 0, len(c.units))
	var left, done int64
	for _, u := range c.units {
		tables = append(tables, u.Table)
		switch u.State {
		case Pending, Moving:
			left += u.work()
		case Moved:
			done += u.work()
		}
	}
	tally(&p, tables)
	now := time.Now()
	if p.Waiting != "" && len(c.jobs) == 0 {
		c.rate.restart(now, done, p.MovedBytes)
		return p
	}
	c.rate.note(now, done, p.MovedBytes)
	work, bytes := c.rate.now()
	p.Rate = bytes
	if work > 0 {
		p.ETA = float64(left) / work
	}
	if left == 0 {
		p.ETA = 0
	}
	return p
}
