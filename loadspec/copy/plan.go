package copy

import (
	"fmt"
	"slices"
	"strings"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/binary"
	"cw/loadspec/format"
	"cw/schema"
)

// Plan is how rows get from the file into the target.
type Plan struct {
	Target  *Target
	Columns []loadspec.Column // of the file, in order, with their types
	Loaded  []string          // the target's columns that are filled
	Copy    string            // COPY … FROM STDIN
	Stage   string            // creates the staging table; "" when rows go straight into the target
	Insert  string            // from the staging table into the target

	stamps []loadspec.Column // put before the file's columns
	stamp  *loadspec.Stamp   // that does it; nil without them
	binary *shape            // for rows that can be sent in COPY's binary format; nil when they cannot
}

// shape is what encoding rows takes.
type shape struct {
	copy   string // COPY … WITH (FORMAT binary)
	format binary.Format
	types  []string
}

const stage = "cw_load_stage"

// NewPlan builds the statements of a load. encoding is the objects'.
func NewPlan(s *loadspec.Spec, t *Target, encoding string) (*Plan, error) {
	p := &Plan{Target: t}
	if err := p.columns(s); err != nil {
		return nil, err
	}
	p.stamps = s.Stamps(p.Columns)
	p.stamp = loadspec.NewStamp(p.stamps, s.Format)
	columns := slices.Concat(p.stamps, p.Columns)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	m, err := p.mapping(s, names)
	if err != nil {
		return nil, err
	}
	p.Loaded = m.targets
	into := names // what COPY calls the file's columns
	if direct := m.direct(names); direct != nil {
		into = direct
	}
	force, err := forceNotNull(s, names, into)
	if err != nil {
		return nil, err
	}
	options := format.CopyOptions(s.Format, force, encoding)
	if m.direct(names) != nil {
		p.Copy = fmt.Sprintf("COPY %s (%s) FROM STDIN WITH (%s)", t.Name(), format.Columns(into), options)
		types := make([]string, len(into))
		for i, n := range into {
			types[i] = t.column(n).Type
		}
		p.binaryShape(s, encoding, t.Name(), into, types, force)
		return p, nil
	}
	defs := make([]string, len(columns))
	for i, c := range columns {
		defs[i] = loadspec.QuoteIdent(c.Name) + " " + c.Type
	}
	p.Stage = fmt.Sprintf("CREATE TEMP TABLE IF NOT EXISTS %s (%s) ON COMMIT DELETE ROWS", stage, strings.Join(defs, ", "))
	p.Copy = fmt.Sprintf("COPY pg_temp.%s (%s) FROM STDIN WITH (%s)", stage, format.Columns(into), options)
	types := make([]string, len(columns))
	for i, c := range columns {
		types[i] = c.Type
	}
	p.binaryShape(s, encoding, "pg_temp."+stage, into, types, force)
	p.Insert = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM pg_temp.%s", t.Name(), format.Columns(m.targets), strings.Join(m.exprs, ", "), stage)
	return p, nil
}

// binaryShape decides whether rows may go in COPY's binary format: text is not
// converted there, and every type must have an encoder. A server spends half
// the time on them that it spends on CSV.
func (p *Plan) binaryShape(s *loadspec.Spec, encoding, table string, into, types, force []string) {
	f := binary.Format{CSV: s.Format.Kind == loadspec.FormatCSV, Delimiter: s.Format.Delimiter, Quote: s.Format.Quote, Escape: '\\', Null: s.Format.Null}
	if f.CSV {
		f.Escape = s.Format.Escape
		for _, n := range into {
			f.NotNull = append(f.NotNull, slices.Contains(force, n))
		}
	} else if !s.Format.NullSet {
		f.Null = `\N`
	}
	if _, ok := binary.New(f, types); !ok || !format.UTF8(encoding) || s.Format.Newline == loadspec.NewlineCR {
		return
	}
	p.binary = &shape{copy: fmt.Sprintf("COPY %s (%s) FROM STDIN WITH (FORMAT binary)", table, format.Columns(into)), format: f, types: types}
}

