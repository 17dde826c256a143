package redistribute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cw/schema"
)

// begin begins as many moves as may be.
func (c *controller) begin(ctx context.Context) {
	now := time.Now()
	c.waiting = ""
	open, end, next := hours(c.o.Windows, c.o.Until, now)
	c.end = end
	c.limit, c.why = c.pace.limit(c.freeC)
	switch {
	case c.orders.Paused:
		c.waiting = "paused"
		if c.orders.By != "" {
			c.waiting += " by " + c.orders.By
		}
	case !open && next.IsZero():
		c.waiting, c.over = "its time is over", true
		c.cancelAll(errWindow)
	case !open:
		c.waiting = "the next window begins at " + next.Format("15:04")
		c.cancelAll(errWindow)
	case !c.looked: // at the hosts, which takes a moment
	case !c.trouble.IsZero():
		c.waiting = "the database does not answer: " + c.troubleE.Error()
	case c.limit == 0:
		c.waiting = c.why
	default:
		c.over = false
		for len(c.jobs) < c.limit {
			j := c.next(now)
			if j == nil {
				break
			}
			c.start(ctx, j)
		}
		if len(c.jobs) > 0 {
			c.waiting = ""
		}
	}
}

// next is the next job: the first table of the queue that may be begun, and if
// it is small those like it that follow.
func (c *controller) next(now time.Time) *job {
	running := map[int]int64{}
	for j := range c.jobs {
		merge(running, j.needs)
	}
	var j *job
	var bytes int64
	for _, u := range c.queue {
		if u.due.After(now) || j != nil && (u.Database != j.database || u.Bytes > small || bytes+u.Bytes > batchBytes) {
			continue
		}
		if why := c.tooLong(u, now); why != "" {
			c.waiting = why
			continue
		}
		needs := u.need(c.o.Target, c.down)
		total := maps.Clone(running)
		merge(total, needs)
		if why := room(c.hosts, total, c.o.FreeFactor); why != "" {
			c.waiting = u.Name + " must wait: " + why
			continue
		}
		if j == nil {
			j = &job{database: u.Database, needs: map[int]int64{}}
		}
		running, bytes = total, bytes+u.Bytes
		merge(j.needs, needs)
		j.units = append(j.units, u)
		if u.Bytes > small || len(j.units) == c.batch() {
			break
		}
	}
	if j != nil {
		taken := map[*unit]bool{}
		for _, u := range j.units {
			taken[u] = true
		}
		c.queue = slices.DeleteFunc(c.queue, func(u *unit) bool { return taken[u] })
	}
	return j
}

// batch is how many small tables go together: few enough that all sessions
// have some.
func (c *controller) batch() int {
	return max(1, min(batchUnits, (len(c.queue)+c.limit-1)/max(1, c.limit)))
}

func merge(to, from map[int]int64) {
	for k, v := range from {
		to[k] += v
	}
}

// tooLong says why a table cannot be moved before the window ends.
func (c *controller) tooLong(u *unit, now time.Time) string {
	if c.end.IsZero() {
		return ""
	}
	d := u.atLeast
	if c.speed > 0 {
		d = max(d, time.Duration(float64(u.Bytes)/c.speed*float64(time.Second)))
	}
	if now.Add(d).After(c.end) {
		return fmt.Sprintf("%s (%s) would take about %s, the window ends at %s", u.Name, schema.FormatSize(u.Bytes), left(d), c.end.Format("15:04"))
	}
	return ""
}

// start runs a job.
func (c *controller) start(ctx context.Context, j *job) {
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	j.started = time.Now()
	c.jobs[j] = true
	c.running(j, 0)
	go func() {
		err := c.s.move(j.ctx, j.database, j.units, func(i int, said string, err error) {
			c.events <- event{job: j, i: i, said: said, err: err}
		})
		if err != nil && j.ctx.Err() != nil {
			err = context.Cause(j.ctx)
		}
		c.events <- event{job: j, over: true, err: err}
	}()
}

// running notes that a job has come to a unit.
func (c *controller) running(j *job, i int) {
	j.begun = time.Now()
	if i >= len(j.units) {
		return
	}
	u, at := j.units[i], j.begun
	u.State, u.Started, u.Finished = Moving, &at, nil
	c.dirty[u.key()] = true
}

// took takes note of how something ended.
func (c *controller) took(e event) {
	now := time.Now()
	if !e.over {
		e.job.told = e.i + 1
		c.ended(e.job, e.job.units[e.i], e.said, e.err, now)
		c.running(e.job, e.i+1)
		return
	}
	j := e.job
	ours := j.ctx.Err() != nil // ended by a pause, a window's end or an interruption
	j.cancel(nil)
	delete(c.jobs, j)
	if e.err == nil {
		c.lucky()
		return
	}
	for i, u := range j.units[j.told:] {
		u.State, u.Started = Pending, nil
		c.dirty[u.key()] = true
		switch {
		case i > 0:
		case errors.Is(e.err, errWindow):
			u.atLeast = max(u.atLeast, now.Sub(j.begun)+time.Second)
		case !ours:
			c.again(u, e.err, now)
		}
	}
	c.sort()
	c.odd = c.odd || !ours
}

// ended is the outcome of one table.
func (c *controller) ended(j *job, u *unit, said string, err error, now time.Time) {
	c.dirty[u.key()] = true
	if err == nil {
		u.State, u.Error, u.Segments, u.Finished = Moved, "", c.o.Target, &now
		if said == saidGone {
			u.State = Gone
		}
		if d := now.Sub(j.begun).Seconds(); u.Bytes > small && d > 0 && said == saidMoved {
			if v := float64(u.Bytes) / d; c.speed == 0 {
				c.speed = v
			} else {
				c.speed = 0.7*c.speed + 0.3*v
			}
		}
		return
	}
	if classify(err) == exhausted {
		c.pace.halve(now, "the database says: "+err.Error())
	}
	c.again(u, err, now)
	c.sort()
}

// again puts a table back for a later attempt, or gives it up.
func (c *controller) again(u *unit, err error, now time.Time) {
	u.Attempts++
	u.Error = err.Error()
	u.State, u.Finished = Pending, nil
	if u.Attempts >= c.o.Attempts || classify(err) == hopeless {
		u.State, u.Finished = Quarantined, &now
		return
	}
	u.due = now.Add(pauseAfter(u.Attempts))
}

// pauseAfter is how long a table rests after its attempts: 10 s, 30 s, 90 s …,
// at most 10 minutes.
func pauseAfter(attempts int) time.Duration {
	d := 10 * time.Second
	for range attempts - 1 {
		d = min(3*d, 10*time.Minute)
	}
	return d
}
