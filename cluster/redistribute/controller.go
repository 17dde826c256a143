package redistribute

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	tickEvery   = time.Second
	lookEvery   = 5 * time.Second
	batchUnits  = 50               // small tables that go through a session in one piece
	batchBytes  = 32 << 20         // and what they may hold together
	patience    = 5 * time.Minute  // without a single session before it is given up
	surveyEvery = 30 * time.Second // at most, when something is odd
	writeEvery  = 30 * time.Second // while nothing happens
)

// The reasons why a controller ends a move that runs.
var (
	errWindow = errors.New("the window is over")
	errPaused = errors.New("paused")
)

// job is what one session does at a time.
type job struct {
	database string
	units    []*unit
	needs    map[int]int64
	told     int // units of which the outcome is known
	started  time.Time
	begun    time.Time // the unit that runs
	cancel   context.CancelCauseFunc
	ctx      context.Context
}

// event is the outcome of a unit, or with over the end of a job.
type event struct {
	job  *job
	i    int
	said string
	err  error
	over bool
}

type sight struct {
	hosts []Host
	err   error
}

// controller moves tables. All fields belong to the goroutine of run.
type controller struct {
	o      Options
	down   bool
	s      site
	report func(Progress)

	units map[key]*unit
	queue []*unit // pending ones, in their order
	dirty map[key]bool
	fresh []Table // that are not in the book yet
	wrote string  // of the controller itself, last
	jobs  map[*job]bool

	events chan event
	sights chan sight
	seeing bool

	pace    *pace
	rate    rate
	speed   float64 // of one move, bytes per second; 0 is not known
	orders  orders
	hosts   []Host
	looked  bool
	freeC   int
	lagB    int64
	waiting string
	why     string
	limit   int
	end     time.Time // of the window
	over    bool      // there will be no further window

	trouble  time.Time // since when no session could be had; zero is fine
	troubleE error
	surveyed time.Time
	wroteAt  time.Time
	odd      bool // the next idle moment is for a survey
	started  time.Time
}

func newController(o Options, sc scene, s site, sessions int, report func(Progress)) *controller {
	now := time.Now()
	c := &controller{
		o: o, down: sc.down, s: s, report: report, units: map[key]*unit{}, dirty: map[key]bool{}, jobs: map[*job]bool{},
		events: make(chan event, 4*batchUnits), sights: make(chan sight, 1), pace: newPace(o, sessions, now), surveyed: now, started: now,
	}
	c.take(sc) // written down by list
	return c
}

// take brings what is known in line with what is.
func (c *controller) take(sc scene) (fresh []Table) {
	seen := map[key]bool{}
	for _, n := range sc.units {
		seen[n.key()] = true
		u := c.units[n.key()]
		switch {
		case u == nil:
			n.Rank = c.orders.Ranks[n.key()]
			c.units[n.key()] = n
			fresh = append(fresh, n.Table)
			continue
		case u.State == Moving:
			continue
		case n.State == Moved && u.State != Moved, n.State == Pending && (u.State == Moved || u.State == Gone || u.State == Refused), n.State == Refused:
			u.State, u.Error = n.State, n.Error
		}
		u.Name, u.Bytes, u.bytes, u.Segments, u.parts, u.schema, u.relation = n.Name, n.Bytes, n.bytes, n.Segments, n.parts, n.schema, n.relation
		c.dirty[u.key()] = true
	}
	for k, u := range c.units {
		if !seen[k] && u.State != Moving && u.State != Gone && u.OID != 0 {
			u.State = Gone
			c.dirty[k] = true
		}
	}
	c.sort()
	return fresh
}

// sort makes the queue anew.
func (c *controller) sort() {
	c.queue = c.queue[:0]
	for _, u := range c.units {
		if u.State == Pending {
			c.queue = append(c.queue, u)
		}
	}
	sortUnits(c.queue, c.o.Order)
}

// run moves tables until none is left to be moved, or ctx ends.
func (c *controller) run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	if err := c.tick(ctx); err != nil {
		return err
	}
	for {
		c.begin(ctx)
		if done, err := c.idle(ctx); done || err != nil {
			return c.stop(ctx, err)
		}
		select {
		case e := <-c.events:
			c.took(e)
			for more := true; more; { // all that came together
				select {
				case e := <-c.events:
					c.took(e)
				default:
					more = false
				}
			}
		case s := <-c.sights:
			c.saw(s)
		case <-tick.C:
			if err := c.tick(ctx); err != nil {
				return c.stop(ctx, err)
			}
		case <-ctx.Done():
			return c.stop(ctx, context.Cause(ctx))
		}
	}
}

