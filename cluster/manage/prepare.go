package manage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
	"cw/state"
)

// The verbs of a Preparation, as leases and events call them.
const (
	verbPrepare   = "check --fix"
	verbUnprepare = "check --fix --revert"
)

// Preparation is a change of the operating system of a cluster's hosts that is
// planned but not made. The cluster need not exist.
type Preparation struct {
	Cluster string
	Report  hostprep.Report   // the checks before; empty for a reversal
	Repairs []hostprep.Repair // what will be set
	Kept    []hostprep.Kept   // what a reversal brings back

	c      *checker
	verb   string
	plan   step.Plan
	limits bool // of users are raised: they count from the next log-in on
}

// Prepare checks the hosts of a topology and plans to make those checks pass
// that cw can fix.
func (m *Manager) Prepare(ctx context.Context, t *cluster.Topology) (*Preparation, error) {
	c, err := m.newChecker(ctx, t)
	if err != nil {
		return nil, err
	}
	p := &Preparation{Cluster: t.Name, c: c, verb: verbPrepare}
	if p.Report, err = c.check(ctx); err != nil {
		return nil, err
	}
	p.Repairs = p.Report.Repairs(t)
	if err := c.rootOn(ctx, p.Repairs); err != nil {
		return nil, err
	}
	p.limits = slices.ContainsFunc(p.Repairs, func(r hostprep.Repair) bool { return r.Group == hostprep.GroupLimits })
	p.plan = step.Plan{Cluster: t.Name, Verb: p.verb, Steps: c.fleet.RepairSteps(p.Repairs, state.NewID("p"))}
	return p, nil
}

// rootOn fails, before anybody is asked anything, when cw cannot become root
// where something is to be set.
func (c *checker) rootOn(ctx context.Context, repairs []hostprep.Repair) error {
	var hosts []*remote.Host
	for _, r := range repairs {
		if h := c.fleet.Host(r.Host); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	_, err := remote.Each(ctx, hosts, 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
		return struct{}{}, c.fleet.Root(ctx, h.Name())
	})
	if err != nil {
		return hostprep.NeedsRoot(err)
	}
	return nil
}

// Unprepare plans to bring back what was there before Prepare. Hosts on which
// nothing was kept are left out.
func (m *Manager) Unprepare(ctx context.Context, t *cluster.Topology) (*Preparation, error) {
	c, err := m.newChecker(ctx, t)
	if err != nil {
		return nil, err
	}
	p := &Preparation{Cluster: t.Name, c: c, verb: verbUnprepare}
	all, err := remote.Each(ctx, c.fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (hostprep.Kept, error) {
		return c.fleet.Kept(ctx, h.Name())
	})
	if err != nil {
		return nil, err
	}
	var hosts []string
	machines := map[string]bool{}
	for _, k := range all {
		facts, err := c.fleet.Host(k.Host).Facts(ctx)
		if err != nil {
			return nil, err
		}
		if k.Any && (facts.MachineID == "" || !machines[facts.MachineID]) {
			machines[facts.MachineID] = true
			p.Kept, hosts = append(p.Kept, k), append(hosts, k.Host)
		}
	}
	p.plan = step.Plan{Cluster: t.Name, Verb: p.verb, Steps: c.fleet.RevertSteps(hosts)}
	return p, nil
}

// RootScript makes the script of what Prepare, or with revert Unprepare, would
// do, for people with root on hosts where cw has none.
func (m *Manager) RootScript(ctx context.Context, t *cluster.Topology, revert bool) (string, error) {
	c, err := m.newChecker(ctx, t)
	if err != nil {
		return "", err
	}
	r, err := c.check(ctx)
	if err != nil {
		return "", err
	}
	for _, check := range r.Failed() {
		if check.ID == "ssh" { // a script that lacks a host would seem to be all
			return "", hostprep.Report{Checks: []hostprep.Check{check}}.Err()
		}
	}
	return r.RootScript(t, revert), nil
}

// Empty says whether there is nothing to do.
func (p *Preparation) Empty() bool { return len(p.plan.Steps) == 0 }

// Look checks every step against the hosts and changes nothing.
func (p *Preparation) Look(ctx context.Context) (step.View, error) {
	return step.Look(ctx, p.plan, 0)
}

// Run makes the change. It holds the cluster's lease, so that nobody creates or
// changes the cluster meanwhile. What a killed run leaves is finished or taken
// back by planning again.
func (p *Preparation) Run(ctx context.Context, report func(step.Event)) (Outcome, error) {
	started := time.Now()
	m := p.c.m
	held, lease, err := m.Store.Acquire(ctx, leaseName(p.Cluster), p.verb)
	if err != nil {
		return Outcome{}, locked(p.Cluster, err)
	}
	defer func() { _ = lease.Release(ctx) }()
	if err := guard(held, p.c.fleet); err != nil {
		return Outcome{}, err
	}
	// A name of its own: resuming a cluster looks for the last run of its name.
	run, err := m.Store.StartRun(held, "hosts of "+p.Cluster, p.verb, "")
	if err != nil {
		return Outcome{}, err
	}
	runner := step.Runner{Journal: journal{m.Store, run.ID}, Report: report}
	out := Outcome{Run: run.ID}
	out.Summary, err = runner.Run(held, p.plan)
	out.Took = time.Since(started)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err != nil {
		_ = m.Store.FinishRun(last, run.ID, choose(ctx.Err() != nil, state.Interrupted, state.Failed), err.Error())
		hint := fmt.Sprintf("run it again, or take all of it back: cw cluster check %s --revert", p.Cluster)
		if h := fault.HintOf(err); h != "" {
			hint = h
		}
		return out, fault.Wrap(fault.KindOf(err), hint, err)
	}
	p.event(last, run.ID)
	return out, m.Store.FinishRun(last, run.ID, state.Done, "")
}

// event is written as well as it can be: the change itself is done.
func (p *Preparation) event(ctx context.Context, run string) {
	var hosts []string
	for _, s := range p.plan.Steps {
		if !slices.Contains(hosts, s.Host) {
			hosts = append(hosts, s.Host)
		}
	}
	text := "the operating system of %s of cluster %s was prepared"
	if p.verb == verbUnprepare {
		text = "the operating system of %s of cluster %s is as it was before it was prepared"
	}
	_ = p.c.m.Store.AddEvent(ctx, state.Event{
		Kind: state.EventAction, Cluster: p.Cluster, Data: map[string]any{"run": run, "by": p.c.m.Store.Who()},
		Message: fmt.Sprintf(text, strings.Join(hosts, ", "), p.Cluster),
	})
}

// Again makes the checks once more, after Run.
func (p *Preparation) Again(ctx context.Context) (hostprep.Report, error) {
	if p.limits { // those of a log-in stay as they were when it was made
		fleet, err := p.c.m.fleet(p.c.k)
		if err != nil {
			return hostprep.Report{}, err
		}
		p.c.fleet = fleet
	}
	return p.c.check(ctx)
}
