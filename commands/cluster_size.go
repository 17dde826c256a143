package commands

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"cw/cluster"
	"cw/schema"
)

// sizeOptions are the flags of `cw cluster size`.
type sizeOptions struct {
	file                    string
	memory, swap, diskSize  string
	cores, disks, hosts     int
	interconnect, perHost   int
	concurrency             int
	mirrors, raid, nodeType string
	engine, profile         string
}

func newClusterSize(a *App) *cobra.Command {
	var o sizeOptions
	c := &cobra.Command{
		Use: "size [NAME]", Short: "Say what hosts can carry, and why", Args: args(0, 1),
		Long: `Say how many segments hosts can carry, what their database gets of memory, how
the kernel should be set, what the disks hold, and what happens when a host
fails: each number with its reason, its source and the resource that bounds it.

For hosts that do not exist yet their size is given by --cores and --memory; for
a topology (-f) the hosts are asked; of a cluster the layout is as it is.
Cores are virtual CPUs. Memory is binary, as machines are sold: 128GB is 128GiB.` + exitHelp(4, 5),
		Example: `  cw cluster size --cores 16 --memory 128GB --swap 32GB --disks 3 --disk-size 2TB --hosts 4 --mirrors group
  cw cluster size --cores 16 --memory 128GB --hosts 9 --mirrors spread --concurrency 80 -o json
  cw cluster size -f cluster.yaml
  cw cluster size dw1`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.clusterSize(cmd.Context(), o, args) },
	}
	f := c.Flags()
	f.StringVarP(&o.file, "file", "f", "", "topology file, - for standard input")
	f.IntVar(&o.cores, "cores", 0, "virtual CPUs of a host")
	f.StringVar(&o.memory, "memory", "", "memory of a host, as 128GB")
	f.StringVar(&o.swap, "swap", "0B", "swap of a host")
	f.IntVar(&o.disks, "disks", 0, "data disks of a host, each a data folder")
	f.StringVar(&o.diskSize, "disk-size", "0B", "size of each, as 2TB (decimal)")
	f.StringVar(&o.raid, "raid", "none", "what the disks of a host are joined to: none, 10 or 5")
	f.IntVar(&o.interconnect, "interconnect", 1, "interconnect addresses of a host")
	f.IntVar(&o.hosts, "hosts", 0, "segment hosts; the coordinator comes to that (default 4)")
	f.StringVar(&o.mirrors, "mirrors", cluster.MirrorsGroup, "none, group, spread or 'block N'")
	f.IntVar(&o.perHost, "segments-per-host", 0, "primaries per host (default: as many as the host carries)")
	f.IntVar(&o.concurrency, "concurrency", 0, "queries at a time (default: the profile's)")
	f.StringVar(&o.nodeType, "node-type", cluster.HighSpeed, "low-capacity, high-capacity, low-speed or high-speed")
	f.StringVar(&o.profile, "profile", "", "default, concurrency or loading")
	f.StringVar(&o.engine, "engine", cluster.Greenplum, "greenplum, cloudberry or postgres")
	return c
}

func (a *App) clusterSize(ctx context.Context, o sizeOptions, args []string) error {
	if o.file == "" && len(args) == 0 {
		s, err := o.shape()
		if err != nil {
			return err
		}
		sizing, err := cluster.SizeShape(s)
		if err != nil {
			return err
		}
		return a.printSizing(sizing)
	}
	if o.cores != 0 || o.memory != "" || o.hosts != 0 {
		return usagef("leave out --cores, --memory and --hosts, or the file or name", "the hosts of a topology are asked what they have")
	}
	name, err := nameOrFile(o.file, args)
	if err != nil {
		return err
	}
	m, err := a.manager(ctx)
	if err != nil {
		return err
	}
	top, err := a.topologyOf(ctx, m, name, o.file)
	if err != nil {
		return err
	}
	size, err := schema.ParseSize(o.diskSize)
	if err != nil {
		return usagef("--disk-size 2TB", "--disk-size: %v", err)
	}
	sizing, err := m.Size(ctx, top, cluster.SizingOptions{Concurrency: o.concurrency, Disks: o.disks, DiskSize: size, RAID: o.raid})
	if err != nil {
		return err
	}
	return a.printSizing(sizing)
}

