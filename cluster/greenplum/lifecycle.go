package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// Start starts the acting primaries, the mirrors, the coordinator and then the
// standby. A former primary that the coordinator holds for down is left
// alone: only a recovery may start it.
func (e *Engine) Start() ([]step.Step, error) {
	steps, started := e.startSegments(nil)
	c := e.coordinator()
	s := e.startNodeStep(c)
	s.After = started // it starts without a segment whose mirror has taken over
	steps = append(steps, s)
	if n, ok := e.standby(); ok {
		steps = append(steps, e.startNodeStep(n, "start@"+c.Name()))
	}
	return steps, nil
}

// Stop stops the coordinator, then the standby, then the segments that take
// writes, then their mirrors, which have all WAL by then; immediate stops all
// at once. What cannot be stopped does not keep the rest running.
func (e *Engine) Stop(mode cluster.StopMode) ([]step.Step, error) {
	return e.stopSteps(mode, ""), nil
}

func (e *Engine) stopSteps(mode cluster.StopMode, token string) []step.Step {
	c := e.coordinator()
	steps := []step.Step{e.stopStep("stop@"+c.Name(), c.Host, []cluster.Node{c}, mode, token, false)}
	before := []string{"stop@" + c.Name()}
	if n, ok := e.standby(); ok {
		m := mode
		if m == cluster.Smart {
			m = cluster.Fast // nobody can be connected to it
		}
		s := e.stopStep("stop@"+n.Name(), n.Host, []cluster.Node{n}, m, token, false)
		if mode != cluster.Immediate {
			s.After = before
		}
		steps = append(steps, s)
	}
	var acting []string
	for _, h := range e.segmentHosts() {
		if mode != cluster.Immediate && len(e.segments(h)) > 0 {
			s := e.stopStep("stop-primaries@"+h, h, e.segments(h), mode, token, true)
			s.Title, s.After = "stop the acting primaries ("+string(mode)+")", before
			steps = append(steps, s)
			acting = append(acting, s.ID)
		}
	}
	for _, h := range e.segmentHosts() {
		m := mode
		if m == cluster.Smart {
			m = cluster.Fast
		}
		s := e.stopStep("stop@"+h, h, e.segments(h), m, token, false)
		s.After = acting
		steps = append(steps, s)
	}
	return steps
}

func (e *Engine) stopStep(id, host string, nodes []cluster.Node, mode cluster.StopMode, token string, acting bool) step.Step {
	return step.Step{
		ID: id, Host: host, Title: fmt.Sprintf("stop %s (%s)", names(nodes), mode),
		Check: func(ctx context.Context) (step.Observed, error) {
			left := 0
			for _, n := range nodes {
				s, err := e.see(ctx, n)
				if err != nil {
					return step.Observed{}, err
				}
				if acting && s.Follower || token != "" && s.Restart {
					continue
				}
				if s.Proc != procStopped || token != "" && s.Data {
					left++
				}
			}
			return step.Observed{Done: left == 0, Note: fmt.Sprintf("%d of %d run", left, len(nodes))}, nil
		},
		Apply:  func(ctx context.Context) error { return e.stop(ctx, host, nodes, mode, token, acting) },
		Verify: verified,
	}
}

// Restart stops everything and starts it. What this run stopped already is
// noted beside the data, so that a resumed restart interrupts nobody twice.
func (e *Engine) Restart(mode cluster.StopMode) ([]step.Step, error) {
	steps := e.stopSteps(mode, e.Run)
	var stopped []string
	for _, s := range steps {
		stopped = append(stopped, s.ID)
	}
	start, err := e.Start()
	for i := range start {
		if len(start[i].Needs)+len(start[i].After) == 0 {
			start[i].After = stopped
		}
	}
	return append(steps, start...), err
}

