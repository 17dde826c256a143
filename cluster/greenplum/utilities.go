package greenplum

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// Utilities is an engine with segments that is driven by its own management
// utilities on the coordinator: Greenplum 7, Cloudberry, and Greenplum 6 on
// demand. What is there, and whether a utility has done its work, is looked at
// as everywhere else; nothing a utility prints is believed.
type Utilities struct {
	*Engine
}

// NewUtilities makes the engine of one cluster; it contacts nobody.
func NewUtilities(c Config) *Utilities {
	return &Utilities{Engine: New(c)}
}

// utilityScript runs utility $4 of the engine in $1 for the coordinator's data
// directory $2 and port $3. The utilities are programs of bash and Python that
// find each other, and their hosts, by these variables; which of the two names
// of the data directory counts depends on the engine's generation.
const utilityScript = `export GPHOME="$1" MASTER_DATA_DIRECTORY="$2" COORDINATOR_DATA_DIRECTORY="$2" PGPORT="$3" PGDATABASE=postgres; shift 3
[ -x "$GPHOME/bin/postgres" ] || exit ` + noEngine + `
export USER="$(id -un)" LOGNAME="$(id -un)" HOME="$(getent passwd "$(id -u)" | cut -d: -f6)"
unset PGHOST PGUSER PGOPTIONS
for f in greenplum_path.sh cloudberry-env.sh; do
  if [ -r "$GPHOME/$f" ]; then . "$GPHOME/$f"; break; fi
done
cd || exit
command -v "$1" >/dev/null || { echo "$GPHOME/bin has no $1" >&2; exit 1; }
exec "$@"`

// call is one call of a utility.
type call struct {
	node     cluster.Node // whose host it runs on, data directory and port it gets
	name     string       // gpstart
	args     []string
	input    string // answers to questions that no option keeps it from asking
	warnings []int  // exit codes that stand for warnings
}

// utility runs one and passes its lines on. Its failure carries what it said
// last of errors.
func (u *Utilities) utility(ctx context.Context, c call) error {
	home, err := u.home(ctx, c.node.Host)
	if err != nil {
		return err
	}
	lines := &utilityLines{tell: func(text string) { step.Say(ctx, "%s: %s", c.name, text) }}
	args := append([]string{"/bin/bash", "-c", utilityScript, "cw", home, c.node.DataDir, strconv.Itoa(c.node.Port), c.name}, c.args...)
	var stderr bytes.Buffer
	_, err = u.Fleet.Host(c.node.Host).Run(ctx, remote.Cmd{
		Args: args, As: u.top.OSUser, Dir: "/", Stdin: strings.NewReader(c.input), Env: []string{"LC_ALL=C.UTF-8"},
		Stdout: lines, Stderr: &stderr, Tolerate: c.warnings,
	})
	lines.end()
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if strconv.Itoa(exit.Code) == noEngine {
		if _, missing := u.Fleet.Greenplum(ctx, c.node.Host); missing != nil {
			return missing
		}
	}
	said := lines.errors
	if len(said) == 0 {
		said = lastLines(strings.TrimSpace(stderr.String()), 4)
	}
	if len(said) == 0 {
		said = lines.last
	}
	return fault.New(fault.Failed, fmt.Sprintf("its log is on %s in ~%s/gpAdminLogs", c.node.Host, u.top.OSUser),
		"%s: %s ended with %d: %s", c.node.Host, c.name, exit.Code, strings.Join(said, "; "))
}

// utilityLine is a line of a utility's log:
// 20261121:12:00:00:004711 gpstart:cdw:gpadmin-[INFO]:-text.
var utilityLine = regexp.MustCompile(`^\d{8}:[\d:]+ \S+?:\S*?-?\[([A-Z]+)\]:?-?(.*)$`)

// utilityLines takes what a utility prints apart: lines of its log are told,
// errors are kept.
type utilityLines struct {
	tell   func(string)
	part   []byte
	errors []string // the last few
	last   []string // of any kind
}

const linesKept = 4

// Write takes the next piece of output.
func (l *utilityLines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.line(string(l.part[:i]))
		l.part = l.part[i+1:]
	}
}

func (l *utilityLines) end() {
	if len(l.part) > 0 {
		l.line(string(l.part))
		l.part = nil
	}
}

func (l *utilityLines) line(text string) {
	level := "" // of what another program printed, which the utility passes on
	if m := utilityLine.FindStringSubmatch(text); m != nil {
		level, text = m[1], m[2]
	}
	text = clean(text)
	if strings.Trim(text, "-=*. ") == "" {
		return
	}
	l.last = keep(l.last, text)
	switch level {
	case "ERROR", "CRITICAL", "FATAL":
		l.errors = keep(l.errors, text)
		l.tell(strings.ToLower(level) + ": " + text)
	case "WARN", "WARNING":
		l.tell("warning: " + text)
	case "DEBUG", "":
	default:
		l.tell(text)
	}
}

func keep(list []string, text string) []string {
	if list = append(list, text); len(list) > linesKept {
		list = list[1:]
	}
	return list
}

func lastLines(text string, n int) []string {
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-n):]
}

// byUtility is one step in the place of others that achieve the same: it is
// done when all of them are, and a utility does their work.
func (u *Utilities) byUtility(s step.Step, native []step.Step, apply func(context.Context) error) step.Step {
	s.Host = u.coordinator().Host
	s.Check = func(ctx context.Context) (step.Observed, error) {
		left := []string{}
		for _, n := range native {
			seen, err := n.Check(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			if !seen.Done && !slices.Contains(left, n.Host) {
				left = append(left, n.Host)
			}
		}
		return step.Observed{Done: len(left) == 0, Note: choose(len(left) == 0, "done", "to do on "+strings.Join(left, ", "))}, nil
	}
	s.Apply = func(ctx context.Context) error {
		defer u.lookAnew()
		return apply(ctx)
	}
	return s
}

// lookAnew makes the next Checks look at all hosts.
func (u *Utilities) lookAnew() {
	for _, h := range u.top.Hosts {
		u.changed(h.Name)
	}
}

// writeOn writes a file for a utility into a node's folder and returns its
// place.
func (u *Utilities) writeOn(ctx context.Context, n cluster.Node, name, text string) (string, error) {
	file := path.Join(n.Dir, name)
	return file, u.Fleet.WriteFile(ctx, n.Host, u.top.OSUser, file, []byte(text), 0o600)
}
