package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/tui"
)

type topOptions struct {
	once     bool
	watch    time.Duration
	record   string
	replay   string
	speed    string
	readOnly bool
	theme    string
	ascii    bool
	mouse    bool
	interval time.Duration
	exitCode bool
	noTUI    bool
	fake     string
}

func newTop(a *App) *cobra.Command {
	var o topOptions
	c := &cobra.Command{
		Use: "top [CLUSTER]", Aliases: []string{"dash"}, Short: "Watch a cluster, its hosts and loads", Args: args(0, 1),
		Long: `Watch a cluster: what is wrong, which loads run and how fast, who waits for whom;
and turn a load's limit with a key. ? shows the keys. Without CLUSTER it is the
only one in the store; without any cluster the loads are shown alone. Hosts that
ask for a password or passphrase are not reached from here: use an SSH agent.

--once prints one snapshot and ends; so does everything that is not a terminal.
It waits for two samples, so that rates are known. --watch prints one again and
again, with -o json one line each. --record keeps what is seen in a file, also
while the dashboard runs, and --replay shows it again. With --exit-code a
snapshot ends with 8 when the cluster is degraded, 1 when it is down and 5 when
that cannot be said.

NO_COLOR (any value) takes the colours away; a LANG that is not UTF-8 the lines
and blocks.` + exitHelp(4, 5, 8),
		Example: `  cw top
  cw top dw1 --read-only
  cw top dw1 --once -o json --exit-code
  cw top dw1 --watch 5s -o json >> dw1.jsonl
  cw top dw1 --record incident.jsonl
  cw top --replay incident.jsonl --speed 4x`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.once = o.once || cmd.Flags().Changed("output") && o.watch == 0 // who wants JSON wants no screen
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			return a.top(cmd.Context(), name, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.once, "once", false, "print one snapshot and end")
	f.DurationVar(&o.watch, "watch", 0, "print a snapshot every so often, as 5s")
	f.StringVar(&o.record, "record", "", "write every snapshot to this file (JSON lines)")
	f.StringVar(&o.replay, "replay", "", "show a recording instead of the world")
	f.StringVar(&o.speed, "speed", "1x", "how fast a recording is shown, as 4x")
	f.BoolVar(&o.readOnly, "read-only", false, "no key changes anything")
	f.StringVar(&o.theme, "theme", string(tui.ThemeAuto), "colours: "+strings.Join(tui.ThemeNames(), ", "))
	f.BoolVar(&o.ascii, "ascii", false, "no characters outside of ASCII")
	f.BoolVar(&o.mouse, "mouse", false, "wheel and clicks; the terminal's own selection needs shift then")
	f.DurationVar(&o.interval, "interval", 2*time.Second, "how often the database is asked, 500ms to 1m (keys + and -)")
	f.BoolVar(&o.exitCode, "exit-code", false, "with --once or --watch: exit with 8 when the cluster is degraded, 1 when it is down, 5 when unknown")
	f.BoolVar(&o.noTUI, "no-tui", false, "as if this were no terminal")
	f.StringVar(&o.fake, "fake", "", "a made-up cluster, SEED:HOSTS:SEGMENTS, for demonstrations and tests")
	_ = f.MarkHidden("fake")
	return c
}

func (o topOptions) validate(cluster string) error {
	for _, c := range []struct {
		both    bool
		message string
	}{
		{o.once && o.watch != 0, "--once and --watch"},
		{o.record != "" && o.replay != "", "--record and --replay"},
		{o.replay != "" && o.fake != "", "--replay and --fake"},
		{o.replay != "" && cluster != "", "--replay and a cluster's name"},
		{o.fake != "" && cluster != "", "--fake and a cluster's name"},
	} {
		if c.both {
			return usagef("give one of them", "%s do not go together", c.message)
		}
	}
	if o.watch < 0 || o.watch > 0 && o.watch < 100*time.Millisecond {
		return usagef("write it as 5s", "--watch %s: at least 100ms", o.watch)
	}
	if _, err := parseSpeed(o.speed); err != nil {
		return err
	}
	if o.interval < 500*time.Millisecond || o.interval > time.Minute {
		return usagef("", "--interval %s: 500ms to 1m", o.interval)
	}
	known := false
	for _, t := range tui.ThemeNames() {
		known = known || t == o.theme
	}
	if !known {
		return notKnown("--theme", o.theme, tui.ThemeNames()...)
	}
	return nil
}

// top shows the dashboard, or prints snapshots where there can be none.
func (a *App) top(ctx context.Context, cluster string, o topOptions) error {
	if err := o.validate(cluster); err != nil {
		return err
	}
	script := o.once || o.watch > 0
	if reason := a.noScreen(o); !script && reason != "" {
		a.infof("%s: one snapshot, as with --once", reason)
		o.once, script = true, true
	}
	if !script {
		if o.exitCode {
			return usagef("add --once or --watch", "--exit-code is for snapshots, not for the dashboard")
		}
		a.flags.noInput = true // a question would be lost among the dashboard's lines
	}
	src, done, err := a.topSource(ctx, cluster, o)
	if err != nil {
		return err
	}
	if script {
		err = a.topSnapshots(ctx, src, o)
	} else {
		err = tui.Run(ctx, tui.Options{
			Source: src, Theme: tui.ThemeName(o.theme), ASCII: o.ascii || !a.utf8Locale(), ReadOnly: o.readOnly || o.replay != "", Mouse: o.mouse,
			NoColor: a.Getenv("NO_COLOR") != "", Interval: o.interval,
		}, a.IO.In, a.IO.Out)
		if err != nil && (ctx.Err() != nil || fault.KindOf(err) == fault.Interrupted) {
			err = silent(fault.Interrupted)
		}
	}
	return errors.Join(err, done())
}

// noScreen says why there can be no dashboard; "" when there can.
func (a *App) noScreen(o topOptions) string {
	switch {
	case o.noTUI:
		return "--no-tui"
	case !a.IO.OutTTY:
		return "standard output is not a terminal"
	case !a.IO.InTTY:
		return "standard input is not a terminal"
	case a.Getenv("TERM") == "dumb" || a.Getenv("TERM") == "":
		return "TERM is " + fmt.Sprintf("%q", a.Getenv("TERM"))
	}
	return ""
}

// utf8Locale tells whether the terminal is said to show UTF-8.
func (a *App) utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(a.Getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}
