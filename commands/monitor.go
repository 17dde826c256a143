package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"cw/cluster/manage"
	"cw/monitor"
	"cw/monitor/alert"
	"cw/monitor/heal"
	"cw/monitor/inspect"
	"cw/monitor/metrics"
	"cw/monitor/run"
	"cw/remote"
	"cw/schema"
	"cw/state"
)

type monitorOptions struct {
	file           string
	listen         string
	heal           bool
	once           bool
	onceFor        time.Duration
	exitCode       bool
	printUnit      bool
	printDashboard bool
}

// onceFor is how long --once looks: until what is confirmed within seconds is.
const onceFor = 15 * time.Second

func newMonitor(a *App) *cobra.Command {
	var o monitorOptions
	c := &cobra.Command{
		Use: "monitor", Short: "Watch all clusters, and tell people what is wrong", Args: cobra.ArbitraryArgs,
		Long: `Watch all clusters of the store until a signal comes: hosts, nodes, roles,
replication, disks and when they are full, clocks, certificates, long transactions
and transaction ids, loads. What is wrong and stays so is an alert: in the store,
among the events, and told to the receivers of the configuration (cw monitor init).

Several monitors may share a PostgreSQL store (--store): one acts, the others
stand by and take over within seconds. Nothing is told twice. What becomes well
is said, too; a silence keeps alerts from being told for a while.

--auto-recover brings failed replicas and mirrors back by itself, a few times;
then it leaves them to you and says so. --once looks for 15 s, prints what is
wrong and ends: it tells nobody and recovers nothing. What it found fires in the
store until a monitor, or the next --once, finds it well.

The configuration is --file, else ~/.config/cw/monitor.yaml where that is there,
else everything is watched and nobody is told.` + exitHelp(5, 8),
		Example: `  cw monitor init ~/.config/cw/monitor.yaml                      # then edit it, and: cw monitor test
  cw monitor
  cw monitor --file prod.yaml --listen 127.0.0.1:9187 --auto-recover
  cw monitor --once --exit-code || page-the-dba
  cw monitor --print-unit | sudo tee /etc/systemd/system/cw-monitor.service
  cw monitor --print-dashboard > cw.json                         # to be imported into Grafana`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return groupRun(cmd, args)
			}
			return a.monitor(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "configuration (default: "+a.monitorFile()+", where it is there)")
	f.StringVar(&o.listen, "listen", "", "serve /metrics and /healthz on this address, as "+monitor.DefaultListen)
	f.BoolVar(&o.heal, "auto-recover", false, "bring failed replicas and mirrors back")
	f.BoolVar(&o.once, "once", false, "look for 15 s, print what is wrong, and end")
	f.DurationVar(&o.onceFor, "once-for", onceFor, "how long --once looks")
	_ = f.MarkHidden("once-for")
	f.BoolVar(&o.exitCode, "exit-code", false, "with --once: exit with 8 when something is wrong")
	f.BoolVar(&o.printUnit, "print-unit", false, "print a systemd unit that runs this, and end")
	f.BoolVar(&o.printDashboard, "print-dashboard", false, "print a dashboard for Grafana, and end")
	c.AddCommand(newMonitorInit(a), newMonitorStatus(a), newMonitorSilence(a), newMonitorSilences(a), newMonitorUnsilence(a), newMonitorTry(a))
	return c
}

// monitorFile is where the configuration is looked for.
func (a *App) monitorFile() string { return filepath.Join(a.Paths.Config, "monitor.yaml") }

// monitorConfig reads the configuration: the file that is named, the usual
// one, or none.
func (a *App) monitorConfig(file string) (monitor.Config, error) {
	if file == "" {
		file = a.monitorFile()
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return monitor.Defaults(), nil
		}
	}
	return monitor.Read(file)
}

func (a *App) monitor(ctx context.Context, o monitorOptions) error {
	if o.exitCode && !o.once {
		return usagef("add --once", "--exit-code is for --once")
	}
	if o.printDashboard {
		_, err := a.IO.Out.Write(metrics.Dashboard())
		return err
	}
	c, err := a.monitorConfig(o.file)
	if err != nil {
		return err
	}
	rules, err := a.watchedRules(c)
	if err != nil {
		return err
	}
	if o.printUnit {
		return a.printUnit(o, c)
	}
	if o.listen != "" {
		c.Listen = o.listen
	}
	c.Heal.On = c.Heal.On || o.heal
	if o.once {
		return a.monitorOnce(ctx, c, rules, o)
	}
	return a.monitorServe(ctx, c, rules)
}

