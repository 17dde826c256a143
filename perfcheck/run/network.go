package run

import (
	"context"
	"fmt"
	gonet "net"
	"net/netip"
	"strconv"
	"strings"

	"cw/perfcheck"
	"cw/perfcheck/net"
)

// target is where the other end of a pair listens, from when it is first
// asked for.
func (r *runner) target(ctx context.Context, s seat) (string, error) {
	r.portsMu.Lock()
	defer r.portsMu.Unlock()
	port, ok := r.ports[s.to]
	if !ok {
		var err error
		if port, err = s.to.Listen(ctx, net.ListenOptions{Token: r.token}); err != nil {
			return "", err
		}
		r.ports[s.to] = port
	}
	address := s.to.Address
	if address == "" {
		address = s.to.Name
	}
	if s.from == s.to {
		address = "127.0.0.1"
	}
	return gonet.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(port)), nil
}

// listenAll opens all machines before a barrier, so that nobody's first test
// waits for it.
func (r *runner) listenAll(ctx context.Context, rounds [][]seat) {
	for _, round := range rounds {
		for _, s := range round {
			if s.to != nil && s.lost() == nil {
				_, _ = r.target(ctx, s) // its own test says what is wrong
			}
		}
	}
}

// netJob makes the jobs of a network test.
func netJob(t net.Test) func(context.Context, *runner, seat, perfcheck.Timing) (any, error) {
	return func(ctx context.Context, r *runner, s seat, timing perfcheck.Timing) (any, error) {
		j := t.Job
		j.Timing, j.Token, j.Engine = timing, r.token, r.o.Engine
		var err error
		if j.Target, err = r.target(ctx, s); err != nil {
			return nil, err
		}
		if t.RateFrom != "" { // what is not known yet the engine finds out
			j.Rate = j.Share * r.known(s, t.RateFrom, t.RateMetric)
		}
		if j.Kind == net.NICs {
			_, port, _ := gonet.SplitHostPort(j.Target)
			j.Links = links(s, port)
		}
		return j, nil
	}
}

func netSupported(t net.Test) func(engine string) error {
	return func(engine string) error {
		if engine != "" && t.Job.Kind != net.TCP && t.Job.Kind != net.UDP {
			return fmt.Errorf("%s measures TCP and UDP throughput only", engine)
		}
		return nil
	}
}

// links are the ways between two machines that have several interfaces: each
// of the one's with the first of the other's that is in its network.
func links(s seat, port string) []net.Link {
	var out []net.Link
	for _, mine := range s.from.Hello.NICs {
		for _, theirs := range s.to.Hello.NICs {
			if src, dst, ok := sameNetwork(mine, theirs); ok {
				out = append(out, net.Link{Source: src, Device: mine.Name, Target: gonet.JoinHostPort(dst, port)})
				break
			}
		}
	}
	return out
}

// sameNetwork finds addresses by which two interfaces reach each other
// without a router.
func sameNetwork(a, b net.NIC) (from, to string, ok bool) {
	if !a.Up || !b.Up {
		return "", "", false
	}
	for _, x := range a.Addresses {
		mine, err := netip.ParsePrefix(x)
		if err != nil || mine.Addr().IsLinkLocalUnicast() {
			continue
		}
		for _, y := range b.Addresses {
			theirs, err := netip.ParsePrefix(y)
			if err == nil && mine.Masked() == theirs.Masked() && mine.Addr() != theirs.Addr() {
				return mine.Addr().String(), theirs.Addr().String(), true
			}
		}
	}
	return "", "", false
}

// withLinks leaves out of a test of several interfaces the pairs that have
// only one in common.
func withLinks(t test, rounds [][]seat) (fit [][]seat, omitted []perfcheck.Test) {
	if t.ID != net.NICsTest {
		return rounds, nil
	}
	for _, round := range rounds {
		var seats []seat
		for _, s := range round {
			if s.lost() != nil || len(links(s, "0")) > 1 {
				seats = append(seats, s)
				continue
			}
			o := perfcheck.Omitted(t.Definition, "it takes two network interfaces, each in a network with one of the other's")
			s.place(&o)
			omitted = append(omitted, o)
		}
		if len(seats) > 0 {
			fit = append(fit, seats)
		}
	}
	return fit, omitted
}

// summary says what the network seems to be: the class of each line and the
// tiers of distance.
func (r *runner) summary() *perfcheck.Network {
	n := &perfcheck.Network{}
	rtts := map[perfcheck.PairOf]float64{}
	best := map[perfcheck.PairOf]float64{}
	mtus := map[perfcheck.PairOf]int{}
	var order []perfcheck.PairOf
	for i := range r.report.Tests {
		t := &r.report.Tests[i]
		if t.Pair == nil {
			continue
		}
		switch {
		case t.ID == "net.rr":
			if m, ok := t.Metrics["service_p50"]; ok {
				rtts[*t.Pair] = m.Value
			}
		case t.ID == "net.pmtu":
			mtus[*t.Pair] = int(t.Metrics["mtu"].Value)
		case strings.HasPrefix(t.ID, "net.tcp.s") && !strings.HasSuffix(t.ID, ".bidir"):
			if m, ok := t.Metrics["throughput"]; ok {
				if _, seen := best[*t.Pair]; !seen {
					order = append(order, *t.Pair)
				}
				best[*t.Pair] = max(best[*t.Pair], m.Value)
			}
		}
	}
	for _, p := range order {
		class := net.LineClass(best[p], mtus[p])
		n.Lines = append(n.Lines, perfcheck.Line{Pair: p, Class: class.Name, Throughput: best[p], Expected: class.Expected, MTU: mtus[p]})
	}
	for _, t := range net.Tiers(rtts) {
		n.Tiers = append(n.Tiers, perfcheck.Tier{Name: t.Name, RTT: t.RTT, Pairs: t.Pairs})
	}
	if len(n.Lines) == 0 && len(n.Tiers) == 0 {
		return nil
	}
	return n
}

// known is a metric that a test has measured at a seat; 0 when it has not.
func (r *runner) known(s seat, id, metric string) float64 {
	for i := range r.report.Tests {
		t := &r.report.Tests[i]
		if t.ID == id && t.Where() == s.String() {
			return t.Metrics[metric].Value
		}
	}
	return 0
}
