package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"cw/cluster"
	"cw/fault"
	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

const (
	logLines      = 200
	rejectedShown = 50
)

// Detail implements Source.
func (l *Live) Detail(ctx context.Context, d DetailRequest) (Detail, error) {
	switch {
	case d.LogTail != "":
		return l.logDetail(ctx, d.LogTail, logLines)
	case d.Node != "":
		return l.nodeDetail(ctx, d.Node)
	case d.PID != 0:
		return l.sessionDetail(ctx, d.PID)
	case d.Load != "":
		return l.loadDetail(ctx, d.Load)
	}
	return Detail{}, fault.New(fault.Usage, "", "a detail of nothing was asked for")
}

// logDetail is the end of a node's server log.
func (l *Live) logDetail(ctx context.Context, id string, lines int) (Detail, error) {
	l.mu.Lock()
	lay := l.plan.lay
	l.mu.Unlock()
	if l.look == nil || lay == nil {
		return Detail{}, fault.New(fault.Usage, "", "log of %s: there is no cluster", id)
	}
	n, ok := lay.Node(id)
	if !ok {
		return Detail{}, fault.New(fault.Usage, "", "log of %s: cluster %s has no such node", id, l.o.Cluster)
	}
	logs, err := l.look.Logs(ctx, l.o.Cluster, []cluster.Node{n}, lines)
	if err != nil {
		return Detail{}, err
	}
	if logs[0].Err != nil {
		return Detail{}, fmt.Errorf("log of %s on %s: %w", id, n.Host, logs[0].Err)
	}
	return Detail{Title: fmt.Sprintf("log of %s on %s", id, n.Host), Sections: []DetailSection{{Title: "log", Lines: textLines(logs[0].Text)}}}, nil
}

// nodeDetail is a node with the other one of its pair, its replication and
// the last lines of its log.
func (l *Live) nodeDetail(ctx context.Context, id string) (Detail, error) {
	l.mu.Lock()
	nodes, db := l.draft.Nodes.Items, l.seen.db
	l.mu.Unlock()
	i := slices.IndexFunc(nodes, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Detail{}, fault.New(fault.Usage, "", "cluster %s has no node %s", l.o.Cluster, id)
	}
	n := nodes[i]
	d := Detail{Title: fmt.Sprintf("%s %s on %s", n.Role, n.ID, n.Host)}
	pair := DetailSection{Title: "nodes"}
	for _, o := range nodes {
		if o.Content == n.Content {
			pair.Lines = append(pair.Lines, nodeLine(o))
		}
	}
	d.Sections = append(d.Sections, pair)
	if db != nil {
		repl := DetailSection{Title: "replication"}
		for _, s := range db.senders {
			if s.content == n.Content {
				repl.Lines = append(repl.Lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.name, s.addr, s.state, s.detail)))
			}
		}
		if len(repl.Lines) == 0 {
			repl.Lines = []string{"nobody streams"}
		}
		d.Sections = append(d.Sections, repl)
	}
	tail, err := l.logDetail(ctx, id, 50)
	if err != nil {
		return d, nil //nolint:nilerr // a host that is down has a page all the same; its log says why not
	}
	d.Sections = append(d.Sections, tail.Sections...)
	return d, nil
}

func nodeLine(n Node) string {
	line := fmt.Sprintf("%s %s (%s) %s:%d %s %s", n.ID, n.Role, n.PreferredRole, n.Host, n.Port, n.State, n.Mode)
	if n.LagBytes != nil {
		line += " lag " + schema.FormatSize(*n.LagBytes)
	}
	if !n.Since.IsZero() {
		line += " since " + n.Since.Local().Format(time.DateTime)
	}
	return strings.TrimSpace(strings.Join([]string{line, n.DataDir, n.Detail}, " "))
}

// loadDetail is a job with its events and the rows it has rejected.
func (l *Live) loadDetail(ctx context.Context, id string) (Detail, error) {
	j, err := l.o.Store.Job(ctx, id)
	if err != nil {
		return Detail{}, err
	}
	d := Detail{Title: fmt.Sprintf("%s %s into %s", j.Kind, j.ID, j.Target)}
	d.Sections = append(d.Sections, DetailSection{Title: "job", Lines: jobLines(j)})
	events, err := l.o.Store.Events(ctx, state.EventFilter{Job: id, Limit: 200})
	if err != nil {
		return d, err
	}
	list := DetailSection{Title: "events"}
	for _, e := range events {
		list.Lines = append(list.Lines, fmt.Sprintf("%s %s %s", e.At.Local().Format(time.DateTime), e.Kind, e.Message))
	}
	d.Sections = append(d.Sections, list)
	if j.Rejected > 0 && j.Kind == "load" {
		d.Sections = append(d.Sections, rejectedRows(ctx, j))
	}
	return d, nil
}

