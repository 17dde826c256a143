package commands

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/perfcheck/gpcheckperf"
	"cw/perfcheck/memory"
	"cw/perfcheck/run"
	"cw/remote"
)

// gpcheckperfMain is the program gpcheckperf.
func gpcheckperfMain(ctx context.Context, streams *Streams, getenv func(string) string, args []string) int {
	a, err := newApp(streams, getenv)
	if err != nil {
		_, _ = fmt.Fprintf(streams.Err, "[Error] %v\n", err)
		return 1
	}
	defer a.close()
	if len(args) > 0 && args[0] == "agent" {
		// A copy of cw under this name starts itself for the host it is on.
		return mainWith(ctx, streams, getenv, append([]string{"cw"}, args...))
	}
	a.flags.noInput = true // as gpcheckperf's ssh: it never asks
	return gpcheckperf.Run(ctx, gpcheckperf.Env{
		Out: streams.Out, Err: streams.Err, Argv0: "gpcheckperf", Version: "cw " + readVersion().Version, Now: time.Now,
		Machine: a.gpcheckperfMachine, Agent: run.FleetOptions{Log: a.Log}, Memory: memory.Describe().Total, Seed: uint64(time.Now().UnixNano()),
	}, args)
}

// gpcheckperfMachine finds a host. This machine, by any of its names, takes no
// SSH.
func (a *App) gpcheckperfMachine(host string) (run.Machine, error) {
	own, _ := os.Hostname()
	short, _, _ := strings.Cut(own, ".")
	switch host {
	case "localhost", "127.0.0.1", "::1", own, short:
		return run.Machine{Name: host, Address: host}, nil
	}
	t, err := remote.ParseTarget(host)
	if err != nil {
		return run.Machine{}, err
	}
	pool, err := a.pool(perfMachines)
	if err != nil {
		return run.Machine{}, err
	}
	return run.Machine{Name: host, Host: pool.Host(t), Address: t.Address}, nil
}

// newGpcheckperf is the entry of the help; the arguments never come here.
func newGpcheckperf() *cobra.Command {
	return &cobra.Command{
		Use: "gpcheckperf -d DIR {-f FILE | -h HOST} [options]", Short: "Measure as gpcheckperf does: its options, lines and exit codes", DisableFlagParsing: true,
		Long: `cw gpcheckperf, or cw under the name gpcheckperf, takes gpcheckperf's options and
prints its lines. It has no verdict, as gpcheckperf has none: that is cw perf. See
cw gpcheckperf -? for the options.`,
		Example: `  cw gpcheckperf -f hosts -d /data1 -d /data2 -r ds -D
  ln -s "$(command -v cw)" ~/bin/gpcheckperf && gpcheckperf -f hosts -r N -d /tmp`,
		RunE: groupRun,
	}
}
