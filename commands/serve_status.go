package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cw/schema"
)

func newServeStatus(a *App) *cobra.Command {
	var server serverFlags
	c := &cobra.Command{
		Use: "status", Short: "Show what a running server reads and writes", Args: noArgs,
		Long: "Show the sessions of a running server: what statements read and write, how much,\nhow fast, and the limits they keep to." + exitHelp(5),
		Example: `  cw serve status
  cw serve status --port 8081 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serveStatus(cmd.Context(), server) },
	}
	server.add(c)
	return c
}

func (a *App) serveStatus(ctx context.Context, server serverFlags) error {
	client, err := a.serveControl(ctx, server)
	if err != nil {
		return err
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	t := table{cols: cols("SESSION", "KIND", "STATE", "PATH", "BYTES", "DONE", "RATE", "LIMIT", "SEGMENTS", "DATABASE", "USER", "+XID", "+STARTED", "+ERROR")}
	for _, i := range s.Sessions {
		rate := ""
		if i.Rate > 0 {
			rate = schema.FormatRate(i.Rate) // of 0 it would say that there is no limit
		}
		t.add(fmt.Sprint(i.ID), i.Kind, i.State, i.Path, schema.FormatSize(i.Bytes), percent(i.Done, i.Total), rate,
			schema.FormatRate(i.Limit), fmt.Sprint(i.Attached), i.Database, i.User, i.XID, i.Started.Local().Format("2006-01-02T15:04:05Z07:00"), redact(i.Error))
	}
	if len(s.Sessions) == 0 {
		a.infof("%s: no statement reads or writes", s.URL)
	}
	return a.print(object("ServerStatus", s), t)
}
