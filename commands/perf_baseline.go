package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/schema"
)

func newPerfBaseline(a *App) *cobra.Command {
	c := group("baseline", "Keep what machines of a type measured, to judge others by")
	c.AddCommand(newPerfBaselineSave(a), newPerfBaselineList(a), newPerfBaselineShow(a))
	return c
}

// baselineDir is where baselines are kept by name.
func (a *App) baselineDir() string { return filepath.Join(a.Paths.Config, "baselines") }

var baselineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// baselineFile is a baseline's file: what is a path, or ends in .yaml, is
// taken as one, everything else as a name.
func (a *App) baselineFile(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		return name, nil
	}
	if !baselineName.MatchString(name) {
		return "", usagef("letters, digits, and . _ - after the first", "%q is no name of a baseline", name)
	}
	return filepath.Join(a.baselineDir(), name+".yaml"), nil
}

func (a *App) readBaseline(name string) (*perfcheck.Baseline, error) {
	file, err := a.baselineFile(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		hint := "cw perf baseline save " + name + " RUN… makes one"
		if near := schema.Nearest(name, a.baselineNames()); near != "" {
			hint = "did you mean " + near + "?"
		}
		return nil, usagef(hint, "there is no baseline %s: %w", name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read baseline %s: %w", name, err)
	}
	return perfcheck.ParseBaseline(file, data)
}

// baselineNames are those that are kept by name.
func (a *App) baselineNames() []string {
	files, _ := filepath.Glob(filepath.Join(a.baselineDir(), "*.yaml"))
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".yaml"))
	}
	slices.Sort(names)
	return names
}

func newPerfBaselineSave(a *App) *cobra.Command {
	var nodeType string
	var force bool
	c := &cobra.Command{
		Use: "save NAME RUN...", Short: "Make a baseline of runs", Args: args(2, -1),
		Long: `Make a baseline of runs: ids (or how they begin), or files written with --report
or -o json. Values are pooled over hosts, pairs and runs, so that it holds for
other machines of the type. Five runs on three hosts are enough to know how much
such machines differ.` + exitHelp(),
		Example: `  cw perf baseline save c4.xlarge p3fk2q p7hx0m p2ww91 p0a8cx pzz41d
  cw perf disk -d /data1 -f new-hosts --baseline c4.xlarge`,
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := a.baselineFile(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(file); err == nil && !force {
				return usagef("--force replaces it", "baseline %s exists already: %s", args[0], file)
			}
			var reports []*perfcheck.Report
			for _, what := range args[1:] {
				r, err := perfcheck.ReadReport(filepath.Join(a.Paths.State, "perf"), what)
				if err != nil {
					return err
				}
				reports = append(reports, r)
			}
			name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(args[0]), ".yaml"), ".yml")
			b, warnings, err := perfcheck.NewBaseline(name, nodeType, a.Now(), reports)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				a.warnf("%s", w)
			}
			data, err := b.Marshal()
			if err != nil {
				return err
			}
			if filepath.Dir(file) == a.baselineDir() {
				if err := makePrivateDir(a.baselineDir()); err != nil {
					return err
				}
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				return fmt.Errorf("write the baseline: %w", err)
			}
			a.infof("baseline %s: %d tests of %d runs on %d hosts, in %s", name, len(b.Tests), len(b.Runs), len(b.Hosts), file)
			return nil
		},
	}
	c.Flags().StringVar(&nodeType, "node-type", "", "type of the machines, as the cloud calls it")
	c.Flags().BoolVar(&force, "force", false, "replace a baseline of the name")
	return c
}

// baselineDoc is a baseline in lists.
type baselineDoc struct {
	Name     string    `json:"name"`
	NodeType string    `json:"node_type,omitempty"`
	Created  time.Time `json:"created"`
	Engine   string    `json:"engine"`
	Tests    int       `json:"tests"`
	Runs     int       `json:"runs"`
	Hosts    int       `json:"hosts"`
	File     string    `json:"file"`
}

func newPerfBaselineList(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the baselines", Args: noArgs,
		Long:    "List the baselines that are kept by name." + exitHelp(),
		Example: "  cw perf baseline list -o json",
		RunE: func(*cobra.Command, []string) error {
			docs := []baselineDoc{}
			t := table{cols: cols("NAME", "NODE TYPE", "TESTS", "RUNS", "HOSTS", "CREATED", "+FILE")}
			for _, name := range a.baselineNames() {
				b, err := a.readBaseline(name)
				if err != nil {
					a.warnf("%v", err)
					continue
				}
				file, _ := a.baselineFile(name)
				docs = append(docs, baselineDoc{name, b.NodeType, b.Created, b.Engine, len(b.Tests), len(b.Runs), len(b.Hosts), file})
				t.add(name, b.NodeType, fmt.Sprint(len(b.Tests)), fmt.Sprint(len(b.Runs)), fmt.Sprint(len(b.Hosts)), b.Created.Format(time.RFC3339), file)
			}
			return a.print(list("PerfBaselineList", docs), t)
		},
	}
}

