package greenplum

import (
	"context"
	"fmt"

	"cw/cluster"
	"cw/cluster/step"
)

// rebalance are the steps that give segments their preferred roles. pending
// says that recoveries come first.
func (e *Engine) rebalance(c catalog, pending bool) []step.Step {
	var steps []step.Step
	var swapped []string
	for _, content := range e.contents() {
		acting, ok := c.acting(content)
		if !ok || acting.Preferred == "p" {
			continue
		}
		s := e.swapStep(content)
		if pending {
			s.Needs = []string{"sync"}
		}
		steps, swapped = append(steps, s), append(swapped, s.ID)
	}
	if len(swapped) == 0 {
		return nil
	}
	last := e.syncStep(swapped...)
	last.ID = "sync-rebalanced"
	return append(steps, last)
}

// swapStep gives the two nodes of a content their preferred roles: the acting
// primary stops, the fault tolerance server promotes the other, and the first
// comes back as its mirror. Sessions lose the transaction they are in.
func (e *Engine) swapStep(content int) step.Step {
	var from, to cluster.Node
	for _, n := range e.pair(content) {
		if n.PreferredRole == cluster.NodePrimary {
			to = n
		} else {
			from = n
		}
	}
	return step.Step{
		ID: fmt.Sprintf("rebalance@%d", content), Host: from.Host, Title: fmt.Sprintf("make %s of content %d primary again, %s its mirror", to.Name(), content, from.Name()),
		Check: func(ctx context.Context) (step.Observed, error) {
			c, err := e.catalog(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			acting, _ := c.acting(content)
			mirror, _ := c.peer(acting)
			done := acting.Preferred == "p" && mirror.Status == "u"
			return step.Observed{Done: done, Note: choose(acting.Preferred == "p", "preferred roles", "roles are swapped")}, nil
		},
		Apply:  func(ctx context.Context) error { return e.swap(ctx, content, from, to) },
		Verify: verified,
	}
}

func (e *Engine) swap(ctx context.Context, content int, from, to cluster.Node) error {
	c, err := e.probe(ctx)
	if err != nil {
		return err
	}
	if acting, _ := c.acting(content); acting.Preferred != "p" {
		if mirror, ok := c.peer(acting); !ok || mirror.Status != "u" || mirror.Mode != "s" {
			return fmt.Errorf("%s is not in sync: it cannot become the primary", describe(to))
		}
		if err := e.stop(ctx, from.Host, []cluster.Node{from}, cluster.Fast, "", false); err != nil {
			return err
		}
		err := e.await(ctx, syncPatience, func(c catalog) error {
			if row, _ := c.of(to); row.Role != "p" {
				return fmt.Errorf("%s was not promoted", describe(to))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return e.bringBack(ctx, from, cluster.RecoverOptions{})
}
