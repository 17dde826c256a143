package run

import (
	"context"
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
		j.Timing, j.Token = timing, r.token
		if j.Kind == net.TCP || j.Kind == net.UDP {
			j.Engine = r.o.Engine
		}
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
