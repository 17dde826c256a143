package hostprep

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// Home is an installed Greenplum or Cloudberry.
type Home struct {
	Product string // cluster.Greenplum or cluster.Cloudberry
	Dir     string // GPHOME: the folder with bin, lib and share
	Version string // 6.24.3
	Build   string // what else postgres --gp-version says, "build commit:…"
	Catalog string // catalogue version: data directories of another one cannot be used
}

func (h Home) String() string {
	if h.Product == cluster.Cloudberry {
		return "Cloudberry " + h.Version + " in " + h.Dir
	}
	return h.Version + " in " + h.Dir
}

// Major is the major version.
func (h Home) Major() string {
	major, _, _ := strings.Cut(h.Version, ".")
	return major
}

// build says what must be alike on all hosts.
func (h Home) build() string {
	return strings.TrimSpace(h.Version+" "+h.Build) + ", catalogue " + h.Catalog
}

// homeScript prints folder, version and catalogue version of every Greenplum
// and Cloudberry in $1, or in the places where their packages put them; of a
// postgres that does not run it prints what that says.
const homeScript = `for d in ${1:+"$1"} /usr/local/greenplum-db /usr/local/greenplum-db-* /opt/greenplum-db* \
  /usr/local/cloudberry-db /usr/local/cloudberry-db-* /usr/local/cbdb /usr/local/cbdb-* /usr/local/cloudberry /usr/local/cloudberry-[0-9]*; do
  [ -n "$1" ] && [ "$d" != "$1" ] && continue
  [ -x "$d/bin/postgres" ] && [ -x "$d/bin/initdb" ] || continue
  echo "home $d"
  (export LD_LIBRARY_PATH="$d/lib"; "$d/bin/postgres" --gp-version && "$d/bin/postgres" --catalog-version) 2>&1
done
:`

var (
	gpVersion = regexp.MustCompile(`^postgres \((Greenplum Database|Cloudberry Database|Apache Cloudberry)\) (\d[.\d]*)\S* ?(.*)$`)
	gpCatalog = regexp.MustCompile(`^Catalog version number: +(\d+)$`)
)

// parseHomes reads the answer of homeScript. Homes without a version come with
// what their postgres said in Build.
func parseHomes(lines []string) []Home {
	var out []Home
	for _, line := range lines {
		if dir, ok := strings.CutPrefix(line, "home "); ok {
			out = append(out, Home{Dir: dir})
			continue
		}
		if len(out) == 0 {
			continue
		}
		h := &out[len(out)-1]
		if m := gpVersion.FindStringSubmatch(line); m != nil {
			h.Product, h.Version, h.Build = cluster.Greenplum, m[2], m[3]
			if strings.Contains(m[1], "Cloudberry") {
				h.Product = cluster.Cloudberry
			}
		} else if m := gpCatalog.FindStringSubmatch(line); m != nil {
			h.Catalog = m[1]
		} else if h.Version == "" {
			h.Build = strings.TrimSpace(h.Build + " " + line)
		}
	}
	return out
}

// chooseHome is the first engine of the topology's kind and of a major version
// that is run that way. That is the folder without a version in its name, if
// it exists: packages make it a link to the newest.
func chooseHome(host string, want cluster.Engine, found []Home) (Home, error) {
	var others []string
	for _, h := range found {
		switch {
		case h.Product == want.Kind && slices.Contains(want.Majors(), h.Major()) && h.Catalog != "":
			return h, nil
		case h.Version != "":
			others = append(others, h.String())
		default:
			others = append(others, h.Dir+", which does not run: "+h.Build)
		}
	}
	have := "none"
	if len(others) > 0 {
		have = strings.Join(others, "; ")
	}
	return Home{}, &MissingGreenplumError{Host: host, Want: want.Product(), Have: have}
}

// Greenplum finds the engine on a host: in engine.home, or where its packages
// put it. The answer is kept; InstallGreenplum has it asked anew.
func (f *Fleet) Greenplum(ctx context.Context, host string) (Home, error) {
	f.mu.Lock()
	h, ok := f.homes[host]
	f.mu.Unlock()
	if ok {
		return h, nil
	}
	out, err := f.Script(ctx, host, "", homeScript, f.Topology.Engine.Home)
	if err != nil {
		return Home{}, err
	}
	h, err = f.noteHome(host, parseHomes(trimLines(out)))
	if err == nil || f.Topology.Engine.Home == "" {
		return h, err
	}
	// A folder in the owner's home may be closed to the SSH user.
	if out, oerr := f.Script(ctx, host, f.Topology.OSUser, homeScript, f.Topology.Engine.Home); oerr == nil {
		return f.noteHome(host, parseHomes(trimLines(out)))
	}
	return h, err
}

func (f *Fleet) noteHome(host string, found []Home) (Home, error) {
	h, err := chooseHome(host, f.Topology.Engine, found)
	if err == nil {
		f.mu.Lock()
		f.homes[host] = h
		f.mu.Unlock()
	}
	return h, err
}

// MissingGreenplumError is a host without the engine.
type MissingGreenplumError struct {
	Host string
	Want string // Greenplum 6
	Have string
}

func (e *MissingGreenplumError) Error() string {
	return fmt.Sprintf("%s: %s is not installed (found: %s)", e.Host, e.Want, e.Have)
}

// FaultKind makes *MissingGreenplumError a fault.Kinder.
func (e *MissingGreenplumError) FaultKind() fault.Kind { return fault.Check }

// FaultHint makes *MissingGreenplumError a fault.Hinter.
func (e *MissingGreenplumError) FaultHint() string {
	return "set engine.home to its folder on the hosts, or engine.package to a .tar.gz, .deb or .rpm that cw installs; Greenplum 7 is run with engine.version: 7"
}
