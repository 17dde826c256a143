package source

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// readPostgres asks a primary how its cluster is.
func readPostgres(ctx context.Context, c *pgx.Conn, can *abilities) (*dbView, error) {
	v := &dbView{at: time.Now()}
	err := c.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1), pg_postmaster_start_time(), pg_is_in_recovery()").Scan(&v.version, &v.started, &v.recovery)
	if err != nil {
		return nil, err
	}
	rows, err := c.Query(ctx, senderQuery(can))
	if err != nil {
		return v, err
	}
	v.senders, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sender, error) {
		s := sender{content: -1}
		err := row.Scan(&s.name, &s.state, &s.addr, &s.lag, &s.detail)
		return s, err
	})
	if err != nil {
		return v, err
	}
	for _, s := range v.senders { // a role without pg_monitor sees that there is a row, and no more
		v.noLag = v.noLag || s.state == "" && s.lag == nil
	}
	return v, nil
}

func senderQuery(can *abilities) string {
	lag := "null::bigint"
	if can.functions["pg_current_wal_lsn"] && can.has("pg_stat_replication", "replay_lsn") {
		lag = "case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint end"
	}
	detail := "''"
	if can.has("pg_stat_replication", "replay_lag") {
		detail = "format('sent %s, written %s, flushed %s, replayed %s; replay is %s behind; %s', sent_lsn, write_lsn, flush_lsn, replay_lsn, coalesce(replay_lag::text, '0'), sync_state)"
	}
	return fmt.Sprintf("select coalesce(application_name, ''), coalesce(state, ''), coalesce(host(client_addr), ''), %s, %s from pg_stat_replication where coalesce(state, '') <> 'backup'", lag, detail)
}
