package tui

import (
	"strconv"
	"strings"
)

// problems is what needs somebody, over all views: the first thing that the
// overview says.
func (a *App) problems() []string {
	out := a.snap.Cluster.Problems
	out = out[:len(out):len(out)] // the snapshot's own stays as it is
	known := len(out)
	// The cluster's list may have the host already, in words of its own.
	said := func(host string) bool {
		for _, p := range out[:known] {
			if strings.HasPrefix(p, host+":") || strings.HasPrefix(p, host+" ") || strings.HasPrefix(p, "host "+host) {
				return true
			}
		}
		return false
	}
	for i := range a.snap.Hosts.Items {
		h := &a.snap.Hosts.Items[i]
		if age, old := stale(h, a.c.now); old && !said(h.Name) {
			why := h.Err
			if why == "" {
				why = "no sample"
			}
			if h.SampledAt.IsZero() {
				out = append(out, h.Name+": "+why)
			} else {
				out = append(out, string(appendSpan([]byte(h.Name+": "+why+", last sample "), age))+" ago")
			}
		}
		for _, m := range h.Mounts {
			if used := share(m.Used, m.Size); used >= 0.9 {
				out = append(out, h.Name+": "+m.Path+" is "+string(appendPercent(nil, used))+" full")
			}
		}
		if used := share(h.MemUsed, h.MemTotal); used >= 0.95 {
			out = append(out, h.Name+": memory is "+string(appendPercent(nil, used))+" used")
		}
	}
	for i := range a.snap.Sessions.Items {
		s := &a.snap.Sessions.Items[i]
		if len(s.BlockedBy) == 0 {
			continue
		}
		text := "session " + strconv.Itoa(s.PID) + " waits for " + string(appendPIDs(nil, s.BlockedBy))
		if t := sessionStart(s); !t.IsZero() {
			text = string(appendAgo([]byte(text+" since "), &a.c, t))
		}
		out = append(out, text+" (5: C cancels a query)")
		if a.sum.waiting > 1 {
			out[len(out)-1] = strconv.Itoa(a.sum.waiting) + " sessions wait for another one (5, f2)"
			break
		}
	}
	for i := range a.snap.Loads.Items {
		if l := &a.snap.Loads.Items[i]; l.Error != "" || l.State == "failed" {
			out = append(out, "load "+l.ID+" "+l.State+": "+l.Error)
		}
	}
	return out
}
