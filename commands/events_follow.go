package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cw/fault"
	"cw/state"
)

const (
	followBeat = 300 * time.Millisecond
	// followWindow is how many ids are looked at again: writers of a shared
	// store may become visible in another order than they took their ids.
	followWindow = 64
)

// followEvents prints what there is and then new events as they come, until
// the context ends.
func (a *App) followEvents(ctx context.Context, st *state.Store, f state.EventFilter) error {
	newest, err := st.Events(ctx, state.EventFilter{Limit: followWindow})
	if err != nil {
		return err
	}
	w := window{seen: map[int64]bool{}}
	for _, e := range newest {
		w.add(e.ID)
	}
	begin, err := st.Events(ctx, f)
	if err != nil {
		return err
	}
	p := &eventPrinter{a: a}
	for _, e := range begin {
		w.add(e.ID)
		if err := p.print(e); err != nil {
			return err
		}
	}
	f.Limit = 0
	tick := time.NewTicker(followBeat)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return silent(fault.Interrupted)
		}
		f.AfterID = w.floor()
		found, err := st.Events(ctx, f)
		if ctx.Err() != nil {
			return silent(fault.Interrupted)
		}
		if err != nil {
			if !failing { // a database that restarts is no reason to stop
				a.warnf("going on to ask: %v", err)
			}
			failing = true
			continue
		}
		failing = false
		for _, e := range found {
			if !w.add(e.ID) {
				continue
			}
			if err := p.print(e); err != nil {
				return err
			}
		}
	}
}

// window remembers the newest ids that were seen.
type window struct {
	top  int64
	seen map[int64]bool
}

// floor is the id after which events may be new.
func (w *window) floor() int64 { return max(0, w.top-followWindow) }

// add tells whether an id is new.
func (w *window) add(id int64) bool {
	if w.seen[id] || id <= w.floor() {
		return false
	}
	w.seen[id], w.top = true, max(w.top, id)
	for old := range w.seen {
		if old <= w.floor() {
			delete(w.seen, old)
		}
	}
	return true
}

// eventPrinter prints events one by one: a line each, or documents in YAML.
type eventPrinter struct {
	a      *App
	headed bool
	widths []int
}

func (p *eventPrinter) print(e state.Event) error {
	e = shown(e)
	out := p.a.IO.Out
	switch p.a.flags.output {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(e)
	case "yaml":
		var doc strings.Builder
		if err := printYAML(&doc, e); err != nil {
			return err
		}
		_, err := fmt.Fprint(out, "---\n"+doc.String())
		return err
	case "csv":
		t := eventTable()
		t.add(eventCells(e)...)
		var text strings.Builder
		if err := printCSV(&text, t); err != nil {
			return err
		}
		head, line, _ := strings.Cut(text.String(), "\n")
		if !p.headed {
			line = head + "\n" + line
		}
		p.headed = true
		_, err := fmt.Fprint(out, line)
		return err
	}
	return p.line(e)
}

// line prints an event for reading. Columns that only some events have would
// be mostly empty, and are left out where they are.
func (p *eventPrinter) line(e state.Event) error {
	cells := eventCells(e)
	show := []int{0, 1, 2, 6}
	if p.a.flags.output == "wide" {
		show = []int{0, 1, 2, 3, 4, 5, 7, 8, 6}
	}
	if p.widths == nil {
		p.widths = []int{25, 8, 18, 8, 8, 8, 0, 6, 0}
	}
	var b strings.Builder
	for n, i := range show {
		p.widths[i] = max(p.widths[i], len(cells[i]))
		if n == len(show)-1 {
			b.WriteString(cells[i])
			break
		}
		fmt.Fprintf(&b, "%-*s  ", p.widths[i], cells[i])
	}
	_, err := fmt.Fprintln(p.a.IO.Out, strings.TrimRight(b.String(), " "))
	return err
}
