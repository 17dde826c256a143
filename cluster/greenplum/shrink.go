package greenplum

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// quietPatience is how long transactions that reach segments which are out of
// the catalogue may take until they are cut off.
const quietPatience = time.Minute

// Shrink takes segments, which must be all instances of the highest contents,
// and the standby out of the cluster and removes them. Whatever rows they had
// must be elsewhere before: that is looked at once more under the lock.
func (e *Engine) Shrink(nodes []cluster.Node) ([]step.Step, error) {
	victims, err := e.victims(nodes)
	if err != nil {
		return nil, err
	}
	var steps []step.Step
	var out []string
	if len(victims) > 0 {
		s := e.unregisterSegments(victims)
		steps, out = append(steps, s...), append(out, s[len(s)-1].ID)
	}
	for _, n := range nodes {
		if isCoordinator(n) {
			s := e.unregisterStep(n)
			s.Needs = out // one transaction of the catalogue after the other
			steps, out = append(steps, s), append(out, s.ID)
		}
	}
	for _, h := range e.hosts() {
		var on []cluster.Node
		for _, n := range nodes {
			if n.Host == h {
				on = append(on, n)
			}
		}
		if len(on) == 0 {
			continue
		}
		end, remove, tidy := e.endStep(h, on), e.removeStep(h, on), e.tidyStep(h)
		end.Needs, tidy.Needs = out, []string{remove.ID}
		if quiet := e.quietStep(h, on, out); len(victims) > 0 {
			steps, end.Needs = append(steps, quiet), []string{quiet.ID}
		}
		steps = append(steps, end, remove, tidy)
	}
	return steps, nil
}

