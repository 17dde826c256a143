package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"cw/cluster"
	"cw/monitor"
	"cw/monitor/inspect"
	"cw/schema"
	"cw/state"
)

// The bounds of what the report finds itself.
const (
	diskWarn      = 0.85
	diskCritical  = 0.95
	forecastWarn  = 30 * 24 * time.Hour
	forecastWorst = 3 * 24 * time.Hour
)

// Own are the rules of the report itself, as a list shows them.
func Own() []inspect.Rule {
	bound := func(v float64) *float64 { return &v }
	rule := func(name, title string, severity inspect.Severity) inspect.Rule {
		return inspect.Rule{Name: name, Title: title, Scope: inspect.Cluster, Severity: severity, File: "cw itself"}
	}
	all := []inspect.Rule{
		rule(monitor.ClusterDown, "The cluster is down", inspect.Critical),
		rule(monitor.ClusterUnknown, "Nobody answers for the cluster", inspect.Critical),
		rule(monitor.HostSilent, "Host that does not answer", inspect.Critical),
		rule(monitor.NodeDown, "Node that is down", inspect.Critical),
		rule(monitor.NodeSync, "Node that does not follow", inspect.Warning),
	}
	for _, r := range []inspect.Rule{
		{Name: monitor.DiskFull, Title: "Disk that is nearly full", Unit: inspect.Share, Warn: bound(diskWarn), Critical: bound(diskCritical)},
		{Name: monitor.DiskForecast, Title: "Disk that will be full soon", Unit: inspect.Seconds, Below: true, Warn: bound(forecastWarn.Seconds()), Critical: bound(forecastWorst.Seconds())},
		{Name: ruleBackup, Title: "The newest backup is old", Unit: inspect.Seconds, Warn: bound(oldBackup.Seconds()), Critical: bound(goneBackup.Seconds())},
	} {
		r.Scope, r.File = inspect.Cluster, "cw itself"
		all = append(all, r)
	}
	return all
}

// own adds what no question in SQL can find: states, hosts, disks, backups.
// They bear the names that a monitor's alerts have.
func (b *builder) own() {
	if b.wants(SectionHealth) {
		b.ownHealth()
	} else {
		b.r.Health = nil // it was asked for the version only
	}
	if b.r.Capacity != nil {
		for _, h := range b.r.Capacity.Hosts {
			for _, m := range h.Mounts {
				b.ownMount(h.Name, m)
			}
		}
	}
	b.ownBackup()
	slices.SortStableFunc(b.r.Findings, func(x, y inspect.Finding) int { return cmp.Compare(rank(y.Severity), rank(x.Severity)) })
}

func (b *builder) add(f inspect.Finding) {
	if !b.skipped(f.Rule) && b.wants(SectionFindings) {
		b.r.Findings = append(b.r.Findings, f)
	}
}

func (b *builder) ownHealth() {
	h := b.r.Health
	if h == nil {
		return
	}
	status := "cw cluster status " + b.o.Cluster
	switch h.State {
	case cluster.Down:
		b.add(inspect.Finding{Rule: monitor.ClusterDown, Title: "The cluster is down", Severity: inspect.Critical, Object: b.o.Cluster, Text: first(h.Problems), Remedy: "cw cluster start " + b.o.Cluster})
	case cluster.Unknown:
		b.add(inspect.Finding{Rule: monitor.ClusterUnknown, Title: "Nobody answers for the cluster", Severity: inspect.Critical, Object: b.o.Cluster, Text: first(h.Problems), Remedy: status})
	}
	for _, host := range h.Hosts {
		if !host.Reachable {
			b.add(inspect.Finding{Rule: monitor.HostSilent, Title: "Host that does not answer", Severity: inspect.Critical, Object: host.Name, Text: b.o.Redact(host.Error), Remedy: status})
		}
	}
	for _, n := range h.Nodes {
		at := fmt.Sprintf("%s (%s) on %s:%d", n.ID, n.Role, n.Host, n.Port)
		switch {
		case n.State == cluster.NodeDown || n.State == cluster.NodeAbsent:
			b.add(inspect.Finding{Rule: monitor.NodeDown, Title: "Node that is down", Severity: inspect.Critical, Object: at, Text: b.o.Redact(cmp.Or(n.Detail, n.State)), Remedy: "cw cluster recover " + b.o.Cluster})
		case n.Mode == cluster.ModeDetached || n.Mode == cluster.ModeNotSync:
			b.add(inspect.Finding{Rule: monitor.NodeSync, Title: "Node that does not follow", Severity: inspect.Warning, Object: at, Text: n.Mode, Remedy: "cw cluster recover " + b.o.Cluster})
		}
	}
}

