package redistribute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// lockKey is the advisory lock, in database postgres, of the one controller.
const lockKey = 0x6377_6578 // "cwex"

// makeBook makes schema cw_expand. On a cluster that is to shrink its tables
// are on the wanted segments from the beginning.
const makeBook = `do $cw$ begin
if not exists (select 1 from pg_catalog.pg_namespace where nspname = 'cw_expand') then
  create schema cw_expand;
  create table cw_expand.control (id int primary key, target int, controller text, paused bool not null default false, now bool not null default false, changed_by text, doc text, cluster text) distributed by (id);
  comment on column cw_expand.control.paused is 'set it to true and no further table is begun';
  create table cw_expand.tables (oid oid, database text, name text, bytes int8, rank int not null default 0, state text, segments int, attempts int, error text, started timestamptz, finished timestamptz) distributed by (oid);
  comment on column cw_expand.tables.rank is 'the lower, the sooner the table is moved; update it as you like';
  insert into cw_expand.control(id, target, cluster) select 1, %[1]d, (` + fingerprint + `);
end if; end $cw$;`

// fingerprint tells the segments of a cluster from those that it has after some
// were taken out and others were added.
const fingerprint = `select md5(string_agg(content || ':' || hostname || ':' || datadir, ',' order by content)) from pg_catalog.gp_segment_configuration where content >= 0 and preferred_role = 'p'`

// onTarget moves the book itself; the functions of prepare are there.
const onTarget = `select pg_temp.cw_shrink('cw_expand.%[2]s'::regclass, %[1]d);`

// orders are what the operators want.
type orders struct {
	Paused bool
	Now    bool // what runs is to be cancelled, too
	By     string
	Ranks  map[key]int
}

// control is the state of the controller, for Status on any machine.
type control struct {
	Waiting  string    `json:"waiting,omitempty"`
	Parallel int       `json:"parallel"`
	Why      string    `json:"why,omitempty"`
	Rate     float64   `json:"rate"`
	ETA      float64   `json:"eta_seconds"`
	Seen     time.Time `json:"seen"`
}

// book is schema cw_expand through the controller's own session, which holds
// the lock.
type book struct {
	s      Session
	target int
}

// openBook takes the lock and makes the schema. Sessions that a controller
// that is gone left moving tables are ended: they hold locks.
func openBook(ctx context.Context, c Cluster, target int, down bool, who string) (*book, error) {
	s, err := c.Open(ctx, "")
	if err != nil {
		return nil, err
	}
	b := &book{s: s, target: target}
	if err := b.begin(ctx, down, who); err != nil {
		s.Close()
		return nil, err
	}
	return b, nil
}

func (b *book) begin(ctx context.Context, down bool, who string) error {
	if err := all(ctx, b.s, "set client_min_messages = error;", "set statement_timeout = 0;", "set default_transaction_read_only = off;", "set lock_timeout = '10s';"); err != nil {
		return err
	}
	got, err := one(ctx, b.s, fmt.Sprintf("select pg_catalog.pg_try_advisory_lock(%d);", lockKey))
	if err != nil {
		return err
	}
	if got != "t" {
		return locked(ctx, b.s)
	}
	_, err = one(ctx, b.s, "select count(pg_catalog.pg_terminate_backend(pid)) from pg_catalog.pg_stat_activity where application_name = "+literal(moverName)+";")
	if err != nil {
		return fmt.Errorf("ending the sessions of an earlier controller: %w", err)
	}
	old, err := one(ctx, b.s, "select coalesce((select count(*) from pg_catalog.pg_namespace where nspname = 'cw_expand'), 0);")
	if err == nil && old != "0" {
		old, err = one(ctx, b.s, "select coalesce(max(target), 0) from cw_expand.control;")
		var said *StatementError
		if errors.As(err, &said) || err == nil && old != fmt.Sprint(b.target) {
			err = all(ctx, b.s, "drop schema cw_expand cascade;") // of another redistribution, which is over
		}
	}
	if err != nil {
		return fmt.Errorf("reading schema cw_expand: %w", err)
	}
	if err := all(ctx, b.s, fmt.Sprintf(makeBook, b.target)); err != nil {
		return fmt.Errorf("making schema cw_expand: %w", err)
	}
	if down {
		if err := prepare(ctx, b.s, 10*time.Second); err != nil {
			return err
		}
		if err := all(ctx, b.s, fmt.Sprintf(onTarget, b.target, "control"), fmt.Sprintf(onTarget, b.target, "tables")); err != nil {
			return fmt.Errorf("making schema cw_expand: %w", err)
		}
		if err := all(ctx, b.s, "reset session_replication_role;", "reset application_name;", "set lock_timeout = '10s';"); err != nil {
			return err
		}
	}
	return all(ctx, b.s, "set lock_timeout = '2s';", fmt.Sprintf("update cw_expand.control set controller = %s where id = 1;", literal(who)))
}

// locked says who has the lock.
func locked(ctx context.Context, s Session) error {
	who, err := one(ctx, s, "select coalesce(max(controller), '') from cw_expand.control;")
	if err != nil || who == "" {
		who = "another controller"
	}
	return &RunsError{By: who}
}