// victims are the segments among nodes, if what would be left is a cluster.
func (e *Engine) victims(nodes []cluster.Node) ([]cluster.Node, error) {
	goes := map[int]bool{}
	var out []cluster.Node
	for _, n := range nodes {
		if isCoordinator(n) && n.Role != cluster.NodeStandby {
			return nil, fault.New(fault.Usage, "cw cluster promote "+e.top.Name, "the coordinator (node %s on %s) cannot be taken out", n.Name(), n.Host)
		}
		goes[n.ID] = true
		if !isCoordinator(n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	least := out[0].Content
	for _, n := range out {
		least = min(least, n.Content)
	}
	for _, n := range e.lay.Nodes {
		switch {
		case isCoordinator(n):
		case n.Content < least && goes[n.ID], n.Content >= least && !goes[n.ID]:
			return nil, fault.New(fault.Usage, "segments go by number, the highest first, each with its mirror", "node %s (content %d on %s) does not fit: contents from %d on are to go", n.Name(), n.Content, n.Host, least)
		}
	}
	if least == 0 {
		return nil, fault.New(fault.Usage, "cw cluster delete "+e.top.Name, "no segment would be left")
	}
	return out, nil
}

// remaining is how many segments are left without the victims.
func remaining(victims []cluster.Node) int {
	least := victims[0].Content
	for _, n := range victims {
		least = min(least, n.Content)
	}
	return least
}

// unregisterSegments are the steps that take segments out of the catalogue;
// the last is the one after which they are out for everybody.
func (e *Engine) unregisterSegments(victims []cluster.Node) []step.Step {
	c := e.coordinator()
	left := remaining(victims)
	gone := func(ctx context.Context) (bool, error) {
		if e.growth.current() != nil {
			return false, nil
		}
		rows, err := e.catalog(ctx)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(rows, func(r entry) bool { return r.Content >= left }), nil
	}
	hold := e.holdStep(nil, gone)
	gate := step.Step{
		ID: "gate@" + c.Name(), Host: c.Host, Title: fmt.Sprintf("see that no table and no row is on segments from %d on", left), Needs: []string{hold.ID},
		Check: func(ctx context.Context) (step.Observed, error) {
			if done, err := gone(ctx); err != nil || done {
				return step.Observed{Done: done, Note: "not needed any more"}, err
			}
			ok := e.growth.noted("gate")
			return step.Observed{Done: ok, Note: choose(ok, "none", "to be looked at under the lock")}, nil
		},
		Apply: func(ctx context.Context) error {
			if err := e.gate(ctx, victims); err != nil {
				return err
			}
			e.growth.note("gate")
			return nil
		},
	}
	out := step.Step{
		ID: "unregister", Host: c.Host, Title: fmt.Sprintf("take segments from %d on out of the catalogue", left), Needs: []string{gate.ID}, PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			done, err := gone(ctx)
			return step.Observed{Done: done, Note: choose(done, "not registered", "registered")}, err
		},
		Apply: func(ctx context.Context) error {
			rows, err := e.catalog(ctx)
			if err != nil {
				return err
			}
			h := e.growth.current()
			if h == nil || !e.growth.noted("gate") {
				return fault.New(fault.Failed, "cw cluster resume "+e.top.Name, "the catalogue lock was lost: tables may have changed since they were looked at")
			}
			// As with new segments: whoever sees the new version waits for the rows.
			text := "lock table gp_segment_configuration in access exclusive mode;\n"
			for _, r := range rows {
				if r.Content >= left {
					text += fmt.Sprintf("select gp_remove_segment(%d::int2);\n", r.DBID)
				}
			}
			err = h.exec(ctx, text+"select gp_expand_bump_version();\ncommit;")
			e.growth.letGo(h)
			if err != nil {
				return fmt.Errorf("taking the segments out of the catalogue: %w", err)
			}
			_, err = e.probe(ctx)
			return err
		},
	}
	return []step.Step{hold, gate, out, e.announceStep(out.ID)}
}

// quietScript waits until no session has a transaction open on the instances
// given as port and socket folder, or $1 seconds have gone. It names those
// that still have.
const quietScript = `end=$(($(date +%s) + $1)); shift
busy() {
  PGOPTIONS="` + utility + `" psql -X -q -A -t -h "$2" -p "$1" -d template1 -c "select 'port $1: session ' || sess_id || ' of ' || usename from pg_stat_activity where pid <> pg_backend_pid() and xact_start is not null" 2>/dev/null
}
while [ $# -gt 0 ]; do
  while out=$(busy "$1" "$2"); [ "$out" ]; do
    [ "$(date +%s)" -lt $end ] || { echo "$out"; break; }
    sleep 0.1
  done
  shift 2
done`

// quietStep lets transactions that began before end: they may have sessions on
// what goes.
func (e *Engine) quietStep(host string, nodes []cluster.Node, needs []string) step.Step {
	running := func(ctx context.Context) ([]string, error) {
		var args []string
		for _, n := range nodes {
			s, err := e.see(ctx, n)
			if err != nil {
				return nil, err
			}
			if s.Proc == procReady && !isCoordinator(n) {
				args = append(args, fmt.Sprint(n.Port), socketDir(n))
			}
		}
		return args, nil
	}
	return step.Step{
		ID: "quiet@" + host, Host: host, Title: "wait for transactions on " + names(nodes) + " to end", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			args, err := running(ctx)
			return step.Observed{Done: err == nil && len(args) == 0, Note: fmt.Sprintf("%d take sessions", len(args)/2)}, err
		},
		Apply: func(ctx context.Context) error {
			args, err := running(ctx)
			if err != nil {
				return err
			}
			out, err := e.sh(ctx, host, quietScript, append([]string{fmt.Sprint(int(quietPatience.Seconds()))}, args...)...)
			for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
				if l != "" {
					e.leave("%s: %s was in a transaction still when its segment went: it will fail", host, l)
				}
			}
			return err
		},
		Verify: verified,
	}
}

// unregisterStep takes the standby out of the catalogue.
func (e *Engine) unregisterStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "unregister@" + n.Name(), Host: e.coordinator().Host, Title: "take the standby out of the catalogue", PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			c, err := e.catalog(ctx)
			_, known := c.of(n)
			return step.Observed{Done: err == nil && !known, Note: choose(known, "registered", "not registered")}, err
		},
		Apply: func(ctx context.Context) error {
			_, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, "select gp_remove_master_standby();\n")
			return err
		},
	}
}
