package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/schema"
)

// manyNodes is how many nodes of segments a status lists when something is
// wrong with some of them; of more, only those.
const manyNodes = 32

// byContent orders nodes as people count them: coordinator, standby, then the
// segments, of each the node that should be its primary first.
func byContent(nodes []cluster.NodeStatus) []cluster.NodeStatus {
	rank := func(n cluster.NodeStatus) int {
		if n.PreferredRole == cluster.NodePrimary || n.PreferredRole == cluster.NodeCoordinator {
			return 0
		}
		return 1
	}
	out := slices.Clone(nodes)
	slices.SortStableFunc(out, func(a, b cluster.NodeStatus) int {
		if a.Content >= 0 || b.Content >= 0 {
			return cmp.Or(cmp.Compare(a.Content, b.Content), cmp.Compare(rank(a), rank(b)))
		}
		return 0
	})
	return out
}

// shownNodes are the nodes a person wants to see, and how many are left out.
func shownNodes(st cluster.Status, wide bool) (shown []cluster.NodeStatus, hidden int) {
	nodes := byContent(st.Nodes)
	segments, wrong := 0, 0
	for _, n := range nodes {
		if n.Content < 0 {
			continue
		}
		segments++
		if unwell(n) {
			wrong++
		}
	}
	if wide || segments == 0 || wrong > 0 && segments <= manyNodes {
		return nodes, 0
	}
	for _, n := range nodes {
		if n.Content < 0 || unwell(n) {
			shown = append(shown, n)
		}
	}
	if wrong > 0 {
		hidden = len(nodes) - len(shown)
	}
	return shown, hidden
}

// unwell says whether a node of a segment is not as it should be.
func unwell(n cluster.NodeStatus) bool {
	return n.State != cluster.NodeUp || n.Role != n.PreferredRole || n.Mode == cluster.ModeNotSync
}

// statusTable has a row for each node. Columns that would be empty or the
// same in all rows are left out for engines that do not have them.
func statusTable(st cluster.Status, nodes []cluster.NodeStatus) table {
	hosts := map[string]cluster.HostStatus{}
	for _, h := range st.Hosts {
		hosts[h.Name] = h
	}
	segments := slices.ContainsFunc(st.Nodes, func(n cluster.NodeStatus) bool { return n.Content >= 0 })
	since := slices.ContainsFunc(nodes, func(n cluster.NodeStatus) bool { return n.DownSince != nil })
	t := table{}
	row := func(n cluster.NodeStatus, cell func(name, value string)) {
		cell("NODE", n.ID)
		if segments {
			cell("CONTENT", fmt.Sprint(n.Content))
		}
		cell("ROLE", n.Role)
		if segments {
			cell("PREFERRED", n.PreferredRole)
		}
		h := hosts[n.Host]
		cell("HOST", n.Host)
		cell("+ADDRESS", h.Address)
		cell("PORT", fmt.Sprint(n.Port))
		cell("STATE", n.State)
		cell("MODE", n.Mode)
		if since {
			cell("DOWN SINCE", rfc3339(n.DownSince))
		}
		lag, free := "", ""
		if n.LagBytes != nil {
			lag = schema.FormatSize(*n.LagBytes)
		}
		if h.Disk != nil {
			free = fmt.Sprintf("%s of %s", schema.FormatSize(h.Disk.Free), schema.FormatSize(h.Disk.Size))
		}
		cell("LAG", lag)
		cell("DISK FREE", free)
		cell("+DATA DIR", n.DataDir)
	}
	var names []string
	row(cluster.NodeStatus{}, func(name, _ string) { names = append(names, name) })
	t.cols = cols(names...)
	for _, n := range nodes {
		var cells []string
		row(n, func(_, value string) { cells = append(cells, value) })
		t.add(cells...)
	}
	return t
}

func rfc3339(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// segmentLine counts the nodes of segments; "" without segments.
func segmentLine(nodes []cluster.NodeStatus) string {
	var primaries, mirrors, synced, swapped, down int
	contents := map[int]bool{}
	var since *time.Time
	for _, n := range nodes {
		if n.Content < 0 {
			continue
		}
		contents[n.Content] = true
		up := n.State == cluster.NodeUp
		switch {
		case n.Role == cluster.NodePrimary && up:
			primaries++
		case n.Role == cluster.NodeMirror && up && n.Mode == cluster.ModeSync:
			synced++
		}
		if n.PreferredRole == cluster.NodeMirror {
			mirrors++
		}
		if n.Role != n.PreferredRole {
			swapped++
		}
		if !up {
			down++
			if n.DownSince != nil && (since == nil || n.DownSince.Before(*since)) {
				since = n.DownSince
			}
		}
	}
	if len(contents) == 0 {
		return ""
	}
	parts := []string{ofAll(primaries, len(contents), "primaries up"), "no mirrors"}
	if mirrors > 0 {
		parts[1] = ofAll(synced, mirrors, "mirrors in sync")
	}
	if swapped > 0 {
		parts = append(parts, fmt.Sprintf("%d nodes not in their preferred role", swapped))
	}
	if down > 0 {
		text := fmt.Sprintf("%d not up", down)
		if since != nil {
			text += ", the first since " + rfc3339(since)
		}
		parts = append(parts, text)
	}
	return "segments: " + strings.Join(parts, "; ")
}

// ofAll is "8 primaries up", or "7 of 8 primaries up".
func ofAll(n, all int, what string) string {
	if n == all {
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d of %d %s", n, all, what)
}
