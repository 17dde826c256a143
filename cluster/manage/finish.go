package manage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"cw/cluster"
	"cw/cluster/step"
	"cw/state"
)

// pastOf are the verbs as events call what was done.
var pastOf = map[string]string{ //nolint:gochecknoglobals // constant table
	VerbCreate: state.EventCreated, VerbStart: state.EventStarted, VerbStop: state.EventStopped, VerbRestart: state.EventRestarted,
	VerbReload: state.EventReloaded, VerbDelete: state.EventDeleted, VerbRecover: state.EventRecovered, VerbPromote: state.EventPromoted,
	VerbExpand: state.EventExpanded, VerbShrink: state.EventShrunk, VerbConfig: state.EventConfigured, VerbAdopt: state.EventAdopted,
}

// finish records success: first what the cluster is now, then that the run is
// done. Killed in between, resuming finds nothing to do but to finish.
func (op *Operation) finish(ctx context.Context, run state.Run) error {
	message, before := op.message(), op.k.record.State
	if op.Verb != VerbDelete {
		op.settle()
		if err := op.k.encode(); err != nil {
			return err
		}
		if err := op.m.Store.PutCluster(ctx, op.k.record); err != nil {
			return err
		}
	}
	if op.Verb == VerbExpand && op.params.Moves != nil {
		// Before this run is done, so that a resume at any moment finds one of them.
		if err := op.m.owesMoves(ctx, op.Cluster, *op.params.Moves); err != nil {
			return err
		}
	}
	if err := op.m.Store.FinishRun(ctx, run.ID, state.Done, ""); err != nil {
		return err
	}
	data := map[string]any{"run": run.ID, "verb": op.Verb}
	if now := op.k.record.State; now != before && op.Verb != VerbDelete {
		data["state"], data["state_before"] = now, before
	}
	op.event(ctx, state.Event{Kind: pastOf[op.Verb], Message: message, Data: data})
	op.register(ctx)
	if op.Verb != VerbDelete {
		return nil
	}
	if err := op.m.Store.DeleteCluster(ctx, op.Cluster); err != nil {
		return err
	}
	// CA, passwords and known_hosts are of no use without the cluster.
	if err := os.RemoveAll(op.m.Dir(op.Cluster)); err != nil {
		return fmt.Errorf("removing the cluster's keys: %w", err)
	}
	return nil
}

// settle changes what is known of the cluster to what it is after the run.
func (op *Operation) settle() {
	switch op.Verb {
	case VerbStop:
		op.k.record.State = state.ClusterStopped
		return
	case VerbReload: // of a cluster as it is
		return
	case VerbConfig:
		if c := op.params.Config; c.Profile != "" {
			op.k.top.Profile, op.k.top.Overrides = c.Profile, c.Overrides
		}
		return
	case VerbShrink:
		op.shrunk()
		return
	case VerbExpand:
		op.grown()
	case VerbPromote:
		op.k.lay.Promote(op.params.Promote.Node)
	}
	op.k.record.State = state.ClusterUp
}

// tookOver says whether a promotion that did not get through has made its node
// the primary. That is what counts: which standby follows it is repaired
// afterwards, and no other verb should take the old primary for the one.
func (op *Operation) tookOver(err error) bool {
	var f *step.Failure
	if op.Verb != VerbPromote || !errors.As(err, &f) {
		return false
	}
	n, _ := op.k.lay.Node(op.params.Promote.Node)
	id := "promote@" + n.Host
	return slices.Contains(f.Done, id) || slices.Contains(f.Skipped, id)
}

// message is the sentence of the event.
func (op *Operation) message() string {
	text := "cluster " + op.Cluster + " " + pastOf[op.Verb]
	if op.params.TakeBack {
		text = "the expand of cluster " + op.Cluster + " was taken back"
	}
	switch op.Verb {
	case VerbPromote:
		old := op.k.lay.Primary()
		if to, ok := op.k.lay.Node(op.params.Promote.Node); ok && to.ID != old.ID {
			text += fmt.Sprintf(": %s on %s is the %s, %s on %s the standby", to.Name(), to.Host, old.Role, old.Name(), old.Host)
		}
	case VerbExpand, VerbShrink:
		for i, n := range op.k.nodes(op.params.Nodes) {
			text += choose(i == 0, ": ", ", ") + n.Name() + " on " + n.Host
		}
	}
	return text
}

// nothing says why an operation has no steps.
func (op *Operation) nothing() string {
	switch op.Verb {
	case VerbRecover:
		return fmt.Sprintf("all nodes of cluster %s run and follow: there is nothing to recover", op.Cluster)
	case VerbPromote:
		if n, ok := op.k.lay.Node(op.params.Promote.Node); ok && (n.Role == cluster.NodePrimary || n.Role == cluster.NodeCoordinator) {
			return fmt.Sprintf("%s on %s is the %s of cluster %s already: there is nothing to do", n.Name(), n.Host, n.Role, op.Cluster)
		}
	case VerbConfig:
		return fmt.Sprintf("all nodes of cluster %s have these settings already: there is nothing to do", op.Cluster)
	}
	return fmt.Sprintf("there is nothing to do for cluster %s", op.Cluster)
}

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
