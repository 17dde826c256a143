package run

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/perfcheck/vip"
)

// VIPOptions say what a run of cw perf vip does.
type VIPOptions struct {
	ID       string
	Version  string
	Argv     []string
	Profile  string
	Machines []Machine // the client, and the two that hold the address
	Agent    FleetOptions
	// Protocol is what is done. Its Client, Holders, Names, Token, Phase and
	// Warn are set here.
	Protocol   vip.Options
	Params     map[string]any
	References []perfcheck.Reference
	Reporter   Reporter
}

// VIP measures moves of a virtual address. The report holds what was measured
// even when an error is returned.
func VIP(ctx context.Context, o VIPOptions) (*perfcheck.Report, error) {
	report := newReport(o.ID, o.Version, o.Profile, o.Argv, 0)
	if len(o.Machines) != 3 {
		return report, fault.New(fault.Usage, "name three: --host CLIENT,HOLDER,HOLDER or -f FILE", "the client and the two machines that hold the address are three hosts, and %d were named", len(o.Machines))
	}
	o.Reporter.Phase("starting cw on " + countOf(len(o.Machines), "machine"))
	o.Agent.As = "root" // addresses and ARP are root's
	fleet, end, err := startPatient(ctx, o.Machines, o.Agent)
	if err != nil {
		return report, err
	}
	err = measureVIP(ctx, o, fleet, report)
	for _, m := range fleet.Members() {
		h := perfcheck.Host{Name: m.Name, Inventory: m.Hello.Inventory}
		if err := m.Err(); err != nil {
			h.Error = err.Error()
		}
		report.Hosts = append(report.Hosts, h)
	}
	end()
	conclude(report, o.References, err)
	return report, err
}

func measureVIP(ctx context.Context, o VIPOptions, fleet *Fleet, report *perfcheck.Report) error {
	m := fleet.Members()
	for _, m := range m {
		if err := m.Err(); err != nil {
			return fault.Wrap(fault.KindOf(err), fault.HintOf(err), err)
		}
	}
	var token [8]byte
	_, _ = rand.Read(token[:]) // never fails
	p := o.Protocol
	p.Token = binary.BigEndian.Uint64(token[:])
	p.Client = farEye{m[0].a}
	p.Holders = [2]vip.Holder{farSeat{m[1].a}, farSeat{m[2].a}}
	p.Names = [2]string{m[1].Name, m[2].Name}
	p.Phase, p.Warn = o.Reporter.Phase, o.Reporter.Warn
	out, err := vip.Run(ctx, p)
	if err != nil && len(out.Moves) == 0 {
		return err
	}
	for _, t := range vip.Results(out, p.Tests, m[0].Name, p.Names, p.Every.Seconds(), o.Params) {
		if err != nil && len(out.Moves[t.ID]) == 0 {
			continue // it was not reached
		}
		perfcheck.Judge(&t, vip.Find(t.ID), o.References)
		report.Tests = append(report.Tests, t)
		o.Reporter.Finished(&t)
	}
	return err
}

// VIPDuration is about how long the moves take.
func VIPDuration(p vip.Options) time.Duration {
	each := 2*p.Calm + 500*time.Millisecond
	return time.Duration(p.Repeats*len(p.Tests)) * each
}

// VIPPlan tells in words what would be done.
func VIPPlan(o VIPOptions) []string {
	p := o.Protocol
	if len(o.Machines) != 3 {
		return nil
	}
	client, a, b := o.Machines[0].Name, o.Machines[1].Name, o.Machines[2].Name
	steps := []string{fmt.Sprintf("%s asks %s every %s, by UDP and by new TCP connections; %s and %s answer", client, p.Address, p.Every, a, b)}
	for _, id := range p.Tests {
		steps = append(steps, fmt.Sprintf("%s: %s (%d times, by turns from %s to %s and back)", id, vip.Find(id).Title, p.Repeats, a, b))
	}
	return append(steps, p.Address+" is where it was before, or gone")
}
