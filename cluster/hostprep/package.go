package hostprep

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"cw/fault"
	"cw/remote"
)

// defaultHome is where a .tar.gz is unpacked without engine.home.
const defaultHome = "/usr/local/greenplum-db"

// The kinds of packages.
const (
	packageTar = "tar.gz"
	packageDeb = "deb"
	packageRPM = "rpm"
)

func packageKind(file string) string {
	switch {
	case strings.HasSuffix(file, ".tar.gz"), strings.HasSuffix(file, ".tgz"):
		return packageTar
	case strings.HasSuffix(file, ".deb"):
		return packageDeb
	case strings.HasSuffix(file, ".rpm"):
		return packageRPM
	}
	return ""
}

// versionInName finds 6.24.3 in greenplum-db-6.24.3-rhel8-x86_64.rpm.
var versionInName = regexp.MustCompile(`(?:^|[^\d.])(\d+\.\d+\.\d+)`)

func packageVersion(file string) string {
	if m := versionInName.FindStringSubmatch(path.Base(file)); m != nil {
		return m[1]
	}
	return ""
}

// checkGreenplum looks for the engine, or for what installing it takes.
func (f *Fleet) checkGreenplum(ctx context.Context, s *survey) Check {
	t, host := f.Topology, s.host.Name
	c := Check{ID: "greenplum", Host: host, Severity: Required, Expected: t.Engine.Product()}
	if t.Engine.Package != "" {
		c.Expected += " of " + packageName(t)
	}
	missing := (*MissingGreenplumError)(nil)
	switch {
	case s.access.Err != nil:
		return Check{} // checkAccess says why
	case s.homeErr == nil:
		if err := otherVersion(host, s.home, t.Engine.Package); err != nil {
			return FailedBy(c.ID, host, c.Expected, err)
		}
		c.OK, c.Observed = true, s.home.String()
	case t.Engine.Package != "" && errors.As(s.homeErr, &missing):
		if err := f.mayInstall(ctx, s); err != nil {
			return FailedBy(c.ID, host, c.Expected, fmt.Errorf("installing needs root: %w", err))
		}
		c.OK, c.Observed = true, "will be installed"
	default:
		return FailedBy(c.ID, host, c.Expected, s.homeErr)
	}
	return c
}

// mayInstall fails when root is needed to install the package and not to be
// had.
func (f *Fleet) mayInstall(ctx context.Context, s *survey) error {
	if packageKind(f.Topology.Engine.Package) == packageTar && s.access.UserExists {
		d, err := f.diskAt(ctx, s.host.Name, f.Topology.OSUser, path.Dir(f.packageHome()))
		if err != nil || d.Writable {
			return err
		}
	}
	return f.Root(ctx, s.host.Name)
}

// packageHome is where a .tar.gz is unpacked.
func (f *Fleet) packageHome() string {
	if home := f.Topology.Engine.Home; home != "" {
		return home
	}
	return defaultHome
}

// otherVersion fails when another version is installed than a package says in
// its name. It is not replaced: other clusters may be running on it.
func otherVersion(host string, h Home, file string) error {
	if v := packageVersion(file); v != "" && v != h.Version {
		return fault.New(fault.Check, "take engine.package out to use what is installed, or set engine.home to a new folder", "%s: Greenplum %s is installed, and %s is %s", host, h, path.Base(file), v)
	}
	return nil
}

// stageScript makes a folder for the package that others cannot write to, and
// removes what a run that was killed left there. $1 is the beginning of its
// name.
const stageScript = `rm -rf -- "$1"@*
d=$(mktemp -d -- "$1@XXXXXX") && chmod 0755 -- "$d" && echo "$d"`

// unpackScript unpacks $1 into $2 for user $3, "" when the caller is that. It
// takes the folder in the package that has bin/postgres. What is there
// already, and no Greenplum, is not touched. The folder appears when it is
// complete.
const unpackScript = `set -e
umask 022
home=$2 new=$2.cw-new
if [ -e "$home" ] && [ -n "$(ls -A -- "$home")" ]; then echo "$home is not empty and no Greenplum" >&2; exit 1; fi
mkdir -p -- "${home%/*}"
rm -rf -- "$new"
mkdir -- "$new"
trap 'rm -rf -- "$new"' EXIT
trap 'exit 143' TERM HUP INT
tar -xzf "$1" -C "$new" --no-same-owner
from=
for d in "$new" "$new"/*; do
  if [ -x "$d/bin/postgres" ]; then from=$d; break; fi
done
if [ -z "$from" ]; then echo "the package has no bin/postgres, neither at its top nor one folder below" >&2; exit 1; fi
[ -z "$3" ] || chown -R -h "$3:" "$from"
if [ -e "$home" ]; then rmdir -- "$home"; fi
mv -T -- "$from" "$home"`

