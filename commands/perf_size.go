package commands

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/perfcheck"
	"cw/perfcheck/size"
	"cw/schema"
)

// perfSizeOptions are the flags of cw perf size.
type perfSizeOptions struct {
	baseline     string
	demand       []string
	mirrors      string
	hosts        []string
	segmentHosts int
	cores        int
	memory       string
	disks        int
	save         string
}

func newPerfSize(a *App) *cobra.Command {
	var o perfSizeOptions
	d := size.DefaultDemand()
	c := &cobra.Command{
		Use: "size REPORT...", Short: "Say how many segments a host carries, from what was measured", Args: args(0, -1),
		Long: `Say how many segments a host carries, from what was measured: ids of runs (or how
they begin), files written with --report or -o json, or a baseline. For each
resource the capacity of the weakest host is divided by what one segment needs; the
least decides, and what it leaves of the others is said. The knee of the scan sweep,
where one more reader adds less than 5 % or the slowest reads take twice as long, is
an upper bound per disk. What was not measured is said and not made up.

One segment needs by default ` + describeDemand(d) + `.
With mirrors what is written, committed and sent comes twice. --demand changes it.

--save FILE writes the answer for layout.measured of a topology: with
segments_per_host: auto, cw cluster plan then gives no host more than that, says
where the number comes from, and refuses hosts of another type.` + exitHelp(),
		Example: `  cw perf all -d /data1 -d /data2 -f hosts --profile standard
  cw perf size p7q2mx4 --save size.json
  cw perf size disk.json net.json --demand scan=250MB/s,cores=4 --mirrors none
  cw perf size --baseline c4.xlarge --cores 16 --memory 64GiB -o json`,
		RunE: func(_ *cobra.Command, args []string) error { return a.perfSize(o, args) },
	}
	f := c.Flags()
	f.StringVar(&o.baseline, "baseline", "", "size by this baseline (cw perf baseline list); it does not say what the machines have: --cores, --memory")
	f.StringSliceVar(&o.demand, "demand", nil, "what one segment needs: "+strings.Join(size.DemandNames(), ", ")+", as scan=200MB/s; 0 leaves it out")
	f.StringVar(&o.mirrors, "mirrors", cluster.MirrorsGroup, "none, group, spread or 'block N'")
	f.StringSliceVar(&o.hosts, "host", nil, "only these hosts of the reports")
	f.IntVar(&o.segmentHosts, "segment-hosts", 4, "segment hosts of the cluster, for its memory settings")
	f.IntVar(&o.cores, "cores", 0, "virtual CPUs of a host, where the reports do not say")
	f.StringVar(&o.memory, "memory", "", "memory of a host, where the reports do not say")
	f.IntVar(&o.disks, "disks", 0, "data disks of a host (default: as many as were measured)")
	f.StringVar(&o.save, "save", "", "write the answer to this file, for layout.measured")
	return c
}

// describeDemand says what a segment needs, for people.
func describeDemand(d size.Demand) string {
	return fmt.Sprintf("%g virtual CPUs, %s of memory, to scan %s\nand write %s, %g random reads and %g commits per second, %s of network\nand %s of main memory", d.Cores,
		fmt.Sprintf("%g GiB", d.Memory/(1<<30)), schema.FormatRate(int64(d.Scan)), schema.FormatRate(int64(d.Write)), d.IOPS, d.Commits, schema.FormatRate(int64(d.Network)), schema.FormatRate(int64(d.Bandwidth)))
}

func (a *App) perfSize(o perfSizeOptions, names []string) error {
	so := size.Options{Demand: size.DefaultDemand(), Mirrors: o.mirrors, Hosts: o.segmentHosts, Only: o.hosts, Disks: o.disks}
	if err := so.Demand.ParseDemand(o.demand); err != nil {
		return err
	}
	var err error
	if so.Machine.CPUs = o.cores; o.memory != "" {
		if so.Machine.Memory, err = schema.ParseSize(o.memory); err != nil {
			return usagef("write it as 64GiB", "--memory: %w", err)
		}
	}
	if (o.cores > 0) != (o.memory != "") || o.cores < 0 || o.disks < 0 || o.segmentHosts < 1 {
		return usagef("give --cores 16 --memory 64GiB, both or none, and counts that are not negative", "--cores, --memory, --disks or --segment-hosts make no host")
	}
	var reports []*perfcheck.Report
	for _, name := range names {
		r, err := perfcheck.ReadReport(filepath.Join(a.Paths.State, "perf"), name)
		if err != nil {
			return err
		}
		reports = append(reports, r)
	}
	switch {
	case o.baseline != "" && len(names) > 0:
		return usagef("give one of them", "reports and --baseline exclude each other")
	case o.baseline != "":
		b, err := a.readBaseline(o.baseline)
		if err != nil {
			return err
		}
		reports = append(reports, size.FromBaseline(b))
	case len(names) == 0:
		return usagef("cw perf size RUN, or --baseline NAME", "which reports to size by was not said")
	}
	answer, err := size.Size(reports, so)
	if err != nil {
		return err
	}
	if o.save != "" {
		doc := object(cluster.KindMeasured, answer)
		if err := writeTo(o.save, func(f *os.File) error { return printJSON(f, doc) }); err != nil {
			return err
		}
		a.infof("written: %s; name it in the topology: layout: {segments_per_host: auto, measured: %s}", o.save, o.save)
	}
	return a.printSize(answer)
}

// printSize prints the answer as the result.
func (a *App) printSize(s *size.Answer) error {
	t := table{cols: cols("RESOURCE", "HAS", "PER SEGMENT", "CARRIES", "LEFT", "", "REASON")}
	for _, l := range s.Limits {
		mark := ""
		if l.Bounds {
			mark = "decides"
		}
		t.add(l.Resource, amount(l.Capacity, l.Unit), amount(l.Demand, l.Unit), fmt.Sprintf("%.1f", l.Segments), fmt.Sprintf("%.0f %%", 100*l.Headroom), mark, l.Reason)
	}
	if f := a.flags.output; f != "table" && f != "wide" {
		return a.print(object(cluster.KindMeasured, s), t)
	}
	w := a.IO.Out
	if err := printTable(w, t, a.flags.output == "wide"); err != nil {
		return err
	}
	m := table{cols: cols("TOPIC", "ITEM", "VALUE", "REASON", "+SOURCE")}
	for _, l := range s.Memory {
		m.add(l.Topic, l.Item, l.Value, l.Reason, l.Source)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := printTable(w, m, a.flags.output == "wide"); err != nil {
		return err
	}
	text := "\n"
	for _, n := range s.NotConsidered {
		text += "not considered: " + n + "\n"
	}
	for _, n := range s.Warnings {
		text += "warning: " + n + "\n"
	}
	text += fmt.Sprintf("segments per host: %d (%s)\n", s.SegmentsPerHost, s.Bound)
	_, err := fmt.Fprint(w, text)
	return err
}

func amount(v float64, unit string) string {
	if unit == perfcheck.Count {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	return perfcheck.FormatValue(v, unit)
}
