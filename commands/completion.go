package commands

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// shell is one that cw writes a completion script for.
type shell struct {
	name    string
	file    string // how the script is called in packages
	install string // how to have it, as the help says
	write   func(root *cobra.Command, w io.Writer) error
}

// shells are all of them; cmd/gendocs writes their files.
func shells() []shell {
	return []shell{
		{
			"bash", "cw.bash", `  source <(cw completion bash)                                     # now
  cw completion bash > ~/.local/share/bash-completion/completions/cw   # from the next login on`,
			func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		},
		{
			"zsh", "_cw", `  source <(cw completion zsh)                     # now, after: autoload -U compinit && compinit
  cw completion zsh > "${fpath[1]}/_cw"           # from the next login on`,
			func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
		},
		{
			"fish", "cw.fish", `  cw completion fish | source                                      # now
  cw completion fish > ~/.config/fish/completions/cw.fish          # from the next login on`,
			func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		},
		{
			"powershell", "cw.ps1", `  cw completion powershell | Out-String | Invoke-Expression   # now
  cw completion powershell >> $PROFILE                        # from the next login on`,
			func(root *cobra.Command, w io.Writer) error { return root.GenPowerShellCompletionWithDesc(w) },
		},
	}
}

// newCompletion is cw completion SHELL, in place of cobra's own, which has
// neither cw's words nor its exit codes.
func newCompletion() *cobra.Command {
	c := group("completion", "Print the script with which a shell completes cw's commands")
	c.Long = `Print the script with which a shell completes cw's commands, flags and names:
clusters, hosts, jobs, runs, baselines, files and keys. It asks cw itself, which
looks into its local state and nowhere else. Packages bring the scripts along.` + exitHelp()
	c.Example = "  source <(cw completion bash)"
	for _, s := range shells() {
		c.AddCommand(&cobra.Command{
			Use: s.name, Short: "Print the script for " + s.name, Args: noArgs,
			Long:    "Print the script for " + s.name + ". Packages of cw bring it along." + exitHelp(),
			Example: s.install, ValidArgsFunction: cobra.NoFileCompletions,
			PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
			RunE: func(c *cobra.Command, _ []string) error {
				if err := s.write(c.Root(), c.OutOrStdout()); err != nil {
					return fmt.Errorf("write the script: %w", err)
				}
				return nil
			},
		})
	}
	return c
}
