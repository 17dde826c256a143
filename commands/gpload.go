package commands

import (
	"bufio"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cw/loadspec/gpload"
)

// gploadMain is the program gpload.
func gploadMain(ctx context.Context, streams *Streams, getenv func(string) string, args []string) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	hangUps := make(chan os.Signal, 1) // taken and forgotten: a load survives its terminal
	signal.Notify(hangUps, syscall.SIGHUP)
	defer signal.Stop(hangUps)
	return gpload.Run(ctx, gpload.Env{
		Out: streams.Out, Err: streams.Err, ReadSecret: streams.secret, Getenv: getenv, Now: time.Now,
		Signals: signals, Start: gpload.Serve, Version: "cw " + readVersion().Version,
	}, args)
}

// secret reads a password: from the terminal unseen, else a line of standard
// input.
func (s *Streams) secret() (string, error) {
	if s.InTTY {
		return s.ReadSecret()
	}
	line, err := bufio.NewReader(s.In).ReadString('\n')
	if line != "" {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// newGpload is the entry of the help; the arguments never come here.
func newGpload() *cobra.Command {
	return &cobra.Command{
		Use: "gpload -f FILE [options]", Short: "Load as gpload does: its options, lines and exit codes",
		Long: `cw gpload, or cw under the name gpload, takes gpload's options and control
files, prints its lines and returns its exit codes: 0 loaded, 1 loaded with
rejected rows, 2 failed. See cw gpload -? for the options.`,
		Example: `  cw gpload -f load.yaml -l load.log
  ln -s "$(command -v cw)" ~/bin/gpload && gpload -f load.yaml`,
		DisableFlagParsing: true, RunE: groupRun,
	}
}
