package commands

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
	"cw/fault"
)

// manager is the cluster verbs over this command's store and connections.
func (a *App) manager(ctx context.Context) (*manage.Manager, error) {
	store, err := a.openStore(ctx)
	if err != nil {
		return nil, err
	}
	return &manage.Manager{Store: store, Pool: a.pool, Dir: a.Paths.ClusterDir}, nil
}

// changeOptions are the flags of every verb that changes a cluster.
type changeOptions struct {
	dryRun bool
	yes    bool
}

func (o *changeOptions) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show the plan and change nothing")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	c.Annotations = mutating()
}

// loadTopology reads -f FILE.
func (a *App) loadTopology(file string) (*cluster.Topology, error) {
	if file == "-" {
		name, data, err := readFileArg(a.IO, file)
		if err != nil {
			return nil, err
		}
		return cluster.Parse(name, data)
	}
	return cluster.Load(file)
}

// topologyOf is that of a cluster's name, or of -f FILE where there is none.
func (a *App) topologyOf(ctx context.Context, m *manage.Manager, name, file string) (*cluster.Topology, error) {
	if name == "" {
		return a.loadTopology(file)
	}
	top, _, err := m.Topology(ctx, name)
	return top, err
}

// change shows an operation's plan, asks, and runs it. ran is false when there
// was nothing to do or --dry-run was given.
func (a *App) change(ctx context.Context, op *manage.Operation, o changeOptions, ask func(step.View) error) (ran bool, err error) {
	if op.Nothing != "" {
		a.infof("%s", op.Nothing)
		return false, nil
	}
	view, err := op.Look(ctx)
	if err != nil {
		return false, err
	}
	var sizing *cluster.Sizing
	if op.Verb == manage.VerbCreate || op.Verb == manage.VerbExpand {
		if s, err := op.Sizing(ctx); err == nil { // hosts that do not answer are the checks' and the steps' affair
			sizing = &s
		}
	}
	if o.dryRun {
		return false, a.printPlan(view, sizing)
	}
	if !a.flags.quiet {
		if err := a.writePlan(a.IO.Err, view); err != nil {
			return false, err
		}
		if sizing != nil && sizing.Segments > 0 {
			a.infof("%s", sizingLine(*sizing))
		}
	}
	if view.Pending > 0 {
		if err := ask(view); err != nil {
			return false, err
		}
	}
	p := a.newProgress()
	show := stepProgress{p: p, running: map[string]bool{}}
	out, err := op.Run(ctx, show.event)
	p.Close()
	for _, l := range out.Left {
		a.warnf("%s", l)
	}
	if err != nil {
		return true, err
	}
	a.infof("%s %s: %d steps done, %d were done already, in %s", op.Verb, op.Cluster, len(out.Summary.Done), len(out.Summary.Skipped), out.Took.Round(100*time.Millisecond))
	return true, nil
}

// changeAsk is change with the usual question.
func (a *App) changeAsk(ctx context.Context, op *manage.Operation, o changeOptions) (bool, error) {
	return a.change(ctx, op, o, func(v step.View) error {
		return a.confirm(ctx, fmt.Sprintf("%s cluster %s?", op.Verb, op.Cluster), o.yes)
	})
}

// plan is the JSON of a plan; with a sizing for verbs that make nodes.
type plan struct {
	step.View
	Sizing *cluster.Sizing `json:"sizing,omitempty"`
}

// printPlan prints a plan as the result of the command.
func (a *App) printPlan(v step.View, sizing *cluster.Sizing) error {
	if f := a.flags.output; f == "table" || f == "wide" {
		if err := a.writePlan(a.IO.Out, v); err != nil || sizing == nil || sizing.Memory == 0 {
			return err
		}
		if _, err := fmt.Fprintln(a.IO.Out); err != nil {
			return err
		}
		return writeSizing(a.IO.Out, *sizing, f == "wide")
	}
	t := table{cols: cols("STEP", "HOST", "TITLE", "STATE", "OBSERVED", "DESTRUCTIVE")}
	for _, s := range v.Steps {
		t.add(s.ID, s.Host, s.Title, s.State, s.Observed, fmt.Sprint(s.Destructive))
	}
	return a.print(object("Plan", plan{v, sizing}), t)
}

