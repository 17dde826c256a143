package greenplum

import (
	"context"
	"fmt"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// UndoGrow are the steps that leave nothing of nodes that Grow has begun to
// add. Nodes that are in the catalogue are part of the cluster: then it is too
// late, and going on is the way.
func (e *Engine) UndoGrow(ctx context.Context, nodes []cluster.Node) ([]step.Step, error) {
	outside := func(ctx context.Context) error {
		rows, err := e.catalog(ctx)
		if err != nil {
			return fmt.Errorf("whether the new nodes are part of the cluster already cannot be seen: %w", err)
		}
		for _, n := range nodes {
			if _, known := rows.of(n); known {
				return fault.New(fault.Usage, fmt.Sprintf("finish it: cw cluster resume %s; segments can be taken out again: cw cluster shrink %[1]s", e.top.Name),
					"the expansion is past its point of no return: %s is in the catalogue", describe(n))
			}
		}
		return nil
	}
	if err := outside(ctx); err != nil {
		return nil, err
	}
	c := e.coordinator()
	first := step.Step{
		ID: "outside@" + c.Name(), Host: c.Host, Title: "see that the cluster does not know the new nodes",
		Check: func(ctx context.Context) (step.Observed, error) {
			err := outside(ctx)
			return step.Observed{Done: err == nil, Note: "it does not"}, err
		},
		Apply: outside, Verify: verified,
	}
	steps := []step.Step{first}
	p := &planned{}
	for _, h := range e.hosts() {
		on := p.on(h, nodes)
		// The template is in the folder of the host's first node, old or new.
		if len(on) < len(e.lay.On(h)) && (h == c.Host || len(on) > 0) {
			steps = append(steps, e.clearTemplateStep(h, first.ID))
		}
		if len(on) == 0 {
			continue
		}
		end, remove, tidy := e.endStep(h, on), e.removeStep(h, on), e.tidyStep(h)
		end.Needs, tidy.Needs, remove.PointOfNoReturn = []string{first.ID}, []string{remove.ID}, false
		steps = append(steps, end, remove, tidy)
	}
	return steps, nil
}

// clearTemplateStep ends what works on a host's template and removes it,
// complete or not.
func (e *Engine) clearTemplateStep(host string, needs ...string) step.Step {
	dir := e.templateDir(host)
	return step.Step{
		ID: "clear@" + host, Host: host, Title: "remove the template", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			out, err := e.sh(ctx, host, `for d in "$@"; do [ ! -e "$d" ] || echo "$d"; done`, dir, dir+".cw-new", dir+".log")
			return step.Observed{Done: out == "", Note: choose(out == "", "gone", "there")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			if ok, err := e.seeTemplate(ctx, host); err == nil && ok { // nobody is making it
				_, err := e.sh(ctx, host, `rm -rf -- "$@"`, dir, dir+".cw-new", dir+".log")
				return err
			}
			return e.sweep(ctx, host, dir, dir+".cw-new", dir+".log")
		},
	}
}
