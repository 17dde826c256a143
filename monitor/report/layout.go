package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"cw/schema"
	"cw/state"
)

// part is a section as every printer shows it: a table with remarks.
type part struct {
	ID, Title string
	Notes     []string
	Cols      []string // a > before the name puts the column to the right
	Rows      [][]string
	Why       []string // why it, or some of it, is missing
}

// parts are the sections beside verdict and findings, in their order.
func (r *Report) parts() []part {
	all := []part{r.healthPart(), r.diskPart(), r.databasePart(), r.tablePart(), r.queryPart(), r.settingPart(), r.rolePart(), r.backupPart(), r.loadPart(), r.alertPart()}
	var out []part
	for _, p := range all {
		if len(p.Rows)+len(p.Notes)+len(p.Why) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// why are the reasons for what is missing of a section.
func (r *Report) why(section string) []string {
	var out []string
	for _, m := range r.Missing {
		if m.Section != section {
			continue
		}
		if m.Database != "" {
			out = append(out, "database "+m.Database+": "+m.Reason)
		} else {
			out = append(out, m.Reason)
		}
	}
	return out
}

func (r *Report) healthPart() part {
	p := part{ID: SectionHealth, Title: "Health", Cols: []string{"NODE", "ROLE", "HOST", ">PORT", "STATE", "MODE", ">LAG"}, Why: r.why(SectionHealth)}
	if r.Health == nil {
		return p
	}
	for _, n := range r.Health.Nodes {
		lag := ""
		if n.LagBytes != nil {
			lag = schema.FormatSize(*n.LagBytes)
		}
		p.Rows = append(p.Rows, []string{n.ID, n.Role, n.Host, strconv.Itoa(n.Port), n.State, n.Mode, lag})
	}
	p.Notes = append(p.Notes, r.Health.Problems...)
	for _, h := range r.Health.Hosts {
		if !h.Reachable {
			p.Notes = append(p.Notes, "host "+h.Name+" ("+h.Address+") does not answer: "+h.Error)
		}
	}
	return p
}

func (r *Report) diskPart() part {
	p := part{ID: SectionCapacity, Title: "Disks", Cols: []string{"HOST", "MOUNT", ">SIZE", ">USED", ">FREE", ">A DAY", "FULL ON", "CONFIDENCE"}}
	if r.Capacity == nil {
		return p
	}
	for _, h := range r.Capacity.Hosts {
		for _, m := range h.Mounts {
			perDay, full := "", m.Forecast.WhyNot
			if m.Forecast.BytesPerDay != nil {
				perDay = signed(*m.Forecast.BytesPerDay)
			}
			if m.Forecast.FullAt != nil {
				full = m.Forecast.FullAt.UTC().Format(time.DateOnly)
			}
			p.Rows = append(p.Rows, []string{h.Name, m.Path, schema.FormatSize(m.Size), percent(m.share()), schema.FormatSize(m.Free), perDay, full, m.Forecast.Confidence})
		}
	}
	return p
}

func (m Mount) share() float64 {
	if m.Used+m.Free == 0 {
		return 0
	}
	return float64(m.Used) / float64(m.Used+m.Free)
}

func (r *Report) databasePart() part {
	p := part{ID: "databases", Title: "Databases", Cols: []string{"DATABASE", ">SIZE", ">A DAY", "REMARK"}, Why: r.why(SectionCapacity)}
	if r.Capacity == nil {
		return p
	}
	for _, d := range r.Capacity.Databases {
		perDay := ""
		if d.GrowthPerDay != nil {
			perDay = signed(*d.GrowthPerDay)
		}
		p.Rows = append(p.Rows, []string{d.Name, schema.FormatSize(d.Size), perDay, d.WhyNot})
	}
	return p
}

func (r *Report) tablePart() part {
	p := part{ID: SectionTables, Title: "Largest tables", Cols: []string{"DATABASE", "TABLE", "KIND", ">SIZE", ">INDEXES", ">TOAST", ">ROWS", ">PARTS", ">SKEW"}, Why: r.why(SectionTables)}
	for _, t := range r.Tables {
		skew, parts, rows := "", "", "?"
		if t.Rows != nil {
			rows = strconv.FormatFloat(*t.Rows, 'f', 0, 64)
		}
		if t.Skew != nil {
			skew = strconv.FormatFloat(*t.Skew, 'f', 2, 64)
		}
		if t.Partitions > 0 {
			parts = strconv.Itoa(t.Partitions)
		}
		p.Rows = append(p.Rows, []string{
			t.Database, t.Schema + "." + t.Name, t.Kind, schema.FormatSize(t.Size), schema.FormatSize(t.Indexes), schema.FormatSize(t.Toast),
			rows, parts, skew,
		})
	}
	return p
}

func (r *Report) queryPart() part {
	p := part{ID: SectionQueries, Title: "Queries that take the most time", Cols: []string{">SHARE", ">CALLS", ">MEAN", ">ROWS", ">CACHE", "DATABASE", "QUERY"}, Why: r.why(SectionQueries)}
	for _, q := range r.Queries {
		hit := ""
		if q.HitRatio != nil {
			hit = percent(*q.HitRatio)
		}
		p.Rows = append(p.Rows, []string{percent(q.Share), strconv.FormatInt(q.Calls, 10), seconds(q.MeanSeconds), strconv.FormatInt(q.Rows, 10), hit, q.Database, q.Query})
	}
	return p
}

func (r *Report) settingPart() part {
	p := part{ID: SectionSettings, Title: "Settings", Cols: []string{"SETTING", "VALUE", "WHY", "INSTEAD OF", "WHERE"}, Why: r.why(SectionSettings)}
	for _, s := range r.Settings {
		instead := s.Default
		if s.Profile != "" {
			instead = s.Profile + " (profile)"
		}
		where := s.Source
		if s.Nodes != "" {
			where = strings.TrimSpace(s.Nodes + " " + where)
		}
		p.Rows = append(p.Rows, []string{s.Name, s.Value, s.Reason, instead, where})
	}
	return p
}

func (r *Report) rolePart() part {
	p := part{ID: SectionRoles, Title: "Roles", Cols: []string{"ROLE", "MAY", "PASSWORD", "VALID UNTIL", "MEMBER OF"}, Why: r.why(SectionRoles)}
	for _, o := range r.Roles {
		until := ""
		if o.ValidUntil != nil {
			until = o.ValidUntil.UTC().Format(time.DateOnly)
		}
		p.Rows = append(p.Rows, []string{o.Name, o.may(), o.Password, until, strings.Join(o.MemberOf, ", ")})
	}
	return p
}

// may lists what a role may do.
func (o Role) may() string {
	if o.Superuser {
		if o.Login {
			return "everything, log in"
		}
		return "everything"
	}
	var out []string
	for _, c := range []struct {
		may  bool
		what string
	}{
		{o.Login, "log in"},
		{o.CreateRole, "make roles"},
		{o.CreateDB, "make databases"},
		{o.Replication, "replicate"},
		{o.BypassRLS, "bypass row security"},
	} {
		if c.may {
			out = append(out, c.what)
		}
	}
	return strings.Join(out, ", ")
}

func (r *Report) backupPart() part {
	p := part{ID: SectionBackup, Title: "Backup", Why: r.why(SectionBackup)}
	k := r.Backup
	if k == nil {
		return p
	}
	switch {
	case k.Known:
		p.Notes = append(p.Notes, fmt.Sprintf("The newest known backup was taken on %s, %s ago; known from %s.", clock(*k.Newest), days(time.Duration(*k.AgeSeconds)*time.Second), k.By))
	case len(p.Why) == 0:
		p.Notes = append(p.Notes, "Not known: "+k.WhyNot+".")
	}
	if a := k.Archive; a != nil && a.Mode != "off" {
		text := "The log is archived (archive_mode " + a.Mode + "); nothing has been archived yet"
		if a.LastArchived != nil {
			text = "The log is archived (archive_mode " + a.Mode + "), last on " + clock(*a.LastArchived)
		}
		if a.Failures > 0 {
			text += fmt.Sprintf("; %s", count(int(a.Failures), "failure"))
		}
		p.Notes = append(p.Notes, text+".")
	} else if a != nil {
		p.Notes = append(p.Notes, "The log is not archived (archive_mode off): a backup can only be restored as it was taken.")
	}
	return p
}

func (r *Report) loadPart() part {
	p := part{ID: SectionLoads, Title: "Loads and unloads", Why: r.why(SectionLoads)}
	if l := r.Loads; l != nil && l.Count == 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("None in the last %d days that the store knows.", l.Days))
	} else if l != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("%s in the last %d days (all that the store knows): %d failed, %d running; %s, %d rows, %d rejected.",
			count(l.Count, "job"), l.Days, l.Failed, l.Running, schema.FormatSize(l.Bytes), l.Rows, l.Rejected))
	}
	return p
}

