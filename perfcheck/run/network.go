package run

import (
	"context"
	gonet "net"
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
		if j.Kind == net.UDP && j.Rate == 0 {
			r.ratesMu.Lock()
			j.Rate = j.Share * r.rates[perfcheck.PairOf{From: s.from.Name, To: s.to.Name}]
			r.ratesMu.Unlock() // 0, and the engine finds it out
		}
		if j.Kind == net.NICs {
			_, port, _ := gonet.SplitHostPort(j.Target)
			j.Links = links(s, port)
		}
		return j, nil
	}
}

// links are the ways between two machines that have several interfaces: those
// in the same network.
func links(s seat, port string) []net.Link {
	var out []net.Link
	for _, mine := range s.from.Hello.NICs {
		for _, theirs := range s.to.Hello.NICs {
			if src, dst, ok := net.SameNetwork(mine, theirs); ok {
				out = append(out, net.Link{Source: src, Device: mine.Name, Target: gonet.JoinHostPort(dst, port)})
				break
			}
		}
	}
	return out
}

// learnRates keeps the TCP throughput that a test has found.
func (r *runner) learnRates(t test, tests []perfcheck.Test) {
	if t.Area != perfcheck.Net || !strings.HasPrefix(t.ID, "net.tcp.s") {
		return
	}
	r.ratesMu.Lock()
	defer r.ratesMu.Unlock()
	for _, got := range tests {
		if m, ok := got.Metrics["throughput"]; ok && got.Pair != nil {
			r.rates[*got.Pair] = max(r.rates[*got.Pair], m.Value)
		}
	}
}
