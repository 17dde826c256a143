package commands

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"cw/cluster"
	"cw/schema"
	"cw/tui/source"
)

const (
	onceNodes    = 12 // as many nodes are listed though they are well
	onceSessions = 10
	onceEvents   = 5
)

// writeSnapshot prints a snapshot for reading, section by section.
func (a *App) writeSnapshot(s *source.Snapshot, wide bool) error {
	w := &sectionWriter{w: a.IO.Out, wide: wide}
	w.head(s)
	if s.Cluster.Name != "" {
		w.nodes(s)
		w.hosts(s)
	}
	w.loads(s)
	if s.Cluster.Name != "" {
		w.sessions(s)
	}
	w.events(s)
	return w.err
}

// sectionWriter keeps the first error of many writes.
type sectionWriter struct {
	w    io.Writer
	wide bool
	err  error
}

func (w *sectionWriter) line(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format+"\n", args...)
	}
}

// table prints a section; an empty one is a line.
func (w *sectionWriter) table(title string, sec source.Section, t table, rest int) {
	w.line("")
	switch {
	case sec.Err != "":
		w.line("%s: %s", title, oneLine(sec.Err))
	case sec.CollectedAt.IsZero():
		w.line("%s: not known yet", title)
	case len(t.rows) == 0:
		w.line("%s: none", title)
	}
	if len(t.rows) == 0 {
		return
	}
	if w.err == nil {
		w.err = printTable(w.w, t, w.wide)
	}
	if rest > 0 {
		w.line("… and %d more (-o wide)", rest)
	}
}

func (w *sectionWriter) head(s *source.Snapshot) {
	at := s.At.Format(time.RFC3339)
	if s.Cluster.Name == "" {
		w.line("no cluster, loads only, at %s", at)
		return
	}
	c := s.Cluster
	line := fmt.Sprintf("%s is %s: %s %s, at %s", c.Name, strings.ToUpper(c.State), c.Engine, c.Version, at)
	if !c.StartedAt.IsZero() {
		line += ", up since " + c.StartedAt.Format(time.RFC3339)
	}
	w.line("%s", line)
	for _, p := range c.Problems {
		w.line("! %s", oneLine(p))
	}
	if c.Err != "" {
		w.line("! %s", oneLine(c.Err))
	}
}

func (w *sectionWriter) nodes(s *source.Snapshot) {
	t, left := table{cols: cols("NODE", "CONTENT", "ROLE", "PREFERRED", "HOST", "STATE", "MODE", "LAG", "+SINCE", "+DIRECTORY", "+DETAIL")}, 0
	for i := range s.Nodes.Items {
		n := &s.Nodes.Items[i]
		if !w.wide && len(s.Nodes.Items) > onceNodes && nodeWell(n) {
			left++
			continue
		}
		lag, since := "", ""
		if n.LagBytes != nil {
			lag = schema.FormatSize(*n.LagBytes)
		}
		if !n.Since.IsZero() {
			since = n.Since.Format(time.RFC3339)
		}
		t.add(n.ID, fmt.Sprint(n.Content), n.Role, n.PreferredRole, fmt.Sprintf("%s:%d", n.Host, n.Port), n.State, n.Mode, lag, since, n.DataDir, oneLine(n.Detail))
	}
	if left > 0 && len(t.rows) == 0 && s.Nodes.Err == "" {
		w.line("\nnodes: all %d are well (-o wide lists them)", left)
		return
	}
	w.table("nodes", s.Nodes.Section, t, left)
}

func nodeWell(n *source.Node) bool {
	return n.State == cluster.NodeUp && n.Role == n.PreferredRole && n.Mode != cluster.ModeNotSync && n.Mode != cluster.ModeDetached && n.Mode != cluster.ModeCatchup
}

func (w *sectionWriter) hosts(s *source.Snapshot) {
	t := table{cols: cols("HOST", "CPU", "IOWAIT", "STEAL", "LOAD", "MEMORY", "SWAP", "READ", "WRITE", "BUSY", "RX", "TX", "FULLEST", "AGE", "PROBLEM")}
	for i := range s.Hosts.Items {
		h := &s.Hosts.Items[i]
		if h.SampledAt.IsZero() {
			t.add(h.Name, "", "", "", "", "", "", "", "", "", "", "", "", "", oneLine(h.Err))
			continue
		}
		full := ""
		if len(h.Mounts) > 0 {
			full = percent(h.Mounts[0].Used, h.Mounts[0].Size) + " " + h.Mounts[0].Path
		}
		t.add(h.Name, share(h.User+h.System), share(h.IOWait), share(h.Steal), fmt.Sprintf("%.1f", h.Load1), percent(h.MemUsed, h.MemTotal), schema.FormatSize(h.SwapUsed),
			rateText(h.ReadRate), rateText(h.WriteRate), share(h.DiskBusy), rateText(h.RxRate), rateText(h.TxRate), full,
			s.At.Sub(h.SampledAt).Round(100*time.Millisecond).String(), oneLine(h.Err))
	}
	w.table("hosts", s.Hosts.Section, t, 0)
}

