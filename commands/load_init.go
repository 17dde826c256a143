package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/run"
	"cw/loadspec/source"
)

type loadInitOptions struct {
	table, url, endpoint string
	force                bool
}

// initPatience is how long an object store or a database may take to answer:
// the file can be written without them.
const initPatience = 20 * time.Second

func newLoadInit(a *App) *cobra.Command {
	var o loadInitOptions
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented control file", Args: args(0, 1),
		Long: `Write a commented load control file to FILE (load.yaml), or to standard output
when FILE is -. Every key is explained by cw explain loadspec.

With --table and --from the first object is looked at (format, delimiter, header)
and so is the table, in the database that PGHOST, PGPORT, PGDATABASE and PGUSER
say: the file is then ready to be checked. What cannot be reached is said, and
left to be filled in.` + exitHelp(4, 5),
		Example: `  cw load init
  cw load init orders.yaml --table public.orders --from 's3://bucket/orders/*.csv.gz'
  cw load init - --table orders --from /data/orders.csv`,
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "load.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			return a.loadInit(cmd.Context(), file, o)
		},
	}
	c.Flags().StringVar(&o.table, "table", "", "table to load")
	c.Flags().StringVar(&o.url, "from", "", "objects or files to load")
	c.Flags().StringVar(&o.endpoint, "endpoint", "", "URL of an S3-compatible store; default Amazon's")
	c.Flags().BoolVar(&o.force, "force", false, "overwrite FILE")
	return c
}

func (a *App) loadInit(ctx context.Context, file string, o loadInitOptions) error {
	known := loadspec.TemplateOptions{Table: o.table, URL: o.url, Endpoint: o.endpoint}
	if known.Table == "" {
		known.Table = "public.lineitem"
	}
	if known.URL == "" {
		known.URL = "s3://bucket/lineitem/*.csv.gz"
	}
	text := loadspec.TemplateFor(known)
	if _, err := loadspec.Parse("the new file", []byte(text)); err != nil {
		return err
	}
	if o.url != "" {
		limited, cancel := context.WithTimeout(ctx, initPatience)
		defer cancel()
		s := run.Suggest(limited, known, source.Options{Attempts: 2})
		a.suggested(s, o.table != "")
		found := loadspec.TemplateFor(s.TemplateOptions)
		if _, err := loadspec.Parse("the new file", []byte(found)); err != nil {
			a.warnf("what was found does not make a control file: %v", err)
		} else {
			text = found
		}
	}
	return a.writeSample("loadspec", file, text, o.force, "cw load check")
}

// suggested tells what was found out, and what could not be.
func (a *App) suggested(s *run.Suggestion, table bool) {
	switch {
	case s.ObjectErr != nil:
		a.warnf("the objects could not be looked at: %v", s.ObjectErr)
	default:
		what := s.Guess.Format
		if s.Codec != "none" {
			what += ", " + s.Codec
		}
		if s.Guess.Fields > 0 {
			what += fmt.Sprintf(", %d fields delimited by %q", s.Guess.Fields, string(s.Guess.Delimiter))
		}
		if s.Guess.Header {
			what += ", with a header"
		}
		a.infof("%s: %s", redact(s.Object), what)
	}
	switch {
	case !table:
	case s.TableErr != nil:
		a.warnf("table %s could not be looked up: %v", s.Table, s.TableErr)
		if hint := fault.HintOf(s.TableErr); hint != "" {
			a.infof("hint: %s; or have it made: cw load run FILE --create-table", hint)
		}
	default:
		a.infof("table %s: %d columns to load", s.Table, len(s.Columns))
		if n := s.Guess.Fields; s.ObjectErr == nil && n > 0 && n != len(s.Columns) && !s.Guess.Header {
			a.warnf("rows have %d fields, the table %d columns: list the file's columns under COLUMNS", n, len(s.Columns))
		}
	}
}
