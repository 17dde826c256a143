package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"cw/cluster"
	"cw/fault"
)

// gateScript runs, in every database of the instances given as port and socket
// folder, the statements that $1 makes; $2 lists the databases. It prints what they print, a line for
// every database that it has been through, and before how many there are: an
// answer that is cut short must not look like an empty one.
const gateScript = `make=$1 info=$2; shift 2
run() { PGOPTIONS="` + utility + ` -c standard_conforming_strings=on" psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
each='made=$(psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2") || exit 1
[ -z "$made" ] || printf "%s\n" "$made" | psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" || exit 1
echo cw-looked'
while [ $# -gt 0 ]; do
  export PGPORT=$1 PGHOST=$2; shift 2
  n=$(run -d template1 -c "select 'cw-databases ' || count(*) from pg_database where datname <> 'template0'") || exit 1
  echo "$n"
  export PGOPTIONS="` + utility + ` -c standard_conforming_strings=on"
  psql -X -q -0 -A -t -d template1 -c "$info" | xargs -0 -r -I '{}' sh -c "$each" sh '{}' "$make" || exit 1
done`

// The statements that gateScript makes statements of. Catalogues and what the
// engine keeps beside tables are not tables of users; what is temporary is.
const (
	madeOfPolicies = `select format('select %%L;', quote_ident(current_database()) || '.' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' is on ' || p.numsegments || ' segments')
from gp_distribution_policy p join pg_class c on c.oid = p.localoid join pg_namespace n on n.oid = c.relnamespace where p.numsegments > %d order by 1`
	madeOfRows = `select format('select %%L where exists (select 1 from only %%I.%%I);', quote_ident(current_database()) || '.' || quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' has rows on segment %d', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm') and c.relstorage in ('h', 'a', 'c')
and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'pg_aoseg', 'pg_bitmapindex')
union all select format('select %%L;', 'transaction ' || gid || ' is prepared on segment %[1]d') from pg_prepared_xacts where database = current_database()`
)

// gate fails unless all tables of all databases are on the segments that stay,
// and those that go have no row of any.
func (e *Engine) gate(ctx context.Context, victims []cluster.Node) error {
	left := remaining(victims)
	found, err := e.inEveryDatabase(ctx, e.coordinator(), fmt.Sprintf(madeOfPolicies, left))
	if err != nil {
		return fmt.Errorf("looking at the tables: %w", err)
	}
	if len(found) == 0 {
		if found, err = e.rowsOn(ctx, victims); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fault.New(fault.Check, "cw cluster shrink "+e.top.Name+" with the same arguments moves what can be moved; sessions with temporary tables must end",
		"segments from %d on are still in use, and none was touched: %s", left, abbreviate(found, 10))
}

// rowsOn looks for rows on the acting primaries of victims.
func (e *Engine) rowsOn(ctx context.Context, victims []cluster.Node) ([]string, error) {
	rows, err := e.catalog(ctx)
	if err != nil {
		return nil, err
	}
	var acting []cluster.Node
	for _, r := range rows {
		if r.Content < remaining(victims) || r.Role != "p" {
			continue
		}
		n, known := e.node(r)
		if !known {
			return nil, fmt.Errorf("segment %d on %s is not known to cw: its rows cannot be looked for", r.Content, r.Hostname)
		}
		acting = append(acting, n)
	}
	all, errs := make([][]string, len(acting)), make([]error, len(acting))
	var wg sync.WaitGroup
	for i, n := range acting {
		wg.Go(func() { all[i], errs[i] = e.inEveryDatabase(ctx, n, fmt.Sprintf(madeOfRows, n.Content)) })
	}
	wg.Wait()
	var found []string
	for i, n := range acting {
		if errs[i] != nil {
			return nil, fmt.Errorf("looking for rows on %s: %w", describe(n), errs[i])
		}
		found = append(found, all[i]...)
	}
	return found, nil
}

// inEveryDatabase returns what the statements that a query makes print.
func (e *Engine) inEveryDatabase(ctx context.Context, n cluster.Node, query string) ([]string, error) {
	out, err := e.sh(ctx, n.Host, gateScript, query, databaseInfo, strconv.Itoa(n.Port), socketDir(n))
	if err != nil {
		return nil, err
	}
	return parseGate(out)
}

// parseGate reads the answer of gateScript.
func parseGate(out string) ([]string, error) {
	want, looked := -1, 0
	var found []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		text, counts := strings.CutPrefix(line, "cw-databases ")
		switch {
		case counts && want < 0:
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, fmt.Errorf("an answer in an unknown form: %q", line)
			}
			want = n
		case line == "cw-looked":
			looked++
		case line != "":
			found = append(found, line)
		}
	}
	switch {
	case want < 0:
		return nil, fmt.Errorf("an answer in an unknown form: %q", out)
	case looked != want:
		return nil, fmt.Errorf("%d of %d databases could be looked at: one that takes no sessions (pg_database.datallowconn) cannot", looked, want)
	}
	return found, nil
}
