package commands

import (
	"github.com/spf13/cobra"

	"cw/loadspec/run"
)

func newLoadList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List loads and unloads, the newest first", Args: noArgs,
		Long: `List loads and unloads, the newest first: those of all machines that share the
store. One whose process is gone is shown as interrupted. With -o wide or json
the machines that read for it are named.` + exitHelp(5),
		Example: "  cw load list -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			jobs, err := st.Jobs(cmd.Context())
			if err != nil {
				return err
			}
			workers, err := run.Workers(cmd.Context(), st)
			if err != nil {
				return err
			}
			t, docs := jobTable(), []jobDoc{}
			for _, j := range jobs {
				t.addJob(j, workers[j.ID])
				d := newJobDoc(j)
				d.Workers = workers[j.ID]
				docs = append(docs, d)
			}
			return a.print(list("JobList", docs), t)
		},
	}
}
