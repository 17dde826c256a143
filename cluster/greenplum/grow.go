package greenplum

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
)

// Grow adds nodes of the layout to a running cluster: segments, mirrors, the
// standby.
func (e *Engine) Grow(nodes []cluster.Node) ([]step.Step, error) {
	if slices.ContainsFunc(nodes, isPrimary) {
		return e.growSegments(nodes)
	}
	on := map[string][]cluster.Node{}
	for _, n := range nodes {
		on[n.Host] = append(on[n.Host], n)
	}
	var steps []step.Step
	var claimed []string
	for _, h := range e.hosts() {
		if len(on[h]) > 0 {
			steps = append(steps, e.userStep(h), e.claimStep(h, on[h]))
			claimed = append(claimed, "claim@"+h)
		}
	}
	admits, admitted := e.admitSteps(nodes, claimed)
	steps = append(steps, admits...)
	// All rows of mirrors come first: the standby's gets the next free dbid.
	r := e.registerStep(nodes)
	r.Needs = slices.Concat(claimed, admitted)
	steps = append(steps, r)
	var mirrors []string
	for _, n := range nodes {
		if n.Role == cluster.NodeStandby {
			steps = append(steps, e.standbyStep(n, cluster.RecoverOptions{}, r.ID))
			continue
		}
		s := e.recoverStep(n, cluster.RecoverOptions{})
		s.ID, s.Title, s.Needs = "mirror@"+n.Name(), "copy "+describe(n)+" from its primary", []string{r.ID}
		steps, mirrors = append(steps, s), append(mirrors, s.ID)
	}
	if len(mirrors) > 0 {
		steps = append(steps, e.syncStep(mirrors...))
	}
	return steps, nil
}

// admitSteps let new nodes into those that they will connect to or be reached
// from: the other node of their segment, and all when it is the standby.
func (e *Engine) admitSteps(nodes []cluster.Node, needs []string) (steps []step.Step, ids []string) {
	for _, h := range e.hosts() {
		var concerned []cluster.Node
		for _, n := range e.without(h, nodes) {
			if slices.ContainsFunc(nodes, func(o cluster.Node) bool { return isCoordinator(o) || o.Content == n.Content }) {
				concerned = append(concerned, n)
			}
		}
		if len(concerned) > 0 {
			s := e.admitStep(h, concerned)
			s.Needs = needs
			steps, ids = append(steps, s), append(ids, s.ID)
		}
	}
	return steps, ids
}

// without are the nodes of a host that are not among others.
func (e *Engine) without(host string, others []cluster.Node) []cluster.Node {
	var out []cluster.Node
next:
	for _, n := range e.lay.On(host) {
		for _, o := range others {
			if o.ID == n.ID {
				continue next
			}
		}
		out = append(out, n)
	}
	return out
}

// admitScript adds lines to the top of pg_hba.conf files unless they are in
// there: for each data directory a number of lines and these.
const admitScript = `set -e
while [ $# -gt 0 ]; do
  d=$1 n=$2; shift 2
  add=
  while [ $n -gt 0 ]; do
    grep -Fxq -e "$1" "$d/pg_hba.conf" || add="$add$1
"
    shift; n=$((n-1))
  done
  [ "$add" ] || continue
  if [ "$CW_LOOK" ]; then echo missing; continue; fi
  { printf '%s' "$add"; cat "$d/pg_hba.conf"; } >"$d/pg_hba.conf.cw-new"
  chmod 0600 "$d/pg_hba.conf.cw-new"
  mv -T -- "$d/pg_hba.conf.cw-new" "$d/pg_hba.conf"
done`

// admitStep lets the hosts of new nodes into those that are there.
func (e *Engine) admitStep(host string, nodes []cluster.Node) step.Step {
	args := func(ctx context.Context) ([]string, error) {
		var out []string
		for _, n := range nodes {
			hba, err := e.hba(ctx, n)
			if err != nil {
				return nil, err
			}
			var lines []string
			for _, l := range strings.Split(hba, "\n") {
				if strings.HasPrefix(l, "host ") && strings.HasSuffix(l, " trust") {
					lines = append(lines, l)
				}
			}
			out = append(append(out, n.DataDir, fmt.Sprint(len(lines))), lines...)
		}
		return out, nil
	}
	return step.Step{
		ID: "admit@" + host, Host: host, Title: "let the new nodes connect to " + names(nodes),
		Check: func(ctx context.Context) (step.Observed, error) {
			a, err := args(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			out, err := e.sh(ctx, host, "CW_LOOK=1\n"+admitScript, a...)
			return step.Observed{Done: out == "", Note: choose(out == "", "allowed", "not allowed")}, err
		},
		Apply: func(ctx context.Context) error {
			a, err := args(ctx)
			if err != nil {
				return err
			}
			if _, err := e.sh(ctx, host, "CW_LOOK=\n"+admitScript, a...); err != nil {
				return err
			}
			return e.reload(ctx, host, nodes)
		},
	}
}

// registerStep enters mirrors into the catalogue, as down.
func (e *Engine) registerStep(nodes []cluster.Node) step.Step {
	missing := func(ctx context.Context) ([]cluster.Node, error) {
		c, err := e.catalog(ctx)
		if err != nil {
			return nil, err
		}
		var out []cluster.Node
		for _, n := range nodes {
			if _, known := c.of(n); !known && !isCoordinator(n) {
				out = append(out, n)
			}
		}
		return out, nil
	}
	return step.Step{
		ID: "register", Host: e.coordinator().Host, Title: "enter the new mirrors into the catalogue",
		Check: func(ctx context.Context) (step.Observed, error) {
			m, err := missing(ctx)
			return step.Observed{Done: len(m) == 0, Note: fmt.Sprintf("%d are missing", len(m))}, err
		},
		Apply: func(ctx context.Context) error {
			m, err := missing(ctx)
			if err != nil {
				return err
			}
			text := "set client_min_messages = warning;\n"
			for _, n := range m {
				place := fmt.Sprintf("%s, %s, %d, %s", literal(n.Host), literal(e.address(n)), n.Port, literal(n.DataDir))
				// The node's own number where it is free, else the engine's choice.
				text += fmt.Sprintf("select case when exists (select 1 from gp_segment_configuration where dbid = %[1]d) then gp_add_segment_mirror(%[2]d::int2, %[3]s)\n"+
					" else gp_add_segment(%[1]d::int2, %[2]d::int2, 'm', 'm', 'n', 'd', %[4]d, %[5]s, %[6]s, %[7]s) end;\n",
					n.ID, n.Content, place, n.Port, literal(n.Host), literal(e.address(n)), literal(n.DataDir))
			}
			if _, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, text); err != nil {
				return fmt.Errorf("registering %s: %w", names(m), err)
			}
			return nil
		},
	}
}