// Reload has all nodes read their configuration files again.
func (e *Engine) Reload() ([]step.Step, error) {
	var steps []step.Step
	for _, h := range e.hosts() {
		steps = append(steps, step.Step{
			ID: "reload@" + h, Host: h, Title: "reload the configuration of " + names(e.lay.On(h)),
			Check: func(context.Context) (step.Observed, error) { return step.Observed{Note: "to be reloaded"}, nil },
			Apply: func(ctx context.Context) error { return e.reload(ctx, h, e.lay.On(h)) }, Verify: verified,
		})
	}
	return steps, nil
}

// reload sends SIGHUP to the nodes of a host that run.
func (e *Engine) reload(ctx context.Context, host string, nodes []cluster.Node) error {
	args := []string{}
	for _, n := range nodes {
		args = append(args, n.DataDir)
	}
	_, err := e.sh(ctx, host, aliveScript+`for d in "$@"; do
  if alive "$d"; then kill -HUP "$pid"; fi
done`, args...)
	return err
}

// startable refuses to start what must not run: a coordinator's data
// directory in the place of a standby, which would be a second coordinator,
// and one that pg_rewind left half-way.
func (e *Engine) startable(ctx context.Context, n cluster.Node) error {
	s, err := e.see(ctx, n)
	if err != nil {
		return err
	}
	recover := "cw cluster recover " + e.top.Name
	switch {
	case !s.Data:
		return fault.New(fault.Failed, recover, "%s: node %s has no data directory %s", n.Host, n.Name(), n.DataDir)
	case s.Rewound:
		return fault.New(fault.Failed, recover, "%s: the recovery of node %s was interrupted: its data directory %s must not be started", n.Host, n.Name(), n.DataDir)
	case n.Role == cluster.NodeStandby && !s.Follower:
		return fault.New(fault.Failed, recover, "%s: node %s is the standby, but its data directory is a coordinator's: it is not started, or there would be two", n.Host, n.Name())
	case n.Role == cluster.NodeCoordinator:
		return e.succeeded(ctx, n)
	}
	return nil
}

// succeeded fails when the standby has taken over from the coordinator without
// our records saying so: a run was killed, or the stock tools did it. Both
// data directories are a coordinator's then; the one of the later timeline is.
func (e *Engine) succeeded(ctx context.Context, c cluster.Node) error {
	n, ok := e.standby()
	if !ok {
		return nil
	}
	s, err := e.see(ctx, n)
	if err != nil || !s.Data || s.Follower {
		return nil //nolint:nilerr // a standby's host that is away keeps no cluster from starting
	}
	own, err := e.timeline(ctx, c)
	if err != nil {
		return err
	}
	other, err := e.timeline(ctx, n)
	if err != nil || other <= own {
		return err
	}
	return fault.New(fault.Failed, fmt.Sprintf("cw cluster promote %s --node %s", e.top.Name, n.Name()),
		"%s: node %s is not started: %s on %s has taken over as the coordinator (timeline %d, after %d)", c.Host, c.Name(), n.Name(), n.Host, other, own)
}

// timeline reads a node's timeline from its control file.
func (e *Engine) timeline(ctx context.Context, n cluster.Node) (int, error) {
	out, err := e.sh(ctx, n.Host, `pg_controldata "$1" | sed -n "s/^Latest checkpoint's TimeLineID: *//p"`, n.DataDir)
	if err != nil {
		return 0, err
	}
	tli, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("%s: reading the timeline of %s: %w", n.Host, n.DataDir, err)
	}
	return tli, nil
}

// Logs returns the last lines of a node's server log.
func (e *Engine) Logs(ctx context.Context, n cluster.Node, lines int) (string, error) {
	return e.sh(ctx, n.Host, `cd "$1/pg_log" || exit 1
f=$(ls -t -- *.csv 2>/dev/null | head -n 1)
[ "$f" ] || f=startup.log
tail -n "$2" -- "$f"`, n.DataDir, fmt.Sprint(lines))
}

// clean is for log and error texts of one line.
func clean(s string) string { return strings.Join(strings.Fields(s), " ") }
