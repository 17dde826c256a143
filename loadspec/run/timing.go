package run

import (
	"fmt"
	"sync/atomic"
	"time"

	"cw/schema"
)

// Timing is how a run of a job spent its time.
type Timing struct {
	Phases  []PhaseTime `json:"phases"`
	Seconds float64     `json:"seconds"`
	Average int64       `json:"average_rate"`        // bytes per second while rows were moved
	Peak    int64       `json:"peak_rate,omitempty"` // over three seconds; 0 for shorter ones
	Reading *Reading    `json:"reading,omitempty"`   // nil where this machine did not read
	// Bottleneck is where the readers spent most of their time: source,
	// conversion, limit or database. "" when they had nothing to do.
	Bottleneck string `json:"bottleneck,omitempty"`
}

// PhaseTime is how long a phase took, all its turns together.
type PhaseTime struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Reading is the time of all readers of objects together, in seconds, by what
// they were doing or waiting for.
type Reading struct {
	Source     float64 `json:"source"`     // waiting for the store or the disk
	Conversion float64 `json:"conversion"` // decompressing, converting, cutting
	Limit      float64 `json:"limit"`      // held up by the speed limit
	Database   float64 `json:"database"`   // waiting for sessions or segments to take rows
}

// The bottlenecks.
const (
	BySource     = "source"
	ByConversion = "conversion"
	ByLimit      = "limit"
	ByDatabase   = "database"
)

// Text says it in one line.
func (r *Timing) Text() string {
	text := ""
	for i, p := range r.Phases {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s", p.Name, seconds(p.Seconds))
	}
	if r.Bottleneck != "" {
		parts := map[string]float64{BySource: r.Reading.Source, ByConversion: r.Reading.Conversion, ByLimit: r.Reading.Limit, ByDatabase: r.Reading.Database}
		text += fmt.Sprintf("; held up most by the %s (%.0f %% of the readers' time), %s on average", r.Bottleneck, 100*parts[r.Bottleneck]/r.Reading.sum(), schema.FormatRate(max(r.Average, 1)))
	}
	return text
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Millisecond).String()
}

func (r *Reading) sum() float64 { return r.Source + r.Conversion + r.Limit + r.Database }

// bottleneck is the largest part.
func (r *Reading) bottleneck() string {
	name, most := "", 0.0
	for _, p := range []struct {
		name string
		time float64
	}{{ByDatabase, r.Database}, {ByLimit, r.Limit}, {BySource, r.Source}, {ByConversion, r.Conversion}} {
		if p.time > most {
			name, most = p.name, p.time
		}
	}
	return name
}

// course is the phases that a job has gone through.
type course struct {
	phases []PhaseTime
	since  time.Time
	now    int // index of the phase it is in
}

func (c *course) enter(name string, at time.Time) {
	c.leave(at)
	for i := range c.phases {
		if c.phases[i].Name == name {
			c.now = i
			return
		}
	}
	c.now = len(c.phases)
	c.phases = append(c.phases, PhaseTime{Name: name})
}

// leave counts the time so far.
func (c *course) leave(at time.Time) {
	if len(c.phases) > 0 {
		c.phases[c.now].Seconds += at.Sub(c.since).Seconds()
	}
	c.since = at
}

// times is where the readers' time goes, in nanoseconds.
type times struct {
	reading atomic.Int64 // all of it
	sending atomic.Int64 // of that, until somebody took the piece
}

// timing is made when the run is over.
func (j *job) timing() *Timing {
	t := j.state
	t.mu.Lock()
	defer t.mu.Unlock()
	t.course.leave(time.Now())
	r := &Timing{Phases: append([]PhaseTime(nil), t.course.phases...), Peak: t.peak}
	var moving float64
	for _, p := range r.Phases {
		r.Seconds += p.Seconds
		if p.Name == PhaseLoad || p.Name == PhaseUnload {
			moving += p.Seconds
		}
	}
	if moving > 0 {
		r.Average = int64(float64(j.limiter.Taken()+t.taken) / moving)
	}
	total := time.Duration(j.times.reading.Load()).Seconds()
	if total == 0 || moving == 0 {
		return r
	}
	waited := min(j.set.Waited().Seconds(), total)
	// The limiter counts one at a time; as long as it holds one up, all wait.
	limited := min(waited, total*min(j.limiter.Held().Seconds()/moving, 1))
	sending := min(time.Duration(j.times.sending.Load()).Seconds(), total-waited)
	r.Reading = &Reading{Source: waited - limited, Limit: limited, Database: sending, Conversion: total - waited - sending}
	r.Bottleneck = r.Reading.bottleneck()
	return r
}
