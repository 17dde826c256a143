package greenplum

import (
	"context"
	"fmt"
	"path"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// Grow adds segments with gpexpand, mirrors with gpaddmirrors and the standby
// with gpinitstandby. Tables are then moved by cw's own controller: the
// schema in which gpexpand would keep its list goes.
func (u *Utilities) Grow(nodes []cluster.Node) ([]step.Step, error) {
	on := map[string][]cluster.Node{}
	var segments, mirrors []cluster.Node
	standby := cluster.Node{}
	grows := map[int]bool{} // contents that are new
	for _, n := range nodes {
		on[n.Host] = append(on[n.Host], n)
		if n.Role == cluster.NodePrimary {
			grows[n.Content] = true
		}
	}
	for _, n := range nodes {
		switch {
		case n.Role == cluster.NodeStandby:
			standby = n
		case grows[n.Content]:
			segments = append(segments, n)
		default:
			mirrors = append(mirrors, n)
		}
	}
	var steps []step.Step
	var ready []string
	for _, h := range u.hosts() {
		if len(on[h]) == 0 {
			continue
		}
		steps = append(steps, u.userStep(h))
		if u.top.Engine.Package != "" {
			steps, ready = append(steps, u.softwareStep(h)), append(ready, "software@"+h)
		}
		steps, ready = append(steps, u.claimStep(h, on[h])), append(ready, "claim@"+h)
	}
	steps = append(steps, u.trustStep(ready))
	needs := []string{"trust"}
	for _, s := range []struct {
		nodes []cluster.Node
		step  func([]cluster.Node) step.Step
	}{{mirrors, u.addMirrorsStep}, {segments, u.expandStep}} {
		if len(s.nodes) > 0 {
			st := s.step(s.nodes)
			st.Needs = append(st.Needs, needs...)
			steps, needs = append(steps, st), []string{st.ID}
		}
	}
	if standby.ID != 0 {
		steps = append(steps, u.standbyByUtility(standby, needs...))
	}
	return steps, nil
}

// addedCheck says whether nodes are in the catalogue and up.
func (u *Utilities) addedCheck(nodes []cluster.Node) func(context.Context) (step.Observed, error) {
	return u.unlessInitialised(func(ctx context.Context) (step.Observed, error) {
		rows, err := u.probe(ctx)
		if err != nil {
			return step.Observed{}, err
		}
		missing := 0
		for _, n := range nodes {
			if row, known := rows.of(n); !known || row.Status != "u" {
				missing++
			}
		}
		return step.Observed{Done: missing == 0, Note: fmt.Sprintf("%d of %d are missing", missing, len(nodes))}, nil
	})
}

// addMirrorsStep adds a mirror to every segment that has none.
func (u *Utilities) addMirrorsStep(nodes []cluster.Node) step.Step {
	return step.Step{
		ID: "gpaddmirrors", Host: u.coordinator().Host, Title: fmt.Sprintf("add %d mirrors (gpaddmirrors)", len(nodes)), Check: u.addedCheck(nodes),
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			rows, err := u.catalog(ctx)
			if err != nil {
				return err
			}
			var b strings.Builder
			left := 0
			for _, n := range nodes {
				if _, known := rows.of(n); !known {
					// It takes the address for the host's name as well.
					at := n.Address
					if at == "" {
						at = n.Host
					}
					fmt.Fprintf(&b, "%d|%s|%d|%s\n", n.Content, at, n.Port, n.DataDir)
					left++
				}
			}
			switch {
			case left == len(nodes):
				file, err := u.writeOn(ctx, u.coordinator(), "gpaddmirrors.in", b.String())
				if err != nil {
					return err
				}
				if err := u.utility(ctx, call{node: u.coordinator(), name: "gpaddmirrors", args: []string{"-a", "-i", file}, warnings: []int{1}}); err != nil {
					return err
				}
			case left > 0: // it registers all in one transaction
				return fault.New(fault.Failed, "look at gp_segment_configuration", "%d of %d mirrors are registered", len(nodes)-left, len(nodes))
			default: // registered, and never copied: it was interrupted
				if err := u.recoverSegments(ctx, nodes, cluster.RecoverOptions{Full: true}); err != nil {
					return err
				}
			}
			return u.allUpStep(u.coordinator()).Apply(ctx)
		},
	}
}

// expandStep adds segments. gpexpand keeps a status file beside the
// coordinator's data: with it an interrupted one is rolled back, or, after the
// segments are registered, finished.
func (u *Utilities) expandStep(nodes []cluster.Node) step.Step {
	added := u.addedCheck(nodes)
	return step.Step{
		ID: "gpexpand", Host: u.coordinator().Host, Title: fmt.Sprintf("add %s (gpexpand -i)", names(nodes)), PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			seen, err := added(ctx)
			if err != nil || !seen.Done {
				return seen, err
			}
			left, err := u.expandState(ctx)
			if err != nil {
				return seen, err
			}
			return step.Observed{Done: left == "", Note: choose(left == "", seen.Note, "gpexpand is not finished: "+left)}, nil
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			return u.expand(ctx, nodes)
		},
	}
}