// baselineMetricDoc is a metric of a baseline as cw perf baseline show prints
// it.
type baselineMetricDoc struct {
	Test   string  `json:"test"`
	Metric string  `json:"metric"`
	Unit   string  `json:"unit"`
	Median float64 `json:"median"`
	MAD    float64 `json:"mad"`
	N      int     `json:"n"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Noise  float64 `json:"noise"`
	Spread float64 `json:"spread"`
}

// shownBaselineDoc is a baseline with its bounds in JSON.
type shownBaselineDoc struct {
	baselineDoc
	Metrics []baselineMetricDoc `json:"metrics"`
}

func newPerfBaselineShow(a *App) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a baseline", Args: args(1, 1),
		Long:    "Show a baseline: a name (cw perf baseline list) or a file." + exitHelp(),
		Example: "  cw perf baseline show c4.xlarge",
		RunE: func(_ *cobra.Command, args []string) error {
			b, err := a.readBaseline(args[0])
			if err != nil {
				return err
			}
			docs := []baselineMetricDoc{}
			t := table{cols: cols("TEST", "METRIC", "MEDIAN", "LOW", "HIGH", "N", "+NOISE", "+SPREAD")}
			for _, bound := range b.Reference().Bounds {
				m := b.Tests[bound.Test].Metrics[bound.Metric]
				docs = append(docs, baselineMetricDoc{bound.Test, bound.Metric, m.Unit, m.Median, m.MAD, m.N, m.Low, m.High, m.Noise, m.Spread})
				t.add(bound.Test, bound.Metric, perfcheck.FormatValue(m.Median, m.Unit), perfcheck.FormatValue(m.Low, m.Unit), perfcheck.FormatValue(m.High, m.Unit),
					fmt.Sprint(m.N), fmt.Sprintf("%.1f %%", 100*m.Noise), fmt.Sprintf("%.1f %%", 100*m.Spread))
			}
			file, _ := a.baselineFile(args[0])
			return a.print(object("PerfBaseline", shownBaselineDoc{baselineDoc{b.Name, b.NodeType, b.Created, b.Engine, len(b.Tests), len(b.Runs), len(b.Hosts), file}, docs}), t)
		},
	}
}

// references are what the flags of a run ask to compare with. Requirements may
// be of other areas than those that are measured: one file serves all verbs.
func (a *App) references(o *perfOptions) ([]perfcheck.Reference, error) {
	known := run.Catalogue(run.Areas())
	measured := run.Catalogue(o.Areas)
	var refs []perfcheck.Reference
	var errs []error
	for _, name := range o.Baselines {
		b, err := a.readBaseline(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		refs = append(refs, b.Reference())
	}
	if o.Vendor != "" {
		r, err := vendorReference(o.Vendor)
		if err != nil {
			errs = append(errs, err)
		} else {
			refs = append(refs, r)
		}
	}
	given := perfcheck.Reference{ID: "--require", Kind: perfcheck.KindRequirement}
	for _, text := range o.Require {
		if !strings.Contains(text, ">=") && !strings.Contains(text, "<=") {
			data, err := os.ReadFile(text)
			if err != nil {
				errs = append(errs, usagef("write it as 'disk.randread.8k.qd32.iops>=5000', or name a file", "--require: %w", err))
				continue
			}
			r, err := perfcheck.ParseRequirements(text, data, known)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			refs = append(refs, r)
			continue
		}
		bound, err := perfcheck.ParseRequirement(text, known)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		given.Bounds = append(given.Bounds, bound)
	}
	if len(given.Bounds) > 0 {
		refs = append(refs, given)
	}
	for i := range refs {
		refs[i].KeepTests(measured)
	}
	return refs, errors.Join(errs...)
}

// vendorReference reads TYPE:SIZE, as qingcloud.general-ssd:500GB, or
// FILE#TYPE:SIZE.
func vendorReference(text string) (perfcheck.Reference, error) {
	const hint = "TYPE:SIZE, as qingcloud.general-ssd:500GB, or FILE#TYPE:SIZE"
	v, err := perfcheck.BuiltinVendor()
	rest := text
	if file, after, ok := strings.Cut(text, "#"); ok {
		data, rerr := os.ReadFile(file)
		if rerr != nil {
			return perfcheck.Reference{}, fault.Wrap(fault.Usage, hint, fmt.Errorf("--vendor: %w", rerr))
		}
		v, err = perfcheck.ParseVendor(file, data)
		rest = after
	}
	if err != nil {
		return perfcheck.Reference{}, err
	}
	disk, size, ok := strings.Cut(strings.TrimPrefix(rest, v.Name+"."), ":")
	if !ok {
		return perfcheck.Reference{}, usagef(hint, "--vendor %s: the size of the disk is missing", text)
	}
	bytes, err := schema.ParseSize(size)
	if err != nil {
		return perfcheck.Reference{}, usagef(hint, "--vendor %s: %w", text, err)
	}
	return v.Reference(disk, bytes)
}
