package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
)

// computed are the settings for the cluster's machines.
type computed struct {
	coordinator, segments []cluster.Setting
}

// computedSettings computes them, once.
func (e *Engine) computedSettings(ctx context.Context) (computed, error) {
	e.settingsOnce.Lock()
	defer e.settingsOnce.Unlock()
	if e.settings.coordinator != nil {
		return e.settings, nil
	}
	machines, err := e.Fleet.Machines(ctx)
	if err != nil {
		return computed{}, err
	}
	var c computed
	c.coordinator, c.segments = cluster.GreenplumSettings(e.top, e.lay, machines)
	e.settings = c
	return c, nil
}

// settingsOf are the settings of a node.
func (e *Engine) settingsOf(ctx context.Context, n cluster.Node) ([]cluster.Setting, error) {
	c, err := e.computedSettings(ctx)
	if isCoordinator(n) {
		return c.coordinator, err
	}
	return c.segments, err
}

// home is the folder of the engine's software on a host. Where the topology
// names it nobody is asked: what is there was looked at before create, and a
// start of the engine to ask for its version costs more than most commands.
func (e *Engine) home(ctx context.Context, host string) (string, error) {
	if e.top.Engine.Home != "" && e.top.Engine.Package == "" {
		return e.top.Engine.Home, nil
	}
	h, err := e.Fleet.Greenplum(ctx, host)
	return h.Dir, err
}

// Version is the engine's major version on the coordinator's host.
func (e *Engine) Version(ctx context.Context) (string, error) {
	h, err := e.Fleet.Greenplum(ctx, e.coordinator().Host)
	if err != nil {
		if e.top.Engine.Package != "" {
			return cluster.GreenplumMajor, nil // it is installed by a step
		}
		return "", err
	}
	major, _, _ := strings.Cut(h.Version, ".")
	return major, nil
}

// Checks are the engine's own checks of a host: hostprep has them all, since
// they compare hosts.
func (e *Engine) Checks(context.Context, string) []hostprep.Check { return nil }

// softwareStep installs engine.package on a host.
func (e *Engine) softwareStep(host string) step.Step {
	return step.Step{
		ID: "software@" + host, Host: host, Title: "install " + e.top.Engine.Package, Needs: []string{"user@" + host},
		Check: func(ctx context.Context) (step.Observed, error) {
			h, err := e.Fleet.Greenplum(ctx, host)
			if isMissing(err) {
				return step.Observed{Note: "not installed"}, nil
			}
			return step.Observed{Done: err == nil, Note: h.String()}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			return e.Fleet.InstallGreenplum(ctx, host)
		},
	}
}

// confOf writes settings as lines of postgresql.conf, with their reasons.
func confOf(list []cluster.Setting) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "# %s\n%s", s.Reason, confLine(s.Name, s.Value))
	}
	return b.String()
}