func (b *builder) ownMount(host string, m Mount) {
	object := host + ":" + m.Path
	total := float64(m.Used + m.Free)
	if total <= 0 {
		return
	}
	share := float64(m.Used) / total
	if share >= diskWarn {
		severity := inspect.Warning
		if share >= diskCritical {
			severity = inspect.Critical
		}
		b.add(inspect.Finding{
			Rule: monitor.DiskFull, Title: "Disk that is nearly full", Severity: severity, Object: object, Value: &share, Unit: inspect.Share,
			Text: fmt.Sprintf("%.0f %% in use, %s free", 100*share, schema.FormatSize(m.Free)), Remedy: "make room, or a larger disk: cw cluster expand " + b.o.Cluster + " adds hosts",
		})
	}
	f := m.Forecast
	if f.FullAt == nil {
		return
	}
	left := f.FullAt.Sub(b.o.Now)
	if left > forecastWarn || f.Confidence == Low && left > forecastWorst {
		return
	}
	severity := inspect.Warning
	if left <= forecastWorst {
		severity = inspect.Critical
	}
	v := max(0, left.Seconds())
	b.add(inspect.Finding{
		Rule: monitor.DiskForecast, Title: "Disk that will be full soon", Severity: severity, Object: object, Value: &v, Unit: inspect.Seconds,
		Text:   fmt.Sprintf("full on %s at %s a day (confidence: %s)", f.FullAt.UTC().Format(time.DateOnly), rate(*f.BytesPerDay), f.Confidence),
		Remedy: "make room before, or a larger disk: cw cluster expand " + b.o.Cluster + " adds hosts",
	})
}

// summarise counts, and says how bad it is as a whole.
func (r *Report) summarise() {
	s := Summary{}
	for _, f := range r.Findings {
		switch f.Severity {
		case inspect.Critical:
			s.Critical++
		case inspect.Warning:
			s.Warning++
		case inspect.Notice:
			s.Notice++
		}
	}
	worst := ""
	for _, a := range r.Alerts {
		if a.ResolvedAt.IsZero() {
			s.Firing++
			if worst != state.Critical {
				worst = a.Severity
			}
		}
	}
	health := ""
	if r.Health != nil {
		health = r.Health.State
	}
	switch {
	case s.Critical > 0 || worst == state.Critical || health == cluster.Down:
		s.Verdict = Critical
	case s.Warning > 0 || worst != "" || health != "" && health != cluster.Up || r.lacks(SectionHealth) || r.lacks(SectionFindings):
		s.Verdict = Attention
	default:
		s.Verdict = OK
	}
	r.Summary = s
}

// lacks tells whether a whole section could not be had.
func (r *Report) lacks(section string) bool {
	return slices.ContainsFunc(r.Missing, func(m Missing) bool { return m.Section == section && m.Database == "" })
}

// Worst is the worst severity of the findings; "" is none.
func (r *Report) Worst() inspect.Severity {
	if len(r.Findings) == 0 {
		return ""
	}
	return r.Findings[0].Severity
}

func rank(s inspect.Severity) int {
	return slices.Index([]inspect.Severity{inspect.Notice, inspect.Warning, inspect.Critical}, s)
}

// AtLeast tells whether there is a finding of this severity or a worse one.
func (r *Report) AtLeast(s inspect.Severity) bool {
	return slices.ContainsFunc(r.Findings, func(f inspect.Finding) bool { return rank(f.Severity) >= rank(s) })
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// days writes a time as whole days, or hours.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}
