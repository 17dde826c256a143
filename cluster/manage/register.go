package manage

import (
	"context"
	"errors"
	"time"

	"cw/cluster"
	"cw/state"
)

// registeredFor is how long a cluster counts as there on the word of the verb
// that changed it; a monitor says so again and again.
const registeredFor = time.Minute

// register says, to all who share the store, that the cluster and its hosts
// are there, as this operation has just left them. It is a courtesy: the
// cluster is kept in the store anyhow.
func (op *Operation) register(ctx context.Context) {
	name, health := op.Cluster, cluster.Up
	switch op.Verb {
	case VerbDelete:
		_ = op.m.unregister(ctx, name)
		return
	case VerbStop:
		health = cluster.Down
	case VerbCreate, VerbAdopt, VerbExpand, VerbStart, VerbRestart:
	default: // which do not touch all of it
		return
	}
	all := []state.Member{{Kind: state.MemberCluster, Name: name, Cluster: name, State: health}}
	for _, h := range op.k.top.Hosts {
		all = append(all, state.Member{Kind: state.MemberHost, Name: name + "/" + h.Name, Cluster: name, Host: h.Name, State: cluster.Up})
	}
	_ = op.m.Store.Heartbeat(ctx, registeredFor, all...)
}

// unregister takes a cluster and its hosts off the list at once.
func (m *Manager) unregister(ctx context.Context, name string) error {
	all, err := m.Store.Members(ctx, "")
	for _, member := range all {
		if member.Cluster == name && (member.Kind == state.MemberCluster || member.Kind == state.MemberHost) {
			err = errors.Join(err, m.Store.Leave(ctx, member.Kind, member.Name))
		}
	}
	return err
}
