package commands

import (
	"github.com/spf13/cobra"

	"cw/perfcheck"
)

const perfExit = "\n\nOne slow moment of a shared machine is no property of it: what looks bad is measured\nagain, up to three times, before it fails."

func newPerfDisk(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.Disk}}
	c := &cobra.Command{
		Use: "disk --dir DIR...", Short: "Measure disks: throughput, IOPS, latency, scans", Args: noArgs,
		Long: `Measure the disks below directories, on this machine or on all hosts at once:
sequential and random reads and writes by queue depth, sync latency, scans by
several readers, first writes against overwrites. With direct I/O on files that
are filled first: never the page cache. The files are removed afterwards.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf disk --dir /data1 --dir /data2
  cw perf disk -d /data1 -f hosts --profile standard --baseline c4.xlarge --junit disk.xml
  cw perf disk -d /data1 --only disk.randread --engine fio`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addDiskFlags(c)
	o.addEngineFlag(c, "fio")
	o.addFlags(c)
	return c
}

func newPerfNet(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.Net}}
	c := &cobra.Command{
		Use: "net -f HOSTS", Short: "Measure the network between hosts", Args: noArgs,
		Long: `Measure the network between hosts: TCP throughput by streams, UDP loss and jitter
at the packet sizes of the interconnect, latency, connection rate, packets per
second, HTTP, path MTU. Every pair is measured without the others in its way, so
that one bad link is found by its name.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf net -f hosts
  cw perf net --host sdw1,sdw2,sdw3,sdw4 --topology matrix --only net.tcp.s4
  cw perf net --cluster dw1 --profile standard -o json > net.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addNetFlags(c)
	o.addEngineFlag(c, "iperf3")
	o.addFlags(c)
	return c
}

func newPerfMemory(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.Memory}}
	c := &cobra.Command{
		Use: "memory", Short: "Measure memory bandwidth", Args: noArgs,
		Long: `Measure memory bandwidth the way STREAM does: copy, scale, add and triad over
arrays of at least four times the cache, by one thread and by all.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf memory
  cw perf memory -f hosts --baseline c4.xlarge`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addFlags(c)
	return c
}

func newPerfCPU(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.CPU}}
	c := &cobra.Command{
		Use: "cpu", Short: "Measure CPUs: one thread, all threads, stolen time", Args: noArgs,
		Long: `Measure CPUs with work like a database's, by one thread and by all, and how much
of the time the hypervisor takes away.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf cpu
  cw perf cpu -f hosts --profile soak`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addFlags(c)
	return c
}

func newPerfAll(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.CPU, perfcheck.Memory, perfcheck.Disk, perfcheck.Net}}
	c := &cobra.Command{
		Use: "all", Short: "Measure CPU, memory, disks and network", Args: noArgs,
		Long: `Measure CPU, memory, disks and network of machines, one after another.

--profile qualify is for a job that judges a type of VM: a test for each question,
often enough repeated to be judged, and the sustained ones that credits do not
survive; four hosts take about an hour. Without --dir it measures the data disks
that are mounted on each host, never that of /. Hold it against --baseline NAME,
--vendor or --require.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf all --profile qualify -f hosts --baseline c4.xlarge --junit out.xml
  cw perf all -d /data1 -f hosts --baseline c4.xlarge --junit perf.xml
  cw perf all -d /data1 -f hosts --profile soak`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addDiskFlags(c)
	o.addNetFlags(c)
	o.addFlags(c)
	return c
}
