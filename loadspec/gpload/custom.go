package gpload

import (
	"context"
	"strings"

	"cw/loadspec/external"
)

// customFormat is the text format of Greenplum 5, which the extension
// dataflow gives Greenplum 6. It is used when the control file's SQL: BEFORE
// sets dataflow.prefer_custom_text and the extension is there; else nil.
func (r *course) customFormat(ctx context.Context) (*external.Format, error) {
	if !strings.Contains(strings.ReplaceAll(strings.ToLower(r.plan.before), " ", ""), "dataflow.prefer_custom_text") {
		return nil, nil
	}
	if r.inTransaction {
		if _, err := r.db.run(ctx, "SAVEPOINT gpload_custom"); err != nil {
			return nil, r.databaseText(err)
		}
	}
	var setting string
	var known bool
	for _, sql := range []string{"CREATE EXTENSION IF NOT EXISTS dataflow", "SELECT dataflow_version()"} {
		if _, err := r.db.run(ctx, sql); err != nil {
			return nil, r.withoutCustom(ctx, sql, err)
		}
	}
	const show = "SHOW dataflow.prefer_custom_text"
	if err := r.db.QueryRow(ctx, show).Scan(&setting); err != nil {
		return nil, r.withoutCustom(ctx, show, err)
	}
	const look = "select exists (select 1 from pg_catalog.pg_proc where proname = 'text_in')"
	if err := r.db.QueryRow(ctx, look).Scan(&known); err != nil {
		return nil, r.withoutCustom(ctx, look, err)
	}
	if !known || setting != "on" {
		return nil, nil
	}
	f := &external.Format{Kind: "custom"}
	add := func(name, value string) { f.Custom = append(f.Custom, external.Option{Name: name, Value: value}) }
	add("formatter", "text_in")
	add("delimiter", r.format.Delimiter)
	add("null", r.format.Null)
	add("escape", r.format.Escape)
	if r.format.FillMissing {
		add("fill_missing_fields", "true")
	}
	if r.format.Newline != "" {
		add("newline", r.format.Newline)
	}
	return f, nil
}

// withoutCustom goes on in the ordinary format.
func (r *course) withoutCustom(ctx context.Context, sql string, err error) error {
	r.log.logf(LevelDebug, "could not run SQL \"%s\": %s", sql, message(err, sql))
	if !r.inTransaction {
		return nil
	}
	if _, err := r.db.run(ctx, "ROLLBACK TO SAVEPOINT gpload_custom"); err != nil {
		return r.databaseText(err)
	}
	return nil
}
