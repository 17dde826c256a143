package manage

import (
	"context"
	"fmt"
	"slices"

	"cw/cluster/hostprep"
	"cw/state"
)

// checked writes the event of checks that failed. Whether it can be written
// changes nothing about what was found.
func (m *Manager) checked(ctx context.Context, name string, r hostprep.Report) {
	failed := r.Failed()
	if len(failed) == 0 || ctx.Err() != nil {
		return
	}
	var lines, hosts []string
	for _, c := range failed {
		lines, hosts = append(lines, c.String()), append(hosts, c.Host)
	}
	e := state.Event{
		Kind: state.EventCheckFailed, Cluster: name, Data: map[string]any{"failed": lines, "by": m.Store.Who()},
		Message: fmt.Sprintf("a required check of cluster %s failed: %s", name, firstLine(lines[0])),
	}
	if len(failed) > 1 {
		e.Message = fmt.Sprintf("%d required checks of cluster %s failed, first: %s", len(failed), name, firstLine(lines[0]))
	}
	if slices.Sort(hosts); hosts[0] == hosts[len(hosts)-1] {
		e.Host = hosts[0]
	}
	_ = m.Store.AddEvent(ctx, e)
}