// columns fills the file's columns: those of the control file, with the
// target's types where it gives none, else the target's own.
func (p *Plan) columns(s *loadspec.Spec) error {
	t := p.Target
	if len(s.Columns) == 0 {
		for _, c := range t.Columns {
			if !c.Sequence && !c.Generated {
				p.Columns = append(p.Columns, loadspec.Column{Name: c.Name, Type: c.Type})
			}
		}
		return nil
	}
	for _, c := range s.Columns {
		if c.Type == "" {
			own := t.column(c.Name)
			if own == nil {
				return unknownColumn("COLUMNS", c.Name, "table "+t.Schema+"."+t.Table, t.names())
			}
			c.Type = own.Type
		}
		if plain, ok := serials[strings.ToLower(c.Type)]; ok {
			c.Type = plain
		}
		p.Columns = append(p.Columns, c)
	}
	return nil
}

// serials are types of columns that a file cannot have.
var serials = map[string]string{ //nolint:gochecknoglobals // constant table
	"serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint", "smallserial": "smallint", "serial2": "smallint",
}

// mapping is what is put into the target's columns.
type mapping struct {
	targets []string
	exprs   []string          // SQL
	source  map[string]string // file column: target, where the expression is just that column
}

func (p *Plan) mapping(s *loadspec.Spec, names []string) (*mapping, error) {
	t := p.Target
	table := "table " + t.Schema + "." + t.Table
	isFile := map[string]bool{}
	for _, n := range names {
		isFile[n] = true
	}
	m := &mapping{source: map[string]string{}}
	pairs := s.Output.Mapping
	if len(pairs) == 0 { // by name
		for _, n := range names {
			pairs = append(pairs, loadspec.Mapping{Target: n, Expr: loadspec.QuoteIdent(n)})
		}
	}
	for _, pair := range pairs {
		col := t.column(pair.Target)
		if col == nil {
			key := "COLUMNS"
			if len(s.Output.Mapping) > 0 {
				key = "MAPPING"
			}
			return nil, unknownColumn(key, pair.Target, table, t.names())
		}
		if col.Generated {
			return nil, fault.New(fault.Usage, "leave it out of COLUMNS and MAPPING", "column %s of %s is computed by the database and cannot be loaded", col.Name, table)
		}
		expr := pair.Expr
		if name := loadspec.FoldName(expr); isFile[name] {
			expr = loadspec.QuoteIdent(name)
			m.source[name] = pair.Target
		}
		m.targets = append(m.targets, pair.Target)
		m.exprs = append(m.exprs, expr)
	}
	return m, nil
}

// direct is COPY's column list when every column of the file goes into one
// column of the target and nothing else does; nil when a staging table is
// needed.
func (m *mapping) direct(names []string) []string {
	if len(m.targets) != len(names) {
		return nil
	}
	into := make([]string, len(names))
	for i, n := range names {
		target, ok := m.source[n]
		if !ok {
			return nil
		}
		into[i] = target
	}
	return into
}

func forceNotNull(s *loadspec.Spec, names, into []string) ([]string, error) {
	if s.Format.ForceAll {
		return into, nil
	}
	var force []string
	for _, f := range s.Format.ForceNotNull {
		found := false
		for i, n := range names {
			if n == f {
				force, found = append(force, into[i]), true
			}
		}
		if !found {
			return nil, unknownColumn("FORCE_NOT_NULL", f, "the file", names)
		}
	}
	return force, nil
}

// UnknownColumn is the error of a key that names a column which is not unloaded.
func UnknownColumn(key, name string, known []string) error {
	slices.Sort(known)
	return unknownColumn(key, name, "what is unloaded", known)
}

func unknownColumn(key, name, where string, known []string) error {
	hint := where + " has: " + strings.Join(known, ", ")
	if near := schema.Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	return fault.New(fault.Usage, hint, "%s: column %s is not in %s", key, name, where)
}
