package hostprep

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// Binaries is an installed PostgreSQL.
type Binaries struct {
	Dir     string // folder with initdb and postgres
	Version string // 15.18
	Major   int
}

// binariesScript prints folder and version of every PostgreSQL in the places
// where Debian and Red Hat put them, in PATH, and in $1 when it is given.
const binariesScript = `seen=:
for d in ${1:+"$1/bin"} /usr/lib/postgresql/*/bin /usr/pgsql-*/bin $(IFS=:; for p in $PATH; do echo "$p"; done); do
  [ -n "$1" ] && [ "$d" != "$1/bin" ] && continue
  [ -x "$d/initdb" ] && [ -x "$d/postgres" ] && [ -x "$d/pg_basebackup" ] && [ -x "$d/psql" ] || continue
  d=$(cd "$d" && pwd -P)
  case $seen in *:"$d":*) continue;; esac
  seen=$seen$d:
  echo "$d $("$d/postgres" --version)"
done`

var pgVersion = regexp.MustCompile(`^(\S+) postgres \(PostgreSQL\) ((\d+)(?:\.\d+|\S*))`)

// InstalledPostgres lists the PostgreSQL versions on a host; home, if given,
// is the only place that counts.
func (f *Fleet) InstalledPostgres(ctx context.Context, host, home string) ([]Binaries, error) {
	out, err := f.Script(ctx, host, "", binariesScript, home)
	if err != nil {
		return nil, err
	}
	var found []Binaries
	for _, line := range trimLines(out) {
		if m := pgVersion.FindStringSubmatch(line); m != nil {
			major, _ := strconv.Atoi(m[3])
			found = append(found, Binaries{Dir: m[1], Version: m[2], Major: major})
		}
	}
	return found, nil
}

// PostgresMajor is the major version a cluster runs: the one it was made with,
// else the topology's, else the newest supported one that all hosts have.
func (f *Fleet) PostgresMajor(ctx context.Context) (int, error) {
	for _, v := range []string{f.Layout.Version, f.Topology.Engine.Version} {
		if v != "" {
			return strconv.Atoi(v)
		}
	}
	count := map[int]int{}
	for _, h := range f.Topology.Hosts {
		found, err := f.InstalledPostgres(ctx, h.Name, f.Topology.Engine.Home)
		if err != nil {
			return 0, err
		}
		seen := map[int]bool{}
		for _, b := range found {
			if !seen[b.Major] {
				seen[b.Major] = true
				count[b.Major]++
			}
		}
	}
	for v := cluster.MaxPostgres; v >= cluster.MinPostgres; v-- {
		if count[v] == len(f.Topology.Hosts) {
			return v, nil
		}
	}
	return 0, fault.New(fault.Check, "set engine.version, and engine.install: true to have it installed",
		"no version of PostgreSQL from %d to %d is on all hosts", cluster.MinPostgres, cluster.MaxPostgres)
}

// Postgres finds the wanted major version on a host.
func (f *Fleet) Postgres(ctx context.Context, host string, major int) (Binaries, error) {
	found, err := f.InstalledPostgres(ctx, host, f.Topology.Engine.Home)
	if err != nil {
		return Binaries{}, err
	}
	others := []string{}
	for _, b := range found {
		if b.Major == major {
			return b, nil
		}
		others = append(others, fmt.Sprintf("%s in %s", b.Version, b.Dir))
	}
	have := "none"
	if len(others) > 0 {
		have = strings.Join(others, ", ")
	}
	return Binaries{}, &MissingError{Host: host, Major: major, Have: have}
}

// MissingError is a host without the wanted PostgreSQL.
type MissingError struct {
	Host  string
	Major int
	Have  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s: PostgreSQL %d is not installed (found: %s)", e.Host, e.Major, e.Have)
}

// FaultKind makes *MissingError a fault.Kinder.
func (e *MissingError) FaultKind() fault.Kind { return fault.Check }

// FaultHint makes *MissingError a fault.Hinter.
func (e *MissingError) FaultHint() string {
	return fmt.Sprintf("set engine.install: true, or on %s: apt-get install postgresql-%d (dnf install postgresql%d-server)", e.Host, e.Major, e.Major)
}