// stepProgress turns the events of a run into lines. The runner calls it from
// one goroutine.
type stepProgress struct {
	p       *progress
	running map[string]bool
	ended   int
}

// stepEvent is a step's event in --progress json.
type stepEvent struct {
	Event    string  `json:"event"` // step
	Step     string  `json:"step"`
	Host     string  `json:"host,omitempty"`
	Title    string  `json:"title"`
	State    string  `json:"state"`
	Observed string  `json:"observed,omitempty"`
	Error    string  `json:"error,omitempty"`
	Undone   bool    `json:"undone,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	Index    int     `json:"index"`
	Total    int     `json:"total"`
}

func (s *stepProgress) event(e step.Event) {
	v := stepEvent{
		Event: "step", Step: e.Step.ID, Host: e.Step.Host, Title: e.Step.Title, State: e.State, Observed: e.Observed,
		Undone: e.Undone, Seconds: e.Duration.Seconds(), Index: e.Index + 1, Total: e.Total,
	}
	if e.Err != nil {
		v.Error = redact(e.Err.Error())
	}
	where := e.Step.Host
	if where == "" {
		where = "this machine"
	}
	if e.State == step.Said {
		if text := fmt.Sprintf("%s: %s", where, redact(e.Observed)); s.p.mode == "tty" {
			s.p.Status(text, nil) // hundreds of lines would bury the steps
		} else {
			v.Observed = redact(e.Observed)
			s.p.Event(text, v)
		}
		return
	}
	if e.State == step.Running {
		s.running[where+": "+e.Step.Title] = true
		s.status(e.Total)
		return
	}
	delete(s.running, where+": "+e.Step.Title)
	s.ended++
	text := fmt.Sprintf("[%d/%d] %s: %s: %s", s.ended, e.Total, where, e.Step.Title, e.State)
	switch e.State {
	case step.Skipped:
		text = fmt.Sprintf("[%d/%d] %s: %s: was done already", s.ended, e.Total, where, e.Step.Title)
	case step.Blocked:
		text += ", since " + e.Observed
	default:
		text += fmt.Sprintf(" (%.1f s)", e.Duration.Seconds())
	}
	if e.Undone {
		text += ", undone"
	}
	s.p.Event(text, v)
	s.status(e.Total)
}

func (s *stepProgress) status(total int) {
	text := fmt.Sprintf("%d of %d steps", s.ended, total)
	n := 0
	for r := range s.running {
		if n++; n > 2 {
			text += fmt.Sprintf(", and %d more", len(s.running)-2)
			break
		}
		text += ", " + r
	}
	s.p.Status(text, nil)
}

// nameOrFile resolves the two ways to say which cluster: -f FILE the first
// time, its name afterwards.
func nameOrFile(file string, args []string) (name string, err error) {
	switch {
	case file != "" && len(args) > 0:
		return "", usagef("give one of them", "both a file (%s) and a name (%s) were given", file, args[0])
	case file == "" && len(args) == 0:
		return "", usagef("add -f cluster.yaml, or the name of a cluster that exists (cw cluster list)", "no cluster was named")
	case len(args) > 0:
		if _, err := os.Stat(args[0]); err == nil && !cluster.ValidName(args[0]) {
			return "", usagef("add -f: -f "+args[0], "%q is a file, not the name of a cluster", args[0])
		}
		return args[0], nil
	}
	return "", nil
}

func degraded(state string) error {
	switch state {
	case cluster.Up:
		return nil
	case cluster.Degraded:
		return silent(fault.Degraded)
	case cluster.Unknown:
		return silent(fault.Unreachable)
	default:
		return silent(fault.Failed)
	}
}
