package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// Start is gpstart.
func (u *Utilities) Start() ([]step.Step, error) {
	native, err := u.Engine.Start()
	if err != nil {
		return nil, err
	}
	return []step.Step{u.byUtility(step.Step{ID: "gpstart", Title: "start the cluster (gpstart)"}, native, func(ctx context.Context) error {
		for _, n := range u.coordinators() {
			if err := u.startable(ctx, n); err != nil {
				return err
			}
		}
		if s, err := u.see(ctx, u.coordinator()); err == nil && s.Proc == procReady {
			return fault.New(fault.Failed, "cw cluster recover "+u.top.Name, "the coordinator runs, and gpstart starts only whole clusters: what is down must be recovered")
		}
		// 1 stands for segments that did not start, which the check then names.
		return u.utility(ctx, call{node: u.coordinator(), name: "gpstart", args: []string{"-a"}, warnings: []int{1}})
	})}, nil
}

// Stop is gpstop.
func (u *Utilities) Stop(mode cluster.StopMode) ([]step.Step, error) {
	return []step.Step{u.stopByUtility(mode, "")}, nil
}

func (u *Utilities) stopByUtility(mode cluster.StopMode, token string) step.Step {
	native := u.stopSteps(mode, token)
	return u.byUtility(step.Step{ID: "gpstop", Title: fmt.Sprintf("stop the cluster (gpstop -M %s)", mode)}, native, func(ctx context.Context) error {
		if s, err := u.see(ctx, u.coordinator()); err != nil {
			return err
		} else if s.Proc != procStopped {
			if err := u.utility(ctx, call{node: u.coordinator(), name: "gpstop", args: []string{"-a", "-M", string(mode)}, warnings: []int{1}}); err != nil {
				return err
			}
		}
		// Without its coordinator gpstop does nothing for the rest, as after a crash.
		_, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
			return struct{}{}, u.stop(ctx, h.Name(), u.lay.On(h.Name()), cluster.Fast, token, false)
		})
		return err
	})
}

// Restart is gpstop and gpstart. What was stopped is noted as ever, so that a
// resumed restart interrupts nobody twice.
func (u *Utilities) Restart(mode cluster.StopMode) ([]step.Step, error) {
	start, err := u.Start()
	if err != nil {
		return nil, err
	}
	start[0].Needs = []string{"gpstop"}
	return append([]step.Step{u.stopByUtility(mode, u.Run)}, start...), nil
}

// Reload is gpstop -u.
func (u *Utilities) Reload() ([]step.Step, error) {
	return []step.Step{{
		ID: "reload", Host: u.coordinator().Host, Title: "have all nodes read their files (gpstop -u)",
		Check: func(context.Context) (step.Observed, error) { return step.Observed{Note: "to be reloaded"}, nil },
		Apply: func(ctx context.Context) error {
			return u.utility(ctx, call{node: u.coordinator(), name: "gpstop", args: []string{"-u"}})
		},
		Verify: verified,
	}}, nil
}

// Recover is gprecoverseg for the segments, gpinitstandby for the standby and
// gprecoverseg -r for the preferred roles.
func (u *Utilities) Recover(ctx context.Context, o cluster.RecoverOptions) ([]step.Step, error) {
	if o.Rate > 0 {
		return nil, fault.New(fault.Usage, "leave --rate out, or set engine.via: native", "gprecoverseg knows no limit of its rate")
	}
	native, err := u.Engine.Recover(ctx, o)
	if err != nil || len(native) == 0 {
		return nil, err
	}
	var segments, standby, roles []step.Step
	var nodes []cluster.Node
	for _, s := range native {
		kind, name, _ := strings.Cut(s.ID, "@")
		switch kind {
		case "start":
			n, _ := u.lay.Node(name)
			return nil, fault.New(fault.Failed, "cw cluster restart "+u.top.Name, "%s on %s is down and no mirror has taken over: gprecoverseg cannot bring it back", describe(n), n.Host)
		case "recover":
			n, _ := u.lay.Node(name)
			nodes, segments = append(nodes, n), append(segments, s)
		case "sync":
			segments = append(segments, s)
		case "standby":
			standby = append(standby, s)
		default: // rebalance, sync-rebalanced
			roles = append(roles, s)
		}
	}
	var steps []step.Step
	if len(nodes) > 0 {
		steps = append(steps, u.byUtility(step.Step{ID: "gprecoverseg", Title: "recover " + names(nodes) + " (gprecoverseg)", Destructive: o.Full}, segments, func(ctx context.Context) error {
			return u.recoverSegments(ctx, nodes, o)
		}))
	}
	if len(standby) > 0 {
		n, _ := u.standby()
		steps = append(steps, u.standbyByUtility(n))
	}
	if len(roles) > 0 {
		s := u.byUtility(step.Step{ID: "rebalance", Title: "give all segments their preferred roles (gprecoverseg -r)"}, roles, func(ctx context.Context) error {
			if err := u.utility(ctx, call{node: u.coordinator(), name: "gprecoverseg", args: []string{"-a", "-r"}}); err != nil {
				return err
			}
			return u.allUpStep(u.coordinator()).Apply(ctx)
		})
		if len(nodes) > 0 {
			s.Needs = []string{"gprecoverseg"}
		}
		steps = append(steps, s)
	}
	return steps, nil
}

