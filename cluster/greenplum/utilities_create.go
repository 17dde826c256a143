package greenplum

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// initNote in the coordinator's folder says that gpinitsystem is through. It
// cannot be resumed: while the note is missing everything is made anew.
const initNote = "cw-initialised"

// isExit says whether a command ran and ended with a status that is not 0.
func isExit(err error) bool {
	var exit *remote.ExitError
	return errors.As(err, &exit)
}

// Checks look whether the utilities run at all: they are programs of Python,
// which is not on every host.
func (u *Utilities) Checks(ctx context.Context, host string) []hostprep.Check {
	if host != u.coordinator().Host || u.top.Engine.Package != "" {
		return nil
	}
	c := hostprep.Check{ID: "utilities", Host: host, Severity: hostprep.Required, Expected: "gpstate, gpinitsystem and the others run"}
	home, err := u.home(ctx, host)
	if err != nil {
		return nil // the check of the engine says so
	}
	out, err := u.tryUtility(ctx, host, home)
	switch {
	case err != nil:
		return []hostprep.Check{hostprep.FailedBy(c.ID, host, c.Expected, fault.Wrap(fault.Check, "install what they say is missing, on "+host, err))}
	default:
		c.OK, c.Observed = true, out
	}
	return []hostprep.Check{c}
}

func (u *Utilities) tryUtility(ctx context.Context, host, home string) (string, error) {
	res, err := u.Fleet.Host(host).Run(ctx, remote.Cmd{
		Args: []string{"/bin/bash", "-c", utilityScript, "cw", home, "", "", "gpstate", "--version"}, Dir: "/", Env: []string{"LC_ALL=C.UTF-8"},
	})
	return clean(string(res.Stdout)), err
}

// Create are the steps from bare hosts to a running cluster: users and folders
// as ever, the owner's way from host to host, gpinitsystem, gpinitstandby,
// then the settings that cw computes, with a restart by gpstop.
func (u *Utilities) Create() ([]step.Step, error) {
	if u.top.Database.PasswordFile != "" {
		if _, err := u.adminPassword(); err != nil {
			return nil, err
		}
	}
	u.beingMade = true
	c := u.coordinator()
	var steps []step.Step
	var users, ready []string
	for _, h := range u.hosts() {
		steps, users = append(steps, u.userStep(h)), append(users, "user@"+h)
		if u.top.Engine.Package != "" {
			steps, ready = append(steps, u.softwareStep(h)), append(ready, "software@"+h)
		}
		steps, ready = append(steps, u.claimStep(h, u.lay.On(h))), append(ready, "claim@"+h)
	}
	steps, ready = append(steps, u.trustStep(users)), append(ready, "trust")
	steps = append(steps, u.initSystemStep(ready), u.runningStep("gpinitsystem"))
	last := "gpstart"
	if n, ok := u.standby(); ok {
		steps = append(steps, u.standbyByUtility(n, last))
		last = "gpinitstandby"
	}
	steps = append(steps, u.settingsStep(last))
	admin := u.adminStep("settings")
	return append(steps, admin, u.databaseStep(admin.ID), u.allUpStep(c, "database")), nil
}

// runningStep starts a cluster that an interrupted run has left stopped, between
// the stop and the start of its restart.
func (u *Utilities) runningStep(needs ...string) step.Step {
	c := u.coordinator()
	return step.Step{
		ID: "gpstart", Host: c.Host, Title: "see the coordinator run (gpstart)", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := u.see(ctx, c)
			return step.Observed{Done: s.Proc == procReady, Note: choose(s.Data, s.Proc, "not initialised")}, err
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			return u.utility(ctx, call{node: c, name: "gpstart", args: []string{"-a"}, warnings: []int{1}})
		},
	}
}

// allUpStep waits until everything is in sync: the utilities return before.
func (u *Utilities) allUpStep(c cluster.Node, needs ...string) step.Step {
	s := u.syncStep(needs...)
	s.Host = c.Host
	return s
}

// initSystemStep runs gpinitsystem with the layout as its input.
func (u *Utilities) initSystemStep(needs []string) step.Step {
	c := u.coordinator()
	return step.Step{
		ID: "gpinitsystem", Host: c.Host, Title: fmt.Sprintf("gpinitsystem: coordinator, %d segments", len(u.contents())), Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			done, err := u.initialised(ctx)
			return step.Observed{Done: done, Note: choose(done, "initialised", "not initialised")}, err
		},
		Apply: func(ctx context.Context) error {
			defer u.lookAnew()
			return u.initSystem(ctx)
		},
	}
}

func (u *Utilities) initialised(ctx context.Context) (bool, error) {
	c := u.coordinator()
	out, err := u.Fleet.Script(ctx, c.Host, u.top.OSUser, `[ -e "$1" ] && [ -f "$2/PG_VERSION" ] && echo yes; :`, c.Dir+"/"+initNote, c.DataDir)
	return strings.TrimSpace(out) == "yes", ignoreAbsent(err)
}

