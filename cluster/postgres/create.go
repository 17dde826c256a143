package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
	"cw/remote"
)

// Create are the steps from bare hosts to a running cluster. Their order, for
// the primary's host p and each standby's host s:
//
//	user@h, install@h, claim@h, tls@h on every host
//	init@p, start@p, then admin@p, database@p and, with standbys, replication@p
//	passfile@s, clone@s, start@s, follow@s
func (e *Engine) Create() ([]step.Step, error) {
	if err := e.localFiles(); err != nil {
		return nil, err
	}
	var steps []step.Step
	if e.top.TLS.Mode == cluster.TLSSelfSigned {
		steps = append(steps, e.caStep())
	}
	for _, n := range e.lay.Nodes {
		steps = append(steps, e.userStep(n))
		if e.top.Engine.Install {
			steps = append(steps, e.installStep(n))
		}
		steps = append(steps, e.claimStep(n))
		if e.top.TLS.Mode != cluster.TLSOff {
			steps = append(steps, e.tlsStep(n))
		}
	}
	p := e.lay.Primary()
	steps = append(steps, e.initStep(p), e.startStep(p, e.startNeeds(p, "init@"+p.Host)...), e.adminStep(p), e.databaseStep(p))
	standbys := e.lay.Standbys()
	if len(standbys) > 0 {
		steps = append(steps, e.replicationStep(p, standbys))
	}
	for _, n := range standbys {
		steps = append(steps, e.passfileStep(n), e.cloneStep(n, p), e.startStep(n, e.startNeeds(n, "clone@"+n.Host)...), e.followStep(n, p))
	}
	return steps, nil
}

// localFiles makes sure that the files the topology names are there before
// anything is changed.
func (e *Engine) localFiles() error {
	if e.top.Database.PasswordFile != "" {
		if _, err := e.adminPassword(); err != nil {
			return err
		}
	}
	if e.top.TLS.Mode != cluster.TLSFiles {
		return nil
	}
	for _, h := range e.top.Hosts {
		if _, _, err := e.certFiles(h); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) startNeeds(n cluster.Node, made string) []string {
	if e.top.TLS.Mode == cluster.TLSOff {
		return []string{made}
	}
	return []string{made, "tls@" + n.Host}
}

// userStep makes the OS user that owns the database.
func (e *Engine) userStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "user@" + n.Host, Host: n.Host, Title: "create OS user " + e.top.OSUser,
		Check: func(ctx context.Context) (step.Observed, error) {
			ok, err := e.Fleet.UserExists(ctx, n.Host)
			return step.Observed{Done: ok, Note: choose(ok, "exists", "missing")}, err
		},
		Apply: func(ctx context.Context) error { return e.Fleet.CreateUser(ctx, n.Host) },
	}
}

// installStep installs the distribution's packages.
func (e *Engine) installStep(n cluster.Node) step.Step {
	return step.Step{
		ID: "install@" + n.Host, Host: n.Host, Title: "install PostgreSQL " + e.top.Engine.Version,
		Check: func(ctx context.Context) (step.Observed, error) {
			b, err := e.binaries(ctx, n.Host)
			var missing *hostprep.MissingError
			if errors.As(err, &missing) {
				return step.Observed{Note: "found: " + missing.Have}, nil
			}
			return step.Observed{Done: err == nil, Note: b.Version}, err
		},
		Apply: func(ctx context.Context) error {
			major, err := e.version(ctx)
			if err != nil {
				return err
			}
			return e.Fleet.InstallPostgres(ctx, n.Host, major)
		},
	}
}

// claimStep makes the node's folder and marks it as ours. A folder with
// anything in it but our marker is an error, now and when the step is run.
func (e *Engine) claimStep(n cluster.Node) step.Step {
	look := func(ctx context.Context) (hostprep.Dir, error) {
		d, err := e.Fleet.LookDir(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n))
		if err == nil && (d.State == hostprep.DirForeign || d.State == hostprep.DirUnreadable) {
			err = hostprep.Foreign(n.Host, n.Dir, d)
		}
		return d, err
	}
	return step.Step{
		ID: "claim@" + n.Host, Host: n.Host, Title: "make " + n.Dir, Needs: []string{"user@" + n.Host},
		Check: func(ctx context.Context) (step.Observed, error) {
			d, err := look(ctx)
			return step.Observed{Done: d.State == hostprep.DirOurs, Note: d.State}, ignoreNoUser(err)
		},
		Apply: func(ctx context.Context) error {
			if _, err := look(ctx); err != nil {
				return err
			}
			return e.Fleet.Claim(ctx, n.Host, e.top.OSUser, n.Dir, e.marker(n))
		},
	}
}

// initStep initialises the primary.
func (e *Engine) initStep(n cluster.Node) step.Step {
	s := step.Step{
		ID: "init@" + n.Host, Host: n.Host, Title: "initialise primary " + n.Name(), Needs: e.needBinaries(n, "claim@"+n.Host),
		Check: e.dataCheck(n),
		Apply: func(ctx context.Context) error {
			if err := e.sweep(ctx, n); err != nil {
				return err
			}
			err := e.tool(ctx, n, "initdb", "-D", newData(n), "--username", e.top.OSUser, "--data-checksums",
				"--auth-local", "peer", "--auth-host", "scram-sha-256",
				"--encoding", e.top.Database.Encoding, "--locale", e.top.Database.Locale, "--lc-messages", "C")
			if err != nil {
				return fmt.Errorf("initialising node %s: %w", n.Name(), err)
			}
			if err := e.configure(ctx, n, newData(n), nil); err != nil {
				return err
			}
			return e.complete(ctx, n)
		},
		Undo: func(ctx context.Context) error { return e.sweep(ctx, n) },
	}
	return s
}

// needBinaries adds the package step, where there is one.
func (e *Engine) needBinaries(n cluster.Node, needs ...string) []string {
	if e.top.Engine.Install {
		needs = append(needs, "install@"+n.Host)
	}
	return needs
}

// dataCheck says whether the data directory is complete.
func (e *Engine) dataCheck(n cluster.Node) func(context.Context) (step.Observed, error) {
	return func(ctx context.Context) (step.Observed, error) {
		out, err := e.sh(ctx, n, `if [ -f "$1/PG_VERSION" ]; then cat "$1/PG_VERSION"; fi`, n.DataDir)
		if err != nil || out == "" {
			return step.Observed{Note: "no data directory"}, ignoreNoUser(err)
		}
		return step.Observed{Done: true, Note: n.DataDir}, nil
	}
}

// ignoreNoUser turns the failure to become a user who does not exist yet into
// a Check's "not done": the user is made by an earlier step.
func ignoreNoUser(err error) error {
	var sudo *remote.SudoError
	if errors.As(err, &sudo) && (strings.Contains(sudo.Text, "unknown user") || strings.Contains(sudo.Text, "no such user")) {
		return nil
	}
	return err
}

// ignoreMissing does the same for files of this machine.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