// stop ends what runs and writes down how far it got.
func (c *controller) stop(ctx context.Context, err error) error {
	for j := range c.jobs {
		j.cancel(err)
	}
	for len(c.jobs) > 0 {
		c.took(<-c.events)
	}
	c.waiting, c.limit = "", 0
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	c.write(last)
	c.report(c.progress())
	return err
}

// idle says whether there is nothing left to do. Before that it looks once
// more: tables are made while others are moved.
func (c *controller) idle(ctx context.Context) (bool, error) {
	if len(c.jobs) > 0 {
		return false, nil
	}
	if c.over {
		return true, nil
	}
	if len(c.queue) > 0 && (!c.odd || time.Since(c.surveyed) < surveyEvery) {
		return false, nil
	}
	c.odd, c.surveyed = false, time.Now()
	sc, err := c.s.survey(ctx)
	if err != nil {
		return false, c.unlucky(err)
	}
	c.lucky()
	c.fresh = append(c.fresh, c.take(sc)...)
	if err := c.s.add(ctx, c.fresh); err != nil {
		return false, c.unlucky(err)
	}
	c.fresh = nil
	return len(c.queue) == 0, nil
}

// unlucky is an error that ends the run only when it stays.
func (c *controller) unlucky(err error) error {
	var runs *RunsError
	if errors.As(err, &runs) {
		return err
	}
	if c.trouble.IsZero() {
		c.trouble = time.Now()
	}
	c.troubleE, c.odd = err, true
	if time.Since(c.trouble) > patience {
		return fmt.Errorf("the database could not be reached for %s: %w", left(time.Since(c.trouble)), err)
	}
	return nil
}

func (c *controller) lucky() { c.trouble, c.troubleE = time.Time{}, nil }

// tick is what is done every second.
func (c *controller) tick(ctx context.Context) error {
	before := c.orders
	o, err := c.s.orders(ctx)
	if err == nil {
		c.lucky()
		c.orders = o
		c.ranks()
	} else if ctx.Err() == nil {
		var said *StatementError
		if errors.As(err, &said) && said.Code != "42P01" && said.Code != "3F000" {
			err = nil // somebody holds a lock on the schema
		}
		if err != nil {
			if err = c.unlucky(err); err != nil {
				return err
			}
		}
	}
	if c.orders.Paused && c.orders.Now && (!before.Paused || !before.Now) {
		c.cancelAll(errPaused)
	}
	if !c.end.IsZero() && !time.Now().Before(c.end) {
		c.cancelAll(errWindow)
	}
	c.measure(ctx)
	c.write(ctx)
	c.report(c.progress())
	return nil
}

func (c *controller) cancelAll(why error) {
	for j := range c.jobs {
		j.cancel(why)
	}
}

// ranks takes the operators' ranks over.
func (c *controller) ranks() {
	changed := false
	for k, u := range c.units {
		if r := c.orders.Ranks[k]; r != u.Rank {
			u.Rank, changed = r, true
		}
	}
	if changed {
		c.sort()
	}
}

// measure looks at hosts, mirrors and connections now and then.
func (c *controller) measure(ctx context.Context) {
	if n, err := c.s.free(ctx); err == nil {
		c.freeC = n
	}
	if c.o.MaxLag > 0 {
		if n, err := c.s.lag(ctx); err == nil {
			c.lagB = n
		}
	}
	if c.seeing {
		return
	}
	c.seeing = true
	rest := lookEvery - tickEvery
	if !c.looked {
		rest = 0
	}
	go func() {
		select {
		case <-time.After(rest):
		case <-ctx.Done():
		}
		hosts, err := c.s.look(ctx)
		c.sights <- sight{hosts, err}
	}()
}

func (c *controller) saw(s sight) {
	c.seeing = false
	if s.err != nil {
		c.hosts, c.looked = []Host{{Name: "of the cluster", Err: s.err}}, true
		return
	}
	c.hosts, c.looked = s.hosts, true
	c.pace.look(time.Now(), s.hosts, c.lagB)
}

// write puts what has changed into schema cw_expand; what cannot be written is
// written later.
func (c *controller) write(ctx context.Context) {
	p := c.progress()
	now, brief := time.Now(), fmt.Sprint(p.Waiting, p.Parallel, p.Why)
	if len(c.dirty)+len(c.jobs) == 0 && brief == c.wrote && now.Sub(c.wroteAt) < writeEvery {
		return // a controller that waits for its window does not keep the database busy
	}
	var tables []Table
	for k := range c.dirty {
		tables = append(tables, c.units[k].Table)
	}
	if err := c.s.note(ctx, tables, control{Waiting: p.Waiting, Parallel: p.Parallel, Why: p.Why, Rate: p.Rate, ETA: p.ETA, Seen: now}); err == nil {
		c.wrote, c.wroteAt = brief, now
		clear(c.dirty)
	}
}
