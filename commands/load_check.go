package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/loadspec"
	"cw/loadspec/run"
	"cw/loadspec/source"
	"cw/schema"
)

// createTableHelp is what --create-table does.
const createTableHelp = "create the target table when it does not exist, with the types that the objects have (PRELOAD: CREATE_TABLE)"

func newLoadCheck(a *App) *cobra.Command {
	create, validate, sample := false, "", ""
	c := &cobra.Command{
		Use: "check FILE", Short: "Check a control file against the database and the objects", Args: args(1, 1),
		Long: `Check a control file against the database and the objects: the table, its
columns and privileges are looked up, the objects listed, and the first rows
tried on a temporary table. Nothing is changed. With --create-table a table that
does not exist is inferred from the objects, and its CREATE TABLE printed.

With --validate all every row of every object is tried on temporary tables, and
all rows are listed that the database would refuse, as cw load errors lists them;
--sample does so with the first rows of every object. Keys that are there twice
are not found by that. PostgreSQL only.` + exitHelp(4, 5, 6),
		Example: `  cw load check orders.yaml
  cw load check orders.yaml --create-table
  cw load check orders.yaml --sample 64MB
  cw load check orders.yaml --validate all -o csv > bad.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, _, err := a.readSpec(args[0], create)
			if err != nil {
				return err
			}
			if validate != "" || sample != "" {
				return a.loadValidate(cmd.Context(), spec, validate, sample)
			}
			return a.loadCheck(cmd.Context(), spec, false)
		},
	}
	c.Flags().StringVar(&validate, "validate", "", "all: try every row, without loading one")
	c.Flags().StringVar(&sample, "sample", "", "try the first rows of every object, so many bytes: 64MB")
	c.MarkFlagsMutuallyExclusive("validate", "sample")
	c.Flags().BoolVar(&create, "create-table", false, createTableHelp)
	return c
}

// readSpec reads a control file and says what in it deserves a warning. create
// is --create-table.
func (a *App) readSpec(file string, create bool) (*loadspec.Spec, []byte, error) {
	read := func() (string, []byte, error) { return readFileArg(a.IO, file) }
	if file != "-" {
		read = func() (string, []byte, error) {
			data, err := loadspec.ReadFile(file)
			return file, data, err
		}
	}
	name, data, err := read()
	if err != nil {
		return nil, nil, err
	}
	spec, err := loadspec.Parse(name, data)
	if err == nil && create && !spec.Create {
		if data, err = loadspec.WithCreate(data); err == nil {
			spec, err = loadspec.Parse(name, data)
		}
	}
	if err != nil && loadspec.IsUnload(data) {
		return nil, nil, usagef("cw unload run "+file, "%s is the control file of an unload", name)
	}
	if err != nil {
		return nil, nil, err
	}
	for _, w := range spec.Warnings {
		a.warnf("%s", w)
	}
	return spec, data, nil
}

// loadPlan is what a check found, in JSON.
type loadPlan struct {
	Database  string      `json:"database"`
	Server    string      `json:"server"`
	Table     string      `json:"table"`
	Columns   []columnDoc `json:"columns"`
	Statement string      `json:"statement"`
	Staging   bool        `json:"staging"`
	Objects   []objectDoc `json:"objects"`
	Skipped   int64       `json:"skipped"`              // of the objects: earlier jobs have loaded them
	SkippedBy []string    `json:"skipped_by,omitempty"` // those jobs
	Bytes     int64       `json:"bytes_total"`
	Codec     string      `json:"compression"`
	Splits    int64       `json:"splits"`
	Workers   int         `json:"workers"`
	Segments  int         `json:"segments,omitempty"`  // that read in parallel
	Addresses []string    `json:"addresses,omitempty"` // this machine, as segments are told
	Limit     int64       `json:"limit"`
	Create    []string    `json:"create_table,omitempty"` // statements that would be run first
	Steps     []string    `json:"steps"`
	Sampled   int64       `json:"rows_tried"`
	FirstRows []string    `json:"first_rows,omitempty"` // as converted, in COPY's text format
	Warnings  []string    `json:"warnings"`
}

type columnDoc struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type objectDoc struct {
	URL  string `json:"url"`
	Size int64  `json:"size"`
	ETag string `json:"etag"`
}

func newLoadPlan(spec *loadspec.Spec, r *run.Report) loadPlan {
	p := loadPlan{
		Database: fmt.Sprintf("%s on %s:%d", r.Server.Database, r.Server.Host, r.Server.Port), Server: r.Server.Version,
		Table: r.Table, Statement: r.Statement, Staging: r.Staged != "", Segments: r.Segments, Addresses: r.Addresses,
		Bytes: r.BytesTotal, Codec: r.Codec, Splits: r.Splits, Workers: r.Workers, Limit: spec.Limit, Sampled: r.Sampled, FirstRows: r.FirstRows, Warnings: r.Warnings, Create: r.Create,
	}
	for _, c := range r.Columns {
		p.Columns = append(p.Columns, columnDoc{c.Name, c.Type})
	}
	for _, o := range r.Objects {
		p.Objects = append(p.Objects, objectDoc{o.URL, o.Size, o.ETag})
	}
	left, size := int64(len(p.Objects)), p.Bytes
	for _, s := range r.Skipped {
		p.Skipped, p.SkippedBy = p.Skipped+s.Objects, append(p.SkippedBy, s.Job)
		left, size = left-s.Objects, size-s.Bytes
	}
	if p.Skipped > 0 {
		p.Steps = append(p.Steps, skippedText(p.Skipped, p.SkippedBy))
	}
	if spec.Truncate {
		p.Steps = append(p.Steps, "truncate "+p.Table)
	}
	if spec.Before != "" {
		p.Steps = append(p.Steps, "SQL BEFORE: "+redact(spec.Before))
	}
	switch what := fmt.Sprintf("%s (%s)", objectCount(left), schema.FormatSize(size)); {
	case p.Segments > 0:
		p.Steps = append(p.Steps, fmt.Sprintf("serve %s to %d segments from %s: %s", what, p.Segments, strings.Join(p.Addresses, ", "), redact(p.Statement)))
		if p.Staging {
			p.Steps = append(p.Steps, spec.Output.Mode+" from a staging table: "+redact(r.Staged))
		}
	default:
		p.Steps = append(p.Steps, fmt.Sprintf("copy %s with %d sessions", what, p.Workers))
		if p.Staging {
			p.Steps = append(p.Steps, "each split through a temporary table: "+redact(r.Staged))
		}
	}
	if spec.After != "" {
		p.Steps = append(p.Steps, "SQL AFTER: "+redact(spec.After))
	}
	return p
}

func (a *App) loadCheck(ctx context.Context, spec *loadspec.Spec, again bool) error {
	rep, err := run.Check(ctx, run.Options{Spec: spec, Again: again, Source: source.Options{Stdin: a.IO.In}, Log: a.Log, Warn: func(text string) { a.warnf("%s", text) }})
	if err != nil {
		return err
	}
	p := newLoadPlan(spec, rep)
	t := table{cols: cols("OBJECT", "SIZE", "+ETAG")}
	for _, o := range rep.Objects {
		t.add(o.URL, schema.FormatSize(o.Size), o.ETag)
	}
	if a.flags.output == "table" || a.flags.output == "wide" {
		a.infof("database: %s", p.Database)
		a.infof("table:    %s", p.Table)
		for _, s := range p.Create {
			a.infof("create:   %s;", s)
		}
		for _, s := range p.Steps {
			a.infof("step:     %s", s)
		}
		for _, s := range spec.Texts() {
			a.infof("limit:    %s", s)
		}
		for _, row := range p.FirstRows {
			a.infof("row:      %s", redact(strings.ReplaceAll(row, "\t", " | ")))
		}
		a.infof("tried:    %d rows of the first object fit the table", p.Sampled)
	}
	return a.print(object("LoadPlan", p), t)
}
