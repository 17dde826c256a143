package run

import (
	"context"
	"time"

	"cw/cluster"
	"cw/state"
	"cw/tui/source"
)

const (
	beatEvery = 5 * time.Second
	// beatAgain is how often a member that is as it was says so.
	beatAgain = 20 * time.Second
	beatFor   = 60 * time.Second
)

// The states of a host as a member.
const (
	hostUp      = "up"
	hostSilent  = "silent"
	hostUnknown = "unknown"
)

// beat says of clusters and hosts how they are: what has changed at once, the
// rest now and then.
func (l *leader) beat(ctx context.Context) error {
	now := time.Now()
	var all []state.Member
	type said struct {
		w    *watched
		next map[string]string
		full bool
	}
	var done []said
	for _, w := range l.all() {
		next := map[string]string{}
		full := now.Sub(w.toldAt) >= beatAgain
		for _, m := range membersOf(w.name, w.snapshot()) {
			key := m.Kind + " " + m.Name
			next[key] = m.State + " " + m.Detail
			if full || w.told[key] != next[key] {
				all = append(all, m)
			}
		}
		done = append(done, said{w, next, full})
	}
	l.mu.Lock()
	for name, record := range l.records {
		if record == state.ClusterStopped {
			all = append(all, state.Member{Kind: state.MemberCluster, Name: name, Cluster: name, State: cluster.Down, Detail: "stopped by an operator"})
		}
	}
	l.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	if err := l.o.Store.Heartbeat(ctx, beatFor, all...); err != nil {
		return err
	}
	for _, d := range done {
		d.w.told = d.next
		if d.full {
			d.w.toldAt = now
		}
	}
	return nil
}

// membersOf is a cluster with its hosts.
func membersOf(name string, s *source.Snapshot) []state.Member {
	m := state.Member{Kind: state.MemberCluster, Name: name, Cluster: name, State: cluster.Unknown}
	if s == nil {
		return []state.Member{m}
	}
	if m.State = s.Cluster.State; m.State == "" {
		m.State = cluster.Unknown
	}
	if len(s.Cluster.Problems) > 0 {
		m.Detail = s.Cluster.Problems[0]
	} else {
		m.Detail = s.Cluster.Err
	}
	out := []state.Member{m}
	for _, h := range s.Hosts.Items {
		hm := state.Member{Kind: state.MemberHost, Name: name + "/" + h.Name, Cluster: name, Host: h.Name, State: hostUp}
		switch {
		case h.Err != "":
			hm.State = hostSilent
		case h.SampledAt.IsZero():
			hm.State = hostUnknown
		}
		out = append(out, hm)
	}
	return out
}

// leave takes a cluster and its hosts off the list of members.
func (l *leader) leave(ctx context.Context, w *watched) {
	for _, m := range membersOf(w.name, w.snapshot()) {
		if err := l.o.Store.Leave(ctx, m.Kind, m.Name); err != nil {
			l.note("members", err) // it expires
			return
		}
	}
}