// watchedRules are the rules of the database's inspection. Those that the
// configuration has an opinion on, and that nobody asks, are named.
func (a *App) watchedRules(c monitor.Config) ([]inspect.Rule, error) {
	rules, err := inspectionRules(c.Inspections)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range inspect.Watched(rules) {
		names = append(names, monitor.InspectPrefix+r.Name)
	}
	for name := range c.Rules {
		if !strings.HasPrefix(name, monitor.InspectPrefix) || slices.Contains(names, name) {
			continue
		}
		text := fmt.Sprintf("rules.%s is about a rule that no monitor asks", name)
		if near := schema.Nearest(name, names); near != "" {
			text += ": did you mean " + near + "?"
		}
		a.warnf("%s", text)
	}
	return rules, nil
}

// monitorServe is the monitor at work, until the context ends.
func (a *App) monitorServe(ctx context.Context, c monitor.Config, rules []inspect.Rule) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	show := &monitorProgress{show: a.newProgress(), told: map[string]state.Alert{}}
	logger := a.monitorLog(show)
	dispatcher := alert.New(alert.Options{Store: st, Config: c, Log: logger, Redact: redact, OnTold: show.notice})
	board := metrics.NewBoard()
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if c.Listen != "" {
		l, err := metrics.Listen(ctx, c.Listen)
		if err != nil {
			return err
		}
		show.say("metrics on http://"+l.Addr().String()+"/metrics", nil)
		serving.Go(func() {
			if err := board.Serve(ctx, l, logger); err != nil {
				logger.Error("no metrics any more", "error", err)
			}
		})
	}
	ro, healer := a.monitorRun(st, c)
	ro.Log, ro.Inspect, healer.Log = logger, rules, logger
	ro.Notify = func(ctx context.Context) {
		if err := dispatcher.Run(ctx); err != nil {
			logger.Error("nobody is told any more", "error", err)
		}
	}
	ro.OnView = func(v metrics.View) {
		v.Notices = dispatcher.Counts()
		board.Set(v)
		show.view(v)
	}
	show.say(fmt.Sprintf("watching the clusters of %s; %s", st.Where(), receiversText(c)), nil)
	err = run.Run(ctx, ro)
	healer.Wait()
	show.say("stopped", nil)
	return err
}

// monitorRun is what a monitor works with.
func (a *App) monitorRun(st *state.Store, c monitor.Config) (run.Options, *heal.Healer) {
	a.flags.noInput = true // nobody is there to be asked
	m := &manage.Manager{Store: st, Pool: a.onePool(a.quietPool), Dir: a.Paths.ClusterDir}
	healer := &heal.Healer{Clusters: m, Store: st, Config: c.Heal, Log: a.Log}
	// The pools to look through are the runner's, which closes them.
	return run.Options{Store: st, Manager: m, Pool: a.watchPool, Config: c, Log: a.Log, Heal: healer.Consider}, healer
}

// onePool makes the connections of each cluster once: a monitor lives long.
func (a *App) onePool(make func(string) (*remote.Pool, error)) func(string) (*remote.Pool, error) {
	var mu sync.Mutex
	pools := map[string]*remote.Pool{}
	return func(cluster string) (*remote.Pool, error) {
		mu.Lock()
		defer mu.Unlock()
		if p := pools[cluster]; p != nil {
			return p, nil
		}
		p, err := make(cluster)
		if err == nil {
			pools[cluster] = p
		}
		return p, err
	}
}

func receiversText(c monitor.Config) string {
	what := "nobody is told (cw monitor init)"
	if n := len(c.Receivers); n == 1 {
		what = "receiver " + c.Receivers[0].Name + " is told"
	} else if n > 1 {
		what = fmt.Sprintf("%d receivers are told", n)
	}
	if c.Heal.On {
		what += ", failed replicas and mirrors are recovered"
	}
	return what
}
