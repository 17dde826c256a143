package commands

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cw/perfcheck"
	"cw/perfcheck/html"
)

func newPerfReport(a *App) *cobra.Command {
	var against, page, junit, markdown string
	c := &cobra.Command{
		Use: "report RUN", Short: "Show a run again: as a page for the browser, a table or any other form", Args: args(1, 1),
		Long: `Write the report of a run as one HTML file that needs nothing else, no network
and no script: the hosts, the verdicts, throughput over time, latency
percentiles, a heat map of the pairs, and with --against another run side by
side. RUN is a run's id (or how it begins), or a file written with --report or
-o json. With -o the report is printed in that form as well.` + exitHelp(),
		Example: `  cw perf report p3fk2q
  cw perf report p3fk2q --against p7hx0m --html diff.html
  cw perf report new.json -o json | jq .verdict
  cw perf report p3fk2q --html - > page.html`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Join(a.Paths.State, "perf")
			r, err := perfcheck.ReadReport(dir, args[0])
			if err != nil {
				return err
			}
			var earlier *perfcheck.Report
			if against != "" {
				if earlier, err = perfcheck.ReadReport(dir, against); err != nil {
					return err
				}
			}
			asked := cmd.Flags().Changed("output")
			if page == "-" {
				if asked {
					return usagef("leave one of them out", "--html - and -o both print to standard output")
				}
				return html.Write(a.IO.Out, r, earlier)
			}
			if page == "" && !asked && junit == "" && markdown == "" {
				page = "perf-" + r.Run.ID + ".html"
			}
			if err := a.perfFiles(&perfOptions{HTML: page, JUnit: junit, Markdown: markdown, earlier: earlier}, r); err != nil {
				return err
			}
			if asked {
				return a.printReport(r)
			}
			for _, path := range []string{page, junit, markdown} {
				if path != "" {
					_, _ = fmt.Fprintln(a.IO.Out, path)
				}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&against, "against", "", "an earlier run to show side by side")
	f.StringVar(&page, "html", "", "the page's file, - for standard output (default: perf-RUN.html in this folder)")
	f.StringVar(&junit, "junit", "", "write the verdicts as JUnit XML to this file")
	f.StringVar(&markdown, "markdown", "", "write a summary for a pull request to this file")
	return c
}

// htmlTo prints a page into a file.
func htmlTo(r, earlier *perfcheck.Report) func(*os.File) error {
	return func(f *os.File) error { return html.Write(f, r, earlier) }
}
