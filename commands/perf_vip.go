package commands

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/cloud/drivers"
	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/run"
	"cw/perfcheck/vip"
)

// vipOptions are the flags of cw perf vip.
type vipOptions struct {
	perf perfOptions

	Address string
	Port    int
	Dev     string
	Modes   []string
	NoGARP  bool
	Both    bool
	Repeats int
	Every   time.Duration
	Detect  time.Duration
	Timeout time.Duration
	Fault   string
	Move    string

	Cloud        string
	CloudOptions []string
	MachineIDs   []string
}

func newPerfVIP(a *App) *cobra.Command {
	o := vipOptions{perf: perfOptions{Areas: []perfcheck.Area{perfcheck.VIP}, Profile: "standard"}}
	c := &cobra.Command{
		Use: "vip --address ADDRESS --host CLIENT,HOLDER,HOLDER", Short: "Measure how long a virtual address is away when it moves", Args: noArgs,
		Long: `Measure how long a virtual address is away when it moves between two hosts, as a
client on a third sees it: UDP questions and new TCP connections every 10 ms. The
outage is the time from the last good answer of the one to the first good answer of
the other. Planned: taken away, then given. Unplanned: the holder fails, and the
address appears on the other after --detect. cw moves the address itself (root or
sudo on the hosts), or your program (--move) or the cloud (--driver; both holders have
the address on their loopback meanwhile, for the cloud alone decides who gets it). Afterwards the address is where it
was before, or gone, and every interface is up.` + exitHelp(3, 4, 5, 6),
		Example: `  cw perf vip --address 10.0.0.99 --host app1,dw1,dw2
  cw perf vip --address 10.0.0.99 -f hosts --no-garp --reps 20 -o json
  cw perf vip --address 10.0.0.99 --host app1,dw1,dw2 --move './move-vip.sh' --require 'vip.planned.outage_max<=3s'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perfVIP(cmd.Context(), &o) },
	}
	f := c.Flags()
	f.StringVar(&o.Address, "address", "", "the virtual address (IPv4): an unused one of the hosts' network, or one that a holder has")
	f.IntVar(&o.Port, "port", 0, "port that answers, UDP and TCP (default: any free one)")
	f.StringVar(&o.Dev, "dev", "", "interface that gets the address (default: the one in its network)")
	f.StringSliceVar(&o.Modes, "mode", []string{"planned", "unplanned"}, "which moves: planned, unplanned")
	f.BoolVar(&o.NoGARP, "no-garp", false, "do not tell the network with a gratuitous ARP")
	f.BoolVar(&o.Both, "compare-garp", false, "measure with and without a gratuitous ARP")
	f.IntVar(&o.Repeats, "reps", 10, "moves of each kind")
	f.DurationVar(&o.Every, "every", 10*time.Millisecond, "time between questions")
	f.DurationVar(&o.Detect, "detect", time.Second, "of an unplanned move: how long until the other gets the address")
	f.DurationVar(&o.Timeout, "timeout", 2*time.Minute, "how long an address may be away")
	f.StringVar(&o.Fault, "fault", vip.FaultAddress, "what fails: address (taken away at once, as if the holder were dead) or link (its interface goes down)")
	f.StringVar(&o.Move, "move", "", "program that moves the address: it is called with ADDRESS FROM TO, the names of the hosts")
	f.StringVar(&o.Cloud, "driver", "", "let this cloud move the address: "+strings.Join(drivers.Names(), ", "))
	f.StringArrayVar(&o.CloudOptions, "driver-option", nil, "a setting of the cloud's driver, as zone=pek3a (repeat)")
	f.StringSliceVar(&o.MachineIDs, "machine", nil, "the two holders, as the cloud calls them")
	o.perf.addProtocolFlags(c)
	_ = f.MarkHidden("seed")
	return c
}

func (a *App) perfVIP(ctx context.Context, o *vipOptions) error {
	p, err := a.beginProtocol(ctx, &o.perf)
	if err != nil {
		return err
	}
	vo := run.VIPOptions{
		ID: p.id, Version: readVersion().Version, Argv: a.argv, Profile: o.perf.Profile, Machines: p.machines, References: p.references,
		Agent: run.FleetOptions{Binary: o.perf.AgentBinary, Log: a.Log},
	}
	if vo.Protocol, err = o.protocol(ctx, p); err != nil {
		return err
	}
	mover := "cw"
	switch {
	case o.Move != "":
		mover = o.Move
	case o.Cloud != "":
		mover = o.Cloud
	}
	vo.Params = map[string]any{"mover": mover, "every": o.Every.Seconds(), "detect": o.Detect.Seconds(), "fault": o.Fault, "repeats": o.Repeats}
	if o.perf.dryRun {
		t := table{cols: cols("STEP")}
		steps := run.VIPPlan(vo)
		for _, s := range steps {
			t.add(s)
		}
		a.infof("about %s, and as long as the address is away", run.VIPDuration(vo.Protocol).Round(time.Second))
		return a.print(list("PerfVIPPlan", steps), t)
	}
	return p.run(ctx, func() (*perfcheck.Report, error) {
		vo.Reporter = p.reporter
		return run.VIP(ctx, vo)
	})
}

// protocol turns the flags into what is done.
func (o *vipOptions) protocol(ctx context.Context, p *protocol) (vip.Options, error) {
	vo := vip.Options{
		Address: o.Address, Port: o.Port, Dev: o.Dev, Repeats: o.Repeats, Every: o.Every, Calm: 500 * time.Millisecond,
		Timeout: o.Timeout, Detect: o.Detect, Fault: o.Fault,
	}
	switch {
	case o.Address == "":
		return vo, usagef("add --address, an unused IPv4 address of the hosts' network", "which address moves was not said")
	case o.Repeats < 1, o.Every < time.Millisecond, o.Every > time.Second, o.Timeout <= 0, o.Detect < 0, o.Port < 0, o.Port > 65535:
		return vo, usagef("leave them out for the defaults", "--reps, --timeout and --detect must be positive, --every between 1ms and 1s, --port a port")
	case o.Fault != vip.FaultAddress && o.Fault != vip.FaultLink:
		return vo, usagef("address or link", "--fault %q is not known", o.Fault)
	case o.NoGARP && o.Both:
		return vo, usagef("give one of them", "--no-garp and --compare-garp exclude each other")
	case o.Move != "" && o.Cloud != "":
		return vo, usagef("give one of them", "--move and --driver exclude each other")
	case o.Cloud != "" && len(o.MachineIDs) != 2:
		return vo, usagef("--machine ID,ID in the order of the hosts", "the cloud has to be told which machines the two holders are")
	case (o.Move != "" || o.Cloud != "") && (o.NoGARP || o.Both || o.Fault != vip.FaultAddress):
		return vo, usagef("leave them out", "--no-garp, --compare-garp and --fault are of no use when something else moves the address")
	case len(o.Modes) == 0:
		return vo, usagef("planned, unplanned or both", "--mode is empty")
	case len(p.machines) != 3:
		return vo, usagef("name three: --host CLIENT,HOLDER,HOLDER or -f FILE", "cw perf vip takes the client and the two hosts that hold the address, not %d hosts", len(p.machines))
	}
	for _, mode := range o.Modes {
		var loud, quiet string
		switch mode {
		case "planned":
			loud, quiet = vip.TestPlanned, vip.TestPlannedQuiet
		case "unplanned":
			loud, quiet = vip.TestUnplanned, vip.TestUnplannedQuiet
		default:
			return vo, notKnown("--mode", mode, "planned", "unplanned")
		}
		if !o.NoGARP {
			vo.Tests = append(vo.Tests, loud)
		}
		if o.NoGARP || o.Both {
			vo.Tests = append(vo.Tests, quiet)
		}
	}
	return vo, o.mover(ctx, p, &vo)
}

// mover makes what moves the address in place of cw.
func (o *vipOptions) mover(ctx context.Context, p *protocol, vo *vip.Options) error {
	if o.Move == "" && o.Cloud == "" {
		return nil
	}
	vo.Tests = vo.Tests[:1] // what the others do is one kind of move
	if o.Move != "" {
		names := []string{p.machines[1].Name, p.machines[2].Name}
		vo.Move = func(ctx context.Context, from, to int) error {
			return moveBy(ctx, o.Move, o.Address, names[from], names[to])
		}
		return nil
	}
	options, err := drivers.ParseOptions(o.CloudOptions)
	if err != nil {
		return err
	}
	d, err := drivers.Open(ctx, drivers.Spec{Driver: o.Cloud, Options: options})
	if err != nil {
		return err
	}
	if d.Addresses == nil {
		return usagef("--move PROGRAM moves it in any other way", "cloud %s moves no addresses", o.Cloud)
	}
	vo.Loopback = true
	vo.Move = func(ctx context.Context, _, to int) error {
		return d.Addresses.MoveAddress(ctx, o.Address, o.MachineIDs[to])
	}
	return nil
}

// moveBy runs the user's program.
func moveBy(ctx context.Context, program, address, from, to string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", program+` "$@"`, "move", address, from, to)
	cmd.Env = os.Environ()
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fault.Wrap(fault.Failed, fmt.Sprintf("try it by hand: %s %s %s %s", program, address, from, to),
			fmt.Errorf("move %s from %s to %s: %w: %s", address, from, to, err, strings.TrimSpace(said.String())))
	}
	return nil
}