// RunsError says that another controller works on the cluster.
type RunsError struct{ By string }

func (e *RunsError) Error() string { return "the tables are being redistributed already, by " + e.By }

// orders reads what operators want.
func (b *book) orders(ctx context.Context) (orders, error) {
	out, err := one(ctx, b.s, `select row_to_json(x) from (select paused, now, coalesce(changed_by, '') as by from cw_expand.control where id = 1) x
union all select row_to_json(x) from (select database, oid::int8, rank from cw_expand.tables where rank <> 0) x;`)
	if err != nil {
		return orders{}, err
	}
	return parseOrders(out)
}

func parseOrders(out string) (orders, error) {
	o := orders{Ranks: map[key]int{}}
	for line := range strings.Lines(out) {
		var row struct {
			Paused, Now bool
			By          string
			Database    string
			OID         uint32
			Rank        int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return o, fmt.Errorf("reading schema cw_expand: %w", err)
		}
		if row.OID == 0 {
			o.Paused, o.Now, o.By = row.Paused, row.Now, row.By
		} else {
			o.Ranks[key{row.Database, row.OID}] = row.Rank
		}
	}
	return o, nil
}

// columns are how a table is written. Ranks are the operators' own: they are
// written once.
const columns = "(oid, database, name, bytes, rank, state, segments, attempts, error, started, finished)"

func values(t Table) string {
	at := func(p *time.Time) string {
		if p == nil {
			return "null::timestamptz"
		}
		return literal(p.UTC().Format(time.RFC3339Nano)) + "::timestamptz"
	}
	return fmt.Sprintf("(%d::oid, %s, %s, %d::int8, %d, %s, %d, %d, %s, %s, %s)", t.OID, literal(t.Database), literal(t.Name), t.Bytes, t.Rank, literal(t.State), t.Segments, t.Attempts, literal(t.Error), at(t.Started), at(t.Finished))
}

// chunk is how many tables are written with one statement.
const chunk = 500

// list makes the rows of cw_expand.tables those of the tables given; ranks of
// tables that were there stay.
func (b *book) list(ctx context.Context, tables []Table) error {
	o, err := b.orders(ctx)
	if err != nil {
		return err
	}
	statements := []string{"begin;", "truncate cw_expand.tables;"}
	for len(tables) > 0 {
		n := min(chunk, len(tables))
		for i := range tables[:n] {
			tables[i].Rank = o.Ranks[key{tables[i].Database, tables[i].OID}]
		}
		statements, tables = append(statements, insertOf(tables[:n])), tables[n:]
	}
	return b.wrap(all(ctx, b.s, append(statements, "commit;")...))
}

func insertOf(tables []Table) string {
	rows := make([]string, len(tables))
	for i, t := range tables {
		rows[i] = values(t)
	}
	return "insert into cw_expand.tables" + columns + " values " + strings.Join(rows, ",\n") + ";"
}

// add writes tables that were not there.
func (b *book) add(ctx context.Context, tables []Table) error {
	if len(tables) == 0 {
		return nil
	}
	return b.wrap(all(ctx, b.s, insertOf(tables)))
}

// note writes what has changed.
func (b *book) note(ctx context.Context, tables []Table, c control) error {
	doc, err := json.Marshal(c)
	if err != nil {
		return err
	}
	statements := []string{"update cw_expand.control set doc = " + literal(string(doc)) + " where id = 1;"}
	for len(tables) > 0 {
		n := min(chunk, len(tables))
		rows := make([]string, n)
		for i, t := range tables[:n] {
			rows[i] = values(t)
		}
		statements = append(statements, `update cw_expand.tables t set name = v.name, bytes = v.bytes, state = v.state, segments = v.segments, attempts = v.attempts, error = v.error, started = v.started, finished = v.finished
from (values `+strings.Join(rows, ",\n")+`) v`+columns+` where v.oid = t.oid and v.database = t.database;`)
		tables = tables[n:]
	}
	return b.wrap(all(ctx, b.s, statements...))
}

func (b *book) wrap(err error) error {
	if err != nil {
		return fmt.Errorf("writing schema cw_expand: %w", err)
	}
	return nil
}

// free is how many more connections ordinary and superusers may open together.
func (b *book) free(ctx context.Context) (int, error) {
	out, err := one(ctx, b.s, "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - (select count(*) from pg_catalog.pg_stat_activity where application_name <> "+literal(moverName)+");")
	if err != nil {
		return 0, err
	}
	var n int
	_, err = fmt.Sscan(out, &n)
	return n, err
}

// lag is how many bytes the mirror that is farthest behind has not written yet.
func (b *book) lag(ctx context.Context) (int64, error) {
	d, err := dialectOf(ctx, b.s)
	if err != nil {
		return 0, err
	}
	out, err := one(ctx, b.s, d.lag)
	if err != nil {
		return 0, err
	}
	var n int64
	_, err = fmt.Sscan(out, &n)
	return n, err
}

func (b *book) close() { b.s.Close() }

func literal(s string) string {
	q := "'" + strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "'", "''") + "'"
	if strings.ContainsAny(s, `\`) {
		q = " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return strings.ReplaceAll(q, "\x00", "")
}
