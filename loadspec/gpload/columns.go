package gpload

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cw/loadspec"
	"cw/loadspec/external"
)

// metadata looks at the target and maps the file's columns to its own.
func (r *course) metadata(ctx context.Context) error {
	target, err := external.Describe(ctx, r.db.Conn, loadspec.Output{Schema: r.settings.schema, Table: r.name})
	var missing *external.MissingError
	switch {
	case errors.As(err, &missing) && missing.Schema == "":
		return fmt.Errorf("table %s not found in any database schema", loadspec.QuoteIdent(missing.Table))
	case errors.As(err, &missing):
		return fmt.Errorf("table %s.%s does not exist in database %s", missing.Schema, missing.Table, r.Database)
	case err != nil:
		return errors.New(message(err, ""))
	}
	r.target = target
	if r.settings.schema == "" {
		r.log.logf(LevelInfo, "setting schema '%s' for table '%s'", target.Schema, target.Table)
	}
	columns, raw, err := r.columns()
	if err != nil {
		return err
	}
	pairs, rawTargets, err := r.pairs()
	if err != nil {
		return err
	}
	r.mapping, err = external.NewMapping(target, columns, pairs)
	return r.columnText(err, raw, rawTargets)
}

// columnText words what is wrong with a column as gpload does.
func (r *course) columnText(err error, names ...map[string]string) error {
	var e *external.ColumnError
	if !errors.As(err, &e) {
		return err
	}
	name := e.Column
	for _, raw := range names {
		if r, ok := raw[e.Column]; ok {
			name = r
		}
	}
	path := "gpload:output:" + strings.ToLower(e.Key)
	switch e.Reason {
	case external.NoType:
		return fmt.Errorf("column \"%s\" has no type and does not appear in target table \"%s\"", name, r.settings.table)
	case external.NoTarget:
		return fmt.Errorf("no mapping for input column \"%s\" to output table", name)
	case external.IsKey:
		quoted := make([]string, len(r.target.Key))
		for i, k := range r.target.Key {
			quoted[i] = loadspec.QuoteIdent(k)
		}
		return controlErrorf("update_columns cannot reference column(s) in distribution key (%s)", strings.Join(quoted, ","))
	case external.NotMapped:
		return fmt.Errorf("there is no mapping from the column %s in %s", loadspec.QuoteIdent(e.Column), path)
	case external.NotInTarget:
		if e.Key == "MAPPING" {
			return fmt.Errorf("%s in mapping is not in table %s", name, r.settings.table)
		}
		return fmt.Errorf("column %s in %s does not exist", loadspec.QuoteIdent(e.Column), path)
	default:
		return err
	}
}

// columns are COLUMNS, and how the control file spells their names.
func (r *course) columns() ([]loadspec.Column, map[string]string, error) {
	list, ok, err := r.config.list("gpload:input:columns")
	if err != nil || !ok {
		return nil, nil, err
	}
	raw := map[string]string{}
	var out []loadspec.Column
	for _, item := range list {
		d, ok := item.(*dict)
		if !ok || len(d.keys) == 0 {
			return nil, nil, controlErrorf("gpload:input:columns must be a sequence of YAML mappings")
		}
		spelled := strings.TrimSpace(d.keys[0])
		kind, isText := d.values[0].(string)
		if !isText && d.values[0] != nil {
			return nil, nil, controlErrorf("gpload:input:columns: the type of %s must be a string", spelled)
		}
		if !strings.Contains(kind, `"`) {
			kind = strings.ToLower(kind)
		}
		name := loadspec.FoldName(spelled)
		raw[name] = spelled
		out = append(out, loadspec.Column{Name: name, Type: kind})
	}
	return out, raw, nil
}

// pairs are MAPPING, and how the control file spells the targets.
func (r *course) pairs() ([]loadspec.Mapping, map[string]string, error) {
	v := r.config.find("gpload:output:mapping")
	if v == nil {
		return nil, nil, nil
	}
	d, ok := v.(*dict)
	if !ok {
		return nil, nil, controlErrorf("The gpload:output:mapping entry must be a YAML mapping ")
	}
	raw := map[string]string{}
	var out []loadspec.Mapping
	for i, spelled := range d.keys {
		expr, ok := d.values[i].(string)
		if !ok {
			return nil, nil, controlErrorf("gpload:output:mapping must be a YAML type mapping from strings to strings")
		}
		name := loadspec.FoldName(spelled)
		raw[name] = spelled
		out = append(out, loadspec.Mapping{Target: name, Expr: expr})
	}
	return out, raw, nil
}

// readPlan reads PRELOAD, SQL, EXTERNAL and the limits.
func (r *course) readPlan() error {
	c := r.config
	var err error
	read := func(e error) {
		if err == nil {
			err = e
		}
	}
	truth := func(path string) bool {
		b, e := c.truth(path)
		read(e)
		return b
	}
	text := func(path string) string {
		s, _, e := c.text(path)
		read(e)
		return s
	}
	for _, path := range []string{"gpload:preload", "gpload:external", "gpload:sql"} {
		_, _, e := c.list(path)
		read(e)
	}
	if r.mode = strings.ToLower(text("gpload:output:mode")); r.mode == "" {
		r.mode = loadspec.ModeInsert
	}
	p := &r.plan
	p.logErrors = truth("gpload:input:log_errors") || r.errorTable
	if r.schema = text("gpload:external:schema"); r.schema == loadspec.TargetSchema {
		r.schema = external.Ident(r.target.Schema)
		if r.settings.schema != "" {
			r.schema = loadspec.QuoteIdent(r.target.Schema)
		}
	}
	p.truncate, p.reuse, p.fast = truth("gpload:preload:truncate"), truth("gpload:preload:reuse_tables"), truth("gpload:preload:fast_match")
	if p.fast && !p.reuse && !r.errorTable {
		r.log.logf(LevelWarn, "fast_match is ignored when reuse_tables is false!")
	}
	p.reuse = p.reuse || r.errorTable
	p.staging = text("gpload:preload:staging_table")
	p.before, p.after = text("gpload:sql:before"), text("gpload:sql:after")
	limit, _, e := c.number("gpload:input:error_limit")
	read(e)
	p.limit = limit
	return err
}
