package redistribute

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"cw/fault"
)

// Verify makes sure that every policy of every database, on the coordinator
// and on the segments, names the wanted number of segments; on a cluster that is
// to shrink, none more. Temporary tables are their sessions' own.
func Verify(ctx context.Context, c Cluster, target int) error {
	s, err := c.Open(ctx, "")
	if err != nil {
		return err
	}
	w, err := settingOf(ctx, s)
	s.Close()
	if err != nil {
		return err
	}
	if len(w.closed) > 0 {
		return fault.New(fault.Check, "allow connections to it for a while", "database %s allows no connections: its tables cannot be looked at", w.closed[0])
	}
	var wrong []string
	for _, name := range w.databases {
		found, err := verifyOne(ctx, c, name, target, target < w.segments)
		if err != nil {
			return err
		}
		wrong = append(wrong, found...)
	}
	if len(wrong) == 0 {
		return nil
	}
	n := len(wrong)
	if n > 10 {
		wrong = append(wrong[:10], fmt.Sprintf("and %d more", n-10))
	}
	return fault.New(fault.Check, "", "not everything is on %d segments:\n  %s", target, strings.Join(wrong, "\n  "))
}

func verifyOne(ctx context.Context, c Cluster, database string, target int, down bool) ([]string, error) {
	s, err := c.Open(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", database, err)
	}
	defer s.Close()
	bad := fmt.Sprintf("p.numsegments <> %d", target)
	if down {
		bad = fmt.Sprintf("p.numsegments > %d", target)
	}
	const named = `pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(k.relname)`
	of := `join pg_catalog.pg_class k on k.oid = p.localoid join pg_catalog.pg_namespace n on n.oid = k.relnamespace where k.relpersistence <> 't' and ` + bad
	out, err := one(ctx, s, `select to_json(x) from (select `+named+` || ' is on ' || p.numsegments as x from pg_catalog.gp_distribution_policy p `+of+`
union all select `+named+` || ' is on ' || p.numsegments || ' by segment ' || p.gp_segment_id from gp_dist_random('pg_catalog.gp_distribution_policy') p `+of+`) y;`)
	if err != nil {
		return nil, fmt.Errorf("verifying database %s: %w", database, err)
	}
	var wrong []string
	for line := range strings.Lines(out) {
		var text string
		if err := json.Unmarshal([]byte(line), &text); err != nil {
			return nil, fmt.Errorf("verifying database %s: %q: %w", database, line, err)
		}
		wrong = append(wrong, database+": "+text)
	}
	return wrong, nil
}
