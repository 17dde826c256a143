package postgres

import (
	"fmt"
	"slices"

	"cw/cluster"
	"cw/fault"
)

// chooseStandby finds the node that is to become the primary.
func (e *Engine) chooseStandby(old view, standbys []view, o cluster.PromoteOptions) (view, error) {
	name := e.top.Name
	if len(standbys) == 0 {
		return view{}, fault.New(fault.Usage, "add one: cw cluster expand "+name+" -f cluster.yaml", "cluster %s has no standby", name)
	}
	if o.Node != "" {
		i := slices.IndexFunc(standbys, func(v view) bool { return v.node.Name() == o.Node })
		if i < 0 {
			return view{}, fault.New(fault.Usage, "cw cluster status "+name, "cluster %s has no standby %q", name, o.Node)
		}
		return standbys[i], e.fit(standbys[i], old, standbys)
	}
	var best *view
	var first error
	acting := 0
	for i, v := range standbys {
		if err := e.fit(v, old, standbys); err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		if v.primary() {
			acting++
		}
		if best == nil || better(v, *best) {
			best = &standbys[i]
		}
	}
	switch {
	case best == nil:
		return view{}, first
	case acting > 1:
		return view{}, fault.New(fault.Usage, "cw cluster promote "+name+" --node "+best.node.Name(), "several standbys of cluster %s take writes: say which one is to be the primary", name)
	}
	return *best, nil
}

// better prefers a node that has taken over already, then one that runs, then
// the one that has received most.
func better(a, b view) bool {
	rank := func(v view) int {
		switch {
		case v.primary():
			return 2
		case v.live != nil:
			return 1
		}
		return 0
	}
	if ra, rb := rank(a), rank(b); ra != rb || ra == 0 {
		return ra > rb
	}
	return a.live.LSN > b.live.LSN
}

// fit fails when a standby cannot become the primary.
func (e *Engine) fit(v, old view, standbys []view) error {
	n := v.node
	unfit := func(why string) error {
		return fault.New(fault.Check, fmt.Sprintf("cw cluster recover %s --host %s, or promote another one", e.top.Name, n.Host),
			"standby %s on %s cannot become the primary: %s", n.Name(), n.Host, why)
	}
	switch {
	case v.host != nil:
		return noAnswer(v, fmt.Sprintf("bring host %s back, or promote another one", n.Host))
	case v.unfinished || v.proc == procNone || v.live == nil && v.proc != procStopped:
		return unfit(v.describe())
	case v.live != nil || v.signal:
		return nil
	}
	// Stopped, and no standby any more: right when a promotion was interrupted
	// and its server has fallen since, wrong for an old primary.
	for _, o := range append([]view{old}, standbys...) {
		if o.node.ID != n.ID && o.host == nil && o.control.tli >= v.control.tli {
			return unfit("it is an old primary")
		}
	}
	return nil
}

// guardPromotion refuses what could end in two primaries, or lose what the
// standby has not received.
func (e *Engine) guardPromotion(old, to view, o cluster.PromoteOptions) error {
	n, name := old.node, e.top.Name
	if to.primary() || old.host == nil && old.signal {
		return nil // it has happened
	}
	again := fmt.Sprintf("cw cluster promote %s --node %s --force", name, to.node.Name())
	switch {
	case old.host != nil && !o.Force:
		heard := ""
		if to.standby() && to.live.Receiver == cluster.ModeStreaming {
			heard = fmt.Sprintf(" (%s has not lost its connection to it yet)", to.node.Name())
		}
		kind := fault.KindOf(old.host)
		if kind == fault.Failed {
			kind = fault.Unreachable
		}
		return fault.New(kind, fmt.Sprintf("make sure that %s is switched off, then: %s", n.Host, again),
			"host %s of primary %s does not answer%s; if the database still runs there, two primaries would both take writes: %w", n.Host, n.Name(), heard, old.host)
	case old.host != nil || o.Force:
		return nil
	case old.primary() && (!to.standby() || old.live.sender(to) != cluster.ModeStreaming):
		return fault.New(fault.Check, fmt.Sprintf("cw cluster recover %s --host %s; or, giving up what it has not received: %s", name, to.node.Host, again),
			"standby %s does not stream from primary %s, and would lack what it has not received", to.node.Name(), n.Name())
	case old.primary(), old.proc == procStopped && old.control.clean():
		return nil
	}
	return fault.New(fault.Check, fmt.Sprintf("cw cluster start %s; if it cannot be started any more: %s", name, again),
		"primary %s on %s was not shut down cleanly (%s): nobody can tell whether %s has received everything", n.Name(), n.Host, old.describe(), to.node.Name())
}
