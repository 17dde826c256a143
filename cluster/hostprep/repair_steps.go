package hostprep

import (
	"context"
	"fmt"
	"path"
	"strings"

	"cw/cluster/step"
	"cw/fault"
	"cw/remote"
)

// PrepDir is where root keeps, on a host, what was there before cw changed it.
func PrepDir(cluster string) string { return path.Join("/var/lib/cw", cluster, "prep") }

// repairHead is repairScript with its variables. run tells runs apart.
func repairHead(cluster, run string) string {
	return fmt.Sprintf("base=%s cluster=%s run=%s\n", remote.Quote([]string{PrepDir(cluster)}), remote.Quote([]string{cluster}), remote.Quote([]string{run})) + repairScript
}

// Key is the Repair's place in a plan: sysctl@db1.
func (p Repair) Key() string { return p.Group + "@" + p.Host }

// RepairSteps are the steps that make repairs, one after another on each host.
// run tells this run from earlier ones: what a failed step leaves is taken back
// when it was this run that began to change its group.
func (f *Fleet) RepairSteps(repairs []Repair, run string) []step.Step {
	var out []step.Step
	last := map[string]string{}
	for _, p := range repairs {
		s := f.repairStep(p, run)
		if before := last[p.Host]; before != "" {
			s.After = []string{before}
		}
		last[p.Host] = s.ID
		out = append(out, s)
	}
	return out
}

func (f *Fleet) repairStep(p Repair, run string) step.Step {
	call := func(ctx context.Context, function string) (string, error) {
		return f.Script(ctx, p.Host, "root", repairHead(p.cluster, run)+function+` "$@"`, p.args()...)
	}
	return step.Step{
		ID: p.Key(), Host: p.Host, Title: p.title(),
		Check: func(ctx context.Context) (step.Observed, error) {
			out, err := call(ctx, "look")
			if err != nil {
				return step.Observed{}, NeedsRoot(err)
			}
			wrong := trimLines(out)
			return step.Observed{Done: len(wrong) == 0, Note: firstOf(wrong)}, nil
		},
		Apply: func(ctx context.Context) error {
			_, err := call(ctx, "fix")
			return err
		},
		Undo: func(ctx context.Context) error {
			_, err := f.Script(ctx, p.Host, "root", repairHead(p.cluster, run)+`! half "$1" || { revert "$1" && close_base; }`, p.Group)
			return err
		},
	}
}

// NeedsRoot says how to do without root over SSH.
func NeedsRoot(err error) error {
	return fault.Wrap(fault.KindOf(err), "let the SSH user use sudo, or have root run the script that the same command prints with --print-root-script", err)
}

func (p Repair) title() string {
	n := 0
	for _, c := range p.Changes {
		if c.What != p.File {
			n++
		}
	}
	what := map[string]string{
		GroupSysctl: "set %d kernel settings", GroupLimits: "raise %d limits of " + p.user, GroupMemory: "switch transparent huge pages off (%d)",
		GroupDisks: "set %d values of block devices", GroupSSHD: "let sshd take more connections (%d)", GroupLogind: "keep shared memory at log-out (%d)", GroupHosts: "make %d names known",
	}[p.Group]
	text := fmt.Sprintf(what, n)
	if p.File == "" {
		return text + ", until the next boot: nothing here would set them again"
	}
	return text + ", in " + p.File
}

// Kept is what a reversal brings back on a host.
type Kept struct {
	Host    string   `json:"host"`
	Changes []Change `json:"changes"`

	// Any says that something was kept; after a crash it may be what is the same
	// now.
	Any bool `json:"-"`
}

// Kept looks what was kept on a host when its repairs were made.
func (f *Fleet) Kept(ctx context.Context, host string) (Kept, error) {
	out, err := f.Script(ctx, host, "root", repairHead(f.Topology.Name, "")+"kept")
	k := Kept{Host: host, Changes: []Change{}}
	if err != nil {
		return k, NeedsRoot(err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n") {
		k.Any = k.Any || line == "base"
		w := strings.Split(line, "\t")
		if name, ok := strings.CutPrefix(w[0], "file "); ok && len(w) == 2 {
			k.Changes = append(k.Changes, Change{name, "cw's", w[1]})
		} else if name, ok := strings.CutPrefix(w[0], "live "); ok && len(w) == 3 {
			k.Changes = append(k.Changes, Change{settingOf(name), w[1], w[2]})
		}
	}
	return k, nil
}

// settingOf is what people call a value of the running system.
func settingOf(file string) string {
	if key, ok := strings.CutPrefix(file, "/proc/sys/"); ok {
		return strings.ReplaceAll(key, "/", ".")
	}
	return file
}

// RevertSteps are the steps that bring back on hosts what was there before cw
// changed it, files to the byte and values of the running system.
func (f *Fleet) RevertSteps(hosts []string) []step.Step {
	var out []step.Step
	for _, host := range hosts {
		head := repairHead(f.Topology.Name, "")
		out = append(out, step.Step{
			ID: "revert@" + host, Host: host, Title: "bring back files and values of the system as they were",
			Check: func(ctx context.Context) (step.Observed, error) {
				out, err := f.Script(ctx, host, "root", head+`[ ! -d "$base" ] || echo kept`)
				if err != nil {
					return step.Observed{}, NeedsRoot(err)
				}
				return step.Observed{Done: len(trimLines(out)) == 0}, nil
			},
			Apply: func(ctx context.Context) error {
				_, err := f.Script(ctx, host, "root", head+"revert_all")
				return err
			},
		})
	}
	return out
}
