package commands

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/remote"
)

type execOptions struct {
	hostOptions
	timeout time.Duration
}

func newClusterExec(a *App) *cobra.Command {
	var o execOptions
	c := &cobra.Command{
		Use: "exec NAME [flags] -- COMMAND [ARG…]", Short: "Run a command on the hosts of a cluster", Args: args(1, -1),
		Long: `Run a command on all hosts of a cluster at once, or on some. The command is an
argument list, not a line for a shell: pipes and variables want sh -c '…'. All
hosts are waited for; the answers come in the order of the topology.` + exitHelp(3, 4, 5),
		Example: `  cw cluster exec dw1 -- uptime
  cw cluster exec dw1 --host db2 --as root -- systemctl restart chrony
  cw cluster exec -f cluster.yaml -- sh -c 'df -h | grep data'`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, args) },
	}
	o.addFlags(c)
	c.Flags().DurationVar(&o.timeout, "timeout", 0, "give up on a host after this time, as 30s (default: never)")
	c.Flags().SetInterspersed(true)
	return c
}

// execResult is what one host answered.
type execResult struct {
	Host   string `json:"host"`
	Code   int    `json:"exit_code"` // -1 when the command did not run
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Error  string `json:"error,omitempty"`
}

func (o *execOptions) run(ctx context.Context, a *App, args []string) error {
	hosts, argv, err := o.choose(ctx, a, args)
	if err != nil {
		return err
	}
	if len(argv) == 0 {
		return usagef("write it after --, as: cw cluster exec dw1 -- uptime", "no command was given")
	}
	results, err := remote.Each(ctx, hosts, 0, func(ctx context.Context, h *remote.Host) (execResult, error) {
		res, err := h.Run(ctx, remote.Cmd{Args: argv, As: o.as, Timeout: o.timeout})
		r := execResult{Host: h.Name(), Code: res.Code, Stdout: string(res.Stdout), Stderr: string(res.Stderr)}
		var exit *remote.ExitError
		switch {
		case errors.As(err, &exit):
			r.Code, r.Stderr = exit.Code, exit.Stderr
		case err != nil:
			r.Code, r.Error = -1, redact(err.Error())
		}
		return r, err
	})
	if f := a.flags.output; f == "table" || f == "wide" {
		return errors.Join(printAnswers(a, results), err)
	}
	t := table{cols: cols("HOST", "EXIT CODE", "STDOUT", "STDERR", "ERROR")}
	for _, r := range results {
		t.add(r.Host, strconv.Itoa(r.Code), r.Stdout, r.Stderr, r.Error)
	}
	return errors.Join(a.print(list("ExecResultList", results), t), err)
}

// printAnswers prints each host's output under its name, errors to standard
// error by the caller.
func printAnswers(a *App, results []execResult) error {
	for _, r := range results {
		text := r.Stdout + r.Stderr
		if r.Error != "" {
			text += r.Error
		}
		head := "== " + r.Host
		if r.Code > 0 {
			head += fmt.Sprintf(" (exit code %d)", r.Code)
		}
		if _, err := fmt.Fprintf(a.IO.Out, "%s\n%s", head, text); err != nil {
			return err
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			if _, err := fmt.Fprintln(a.IO.Out); err != nil {
				return err
			}
		}
	}
	return nil
}
