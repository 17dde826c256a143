package run

import (
	"context"
	"strings"

	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/external"
	"cw/loadspec/ledger"
)

// The modes update and merge on PostgreSQL: rows are copied into a staging
// table that lives as long as the job, split by split and exactly once as ever,
// and at the end one transaction puts them into the target. The staging table
// is logged: what the ledger holds for loaded must survive a crash.

// modes is what the modes update and merge take; nil for insert.
type modes struct {
	load   external.Load
	target string   // in SQL
	loaded []string // columns that the load fills
	merge  bool
}

// stageTable is the staging table of a job, without its schema.
func stageTable(job string) string { return "load_stage_" + job }

// prepareModes checks the columns of a mode against the target and has the
// rows copied into the staging table.
func (j *job) prepareModes(target *copy.Target) error {
	o := j.spec.Output
	if j.modes = nil; o.Mode == loadspec.ModeInsert {
		return nil
	}
	staged := copy.Target{Schema: "cw", Table: stageTable(j.o.Job), Columns: target.Columns}
	m := &modes{target: target.Name(), loaded: j.plan.Loaded, merge: o.Mode == loadspec.ModeMerge}
	t := &external.Target{Schema: target.Schema, Table: target.Table}
	mapping := &external.Mapping{}
	for _, c := range target.Columns {
		t.Columns = append(t.Columns, external.Column{Name: c.Name, Type: c.Type})
	}
	for _, name := range m.loaded {
		mapping.Assign = append(mapping.Assign, external.Assign{Column: *t.Column(name), Expr: loadspec.QuoteIdent(name)})
	}
	m.load = external.Load{Target: t, Mapping: mapping, Staging: staged.Name(), Match: o.Match, Update: o.Update, Condition: o.Condition}
	if err := m.load.Check(); err != nil {
		return err
	}
	var err error
	if j.plan, err = copy.NewPlan(j.spec, &staged, j.encoding); err != nil {
		return err
	}
	j.modes = m
	return nil
}

// stage makes the staging table.
func (m *modes) stage(ctx context.Context, s *stepper) error {
	if m == nil {
		return nil
	}
	names := make([]string, len(m.loaded))
	for i, n := range m.loaded {
		names[i] = loadspec.QuoteIdent(n)
	}
	return s.once(ctx, ledger.Stage, "CREATE TABLE "+m.load.Staging+" AS SELECT "+strings.Join(names, ", ")+" FROM "+m.target+" WITH NO DATA")
}

// apply puts the staged rows into the target, all or none. Nobody else writes
// there meanwhile, or a row that is new now could be there twice afterwards.
func (m *modes) apply(ctx context.Context, s *stepper) error {
	if m == nil {
		return nil
	}
	statements := []string{
		"LOCK TABLE " + m.target + " IN SHARE ROW EXCLUSIVE MODE",
		"ANALYZE " + m.load.Staging,
		m.load.UpdateRows(),
	}
	if m.merge {
		statements = append(statements, m.load.DeleteMatched(), m.load.InsertRest())
	}
	statements = append(statements, "DROP TABLE "+m.load.Staging)
	return s.once(ctx, ledger.Merge, strings.Join(statements, ";\n"))
}
