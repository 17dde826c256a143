package commands

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/monitor"
	"cw/monitor/alert"
	"cw/state"
)

func newMonitorInit(a *App) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write a commented configuration", Args: args(0, 1),
		Long: `Write a commented configuration to FILE (monitor.yaml), or to standard output when
FILE is -. It is valid as it is, and has samples of receivers: a command, mail, a
webhook, Slack, Teams, PagerDuty. Every key is explained by cw explain monitor.` + exitHelp(),
		Example: `  cw monitor init
  cw monitor init ~/.config/cw/monitor.yaml`,
		RunE: func(_ *cobra.Command, args []string) error {
			file := "monitor.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			return a.writeSample("monitor", file, monitor.Sample(), force, "cw monitor test --file")
		},
	}
	c.Flags().BoolVar(&force, "force", false, "overwrite FILE")
	return c
}

func newMonitorTry(a *App) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "test [RECEIVER]", Short: "Send a test to the receivers of the configuration", Args: args(0, 1),
		Long: `Read the configuration, and send a test to all of its receivers, or to one, now and
once. It says of each whether it took it, and why not.` + exitHelp(),
		Example: `  cw monitor test
  cw monitor test slack --file prod.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.monitorTry(cmd.Context(), file, name)
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "configuration (default: "+a.monitorFile()+", where it is there)")
	return c
}

// triedDoc is how a test of a receiver ended.
type triedDoc struct {
	Receiver string `json:"receiver"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
}

func (a *App) monitorTry(ctx context.Context, file, name string) error {
	c, err := a.monitorConfig(file)
	if err != nil {
		return err
	}
	chosen := c.Receivers
	if name != "" {
		r, ok := c.Receiver(name)
		if !ok {
			return usagef(receiverHint(c), "there is no receiver %q", name)
		}
		chosen = []monitor.Receiver{r}
	}
	if len(chosen) == 0 {
		return usagef("write a configuration with: cw monitor init "+a.monitorFile(), "there is no receiver to test")
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	docs := make([]triedDoc, len(chosen))
	var wg sync.WaitGroup
	for i, r := range chosen {
		wg.Go(func() {
			docs[i] = triedDoc{Receiver: r.Name, OK: true}
			if err := alert.Send(ctx, r, monitor.TestNotice(state.NewID("t"), r.Name, st.Who(), a.Now())); err != nil {
				docs[i].OK, docs[i].Error = false, redact(err.Error())
			}
		})
	}
	wg.Wait()
	t := table{cols: cols("RECEIVER", "RESULT")}
	var failed []error
	for _, d := range docs {
		if d.OK {
			t.add(d.Receiver, "told")
			continue
		}
		t.add(d.Receiver, "not told: "+oneLine(d.Error))
		failed = append(failed, fmt.Errorf("receiver %s was not told: %s", d.Receiver, d.Error))
	}
	if err := a.print(list("ReceiverTestList", docs), t); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return silent(fault.Interrupted)
	}
	return errors.Join(failed...)
}

func receiverHint(c monitor.Config) string {
	if len(c.Receivers) == 0 {
		return "write some with: cw monitor init"
	}
	hint := "they are:"
	for _, r := range c.Receivers {
		hint += " " + r.Name
	}
	return hint
}
