package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cw/playground"
	"cw/state"
)

func newPlayground(a *App) *cobra.Command {
	c := group("playground", "Hosts on this machine for a first try")
	c.AddCommand(newPlaygroundUp(a), newPlaygroundDown(a), newPlaygroundStatus(a), newPlaygroundServe(a))
	return c
}

// playgroundDir is the default folder. Root's state folder is closed to the
// user the hosts run as.
func (a *App) playgroundDir(dir string) (string, error) {
	if dir == "" {
		dir = filepath.Join(a.Paths.State, "playground")
		if os.Getuid() == 0 {
			dir = "/var/lib/cw/playground"
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return abs, nil
}

func addDirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", "", "folder of the playground (default: in cw's state folder; root: /var/lib/cw/playground)")
}

func newPlaygroundUp(a *App) *cobra.Command {
	var o playground.Options
	c := &cobra.Command{
		Use: "up", Short: "Start hosts on this machine", Args: noArgs,
		Long: `Start hosts on loopback addresses of this machine: cw's own SSH server, which
runs commands as you. Run by root it runs them as another user. The hosts come
with a topology that is ready for cw cluster create.` + exitHelp(),
		Example: `  cw playground up
  cw playground up --hosts 1 --dir /tmp/play`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.playgroundUp(cmd.Context(), o) },
	}
	addDirFlag(c, &o.Dir)
	c.Flags().IntVar(&o.Hosts, "hosts", 3, "how many hosts, 1 to 9")
	c.Flags().StringVar(&o.Name, "name", "play", "name of the cluster in the topology")
	c.Flags().StringVar(&o.User, "user", "", "for root: the user that commands run as (default $SUDO_USER, else nobody)")
	c.Annotations = mutating()
	return c
}

func (a *App) playgroundUp(ctx context.Context, o playground.Options) (err error) {
	if o.Dir, err = a.playgroundDir(o.Dir); err != nil {
		return err
	}
	if o.Executable, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	o.SudoUser = a.Getenv("SUDO_USER")
	s, err := playground.Up(ctx, o)
	if errors.Is(err, playground.ErrUp) {
		a.infof("the playground is up already")
	} else if err != nil {
		return err
	}
	if err := a.printPlayground(s); err != nil {
		return err
	}
	a.infof("next: cw cluster create -f %s", s.Topology())
	return nil
}

// playgroundStatus is a playground in JSON.
type playgroundStatus struct {
	Running bool `json:"running"`
	*playground.State
	Topology string `json:"topology"`
}

func (a *App) printPlayground(s *playground.State) error {
	running := s.Running()
	t := table{cols: cols("HOST", "ADDRESS", "SSH PORT", "USER", "RUNNING", "+HOME")}
	for _, h := range s.Hosts {
		t.add(h.Name, h.Address, fmt.Sprint(s.SSHPort), s.User, fmt.Sprint(running), h.Home)
	}
	return a.print(object("Playground", playgroundStatus{running, s, s.Topology()}), t)
}

func newPlaygroundDown(a *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "down", Short: "Stop the hosts and remove everything they hold", Args: noArgs,
		Long:    "Stop the hosts, databases that still run on them, and remove the folder." + exitHelp(),
		Example: "  cw playground down\n  cw playground down --dir /tmp/play",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.playgroundDown(cmd.Context(), dir)
		},
	}
	addDirFlag(c, &dir)
	c.Annotations = mutating()
	return c
}

func (a *App) playgroundDown(ctx context.Context, dir string) error {
	dir, err := a.playgroundDir(dir)
	if err != nil {
		return err
	}
	s, err := playground.Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		a.infof("there is no playground in %s: nothing to do", dir)
		return nil
	}
	if err != nil {
		return err
	}
	ended, err := playground.Down(ctx, s)
	if err != nil {
		return err
	}
	a.infof("removed %s, ended %d processes that worked in it", dir, ended)
	return a.forgetPlayground(ctx, s)
}

// forgetPlayground removes the store's record of the cluster that was on the
// playground: its hosts will never be back. A cluster of the same name on
// other hosts is known by its key.
func (a *App) forgetPlayground(ctx context.Context, s *playground.State) error {
	store, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	c, err := store.Cluster(ctx, s.Name)
	if errors.Is(err, state.ErrNotFound) || err == nil && !strings.Contains(c.Topology, s.Key()) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := store.DeleteCluster(ctx, s.Name); err != nil {
		return err
	}
	a.event(ctx, state.Event{Kind: "deleted", Cluster: s.Name, Message: "removed with its playground"})
	a.infof("forgot cluster %s, which was on it", s.Name)
	return os.RemoveAll(a.Paths.ClusterDir(s.Name))
}

func newPlaygroundStatus(a *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "status", Short: "Show the hosts of the playground", Args: noArgs, Long: "Show the hosts of the playground." + exitHelp(),
		Example: "  cw playground status -o json",
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.playgroundDir(dir)
			if err != nil {
				return err
			}
			s, err := playground.Read(dir)
			if err != nil {
				return err
			}
			return a.printPlayground(s)
		},
	}
	addDirFlag(c, &dir)
	return c
}

// newPlaygroundServe is the process behind the hosts; up starts it.
func newPlaygroundServe(a *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "serve", Short: "Serve the hosts (started by up)", Args: noArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ready := os.NewFile(3, "ready")
			if ready == nil {
				return usagef("use: cw playground up", "this command is started by cw playground up")
			}
			return playground.Serve(cmd.Context(), dir, ready, a.Log)
		},
	}
	addDirFlag(c, &dir)
	return c
}
