package manage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// Shrink plans to take the nodes of some hosts out of a cluster. Segments go by
// number, the highest first: hosts that carry others cannot go.
func (m *Manager) Shrink(ctx context.Context, name string, hosts []string) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, h := range hosts {
		on := k.lay.On(h)
		if len(on) == 0 {
			return nil, fault.New(fault.Usage, "cw cluster status "+name, "cluster %s has no node on a host %q", name, h)
		}
		for _, n := range on {
			if n.ID == k.lay.Primary().ID {
				return nil, fault.New(fault.Usage, "cw cluster promote "+name, "host %s carries the %s of cluster %s: another node must take over first", h, n.Role, name)
			}
			ids = append(ids, n.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no host was named")
	}
	if err := k.wholeSegments(hosts); err != nil {
		return nil, err
	}
	// The mirrors of what goes go too, wherever they are.
	goes := map[int]bool{}
	for _, n := range k.nodes(ids) {
		goes[n.Content] = n.Content >= 0
	}
	for _, n := range k.lay.Nodes {
		if goes[n.Content] && !slices.Contains(ids, n.ID) {
			ids = append(ids, n.ID)
		}
	}
	return m.shrink(ctx, k, ids)
}

// ShrinkTo plans to take the segments from number segments on out of a
// cluster, with their mirrors. Hosts that carry nothing else go with them.
func (m *Manager) ShrinkTo(ctx context.Context, name string, segments int) (*Operation, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	have := k.lay.Segments()
	switch {
	case have == 0:
		return nil, fault.New(fault.Usage, "add --host HOST", "cluster %s has no segments", name)
	case segments < 1:
		return nil, fault.New(fault.Usage, "cw cluster delete "+name, "cluster %s cannot be left with %d segments", name, segments)
	case segments >= have:
		return &Operation{Cluster: name, Verb: VerbShrink, m: m, k: k, Nothing: fmt.Sprintf("cluster %s has %d segments: there is nothing to take out", name, have)}, nil
	}
	var ids []int
	for _, n := range k.lay.Nodes {
		if n.Content >= segments {
			ids = append(ids, n.ID)
		}
	}
	return m.shrink(ctx, k, ids)
}

func (m *Manager) shrink(ctx context.Context, k *known, ids []int) (*Operation, error) {
	if k.lay.Pending != nil {
		return nil, fault.New(fault.Usage, fmt.Sprintf("cw cluster resume %[1]s, or take it back: cw cluster expand %[1]s --undo", k.top.Name), "cluster %s: an expand is not finished", k.top.Name)
	}
	return m.existing(ctx, k.top.Name, VerbShrink, params{Nodes: ids})
}

// wholeSegments fails unless the segments with a node on some hosts are those
// of the highest numbers, with the primaries all there.
func (k *known) wholeSegments(hosts []string) error {
	least, have := k.lay.Segments(), k.lay.Segments()
	for _, n := range k.lay.Nodes {
		if n.PreferredRole == cluster.NodePrimary && n.Content >= 0 && slices.Contains(hosts, n.Host) {
			least = min(least, n.Content)
		}
	}
	var problems []string
	for _, n := range k.lay.Nodes {
		on := slices.Contains(hosts, n.Host)
		switch {
		case n.Content < 0:
		case n.PreferredRole == cluster.NodePrimary && n.Content >= least && !on:
			problems = append(problems, fmt.Sprintf("segment %d on %s has a higher number than %d, which would go", n.Content, n.Host, least))
		case n.PreferredRole == cluster.NodeMirror && n.Content < least && on:
			problems = append(problems, fmt.Sprintf("host %s holds the mirror of segment %d, which stays", n.Host, n.Content))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	hint := "no host can go, but segments can: cw cluster shrink " + k.top.Name + fmt.Sprintf(" --segments N, below %d", have)
	if can := k.canGo(); len(can) > 0 {
		hint = "these hosts can go: cw cluster shrink " + k.top.Name + " --host " + strings.Join(can, ",")
	}
	if len(problems) > 4 {
		problems = append(problems[:4], fmt.Sprintf("and %d more", len(problems)-4))
	}
	return fault.New(fault.Usage, hint, "segments go by number, the highest first: %s", strings.Join(problems, "; "))
}

// canGo is the smallest set of hosts that hold all instances of the highest
// segments and none of others; empty when there is none.
func (k *known) canGo() []string {
	for least := k.lay.Segments() - 1; least > 0; least-- {
		goes, stays := map[string]bool{}, map[string]bool{k.lay.Primary().Host: true}
		for _, n := range k.lay.Nodes {
			switch {
			case n.Content >= least && n.PreferredRole == cluster.NodePrimary:
				goes[n.Host] = true
			case n.Content >= 0 && n.Content < least:
				stays[n.Host] = true
			}
		}
		var out []string
		free := true
		for _, h := range k.top.Hosts {
			if goes[h.Name] {
				free = free && !stays[h.Name]
				out = append(out, h.Name)
			}
		}
		if free {
			return out
		}
	}
	return nil
}

// shrunk changes what is known of the cluster to what it is without the nodes:
// hosts that carry none and the number of segments per host.
func (op *Operation) shrunk() {
	op.k.drop(op.params.Nodes)
	per := map[string]int{}
	most := 0
	for _, n := range op.k.lay.Nodes {
		if n.Content >= 0 && n.PreferredRole == cluster.NodePrimary {
			per[n.Host]++
			most = max(most, per[n.Host])
		}
	}
	if most == 0 || most >= op.k.lay.SegmentsPerHost {
		return
	}
	op.k.lay.SegmentsPerHost = most
	if !op.k.top.Layout.Auto() {
		op.k.top.Layout.SegmentsPerHost = fmt.Sprint(most)
	}
}

// Segments are the numbers of segments before and after an expand or a shrink;
// both are 0 for engines without.
func (op *Operation) Segments() (before, after int) {
	with, without := op.k.lay.Segments(), 0
	for _, n := range op.k.lay.Nodes {
		if !slices.Contains(op.params.Nodes, n.ID) {
			without = max(without, n.Content+1)
		}
	}
	if op.Verb == VerbShrink {
		return with, without
	}
	return without, with
}