// debScript and rpmScript install package $1. With $2 the distribution's
// repositories may be asked for what else it needs. A .deb whose needs are not
// there is taken out again, for dpkg leaves it half installed.
const (
	debScript = `export DEBIAN_FRONTEND=noninteractive
if [ "$2" ]; then apt-get install -q -y --no-install-recommends "$1" && exit; exit 1; fi
said=$(dpkg -i "$1" 2>&1) && exit
name=$(dpkg-deb -f "$1" Package)
echo "$said" | sed -n 's/^ *'"$name"' depends on \(.*\); however:.*/it needs \1/p' >&2
echo "$said" | grep '^dpkg: error' | grep -v 'dependency problems\|processing package' >&2
dpkg --remove "$name" >/dev/null 2>&1
exit 1`
	rpmScript = `if [ "$2" ] && command -v dnf >/dev/null; then exec dnf install -q -y "$1"; fi
exec rpm -i "$1"`
)

// InstallGreenplum brings engine.package to a host and installs it: a .tar.gz
// into engine.home, or /usr/local/greenplum-db, for os_user, which has to exist;
// .deb and .rpm with the host's package manager as root. Where a Greenplum is
// already there is nothing to do, but one of another version is an error. The
// package is removed afterwards.
func (f *Fleet) InstallGreenplum(ctx context.Context, host string) error {
	t := f.Topology
	h, err := f.Greenplum(ctx, host)
	missing := (*MissingGreenplumError)(nil)
	switch {
	case err == nil:
		return otherVersion(host, h, t.Engine.Package)
	case !errors.As(err, &missing) || t.Engine.Package == "":
		return err
	}
	kind := packageKind(t.Engine.Package)
	if kind == "" {
		return fault.New(fault.Usage, "set engine.package to a .tar.gz, .deb or .rpm", "%s is no package", t.Engine.Package)
	}
	stage, err := f.Script(ctx, host, "", stageScript, "/var/tmp/cw-engine@"+t.Name+"@"+host)
	if err != nil {
		return fmt.Errorf("making a folder for the package: %w", err)
	}
	stage = strings.TrimSpace(stage)
	defer f.unstage(ctx, host, stage)
	file := path.Join(stage, "package."+kind)
	if err := f.hosts[host].Push(ctx, t.Engine.Package, file, remote.FileOptions{Mode: 0o644}); err != nil {
		return err
	}
	if err := f.unpack(ctx, host, kind, file); err != nil {
		return fmt.Errorf("installing %s: %w", packageName(t), err)
	}
	if _, err = f.Greenplum(ctx, host); err != nil {
		return fmt.Errorf("%s was installed, but: %w", packageName(t), err)
	}
	return nil
}

func (f *Fleet) unpack(ctx context.Context, host, kind, file string) error {
	t, also := f.Topology, ""
	if t.Engine.Install {
		also = "install"
	}
	var err error
	switch kind {
	case packageTar:
		home := f.packageHome()
		d, derr := f.diskAt(ctx, host, t.OSUser, path.Dir(home))
		if derr != nil {
			return derr
		}
		as, chown := t.OSUser, ""
		if !d.Writable {
			as, chown = "root", t.OSUser
		}
		_, err = f.Script(ctx, host, as, unpackScript, file, home, chown)
	case packageDeb:
		_, err = f.Script(ctx, host, "root", debScript, file, also)
	case packageRPM:
		_, err = f.Script(ctx, host, "root", rpmScript, file, also)
	}
	if err != nil && kind != packageTar && also == "" {
		err = fault.Wrap(fault.Failed, "install what it needs, or set engine.install: true to have it fetched from the distribution's repositories", err)
	}
	return err
}

// unstage removes the package's folder, whatever became of the context.
func (f *Fleet) unstage(ctx context.Context, host, stage string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	_, _ = f.Script(ctx, host, "", `rm -rf -- "$1"`, stage)
}
