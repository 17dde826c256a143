package run

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"time"

	"cw/state"
)

const (
	presenceBeat = 5 * time.Second
	presenceTTL  = 4 * presenceBeat
)

// presence says in the store, now and then, which machines work for a job.
type presence struct {
	mu     sync.Mutex
	told   time.Time
	names  map[string]bool // as they were told
	remote bool            // PARALLEL.HOSTS read, not this machine
}

// here is this machine as the one that reads.
func (r *recorder) here(p Progress) {
	r.workers.mu.Lock()
	remote := r.workers.remote
	r.workers.mu.Unlock()
	if remote {
		return
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	r.present([]Worker{{Host: name, Rate: p.Rate, Bytes: p.Bytes}})
}

// elsewhere are the machines of PARALLEL.HOSTS.
func (r *recorder) elsewhere(all []Worker) {
	r.workers.mu.Lock()
	first := !r.workers.remote
	r.workers.remote = true
	r.workers.mu.Unlock()
	if first { // this machine may have been told before they were up
		r.workers.leave(r)
	}
	r.present(all)
}

func (r *recorder) present(all []Worker) {
	w := &r.workers
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.told) < presenceBeat {
		return
	}
	w.told = time.Now()
	if w.names == nil {
		w.names = map[string]bool{}
	}
	members := make([]state.Member, 0, len(all))
	for _, x := range all {
		m := state.Member{Kind: state.MemberWorker, Name: r.id + "/" + x.Host, Host: x.Host, State: "working"}
		if x.Silent {
			m.State = "silent"
		}
		detail, err := json.Marshal(x)
		if err != nil {
			r.warn(err)
		}
		m.Detail = string(detail)
		w.names[m.Name] = true
		members = append(members, m)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), presenceBeat)
	defer cancel()
	if err := r.st.Heartbeat(ctx, presenceTTL, members...); err != nil {
		r.warn(err)
	}
}

// leave takes the machines off the list, when the run is over.
func (w *presence) leave(r *recorder) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), presenceBeat)
	defer cancel()
	for name := range w.names {
		if err := r.st.Leave(ctx, state.MemberWorker, name); err != nil {
			r.warn(err)
		}
	}
	w.names, w.told = nil, time.Time{}
}

// Workers are the machines that work for the jobs of a store, by job id, as
// they were heard of in the last seconds.
func Workers(ctx context.Context, st *state.Store) (map[string][]Worker, error) {
	members, err := st.Members(ctx, state.MemberWorker)
	if err != nil {
		return nil, err
	}
	all := map[string][]Worker{}
	for _, m := range members {
		w := Worker{Host: m.Host}
		if err := json.Unmarshal([]byte(m.Detail), &w); err != nil {
			continue // of another version of cw
		}
		w.SeenAt = m.SeenAt
		id, _, _ := strings.Cut(m.Name, "/")
		all[id] = append(all[id], w)
	}
	return all, nil
}
