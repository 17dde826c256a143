package commands

import (
	"context"

	"cw/fault"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/monitor/run"
	"cw/state"
)

// monitorOnce looks for a while and prints what is wrong. Where another
// monitor acts, it has looked already.
func (a *App) monitorOnce(ctx context.Context, c monitor.Config, rules []inspect.Rule, o monitorOptions) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	held, err := st.LeaseHeld(ctx, state.LeaseMonitor)
	if err != nil {
		return err
	}
	if held {
		a.infof("a monitor acts already (cw monitor status): this is what it has found")
	} else {
		a.infof("looking for %s", o.onceFor)
		c.Heal.On = false
		ro, _ := a.monitorRun(st, c)
		ro.Inspect = rules
		looking, cancel := context.WithTimeout(ctx, o.onceFor)
		err := run.Run(looking, ro)
		cancel()
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return silent(fault.Interrupted)
	}
	firing, err := st.Alerts(ctx, state.AlertFilter{Firing: true})
	if err != nil {
		return err
	}
	if err := a.printAlerts(firing); err != nil {
		return err
	}
	if o.exitCode && len(firing) > 0 {
		return silent(fault.Degraded)
	}
	return nil
}
