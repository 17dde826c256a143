package manage

import (
	"context"
	"slices"
	"sync"
	"time"

	"cw/cluster"
)

// Nodes are the nodes an operation is about: those that expand adds, those
// that shrink takes out, or the one that promote makes the primary.
func (op *Operation) Nodes() []cluster.Node {
	if p := op.params.Promote; p != nil {
		n, _ := op.k.lay.Node(p.Node)
		return []cluster.Node{n}
	}
	return op.k.nodes(op.params.Nodes)
}

// Topology is what the operation plans for: of expand, the larger one.
func (op *Operation) Topology() *cluster.Topology { return op.k.top }

// NodeLog is what could be read of one node's server log.
type NodeLog struct {
	Node cluster.Node
	Text string
	Err  error // the node's host did not answer, or it has no log
}

// Logs reads the last lines of the server logs of some nodes at once; answers
// come in the order of nodes.
func (m *Manager) Logs(ctx context.Context, name string, nodes []cluster.Node, lines int) ([]NodeLog, error) {
	eng, err := m.look(ctx, name)
	if err != nil {
		return nil, err
	}
	out := make([]NodeLog, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			text, err := eng.Logs(ctx, n, lines)
			out[i] = NodeLog{Node: n, Text: text, Err: err}
		})
	}
	wg.Wait()
	return out, context.Cause(ctx)
}

// Endpoint says where clients of a cluster connect, without asking any host.
// What is said of TLS is nil where the engine says nothing.
func (m *Manager) Endpoint(ctx context.Context, name string) (cluster.Endpoint, *cluster.TLSStatus, error) {
	eng, err := m.look(ctx, name)
	if err != nil {
		return cluster.Endpoint{}, nil, err
	}
	to, tls := eng.Endpoint()
	return to, tls, nil
}

// signaller is an engine whose sessions the superuser can be asked to signal.
type signaller interface {
	Signal(ctx context.Context, pid int, began time.Time, end bool) error
}

// Signal cancels what a session does, or ends it, as the database's superuser
// on its host. done is false where the engine knows no way.
func (m *Manager) Signal(ctx context.Context, name string, pid int, began time.Time, end bool) (done bool, err error) {
	eng, err := m.look(ctx, name)
	if err != nil {
		return false, err
	}
	s, ok := eng.(signaller)
	if !ok {
		return false, nil
	}
	return true, s.Signal(ctx, pid, began, end)
}

// Settings are the names that a change of settings is about; none when it
// applies a whole profile.
func (op *Operation) Settings() []string {
	c := op.params.Config
	if c == nil || c.Profile != "" {
		return nil
	}
	names := slices.Clone(c.Reset)
	for n := range c.Set {
		names = append(names, n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// asker is an engine whose superuser can be asked a question on its host.
type asker interface {
	Ask(ctx context.Context, database, question string, limit time.Duration) ([]string, error)
}

// Ask asks a question that only the database's superuser may ask, on its
// host; rows come as JSON. Nothing can be changed by it. known is false where
// the engine has no such way: there Connect is the superuser's already.
func (m *Manager) Ask(ctx context.Context, name, database, question string, limit time.Duration) (rows []string, known bool, err error) {
	eng, err := m.look(ctx, name)
	if err != nil {
		return nil, false, err
	}
	s, ok := eng.(asker)
	if !ok {
		return nil, false, nil
	}
	rows, err = s.Ask(ctx, database, question, limit)
	return rows, true, err
}
