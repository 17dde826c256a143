package commands

import (
	"context"
	"fmt"
	"time"

	"cw/cluster/manage"
	"cw/cluster/redistribute"
	"cw/schema"
)

// redistribute moves the tables of a cluster and shows how that goes.
func (a *App) redistribute(ctx context.Context, m *manage.Manager, name string, o redistribute.Options) error {
	show := redistributeProgress{p: a.newProgress(), given: map[string]bool{}}
	started := a.Now()
	p, err := m.Redistribute(ctx, name, o, show.report)
	show.p.Close()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("all %d tables of cluster %s are on %d segments", p.Tables, name, p.Target)
	if n := p.Moved - show.before.Moved; n > 0 {
		text += fmt.Sprintf(", %d (%s) moved in %s", n, schema.FormatSize(max(p.MovedBytes-show.before.MovedBytes, 0)), a.Now().Sub(started).Round(100*time.Millisecond))
	}
	a.infof("%s", text)
	return nil
}

// resumeMoves goes on with a redistribution that did not end well, if there is
// one.
func (a *App) resumeMoves(ctx context.Context, name string) error {
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	o, unfinished, err := m.UnfinishedRedistribution(ctx, name)
	if err != nil || !unfinished {
		return err
	}
	o.Until = time.Time{}
	return a.redistribute(ctx, m, name, o)
}

// redistributeProgress turns progress into lines.
type redistributeProgress struct {
	p       *progress
	given   map[string]bool
	waiting string
	begun   bool
	before  redistribute.Progress // as it was when this run began
}

// redistributeEvent is a change of state in --progress json.
type redistributeEvent struct {
	Event   string `json:"event"` // begun, waiting, given-up
	Waiting string `json:"waiting,omitempty"`
	Table   string `json:"table,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (r *redistributeProgress) report(p redistribute.Progress) {
	if !r.begun {
		r.begun, r.before = true, p
		r.p.Event(fmt.Sprintf("moving tables to %d segments: %d of %d are there", p.Target, p.Moved, p.Tables), redistributeEvent{Event: "begun"})
	}
	if p.Waiting != r.waiting {
		r.waiting = p.Waiting
		if p.Waiting != "" {
			r.p.Event("waiting: "+redact(p.Waiting), redistributeEvent{Event: "waiting", Waiting: redact(p.Waiting)})
		}
	}
	for _, t := range p.Quarantined {
		if id := t.Database + "." + t.Name; !r.given[id] {
			r.given[id] = true
			text := redact(t.Error)
			r.p.Event(fmt.Sprintf("%s is given up after %d attempts: %s", id, t.Attempts, text), redistributeEvent{Event: "given-up", Table: id, Error: text})
		}
	}
	r.p.Status(redistributeLine(p), p)
}

// redistributeLine is how far it is, in a line.
func redistributeLine(p redistribute.Progress) string {
	text := fmt.Sprintf("%d of %d tables, %s of %s", p.Moved, p.Tables, schema.FormatSize(p.MovedBytes), schema.FormatSize(p.Bytes))
	if p.Rate > 0 {
		text += ", " + schema.FormatRate(int64(p.Rate))
	}
	if p.ETA > 0 {
		text += fmt.Sprintf(", %s left", time.Duration(p.ETA*float64(time.Second)).Round(time.Second))
	}
	switch {
	case p.Waiting != "":
		text += ", waiting: " + redact(p.Waiting)
	case p.Why != "":
		text += fmt.Sprintf(", %d at a time: %s", p.Parallel, redact(p.Why))
	}
	for i, t := range p.Moving {
		if i == 2 {
			return text + fmt.Sprintf(", and %d more", len(p.Moving)-2)
		}
		text += ", " + t.Name
	}
	return text
}
