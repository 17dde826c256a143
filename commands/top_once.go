package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"cw/fault"
	"cw/tui/source"
)

// oncePatience is how long a single snapshot waits for hosts and database; one
// that does not answer says so in its own line by then.
const oncePatience = 8 * time.Second

// topSnapshots prints one snapshot, or one every so often.
func (a *App) topSnapshots(ctx context.Context, src source.Source, o topOptions) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ch, err := src.Start(ctx)
	if err != nil {
		return err
	}
	defer drain(ch, stop)
	last, open := ripe(ctx, ch)
	if ctx.Err() != nil {
		return silent(fault.Interrupted)
	}
	if last == nil {
		return fault.New(fault.Failed, "", "there is no snapshot to show")
	}
	p := &snapshotPrinter{a: a, stream: o.watch > 0}
	if err := p.print(last); err != nil {
		return err
	}
	if o.watch > 0 && open {
		if last, err = a.watchSnapshots(ctx, ch, o.watch, p, last); err != nil {
			return err
		}
	}
	if !o.exitCode || last.Cluster.Name == "" {
		return nil
	}
	return degraded(last.Cluster.State)
}

// watchSnapshots prints the newest snapshot on every beat until a recording is
// over, and returns the last one. A context that ends is an interrupt.
func (a *App) watchSnapshots(ctx context.Context, ch <-chan *source.Snapshot, every time.Duration, p *snapshotPrinter, last *source.Snapshot) (*source.Snapshot, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case s, ok := <-ch:
			if ok {
				last = s
				continue
			}
			if ctx.Err() != nil {
				return last, silent(fault.Interrupted)
			}
			return last, p.print(last)
		case <-tick.C:
			if err := p.print(last); err != nil {
				return last, err
			}
		case <-ctx.Done():
			return last, silent(fault.Interrupted)
		}
	}
}

// drain ends a source and waits until it has let go of what it holds.
func drain(ch <-chan *source.Snapshot, stop context.CancelFunc) {
	stop()
	timeout := time.After(2 * time.Second)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-timeout:
			return
		}
	}
}

// ripe reads snapshots until one has everything that is to be had: two samples
// of each host that answers. open is false when the source has ended.
func ripe(ctx context.Context, ch <-chan *source.Snapshot) (last *source.Snapshot, open bool) {
	patience := time.NewTimer(oncePatience)
	defer patience.Stop()
	seen := samples{first: map[string]time.Time{}}
	for {
		select {
		case s, ok := <-ch:
			if !ok {
				return last, false
			}
			if last = s; seen.enough(s) {
				return last, true
			}
		case <-patience.C:
			return last, true
		case <-ctx.Done():
			return last, false
		}
	}
}

// samples remembers when each host was sampled first.
type samples struct {
	first map[string]time.Time
}

func (m *samples) enough(s *source.Snapshot) bool {
	enough := known(s.Loads.Section)
	if s.Cluster.Name == "" {
		return enough
	}
	for _, section := range []source.Section{s.Nodes.Section, s.Sessions.Section} {
		enough = enough && known(section)
	}
	for i := range s.Hosts.Items {
		h := &s.Hosts.Items[i]
		first, was := m.first[h.Name]
		switch {
		case h.SampledAt.IsZero():
			enough = enough && h.Err != ""
		case !was:
			m.first[h.Name] = h.SampledAt
			enough = enough && h.Err != ""
		default:
			enough = enough && (h.Err != "" || h.SampledAt.After(first))
		}
	}
	return enough
}

func known(s source.Section) bool { return !s.CollectedAt.IsZero() || s.Err != "" }

// snapshotPrinter prints snapshots in the format the user chose.
type snapshotPrinter struct {
	a      *App
	stream bool
	n      int
}

func (p *snapshotPrinter) print(s *source.Snapshot) error {
	s, out := shownSnapshot(s), p.a.IO.Out
	p.n++
	doc := object("Snapshot", s)
	switch f := p.a.flags.output; {
	case f == "json" && p.stream:
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(doc)
	case f == "json":
		return printJSON(out, doc)
	case f == "yaml":
		var text strings.Builder
		if p.stream {
			text.WriteString("---\n")
		}
		if err := printYAML(&text, doc); err != nil {
			return err
		}
		_, err := fmt.Fprint(out, text.String())
		return err
	case f == "csv":
		return p.csv(s)
	default:
		if p.n > 1 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		return p.a.writeSnapshot(s, f == "wide")
	}
}

// shownSnapshot is a snapshot as it may leave cw: what others wrote may hold
// passwords.
func shownSnapshot(s *source.Snapshot) *source.Snapshot {
	c := *s
	c.Sessions.Items = make([]source.Session, len(s.Sessions.Items))
	for i, v := range s.Sessions.Items {
		v.Query = redact(v.Query)
		c.Sessions.Items[i] = v
	}
	c.Loads.Items = make([]source.Load, len(s.Loads.Items))
	for i, v := range s.Loads.Items {
		v.Error = redact(v.Error)
		c.Loads.Items[i] = v
	}
	c.Events.Items = make([]source.Event, len(s.Events.Items))
	for i, v := range s.Events.Items {
		v.Message = redact(v.Message)
		c.Events.Items[i] = v
	}
	for _, list := range []*[]source.Node{&c.Nodes.Items} {
		if *list == nil {
			*list = []source.Node{}
		}
	}
	if c.Hosts.Items == nil {
		c.Hosts.Items = []source.Host{}
	}
	return &c
}
