package greenplum

import (
	"context"
	"fmt"
	"strconv"

	"cw/cluster/step"
)

// coordinatorTables are what the coordinator's catalogue has and a segment's
// has not: MASTER_ONLY_TABLES of gpcatalog.py, which gpcheckcat compares by.
const coordinatorTables = "gp_segment_configuration gp_configuration_history pg_partition pg_partition_rule pg_stat_last_operation pg_stat_last_shoperation pg_statistic pg_partition_encoding"

// sourceScript makes template $1 of segments from the coordinator with its
// socket in $2 on port $3, for contents from $5 on; $4 is a dbid that no
// instance has, $6 the tables to be emptied, $7 and $8 the queries below. Standard input is
// postgresql.conf. The copy is started once, alone: its socket is in its own
// folder, found through the working directory since such a path may be longer
// than a socket's name can be. Nothing is synced: the copies are what lasts.
const sourceScript = aliveScript + `set -e
umask 077
rm -rf -- "$1" "$1.cw-new"
fail() { tail -n 5 "$1" >&2; exit 1; }
pg_basebackup -c fast -D "$1.cw-new" -h "$2" -p "$3" -U "$(id -un)" --xlog --target-gp-dbid "$4" -E ./db_dumps -E ./gpperfmon/data -E ./gpperfmon/logs -E ./promote >"$1.log" 2>&1 </dev/null || fail "$1.log"
cd "$1.cw-new"
rm -rf -- pg_log/* pg_replslot/* recovery.conf recovery.done postmaster.opts gpsegconfig_dump* gpexpand.*
: >postgresql.auto.conf
cat >postgresql.conf
echo "local all all ident" >pg_hba.conf
echo "gp_dbid = $4" >internal.auto.conf
pg_ctl start -W -s -D . -l "$1.log" -o "-F -p $3 -c listen_addresses= -c unix_socket_directories=. -c gp_role=utility -c gp_contentid=$5 -c shared_buffers=16MB -c max_connections=30 -c max_wal_senders=5 -c max_replication_slots=5 -c shared_preload_libraries= -c gp_resource_manager=queue -c autovacuum=off -c log_statement=none" </dev/null >/dev/null 2>&1
export PGOPTIONS="` + utility + ` -c allow_system_table_mods=true -c standard_conforming_strings=on" PGHOST=/proc/self/cwd PGPORT=$3
n=0
until pg_isready -q -t 2 -d template1; do
  n=$((n+1))
  [ $n -lt 40 ] || alive "$PWD" || fail "$1.log"
  sleep 0.05
done
query() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
clean="begin;"
for t in $6; do clean="$clean delete from pg_catalog.$t;"; done
closed=$(query -d template1 -c "$7" | paste -s -d , -)
query -0 -d template1 -c "$8" | xargs -0 -r -I '{}' psql -X -q -v ON_ERROR_STOP=1 -d '{}' -c "$clean commit;" >"$1.log" 2>&1 || fail "$1.log"
[ -z "$closed" ] || query -d template1 -c "update pg_database set datallowconn = false where oid in ($closed)"
query -d template1 -c "select pg_create_physical_replication_slot('` + slotName + `')" >/dev/null
alive "$PWD" || fail "$1.log"
kill -INT "$pid"
while alive "$PWD"; do sleep 0.02; done
redo=$(pg_controldata . | sed -n "s/^Latest checkpoint's REDO WAL file: *//p")
for f in pg_xlog/????????????????????????; do [ "$redo" ] && [ "${f#pg_xlog/}" \< "$redo" ] && rm -f -- "$f"; done
rm -rf -- pg_log/* postmaster.opts .s.PGSQL.*
for f in pg_xlog/0*; do fallocate -d "$f" 2>/dev/null || :; done # zeros need not be sent
cd /
rm -f -- "$1.log"
mv -T -- "$1.cw-new" "$1"`

// openDatabases lets sessions into databases that take none, which are named;
// databaseInfo is a connection string for each that does.
const (
	openDatabases = `update pg_database set datallowconn = true where not datallowconn and datname <> 'template0' returning oid`
	databaseInfo  = `select 'dbname=''' || replace(replace(datname, '\', '\\'), '''', '\''') || '''' from pg_database where datallowconn`
)

// fillScript gives files of the log the space that sourceScript took from them:
// the server counts on it.
const fillScript = `for f in pg_xlog/0*; do [ ! -f "$f" ] || fallocate -l "$(stat -c %s "$f")" "$f" 2>/dev/null || :; done
`

// sourceStep makes the template of new segments from the coordinator, on its
// host, under the catalogue lock.
func (e *Engine) sourceStep(p *planned, hold string) step.Step {
	c := e.coordinator()
	dir := e.templateDir(c.Host)
	id := "template@" + c.Host
	return step.Step{
		ID: id, Host: c.Host, Title: "copy the coordinator to make segments from", Needs: []string{hold},
		Check: e.underHold(id, p, "to be copied"),
		Apply: func(ctx context.Context) error {
			defer e.changed(c.Host)
			rows, err := e.catalog(ctx)
			if err != nil {
				return err
			}
			e.growth.number(rows, p.nodes)
			conf, err := e.segmentConf(ctx, rows, p.content())
			if err != nil {
				return err
			}
			if err := e.sweep(ctx, c.Host, dir+".cw-new"); err != nil {
				return err
			}
			e.template.forget()
			unused := 1
			for _, r := range rows {
				unused = max(unused, r.DBID+1)
			}
			_, err = e.shInput(ctx, c.Host, conf, sourceScript, dir, socketDir(c), strconv.Itoa(c.Port), strconv.Itoa(unused), strconv.Itoa(p.content()), coordinatorTables, openDatabases, databaseInfo)
			if err != nil {
				return fmt.Errorf("making a template from the coordinator: %w", err)
			}
			e.growth.note(id)
			return nil
		},
	}
}

// segmentConf is the postgresql.conf of the segments that are there, for new
// ones to be set up like them.
func (e *Engine) segmentConf(ctx context.Context, rows catalog, below int) (string, error) {
	for content := range below {
		row, ok := rows.acting(content)
		if n, known := e.node(row); ok && known {
			text, err := e.sh(ctx, n.Host, `cat -- "$1/postgresql.conf"`, n.DataDir)
			if err != nil {
				return "", fmt.Errorf("reading postgresql.conf of %s: %w", describe(n), err)
			}
			return commonConf(text), nil
		}
	}
	return "", fmt.Errorf("no segment below content %d is in the catalogue", below)
}

// sendStep brings the template to another host.
func (e *Engine) sendStep(host string, p *planned, source string) step.Step {
	id := "template@" + host
	return step.Step{
		ID: id, Host: host, Title: "copy the template from " + e.coordinator().Host, Needs: []string{source},
		Check: e.underHold(id, p, "to be copied"),
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			dir := e.templateDir(host)
			if err := e.sweep(ctx, host, dir, dir+".cw-new"); err != nil {
				return err
			}
			if err := e.unpack(ctx, host); err != nil {
				return err
			}
			e.growth.note(id)
			return nil
		},
	}
}
