package commands

import (
	"context"
	"fmt"

	"cw/loadspec"
	"cw/loadspec/run"
	"cw/schema"
)

// unloadPlanDoc is what an unload would do, in JSON.
type unloadPlanDoc struct {
	Database  string      `json:"database"`
	Server    string      `json:"server"`
	Source    string      `json:"source"`
	Columns   []columnDoc `json:"columns"`
	Objects   string      `json:"objects"` // their URL, with * for what tells them apart
	Format    string      `json:"format"`
	Relations []string    `json:"relations"`
	Ranges    int         `json:"ranges"`
	Workers   int         `json:"workers"`
	Segments  int         `json:"segments,omitempty"`
	Snapshot  bool        `json:"snapshot"` // shared by the workers
	OneStream string      `json:"one_stream,omitempty"`
	Bytes     int64       `json:"bytes_estimated"`
	Statement string      `json:"statement"`
	Limit     int64       `json:"limit"`
	Steps     []string    `json:"steps"`
	Warnings  []string    `json:"warnings"`
}

// unloadPlan shows what an unload would do.
func (a *App) unloadPlan(ctx context.Context, u *loadspec.Unload) error {
	p := unloadPlanDoc{Warnings: []string{}, Relations: []string{}, Limit: u.Limit}
	warn := func(text string) {
		p.Warnings = append(p.Warnings, text)
		a.warnf("%s", text)
	}
	plan, err := run.PlanUnload(ctx, u, run.Options{Log: a.Log, Warn: warn})
	if err != nil {
		return err
	}
	for _, n := range plan.Notes {
		warn(n)
	}
	p.Database, p.Server = fmt.Sprintf("%s on %s:%d", plan.Server.Database, plan.Server.Host, plan.Server.Port), plan.Server.Version
	p.Source, p.Objects, p.Format, p.Ranges, p.Workers, p.Segments = plan.Source, plan.Place, plan.Format, plan.Ranges, plan.Workers, plan.Segments
	p.Relations = append(p.Relations, plan.Relations...)
	p.Snapshot, p.OneStream, p.Bytes, p.Statement = plan.Snapshot, plan.OneStream, plan.BytesTotal, redact(plan.Statement)
	t := table{cols: cols("COLUMN", "TYPE")}
	for _, c := range plan.Columns {
		p.Columns = append(p.Columns, columnDoc(c))
		t.add(c.Name, c.Type)
	}
	p.Steps = unloadSteps(p)
	if a.flags.output == "table" || a.flags.output == "wide" {
		a.infof("database: %s", p.Database)
		for _, s := range p.Steps {
			a.infof("step:     %s", s)
		}
		a.infof("limit:    %s", schema.FormatRate(p.Limit))
		a.infof("first:    %s", p.Statement)
	}
	return a.print(object("UnloadPlan", p), t)
}

func unloadSteps(p unloadPlanDoc) []string {
	size := ""
	if p.Bytes > 0 {
		size = fmt.Sprintf(", about %s (an estimate)", schema.FormatSize(p.Bytes))
	}
	var steps []string
	switch {
	case p.Segments > 0:
		steps = append(steps, fmt.Sprintf("%d segments write %s through this machine", p.Segments, p.Source))
	case p.OneStream != "" && p.Ranges == 1:
		steps = append(steps, fmt.Sprintf("read %s as one stream%s: %s", p.Source, size, p.OneStream))
	default:
		from := ""
		if len(p.Relations) > 1 {
			from = fmt.Sprintf(" of %d tables", len(p.Relations))
		}
		steps = append(steps, fmt.Sprintf("read %s%s with %d sessions in one snapshot, in %d ranges%s", p.Source, size, p.Workers, p.Ranges, from))
		if p.OneStream != "" {
			steps = append(steps, "note: "+p.OneStream)
		}
	}
	return append(steps, "write "+p.Format+" to "+p.Objects, "publish the objects, and at last the manifest")
}
