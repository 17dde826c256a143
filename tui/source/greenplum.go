package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// mppView is what is asked of all segments at once, and therefore seldom.
type mppView struct {
	at      time.Time
	senders []sender
	noLag   bool
	locks   []lockPair
	err     string
}

// readGreenplum asks a coordinator how its cluster is.
func readGreenplum(ctx context.Context, c *pgx.Conn) (*dbView, error) {
	v := &dbView{at: time.Now(), down: map[int]time.Time{}}
	err := c.QueryRow(ctx, `select coalesce(substring(version() from '(?:Greenplum|Cloudberry) Database ([0-9.]+)'), substring(version() from 'Cloudberry[^0-9]*([0-9.]+)'), ''),
		pg_postmaster_start_time(), pg_is_in_recovery()`).Scan(&v.version, &v.started, &v.recovery)
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, `select dbid::int, content::int, role::text, preferred_role::text, mode::text, status::text, port, hostname, address, datadir
		from gp_segment_configuration order by content, dbid`)
	if err != nil {
		return nil, err
	}
	v.segments, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (segment, error) {
		var g segment
		err := row.Scan(&g.dbid, &g.content, &g.role, &g.preferred, &g.mode, &g.status, &g.port, &g.host, &g.address, &g.folder)
		return g, err
	})
	return v, err
}

// readHistory reads the database's own events: what the fault tolerance
// server did, oldest first.
func readHistory(ctx context.Context, c *pgx.Conn) (events []Event, down map[int]time.Time, err error) {
	rows, err := c.Query(ctx, `select time, dbid::int, "desc" from gp_configuration_history order by time desc limit 200`)
	if err != nil {
		return nil, nil, err
	}
	down = map[int]time.Time{}
	events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Event, error) {
		var dbid int
		e := Event{Kind: "history", Severity: "info"}
		if err := row.Scan(&e.At, &dbid, &e.Message); err != nil {
			return e, err
		}
		if _, newer := down[dbid]; !newer {
			down[dbid] = e.At
		}
		if wentDown(e.Message) {
			e.Severity = "warning"
		}
		e.Message = fmt.Sprintf("dbid %d: %s", dbid, e.Message)
		return e, nil
	})
	slices.Reverse(events)
	return events, down, err
}

// wentDown recognises what the fault tolerance server writes when it gives a
// segment up: "… for dbid 3 with contentid 1 to m, d, and n" (role, status, mode).
func wentDown(text string) bool {
	_, to, ok := strings.Cut(text, " with contentid ")
	_, to, ok2 := strings.Cut(to, " to ")
	return ok && ok2 && len(to) > 3 && to[1:4] == ", d"
}

// readMPP asks all segments: how far mirrors are behind, and who waits for
// whom.
func readMPP(ctx context.Context, c *pgx.Conn, can *abilities) *mppView {
	v := &mppView{at: time.Now()}
	var err error
	if v.senders, v.noLag, err = readMirrors(ctx, c, can); err != nil {
		v.noLag, v.err = true, reason(err)
	}
	if v.locks, err = readLockPairs(ctx, c); err != nil && v.err == "" {
		v.err = reason(err)
	}
	return v
}

func readMirrors(ctx context.Context, c *pgx.Conn, can *abilities) (list []sender, noLag bool, err error) {
	diff, sent, replay := "pg_wal_lsn_diff", "sent_lsn", "replay_lsn"
	if can.functions["pg_xlog_location_diff"] {
		diff, sent, replay = "pg_xlog_location_diff", "sent_location", "replay_location"
	}
	if !can.has("gp_stat_replication", sent) {
		return nil, true, nil
	}
	rows, err := c.Query(ctx, fmt.Sprintf(`select gp_segment_id::int, coalesce(application_name, ''), coalesce(state, ''), coalesce(host(client_addr), ''), %s(%s, %s)::bigint,
		coalesce('sent ' || %s::text || ', replayed ' || %s::text || '; ' || sync_state, '') from gp_stat_replication where coalesce(state, '') <> 'backup'`, diff, sent, replay, sent, replay))
	if err != nil {
		return nil, false, err
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sender, error) {
		var s sender
		err := row.Scan(&s.content, &s.name, &s.state, &s.addr, &s.lag, &s.detail)
		noLag = noLag || s.state == ""
		return s, err
	})
	return list, noLag, err
}

// lockPair is one session that waits for a lock and one that holds the same.
type lockPair struct {
	waiter, holder int // sess_id
	waits, holds   string
	locktype, on   string
	segment        int
}

// readLockPairs reads all locks of all segments once and pairs them there.
func readLockPairs(ctx context.Context, c *pgx.Conn) ([]lockPair, error) {
	rows, err := c.Query(ctx, `with l as (select * from pg_locks where mppsessionid > 0)
		select distinct w.mppsessionid, h.mppsessionid, w.mode, h.mode, w.locktype, coalesce(w.relation::regclass::text, ''), w.gp_segment_id
		from l w join l h on h.granted and h.gp_segment_id = w.gp_segment_id and h.locktype = w.locktype and h.mppsessionid <> w.mppsessionid
			and h.database is not distinct from w.database and h.relation is not distinct from w.relation and h.page is not distinct from w.page
			and h.tuple is not distinct from w.tuple and h.virtualxid is not distinct from w.virtualxid and h.transactionid is not distinct from w.transactionid
			and h.classid is not distinct from w.classid and h.objid is not distinct from w.objid and h.objsubid is not distinct from w.objsubid
		where not w.granted`)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (lockPair, error) {
		var p lockPair
		err := row.Scan(&p.waiter, &p.holder, &p.waits, &p.holds, &p.locktype, &p.on, &p.segment)
		return p, err
	})
	return slices.DeleteFunc(all, func(p lockPair) bool { return !conflict(p.waits, p.holds) }), err
}

// applyLocks says of each session whom it waits for. Sessions of Greenplum are
// known by sess_id, the same on all segments.
func applyLocks(items []Session, locks []lockPair) {
	pid := make(map[int]int, len(items))
	free := map[int]bool{}
	for _, s := range items {
		pid[s.SessID] = s.PID
		free[s.PID] = s.State == "idle" // and outside of a transaction: it holds nothing any more
	}
	for i := range items {
		s := &items[i]
		if s.State != "" && s.State != "active" { // it waits no more
			continue
		}
		for _, p := range locks {
			holder, there := pid[p.holder]
			if p.waiter != s.SessID || !there || slices.Contains(s.BlockedBy, holder) || free[holder] {
				continue
			}
			s.BlockedBy = append(s.BlockedBy, holder)
			if s.Wait == "" || s.Wait == "Lock" || s.Wait == "Lock:lock" {
				s.Wait = "Lock:" + p.locktype
			}
		}
	}
}

// lockModes are the modes of table locks from weakest to strongest.
var lockModes = []string{ //nolint:gochecknoglobals // constant table
	"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
}

// lockConflicts has, by a mode's place, a bit for each mode it conflicts with
// (PostgreSQL documentation, 13.3.1).
var lockConflicts = []uint8{ //nolint:gochecknoglobals // constant table
	0b10000000, 0b11000000, 0b11110000, 0b11111000, 0b11101100, 0b11111100, 0b11111110, 0b11111111,
}

// conflict says whether two modes of one lock exclude each other. Modes that
// are not known do.
func conflict(a, b string) bool {
	i, k := slices.Index(lockModes, a), slices.Index(lockModes, b)
	return i < 0 || k < 0 || lockConflicts[i]&(1<<k) != 0
}