func jobLines(j state.Job) []string {
	lines := []string{
		"state " + j.State + " " + j.Phase,
		fmt.Sprintf("bytes %s of %s, rows %d, rejected %d, objects %d of %d", schema.FormatSize(j.Bytes), schema.FormatSize(j.BytesTotal), j.Rows, j.Rejected, j.Objects, j.ObjectsTotal),
		fmt.Sprintf("rate %s, limit %s, wanted %s", schema.FormatRate(max(j.Rate, 0)), schema.FormatRate(j.Limit), schema.FormatRate(j.WantLimit)),
		"file " + j.SpecFile, "run by " + j.Owner,
	}
	if j.Error != "" {
		lines = append(lines, "error "+j.Error)
	}
	return lines
}

// rejectedRows are kept in the target database, which may not answer.
func rejectedRows(ctx context.Context, j state.Job) DetailSection {
	out := DetailSection{Title: fmt.Sprintf("rejected rows (%d)", j.Rejected)}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	spec, err := run.StoredSpec(j)
	if err != nil {
		out.Lines = []string{reason(err)}
		return out
	}
	rows, err := run.Rejected(ctx, spec, j.ID)
	if err != nil {
		out.Lines = []string{reason(err)}
		return out
	}
	for _, r := range rows[:min(len(rows), rejectedShown)] {
		out.Lines = append(out.Lines, fmt.Sprintf("%s:%d: %s: %s", r.Object, r.Line, r.Reason, r.Row))
	}
	if len(rows) > rejectedShown {
		out.Lines = append(out.Lines, "more with: cw load errors "+j.ID)
	}
	return out
}

// sessionDetail is a session with its whole query, its locks and how far it is.
func (l *Live) sessionDetail(ctx context.Context, pid int) (Detail, error) {
	l.mu.Lock()
	items := l.draft.Sessions.Items
	l.mu.Unlock()
	d := Detail{Title: fmt.Sprintf("session %d", pid)}
	if l.db == nil {
		return d, fault.New(fault.Usage, "", "session %d: there is no database", pid)
	}
	err := l.db.do(ctx, func(ctx context.Context, c *pgx.Conn, can *abilities) error {
		var query string
		err := c.QueryRow(ctx, "select coalesce(query, '') from pg_stat_activity where pid = $1", pid).Scan(&query)
		if err == pgx.ErrNoRows { //nolint:errorlint // pgx returns it bare
			return fault.New(fault.Failed, "", "session %d has ended", pid)
		}
		if err != nil {
			return err
		}
		d.Sections = append(d.Sections, chain(items, pid), DetailSection{Title: "query", Lines: textLines(query)})
		for _, part := range []struct{ title, sql string }{
			{"locks", lockQuery(can)}, {"progress", progressQuery(can)},
		} {
			if part.sql == "" {
				continue
			}
			rows, err := c.Query(ctx, part.sql, pid)
			var lines []string
			if err == nil {
				lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
			}
			if err != nil {
				if c.IsClosed() {
					return err
				}
				lines = []string{reason(err)}
			}
			if len(lines) > 0 {
				d.Sections = append(d.Sections, DetailSection{Title: part.title, Lines: lines})
			}
		}
		return nil
	})
	return d, err
}

// chain says who blocks a session and whom it blocks.
func chain(items []Session, pid int) DetailSection {
	out := DetailSection{Title: "blocked"}
	by := func(p int) string {
		for _, s := range items {
			if s.PID == p {
				return fmt.Sprintf("%d (%s, %s, %s)", p, s.User, s.App, s.State)
			}
		}
		return fmt.Sprint(p)
	}
	for _, s := range items {
		if s.PID == pid {
			for _, b := range s.BlockedBy {
				out.Lines = append(out.Lines, "is blocked by "+by(b))
			}
		} else if slices.Contains(s.BlockedBy, pid) {
			out.Lines = append(out.Lines, "blocks "+by(s.PID))
		}
	}
	if len(out.Lines) == 0 {
		out.Lines = []string{"by nobody, and blocks nobody"}
	}
	return out
}

func lockQuery(can *abilities) string {
	segment, where := "''", "pid = $1"
	if can.has("pg_locks", "gp_segment_id") {
		segment = "' on segment ' || gp_segment_id"
		where = "mppsessionid = (select sess_id from pg_stat_activity where pid = $1)"
	}
	return fmt.Sprintf(`select (case when granted then 'holds ' else 'waits for ' end) || mode || ' on ' || locktype ||
		coalesce(' ' || relation::regclass::text, '') || coalesce(' transaction ' || transactionid::text, '') || %s
		from pg_locks where %s order by granted, mode limit 200`, segment, where)
}

func progressQuery(can *abilities) string {
	if !can.has("pg_stat_progress_copy", "tuples_processed") {
		return ""
	}
	return `select format('%s %s: %s bytes of %s, %s rows', command, coalesce(relid::regclass::text, ''), bytes_processed, bytes_total, tuples_processed) from pg_stat_progress_copy where pid = $1`
}

func textLines(text string) []string {
	return strings.Split(strings.TrimRight(text, "\n"), "\n")
}
