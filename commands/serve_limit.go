package commands

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/loadspec/fdist"
	"cw/schema"
)

// serverFlags say which server on this machine is meant.
type serverFlags struct {
	port    int
	control string
}

func (f *serverFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&f.port, "port", 0, "port of the server (default: the only one that runs)")
	c.Flags().StringVar(&f.control, "control", "", "control socket of the server")
}

// control finds a running server.
func (a *App) serveControl(ctx context.Context, f serverFlags) (fdist.ControlClient, error) {
	switch {
	case f.control != "":
		return fdist.ControlClient{Path: f.control}, nil
	case f.port != 0:
		c := fdist.ControlClient{Path: filepath.Join(a.serveDir(), strconv.Itoa(f.port)+".sock")}
		if _, err := os.Stat(c.Path); err != nil {
			return c, fault.New(fault.Unreachable, "start it: cw serve --port "+strconv.Itoa(f.port)+"; a server of another user has its socket elsewhere: --control PATH", "no server of yours listens on port %d", f.port)
		}
		return c, nil
	}
	paths, err := filepath.Glob(filepath.Join(a.serveDir(), "*.sock"))
	if err != nil {
		return fdist.ControlClient{}, err
	}
	var running []fdist.ControlClient
	var ports []string
	for _, p := range paths {
		c := fdist.ControlClient{Path: p}
		if _, err := c.Status(ctx); err == nil {
			running = append(running, c)
			ports = append(ports, strings.TrimSuffix(filepath.Base(p), ".sock"))
		}
	}
	switch len(running) {
	case 1:
		return running[0], nil
	case 0:
		return fdist.ControlClient{}, fault.New(fault.Unreachable, "start one: cw serve --dir FOLDER; one with --control PATH is found with the same flag", "no server of yours runs here")
	}
	return fdist.ControlClient{}, usagef("say which: --port "+ports[0], "several servers run here, on the ports %s", strings.Join(ports, ", "))
}

func newServeLimit(a *App) *cobra.Command {
	var server serverFlags
	var database, user, session string
	c := &cobra.Command{
		Use: "limit RATE|none", Short: "Change the speed of a running server", Args: args(1, 1), Annotations: mutating(),
		Long: `Change how many bytes of rows a running server sends and takes per second: all
together, or those of one database, user or session. It is in force at once, also
for statements under way. A statement keeps to all limits that it falls under.
Databases and users are known of reads only: segments do not tell them when they
write.` + exitHelp(5),
		Example: `  cw serve limit 50MB/s
  cw serve limit --db warehouse 20MB/s
  cw serve limit --user loader none
  cw serve limit --session 12 1MB/s        # see cw serve status`,
		RunE: func(cmd *cobra.Command, args []string) error {
			l := fdist.Limit{Scope: fdist.ScopeServer}
			given := 0
			for scope, name := range map[fdist.Scope]string{fdist.ScopeDatabase: database, fdist.ScopeUser: user, fdist.ScopeSession: session} {
				if name != "" {
					l.Scope, l.Name = scope, name
					given++
				}
			}
			if given > 1 {
				return usagef("set one limit at a time", "--db, --user and --session exclude each other")
			}
			return a.serveLimit(cmd.Context(), server, l, args[0])
		},
	}
	server.add(c)
	c.Flags().StringVar(&database, "db", "", "only reads of this database")
	c.Flags().StringVar(&user, "user", "", "only reads of this database user")
	c.Flags().StringVar(&session, "session", "", "only the session of this number")
	return c
}

func (a *App) serveLimit(ctx context.Context, server serverFlags, l fdist.Limit, text string) error {
	var err error
	if l.Rate, err = schema.ParseRate(text); err != nil {
		return usagef("", "%v", err)
	}
	client, err := a.serveControl(ctx, server)
	if err != nil {
		return err
	}
	limits, err := client.SetLimit(ctx, l)
	if err != nil {
		return err
	}
	t := table{cols: cols("SCOPE", "NAME", "LIMIT")}
	for _, l := range limits {
		t.add(string(l.Scope), l.Name, schema.FormatRate(l.Rate))
	}
	of := "the server"
	if l.Name != "" {
		of = fmt.Sprintf("%s %s", l.Scope, l.Name)
	}
	a.infof("limit of %s is %s", of, schema.FormatRate(l.Rate))
	return a.print(list("LimitList", limits), t)
}
