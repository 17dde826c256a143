package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/run"
)

func newPerfVerifyEngine(a *App) *cobra.Command {
	var o perfOptions
	pairs := 6
	c := &cobra.Command{
		Use: "verify-engine", Short: "Compare cw's own engines with fio and iperf3", Args: noArgs,
		Long: `Measure the same by cw and by fio (with --dir) and iperf3 (between the first two
hosts, or over the loopback), by turns in random order, and the tool against
itself as a control. Exit code 6 when cw's engine is too slow to be trusted here.` + exitHelp(5, 6),
		Example: `  cw perf verify-engine --dir /data1
  cw perf verify-engine --dir /data1 --host sdw1,sdw2 --pairs 12 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verifyEngine(cmd.Context(), &o, pairs) },
	}
	c.Flags().IntVar(&pairs, "pairs", pairs, "measurements by each")
	o.addDiskFlags(c)
	o.addHostFlags(c)
	o.Profile, o.FailOn, o.Seed, o.Warmup = "quick", "fail", 1, -1
	c.Flags().StringSliceVar(&o.Only, "only", nil, "only these tests")
	c.Flags().DurationVar(&o.Duration, "duration", 0, "of each measurement (default 3s)")
	return c
}

func (a *App) verifyEngine(ctx context.Context, o *perfOptions, pairs int) error {
	if pairs < 2 {
		return usagef("6 are the least that say something", "--pairs %d is too few", pairs)
	}
	o.Areas = []perfcheck.Area{perfcheck.Net}
	if len(o.Dirs) > 0 {
		o.Areas = []perfcheck.Area{perfcheck.Disk, perfcheck.Net}
	}
	ro, err := a.perfRunOptions(ctx, o)
	if err != nil {
		return err
	}
	show := a.newProgress()
	ro.Reporter = &perfProgress{show: show, warn: a.warnf}
	check, err := run.VerifyEngine(ctx, run.VerifyOptions{Options: ro, Pairs: pairs})
	show.Close()
	if err != nil {
		return err
	}
	t := table{cols: cols("TEST", "WHERE", "CW", "PEER", "VALUE", "RATIO", "95%", "CONTROL", "95%", "VERDICT", "REASON")}
	span := func(i run.Interval) string { return fmt.Sprintf("%.2f-%.2f", i.Low, i.High) }
	for _, c := range check.Cases {
		t.add(c.ID, c.Where, perfcheck.FormatValue(c.Own, c.Unit), c.Peer, perfcheck.FormatValue(c.Other, c.Unit), fmt.Sprintf("%.2f", c.Ratio.Median), span(c.Ratio),
			fmt.Sprintf("%.2f", c.Control.Median), span(c.Control), string(c.Verdict), c.Reason)
	}
	if err := a.print(object("EngineCheck", check), t); err != nil {
		return err
	}
	if check.Verdict == perfcheck.Fail {
		return silent(fault.Check)
	}
	return nil
}
