package commands

import (
	"github.com/spf13/cobra"
)

func newLoadList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List loads and unloads, the newest first", Args: noArgs,
		Long:    "List loads and unloads, the newest first. One whose process is gone is shown as interrupted." + exitHelp(),
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
			t, docs := jobTable(), []jobDoc{}
			for _, j := range jobs {
				t.addJob(j)
				docs = append(docs, newJobDoc(j))
			}
			return a.print(list("JobList", docs), t)
		},
	}
}