func (w *sectionWriter) loads(s *source.Snapshot) {
	t, left := table{cols: cols("LOAD", "STATE", "TARGET", "DONE", "BYTES", "ROWS", "REJECTED", "RATE", "LIMIT", "ETA", "+FILE", "+ERROR")}, 0
	for i := range s.Loads.Items {
		l := &s.Loads.Items[i]
		if !w.wide && !l.FinishedAt.IsZero() && s.At.Sub(l.FinishedAt) > time.Hour {
			left++
			continue
		}
		rate, eta := "", ""
		if l.FinishedAt.IsZero() {
			rate, eta = rateText(float64(l.Rate)), formatETA(l.ETA)
		}
		t.add(l.ID, l.State, l.Target, percent(l.Bytes, l.BytesTotal), schema.FormatSize(l.Bytes), fmt.Sprint(l.Rows), fmt.Sprint(l.Rejected), rate,
			schema.FormatRate(l.Limit), eta, l.Spec, oneLine(l.Error))
	}
	w.table("loads", s.Loads.Section, t, left)
}

func (w *sectionWriter) sessions(s *source.Snapshot) {
	t, left := table{cols: cols("PID", "USER", "DATABASE", "STATE", "FOR", "WAITS FOR", "BLOCKED BY", "QUERY")}, 0
	for i := range s.Sessions.Items {
		e := &s.Sessions.Items[i]
		if !w.wide && (e.State == "idle" || len(t.rows) >= onceSessions && len(e.BlockedBy) == 0) {
			left++
			continue
		}
		took, query := "", []rune(oneLine(e.Query))
		if !e.Start.IsZero() {
			took = s.At.Sub(e.Start).Round(time.Second).String()
		}
		if !w.wide && len(query) > 60 {
			query = append(query[:59], '…')
		}
		t.add(fmt.Sprint(e.PID), e.User, e.Database, e.State, took, e.Wait, strings.Trim(fmt.Sprint(e.BlockedBy), "[]"), string(query))
	}
	w.table("sessions", s.Sessions.Section, t, left)
}

func (w *sectionWriter) events(s *source.Snapshot) {
	t, items := table{cols: cols("TIME", "SEVERITY", "TYPE", "MESSAGE")}, s.Events.Items
	if !w.wide {
		items = items[max(0, len(items)-onceEvents):]
	}
	for _, e := range items {
		t.add(e.At.Local().Format(time.RFC3339), e.Severity, e.Kind, oneLine(e.Message))
	}
	w.table("events", s.Events.Section, t, 0)
}

func share(f float64) string { return fmt.Sprintf("%.0f%%", 100*f) }

func rateText(f float64) string { return schema.FormatSize(int64(f)) + "/s" }

// csv prints a line for each single value: time, section, item, field, value.
func (p *snapshotPrinter) csv(s *source.Snapshot) error {
	t := table{cols: cols("AT", "SECTION", "ITEM", "FIELD", "VALUE")}
	at := s.At.Format(time.RFC3339)
	addFields(&t, at, "cluster", s.Cluster.Name, s.Cluster)
	for i := range s.Nodes.Items {
		addFields(&t, at, "node", s.Nodes.Items[i].ID, s.Nodes.Items[i])
	}
	for i := range s.Hosts.Items {
		addFields(&t, at, "host", s.Hosts.Items[i].Name, s.Hosts.Items[i])
	}
	for i := range s.Loads.Items {
		addFields(&t, at, "load", s.Loads.Items[i].ID, s.Loads.Items[i])
	}
	for i := range s.Sessions.Items {
		addFields(&t, at, "session", fmt.Sprint(s.Sessions.Items[i].PID), s.Sessions.Items[i])
	}
	for i := range s.Events.Items {
		addFields(&t, at, "event", fmt.Sprint(s.Events.Items[i].ID), s.Events.Items[i])
	}
	var text strings.Builder
	if err := printCSV(&text, t); err != nil {
		return err
	}
	out := text.String()
	if p.n > 1 {
		_, out, _ = strings.Cut(out, "\n")
	}
	_, err := io.WriteString(p.a.IO.Out, out)
	return err
}

// addFields adds the single values of a struct under their names in JSON.
// Histories and lists of parts have no place in a table.
func addFields(t *table, at, section, item string, v any) {
	s := reflect.ValueOf(v)
	for i := range s.NumField() {
		name, _, _ := strings.Cut(s.Type().Field(i).Tag.Get("json"), ",")
		f := s.Field(i)
		if f.Kind() == reflect.Pointer && !f.IsNil() {
			f = f.Elem()
		}
		value := ""
		switch when, isTime := f.Interface().(time.Time); {
		case name == "":
			continue
		case isTime && when.IsZero():
			continue
		case isTime:
			value = when.Format(time.RFC3339Nano)
		case f.Kind() == reflect.Pointer, f.Kind() == reflect.Struct:
			continue
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Int:
			continue
		case f.Kind() == reflect.Slice:
			value = strings.Trim(fmt.Sprint(f.Interface()), "[]")
		default:
			value = fmt.Sprint(f.Interface())
		}
		t.add(at, section, item, name, value)
	}
}