// expandStateScript prints the last line of gpexpand's status file in $1, or
// "schema" where only its schema is left.
const expandStateScript = `if [ -s "$1/gpexpand.status" ]; then tail -n 1 "$1/gpexpand.status"; exit; fi
psql -X -q -A -t -d "$2" -c "select 'schema' from pg_namespace where nspname = 'gpexpand'"`

func (u *Utilities) expandState(ctx context.Context) (string, error) {
	c := u.coordinator()
	out, err := u.sh(ctx, c.Host, expandStateScript, c.DataDir, fmt.Sprintf("host=%s port=%d dbname=postgres user=%s connect_timeout=5", connValue(socketDir(c)), c.Port, connValue(u.top.OSUser)))
	return clean(out), err
}

func (u *Utilities) expand(ctx context.Context, nodes []cluster.Node) error {
	c := u.coordinator()
	var b strings.Builder
	for _, role := range []string{cluster.NodePrimary, cluster.NodeMirror} {
		for _, n := range nodes {
			if n.Role == role {
				fmt.Fprintf(&b, "%s|%s|%d|%s|%d|%d|%s\n", n.Host, u.address(n), n.Port, n.DataDir, n.ID, n.Content, role[:1])
			}
		}
	}
	file, err := u.writeOn(ctx, c, "gpexpand.in", b.String())
	if err != nil {
		return err
	}
	state, err := u.expandState(ctx)
	if err != nil {
		return err
	}
	rows, err := u.catalog(ctx)
	if err != nil {
		return err
	}
	_, registered := rows.of(nodes[0])
	if state != "" && state != "schema" && !registered {
		step.Say(ctx, "an earlier gpexpand was interrupted (%s): it is rolled back", state)
		if err := u.rollBack(ctx); err != nil {
			return err
		}
		state = ""
	}
	if state != "schema" {
		for _, n := range nodes { // what was rolled back may lie around
			if row, known := rows.of(n); !known || row.Status != "u" && n.Role == cluster.NodePrimary {
				if err := u.sweep(ctx, n.Host, n.DataDir); err != nil {
					return err
				}
			}
		}
		// The folder for the template is wanted on the new hosts too.
		if err := u.utility(ctx, call{node: c, name: "gpexpand", args: []string{"-i", file, "-t", path.Dir(c.Dir)}, input: "y\n", warnings: []int{1}}); err != nil {
			return err
		}
	}
	// Ours is another controller, and other utilities refuse to work beside it.
	if _, err := u.sql(ctx, session{node: c}, "set client_min_messages = warning;\ndrop schema if exists gpexpand cascade;\n"); err != nil {
		return fmt.Errorf("dropping the schema of gpexpand: %w", err)
	}
	u.lookAnew()
	if len(u.contents())*2 > len(u.lay.Nodes) { // without mirrors there is nothing to wait for
		return nil
	}
	return u.allUpStep(c).Apply(ctx)
}

// UndoGrow has gpexpand take back what it has begun, and removes the rest.
func (u *Utilities) UndoGrow(ctx context.Context, nodes []cluster.Node) ([]step.Step, error) {
	steps, err := u.Engine.UndoGrow(ctx, nodes)
	if err != nil {
		return nil, err
	}
	back := step.Step{
		ID: "gpexpand", Host: u.coordinator().Host, Title: "take back what gpexpand has begun (gpexpand -r)", Needs: []string{steps[0].ID},
		Check: func(ctx context.Context) (step.Observed, error) {
			state, err := u.expandState(ctx)
			return step.Observed{Done: err == nil && state == "", Note: choose(state == "", "nothing is begun", state)}, err
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			return u.rollBack(ctx)
		},
	}
	for i := range steps[1:] {
		steps[i+1].Needs = append(steps[i+1].Needs, back.ID)
	}
	return append(steps, back), nil
}

func (u *Utilities) rollBack(ctx context.Context) error {
	return u.utility(ctx, call{node: u.coordinator(), name: "gpexpand", args: []string{"-r", "-a"}, input: "y\ny\n", warnings: []int{1}})
}

// Shrink takes the standby out with gpinitstandby. Segments are taken out by
// SQL alone, which Greenplum has no utility for.
func (u *Utilities) Shrink(nodes []cluster.Node) ([]step.Step, error) {
	for _, n := range nodes {
		if n.Content >= 0 && u.modern() {
			return nil, fault.New(fault.Usage, "name the standby's host", "taking segments out of %s is not supported by this version of cw (node %s on %s)", u.top.Engine.Product(), n.Name(), n.Host)
		}
	}
	steps, err := u.Engine.Shrink(nodes)
	for i := range steps {
		if kind, _, _ := strings.Cut(steps[i].ID, "@"); kind == "unregister" && len(nodes) == 1 && nodes[0].Role == cluster.NodeStandby {
			steps[i].Title += " (gpinitstandby -r)"
			steps[i].Apply = func(ctx context.Context) error {
				return u.utility(ctx, call{node: u.coordinator(), name: "gpinitstandby", args: []string{"-a", "-r"}})
			}
		}
	}
	return steps, err
}