// mostAlerts is how many alerts the printers show; JSON has all of them.
const mostAlerts = 30

func (r *Report) alertPart() part {
	p := part{ID: SectionAlerts, Title: "Alerts of the last 30 days", Cols: []string{"FIRED", "FOR", "SEVERITY", "RULE", "MESSAGE"}, Why: r.why(SectionAlerts)}
	for i, a := range r.Alerts {
		if i == mostAlerts {
			p.Notes = append(p.Notes, fmt.Sprintf("The newest %d of %d are listed.", mostAlerts, len(r.Alerts)))
			break
		}
		p.Rows = append(p.Rows, []string{clock(a.FiredAt), alertLength(a), a.Severity, a.Rule, a.Message})
	}
	return p
}

func alertLength(a state.Alert) string {
	if a.ResolvedAt.IsZero() {
		return "still fires"
	}
	return a.ResolvedAt.Sub(a.BeganAt).Round(time.Second).String()
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

func signed(v float64) string {
	if v > 0 {
		return "+" + rate(v)
	}
	return rate(v)
}

// rate writes bytes a day, which are not known to more than four digits.
func rate(v float64) string {
	if v == 0 {
		return "0B"
	}
	p := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-3)
	return schema.FormatSize(int64(math.Round(v/p) * p))
}

// seconds writes a duration in the unit that fits.
func seconds(s float64) string {
	switch {
	case s < 1e-3:
		return strconv.FormatFloat(s*1e6, 'f', 0, 64) + " us"
	case s < 1:
		return strconv.FormatFloat(s*1e3, 'f', 1, 64) + " ms"
	case s < 120:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	}
	return (time.Duration(s) * time.Second).String()
}