// shape reads the flags that describe hosts.
func (o sizeOptions) shape() (cluster.Shape, error) {
	s := cluster.Shape{
		Engine: o.engine, Hosts: o.hosts, Disks: o.disks, RAID: o.raid, Interconnect: o.interconnect, Mirrors: o.mirrors,
		SegmentsPerHost: o.perHost, Concurrency: o.concurrency, NodeType: o.nodeType, Profile: o.profile,
	}
	if o.cores == 0 || o.memory == "" {
		return s, usagef("cw cluster size --cores 16 --memory 128GB --hosts 4, or -f cluster.yaml, or the name of a cluster", "neither hosts nor a cluster were named")
	}
	if s.Hosts == 0 {
		s.Hosts = 4
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"--cores", o.cores}, {"--hosts", o.hosts}, {"--disks", o.disks}, {"--interconnect", o.interconnect}, {"--segments-per-host", o.perHost}, {"--concurrency", o.concurrency}} {
		if n.value < 0 || n.value > 10000 {
			return s, usagef("", "%s %d is not possible", n.flag, n.value)
		}
	}
	for _, e := range []struct {
		flag, value string
		allowed     []string
	}{
		{"--engine", o.engine, []string{cluster.Greenplum, cluster.Cloudberry, cluster.Postgres}},
		{"--raid", o.raid, []string{"none", "1", "10", "5"}},
		{"--node-type", o.nodeType, []string{cluster.LowCapacity, cluster.HighCapacity, cluster.LowSpeed, cluster.HighSpeed}},
		{"--profile", o.profile, append(cluster.ProfileNames(), "")},
	} {
		if err := oneOf(e.flag, e.value, e.allowed); err != nil {
			return s, err
		}
	}
	s.Machine.CPUs = o.cores
	for _, v := range []struct {
		flag, text string
		binary     bool
		to         *int64
	}{{"--memory", o.memory, true, &s.Machine.Memory}, {"--swap", o.swap, true, &s.Machine.Swap}, {"--disk-size", o.diskSize, false, &s.DiskSize}} {
		text := v.text
		if v.binary { // GB of memory are GiB
			for _, u := range []string{"TB", "GB", "MB"} {
				if strings.HasSuffix(strings.ToUpper(text), u) {
					text = text[:len(text)-2] + u[:1] + "iB"
				}
			}
		}
		n, err := schema.ParseSize(text)
		if err != nil {
			return s, usagef(v.flag+" 128GB", "%s: %v", v.flag, err)
		}
		*v.to = n
	}
	return s, nil
}

// printSizing prints a sizing as the result.
func (a *App) printSizing(s cluster.Sizing) error {
	if f := a.flags.output; f == "table" || f == "wide" {
		return writeSizing(a.IO.Out, s, f == "wide")
	}
	t := table{cols: cols("TOPIC", "ITEM", "VALUE", "REASON", "SOURCE")}
	for _, l := range s.Lines {
		t.add(l.Topic, l.Item, l.Value, l.Reason, l.Source)
	}
	return a.print(object("Sizing", s), t)
}

// writeSizing prints a sizing for people.
func writeSizing(w io.Writer, s cluster.Sizing, wide bool) error {
	t := table{cols: cols("TOPIC", "ITEM", "VALUE", "REASON", "+SOURCE")}
	topic := ""
	for _, l := range s.Lines {
		show := l.Topic
		if show == topic {
			show = ""
		}
		topic = l.Topic
		t.add(show, l.Item, l.Value, l.Reason, l.Source)
	}
	if err := printTable(w, t, wide); err != nil {
		return err
	}
	for _, warning := range s.Warnings {
		if _, err := fmt.Fprintln(w, "warning: "+warning); err != nil {
			return err
		}
	}
	return nil
}

// sizingLine is a sizing in one line, beside a plan that is about to be run.
func sizingLine(s cluster.Sizing) string {
	text := fmt.Sprintf("Sizing: %d segments on %d hosts, %d per host", s.Segments, s.SegmentHosts, s.SegmentsPerHost)
	if s.Bound != "" {
		text += " (" + s.Bound + ")"
	}
	text += fmt.Sprintf("; %d work on a host after one has failed", s.ActingOneFailed)
	for _, l := range s.Lines {
		if l.Topic == "memory" && l.Item == "gp_vmem_protect_limit" {
			text += "; gp_vmem_protect_limit " + l.Value
		}
	}
	return text + "; --dry-run shows all numbers and their sources"
}
