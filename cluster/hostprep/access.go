package hostprep

import (
	"context"
	"fmt"
)

// Access is what the SSH user may do on a host.
type Access struct {
	SSHUser    string
	UserExists bool  // the topology's os_user
	Err        error // why nothing can be done as os_user; nil when it can
}

// Access probes it; nothing is changed. Root rights are tried only when they
// are needed, since trying may ask for a password.
func (f *Fleet) Access(ctx context.Context, host string) (Access, error) {
	facts, err := f.hosts[host].Facts(ctx)
	if err != nil {
		return Access{}, err
	}
	owner := f.Topology.OSUser
	a := Access{SSHUser: facts.User}
	if a.UserExists, err = f.UserExists(ctx, host); err != nil {
		return a, err
	}
	switch {
	case facts.User == owner:
	case a.UserExists:
		_, a.Err = f.Script(ctx, host, owner, ":")
	default:
		if err := f.Root(ctx, host); err != nil {
			a.Err = fmt.Errorf("user %s does not exist and cannot be created without root: %w", owner, err)
		}
	}
	return a, ctx.Err()
}

// Root fails when commands cannot run as root.
func (f *Fleet) Root(ctx context.Context, host string) error {
	_, err := f.Script(ctx, host, "root", ":")
	return err
}

// UserExists says whether the topology's os_user is on the host.
func (f *Fleet) UserExists(ctx context.Context, host string) (bool, error) {
	out, err := f.Script(ctx, host, "", `if id -u "$1" >/dev/null 2>&1; then echo yes; else echo no; fi`, f.Topology.OSUser)
	return len(trimLines(out)) > 0 && trimLines(out)[0] == "yes", err
}

// CreateUser makes the topology's os_user with a home folder and no password.
// It is a system user: systemd (RemoveIPC) takes the shared memory of ordinary
// users away when they log out.
func (f *Fleet) CreateUser(ctx context.Context, host string) error {
	_, err := f.Script(ctx, host, "root", `useradd --system --create-home --user-group --shell /bin/bash --comment "database owner, made by cw" "$1" || id -u "$1" >/dev/null`, f.Topology.OSUser)
	if err != nil {
		return fmt.Errorf("creating user %s: %w", f.Topology.OSUser, err)
	}
	return nil
}
