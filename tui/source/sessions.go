package source

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// hidden is what the server shows instead of others' queries.
const hidden = "<insufficient privilege>"

// sessionQuery asks for the columns that this server has.
func sessionQuery(can *abilities, text int) string {
	pick := func(column, expression, otherwise string) string {
		if can.has("pg_stat_activity", column) {
			return expression
		}
		return otherwise
	}
	cols := []string{
		"a.pid", pick("sess_id", "a.sess_id", "0"), "coalesce(a.usename::text, '')", "coalesce(a.datname::text, '')", "coalesce(a.application_name, '')",
		"coalesce(host(a.client_addr), '')", pick("rsgname", "coalesce(a.rsgname, '')", "''"), "coalesce(a.state, '')",
		pick("wait_event_type", "coalesce(a.wait_event_type, '')", pick("waiting", "case when a.waiting then 'Lock' else '' end", "''")),
		pick("wait_event", "coalesce(a.wait_event, '')", pick("waiting_reason", "coalesce(a.waiting_reason, '')", "''")),
		blockersOf(can), fmt.Sprintf("coalesce(left(a.query, %d), '')", text), "a.xact_start", "a.query_start", "a.backend_start",
	}
	where := []string{"a.pid <> pg_backend_pid()"}
	if can.has("pg_stat_activity", "backend_type") {
		where = append(where, "(a.backend_type is null or a.backend_type = 'client backend')")
	}
	if can.has("pg_stat_activity", "sess_id") {
		where = append(where, "a.sess_id > 0")
	}
	return "select " + strings.Join(cols, ", ") + " from pg_stat_activity a where " + strings.Join(where, " and ") +
		fmt.Sprintf(" order by a.backend_start limit %d", maxSessions)
}

// blockersOf asks who blocks only for those who wait: the answer stops the
// lock manager for a moment.
func blockersOf(can *abilities) string {
	if !can.functions["pg_blocking_pids"] || can.greenplum || !can.has("pg_stat_activity", "wait_event_type") {
		return "null::int[]"
	}
	return "case when a.wait_event_type = 'Lock' or a.query = '" + hidden + "' then pg_blocking_pids(a.pid) end"
}

// readSessions lists the clients of the database, with so much of the text of
// their queries. hid says that other users'
// queries are not shown to us.
func readSessions(ctx context.Context, c *pgx.Conn, can *abilities, text int) (items []Session, hid bool, err error) {
	rows, err := c.Query(ctx, sessionQuery(can, text))
	if err != nil {
		return nil, false, err
	}
	items, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Session, error) {
		var s Session
		var kind, event string
		var blockers []int32
		var xact, query, backend *time.Time
		if err := row.Scan(&s.PID, &s.SessID, &s.User, &s.Database, &s.App, &s.Client, &s.ResGroup, &s.State, &kind, &event, &blockers, &s.Query, &xact, &query, &backend); err != nil {
			return s, err
		}
		s.Wait, s.BlockedBy = waitText(kind, event), pids(blockers)
		if s.Wait == "" && len(s.BlockedBy) > 0 {
			s.Wait = "Lock"
		}
		s.XactStart, s.Start, s.Backend = timeOf(xact), timeOf(query), timeOf(backend)
		hid = hid || s.Query == hidden
		return s, nil
	})
	return items, hid, err
}

// waitText is what a session waits for because of another one. That it waits
// for its client or its disk is no news.
func waitText(kind, event string) string {
	switch kind {
	case "Lock", "LWLock", "BufferPin":
		if event == "" {
			return kind
		}
		return kind + ":" + event
	}
	return ""
}

// pids drops the zeros, which stand for prepared transactions, and repetitions.
func pids(list []int32) []int {
	var out []int
	for _, p := range list {
		dup := p == 0
		for _, o := range out {
			dup = dup || o == int(p)
		}
		if !dup {
			out = append(out, int(p))
		}
	}
	return out
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