func (u *Utilities) initSystem(ctx context.Context) error {
	c := u.coordinator()
	if err := u.wipe(ctx); err != nil {
		return err
	}
	text, err := u.initInput(ctx)
	if err != nil {
		return err
	}
	file, err := u.writeOn(ctx, c, "gpinitsystem.conf", text)
	if err != nil {
		return err
	}
	locale, err := u.localeName(ctx, c.Host)
	if err != nil {
		return err
	}
	args := []string{"-a", "-I", file, "-n", locale}
	list, err := u.settingsOf(ctx, c)
	if err != nil {
		return err
	}
	for _, s := range list {
		switch s.Name {
		case "max_connections":
			args = append(args, "-m", s.Value)
		case "shared_buffers":
			args = append(args, "-b", s.Value)
		}
	}
	// 1 stands for warnings, of which there are always some; what counts is in
	// the catalogue.
	if err := u.utility(ctx, call{node: c, name: "gpinitsystem", args: args, warnings: []int{1}}); err != nil {
		return err
	}
	u.lookAnew()
	rows, err := u.catalog(ctx)
	if err != nil {
		return err
	}
	for _, n := range u.lay.Nodes {
		if _, known := rows.of(n); !known && n.Role != cluster.NodeStandby {
			return fault.New(fault.Failed, fmt.Sprintf("its log is on %s in ~%s/gpAdminLogs", c.Host, u.top.OSUser), "gpinitsystem did not make %s on %s", describe(n), n.Host)
		}
	}
	// It gives the superuser a password that is in its manual.
	if _, err := u.sql(ctx, session{node: c}, "alter role "+ident(u.top.OSUser)+" password null;\n"); err != nil {
		return fmt.Errorf("taking the well-known password of %s away: %w", u.top.OSUser, err)
	}
	_, err = u.writeOn(ctx, c, initNote, u.Run+"\n")
	return err
}

// wipe removes what an earlier gpinitsystem, which did not get through, left.
func (u *Utilities) wipe(ctx context.Context) error {
	_, err := remote.Each(ctx, u.Fleet.Hosts(), 0, func(ctx context.Context, h *remote.Host) (struct{}, error) {
		nodes := u.lay.On(h.Name())
		if len(nodes) == 0 {
			return struct{}{}, nil
		}
		if err := u.stop(ctx, h.Name(), nodes, cluster.Immediate, "", false); err != nil {
			return struct{}{}, err
		}
		var dirs []string
		for _, n := range nodes {
			dirs = append(dirs, n.DataDir)
		}
		return struct{}{}, u.sweep(ctx, h.Name(), dirs...)
	})
	return err
}

// initInput is the file for gpinitsystem -I: fields as its -O writes them,
// host~address~port~directory~dbid~content.
func (u *Utilities) initInput(ctx context.Context) (string, error) {
	line := func(n cluster.Node) string {
		return strings.Join([]string{n.Host, u.address(n), strconv.Itoa(n.Port), n.DataDir, strconv.Itoa(n.ID), strconv.Itoa(n.Content)}, "~")
	}
	for _, n := range u.lay.Nodes {
		if strings.ContainsAny(n.DataDir, " ~|$`&;()<>*?[]{}#!") { // the file is a shell script
			return "", fault.New(fault.Usage, "choose other layout.data_dirs", "data directory %q has characters that gpinitsystem cannot take", n.DataDir)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ARRAY_NAME=%q\nTRUSTED_SHELL=ssh\nCHECK_POINT_SEGMENTS=8\nENCODING=%s\nHEAP_CHECKSUM=on\nHBA_HOSTNAMES=0\n", u.top.Name, u.top.Database.Encoding)
	fmt.Fprintf(&b, "QD_PRIMARY_ARRAY=%s\n", line(u.coordinator()))
	for _, l := range []struct{ array, role string }{{"PRIMARY_ARRAY", cluster.NodePrimary}, {"MIRROR_ARRAY", cluster.NodeMirror}} {
		var lines []string
		for _, content := range u.contents() {
			for _, n := range u.pair(content) {
				if n.Role == l.role {
					lines = append(lines, line(n))
				}
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(&b, "declare -a %s=(\n%s\n)\n", l.array, strings.Join(lines, "\n"))
		}
	}
	return b.String(), ctx.Err()
}

// localeName is the topology's locale as the host spells it: gpinitsystem
// looks for it in the output of locale -a.
func (u *Utilities) localeName(ctx context.Context, host string) (string, error) {
	out, err := u.Fleet.Script(ctx, host, "", "locale -a 2>/dev/null; :")
	if err != nil {
		return "", err
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }
	for name := range strings.Lines(out) {
		if name = strings.TrimSpace(name); plain(name) == plain(u.top.Database.Locale) {
			return name, nil
		}
	}
	return u.top.Database.Locale, nil
}