// recoverSegments names the segments in a file: those of one host may be
// wanted alone.
func (u *Utilities) recoverSegments(ctx context.Context, nodes []cluster.Node, o cluster.RecoverOptions) error {
	rows, err := u.catalog(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, n := range nodes {
		row, ok := rows.of(n)
		if ok && row.Status == "d" {
			fmt.Fprintf(&b, "%s|%d|%s\n", row.Address, n.Port, n.DataDir)
		}
	}
	if b.Len() == 0 { // dead, and the fault tolerance server has not seen it yet
		return fault.New(fault.Failed, "cw cluster recover "+u.top.Name, "the coordinator does not hold %s for down yet", names(nodes))
	}
	file, err := u.writeOn(ctx, u.coordinator(), "gprecoverseg.in", b.String())
	if err != nil {
		return err
	}
	args := []string{"-a", "-i", file}
	if o.Full {
		args = append(args, "-F")
	}
	if err := u.utility(ctx, call{node: u.coordinator(), name: "gprecoverseg", args: args, warnings: []int{1}}); err != nil {
		return err
	}
	return u.allUpStep(u.coordinator()).Apply(ctx)
}

// standbyByUtility makes a node the standby, whatever it was.
func (u *Utilities) standbyByUtility(n cluster.Node, needs ...string) step.Step {
	s := u.byUtility(step.Step{ID: "gpinitstandby", Title: "make " + n.Name() + " the standby coordinator (gpinitstandby)", Needs: needs}, []step.Step{u.standbyStep(n, cluster.RecoverOptions{})}, func(ctx context.Context) error {
		c := u.coordinator()
		rows, err := u.catalog(ctx)
		if err != nil {
			return err
		}
		seen, err := u.see(ctx, n)
		if err != nil {
			return err
		}
		if _, known := rows.of(n); known && seen.Data && seen.Follower {
			if err := u.utility(ctx, call{node: c, name: "gpinitstandby", args: []string{"-a", "-n"}}); err == nil && u.streams(ctx) == nil {
				return nil
			}
		}
		for _, r := range rows {
			if r.Content == -1 && r.Role == "m" {
				if err := u.utility(ctx, call{node: c, name: "gpinitstandby", args: []string{"-a", "-r"}}); err != nil {
					return err
				}
			}
		}
		u.lookAnew()
		if err := u.stop(ctx, n.Host, []cluster.Node{n}, cluster.Immediate, "", false); err != nil {
			return err
		}
		if err := u.sweep(ctx, n.Host, n.DataDir); err != nil {
			return err
		}
		if err := u.utility(ctx, call{node: c, name: "gpinitstandby", args: []string{"-a", "-s", n.Host, "-P", fmt.Sprint(n.Port), "-S", n.DataDir}, warnings: []int{1}}); err != nil {
			return err
		}
		return u.streams(ctx)
	})
	s.Check = u.unlessInitialised(s.Check)
	return s
}

// unlessInitialised has a Check that needs a cluster say that there is none.
func (u *Utilities) unlessInitialised(check func(context.Context) (step.Observed, error)) func(context.Context) (step.Observed, error) {
	return func(ctx context.Context) (step.Observed, error) {
		if s, err := u.see(ctx, u.coordinator()); err != nil || s.Proc != procReady {
			return step.Observed{Note: "the coordinator does not run"}, err
		}
		return check(ctx)
	}
}

// Promote is gpactivatestandby on the standby's host, after the old coordinator
// was stopped where it can be; it comes back as the standby by gpinitstandby.
func (u *Utilities) Promote(ctx context.Context, o cluster.PromoteOptions) (cluster.Node, []step.Step, error) {
	to, steps, err := u.Engine.Promote(ctx, o)
	if err != nil {
		return to, nil, err
	}
	for i := range steps {
		s := &steps[i]
		switch kind, _, _ := strings.Cut(s.ID, "@"); kind {
		case "promote":
			s.Title += " (gpactivatestandby)"
			s.Apply = func(ctx context.Context) error {
				defer u.lookAnew()
				if seen, err := u.see(ctx, u.coordinator()); err == nil && seen.Proc != procStopped {
					return fault.New(fault.Failed, "cw cluster promote "+u.top.Name, "%s: the old coordinator runs: it must be stopped first", u.coordinator().Host)
				}
				return u.utility(ctx, call{node: to, name: "gpactivatestandby", args: []string{"-a", "-f", "-d", to.DataDir}, warnings: []int{1}})
			}
		case "standby":
			after := NewUtilities(u.Config)
			lay := *u.lay
			lay.Nodes = append([]cluster.Node{}, u.lay.Nodes...)
			lay.Promote(to.Name())
			after.lay = &lay
			back, _ := after.standby()
			*s = after.standbyByUtility(back, s.Needs...)
		}
	}
	return to, steps, nil
}

// Delete is gpdeletesystem where the cluster runs. What it leaves is removed
// as ever, and so is the owner's way from host to host.
func (u *Utilities) Delete() ([]step.Step, error) {
	native, err := u.Engine.Delete()
	if err != nil {
		return nil, err
	}
	c := u.coordinator()
	first := step.Step{
		ID: "gpdeletesystem", Host: c.Host, Title: "remove all instances (gpdeletesystem)", Destructive: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := u.see(ctx, c)
			runs := err == nil && s.Proc == procReady && s.Data
			// It deletes only what runs; a host that is away must not keep the others.
			return step.Observed{Done: !runs, Note: choose(runs, "runs", "does not run: cw removes what is there")}, nil
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			if err := u.utility(ctx, call{node: c, name: "gpdeletesystem", args: []string{"-f", "-d", c.DataDir}, input: "y\ny\n"}); err != nil {
				step.Say(ctx, "gpdeletesystem failed, cw goes on: %s", clean(err.Error()))
			}
			return nil
		},
		Verify: verified,
	}
	steps := []step.Step{first}
	var removed []string
	for _, s := range native {
		s.After = append(s.After, first.ID)
		steps, removed = append(steps, s), append(removed, s.ID)
	}
	for _, h := range u.hosts() {
		s := u.distrustStep(h)
		s.After = removed
		steps = append(steps, s)
	}
	return steps, nil
}
