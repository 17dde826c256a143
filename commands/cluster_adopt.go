package commands

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/cluster/manage"
	"cw/cluster/step"
)

type clusterAdoptOptions struct {
	changeOptions
	name, engine, osUser string
	ssh                  cluster.SSH
}

func newClusterAdopt(a *App) *cobra.Command {
	var o clusterAdoptOptions
	c := &cobra.Command{
		Use: "adopt HOST:PORT", Short: "Take over a cluster that somebody else made", Args: args(1, 1),
		Long: `Take over a running cluster that cw did not make: a Greenplum 6 by its
coordinator, also one of gpinitsystem, or a PostgreSQL primary with its replicas.
HOST is where SSH goes, PORT the database's. What is found is shown first; then a
folder beside each data directory is marked and the cluster is kept in the
store. Nothing of how it runs is changed, and afterwards every verb works on it.` + exitHelp(4, 5, 6, 7),
		Example: `  cw cluster adopt 10.0.0.10:5432 --name dw1 --ssh-user deploy
  cw cluster adopt mdw:5432 --name old --ssh-user gpadmin --become none --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterAdopt(cmd.Context(), args[0], o) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "what the cluster is to be called")
	f.StringVar(&o.engine, "engine", "", "postgres or greenplum (default: what is found)")
	f.StringVar(&o.osUser, "os-user", "", "who owns the database (default: found out, which needs root or sudo)")
	f.StringVar(&o.ssh.User, "ssh-user", "", "user to log in as")
	f.IntVar(&o.ssh.Port, "ssh-port", 0, "TCP port of sshd")
	f.StringVar(&o.ssh.IdentityFile, "identity-file", "", "private key")
	f.StringVar(&o.ssh.HostKey, "host-key", "accept-new", "accept-new or strict")
	f.StringVar(&o.ssh.Jump, "jump", "", "jump hosts, user@host:port, comma separated")
	f.StringVar(&o.ssh.Become, "become", "sudo", "sudo, or none when the SSH user owns the database")
	o.addFlags(c)
	return c
}

func (a *App) clusterAdopt(ctx context.Context, place string, o clusterAdoptOptions) error {
	host, text, err := net.SplitHostPort(place)
	port, perr := strconv.Atoi(text)
	switch {
	case err != nil || perr != nil || host == "" || port < 1 || port > 65535:
		return usagef("as 10.0.0.10:5432", "%q is not HOST:PORT", place)
	case o.name == "":
		return usagef("add --name dw1", "the cluster needs a name")
	case o.ssh.HostKey != "accept-new" && o.ssh.HostKey != "strict":
		return notKnown("--host-key", o.ssh.HostKey, "accept-new", "strict")
	case o.ssh.Become != "sudo" && o.ssh.Become != "none":
		return notKnown("--become", o.ssh.Become, "sudo", "none")
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	op, err := m.Adopt(ctx, cluster.AdoptOptions{Name: o.name, Address: host, Port: port, SSH: o.ssh, OSUser: o.osUser, Engine: o.engine})
	if err != nil {
		return err
	}
	for _, line := range manage.Describe(op.Found) {
		a.infof("found: %s", line)
	}
	ran, err := a.change(ctx, op, o.changeOptions, func(step.View) error {
		return a.confirm(ctx, fmt.Sprintf("adopt it as cluster %s?", o.name), o.yes)
	})
	if err != nil || !ran {
		return err
	}
	st, err := m.Status(ctx, o.name)
	if err != nil {
		return err
	}
	return a.printStatus(st)
}
