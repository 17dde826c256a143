package commands

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec"
	"cw/schema"
)

func newLoadConvert(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "convert FILE", Short: "Explain what a gpload control file will do", Args: args(1, 1),
		Long: `Explain what a gpload control file will do when cw runs it: every key with its
place and meaning, what has no effect or is not there on Greenplum and on
PostgreSQL, and where cw load does more or other than gpload. The file needs no
conversion; cw gpload -f FILE runs it with gpload's options and messages. Nothing
is connected to.` + exitHelp(),
		Example: `  cw load convert orders.yml
  cw load convert orders.yml -o json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.loadConvert(args[0]) },
	}
}

// convertDoc is the explanation in JSON.
type convertDoc struct {
	Keys        []convertKey `json:"keys"`
	Greenplum   []string     `json:"greenplum"` // what is otherwise there, with places
	Postgres    []string     `json:"postgres"`
	Differences []string     `json:"differences"` // from gpload
}

type convertKey struct {
	Line    int    `json:"line"`
	Key     string `json:"key"`
	Value   string `json:"value,omitempty"`
	Meaning string `json:"meaning"`
}

func (a *App) loadConvert(file string) error {
	name, data, err := readFileArg(a.IO, file)
	if err != nil {
		return err
	}
	spec, err := loadspec.Parse(name, data)
	if err != nil {
		return err
	}
	doc := convertDoc{Differences: differences(spec), Greenplum: engineNotes(spec.OnGreenplum()), Postgres: engineNotes(spec.OnPostgres())}
	t := table{cols: cols("LINE", "KEY", "VALUE", "MEANING")}
	for _, k := range loadspec.PresentKeys(name, data) {
		key := convertKey{k.Line, k.Path, k.Value, k.Message}
		if strings.EqualFold(k.Path, "PASSWORD") {
			key.Value = fault.Redacted
		}
		key.Value = redact(key.Value)
		doc.Keys = append(doc.Keys, key)
		t.add(fmt.Sprint(key.Line), key.Key, key.Value, key.Meaning)
	}
	if err := a.print(object("Conversion", doc), t); err != nil || a.flags.output != "table" {
		return err
	}
	say := func(title string, lines []string) {
		_, _ = fmt.Fprintln(a.IO.Out, "\n"+title)
		for _, l := range lines {
			_, _ = fmt.Fprintln(a.IO.Out, "  "+l)
		}
	}
	for _, w := range spec.Warnings {
		doc.Greenplum, doc.Postgres = append(doc.Greenplum, w.String()), append(doc.Postgres, w.String())
	}
	say("On Greenplum and Cloudberry:", orNothing(doc.Greenplum))
	say("On PostgreSQL:", orNothing(doc.Postgres))
	say("Other than gpload:", doc.Differences)
	return nil
}

func orNothing(lines []string) []string {
	if len(lines) == 0 {
		return []string{"all of it works"}
	}
	return lines
}

// engineNotes are an engine's warnings and what it cannot do.
func engineNotes(warnings schema.Problems, err error) []string {
	notes := []string{}
	var problems schema.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			notes = append(notes, p.String())
		}
	} else if err != nil {
		notes = append(notes, err.Error())
	}
	for _, w := range warnings {
		notes = append(notes, w.String())
	}
	return notes
}

// differences are where cw load does more or other than gpload with this file.
func differences(s *loadspec.Spec) []string {
	out := []string{
		"an object that an earlier cw load has put into the table is skipped; --again loads it once more, as gpload does",
		"on Greenplum a statement loads 10GiB unless PARALLEL: COMMIT says otherwise, on PostgreSQL a transaction 8MiB (PARALLEL: SPLIT); what is committed stays, and cw load resume goes on after an interruption",
	}
	if s.Truncate {
		out = append(out, "TRUNCATE asks before it empties the table, --yes does not; on Greenplum it is one transaction with the load")
	}
	if s.Tolerates() {
		out = append(out, "rejected rows are kept in cw.load_errors of the target database, also without LOG_ERRORS: cw load errors JOB shows them, and exit code 3 says that there are some")
	} else {
		out = append(out, "without ERROR_LIMIT the first bad row ends the load; its object, line, column and text are named")
	}
	if s.Output.Mode != loadspec.ModeInsert {
		out = append(out, "MODE "+s.Output.Mode+": on PostgreSQL the rows wait in a logged staging table and reach the target in one statement at the end")
	}
	if s.Before != "" || s.After != "" {
		out = append(out, "SQL BEFORE and AFTER run once for a job, also when it is resumed, each in a transaction of its own with its row in the ledger")
	}
	for _, src := range s.Sources {
		if src.Port != 0 || src.PortRange != [2]int{} || len(src.LocalHostnames) > 0 {
			out = append(out, "PORT, PORT_RANGE and LOCAL_HOSTNAME are of cw's own gpfdist server, which runs inside this command")
			break
		}
	}
	return append(out, "cw gpload -f FILE runs the file as gpload does, with its options, messages and exit codes")
}
