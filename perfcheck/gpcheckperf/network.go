package gpcheckperf

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	gonet "net"
	"strconv"
	"strings"
	"time"

	"cw/perfcheck"
	"cw/perfcheck/memory"
	"cw/perfcheck/net"
	"cw/perfcheck/run"
)

// streamTest measures memory bandwidth on all hosts: STREAM's copy with one
// thread, the best pass, in its decimal megabytes.
func (b *bench) streamTest(ctx context.Context) error {
	b.p.heading("STREAM TEST")
	members := b.machines()
	out := make([]result, len(members))
	err := every(members, func(i int, m *run.Member) error {
		got, err := m.Measure(ctx, perfcheck.Memory, memory.Job{Kernel: memory.Copy, Threads: 1, Timing: perfcheck.Timing{Duration: 3 * time.Second}}, nil)
		if err == nil {
			out[i] = result{host: m.Name, mbps: got.Values["throughput"] / 1e6}
		}
		return err
	})
	if err == nil {
		b.stream = out
	}
	return err
}

// netTest measures the network between the hosts.
func (b *bench) netTest(ctx context.Context) error {
	b.p.heading("NETPERF TEST")
	names, again := net.Unique(b.names)
	for _, name := range again {
		b.p.line("[Warning] %s is listed twice: it is tested once", name)
	}
	if len(names) < 2 {
		b.p.line("[Warning] single host only - abandon netperf test")
		return nil
	}
	if b.o.netperf {
		b.info("cw measures with its own engine in place of netperf")
	}
	members := map[string]*run.Member{}
	for _, m := range b.fleet.Members() {
		if members[m.Name] == nil {
			members[m.Name] = m
		}
	}
	token := rand.Text()
	ports := map[string]int{}
	for _, name := range names {
		port, err := members[name].Listen(ctx, net.ListenOptions{Token: token})
		if err != nil {
			return fmt.Errorf("%s: unable to start netserver ... abort netperf test: %w", name, err)
		}
		ports[name] = port
		b.instead(fmt.Sprintf("gpnetbenchServer -p %d", port))
	}
	b.instead(fmt.Sprintf("gpnetbenchClient -l %d", b.o.duration))
	job := func(p perfcheck.PairOf) net.Job {
		to := members[p.To]
		address := to.Address
		if address == "" {
			address = to.Name
		}
		return net.Job{Kind: net.TCP, Token: token, Target: gonet.JoinHostPort(strings.Trim(address, "[]"), strconv.Itoa(ports[p.To]))}
	}
	rounds, err := b.rounds(names)
	if err != nil {
		return err
	}
	for _, round := range rounds {
		b.round(ctx, round, members, job)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if len(b.net) == 0 {
		return errors.New("no flow of the network test gave a result")
	}
	return nil
}

// rounds are the pairs that are tested at once, in gpcheckperf's order.
func (b *bench) rounds(names []string) ([]net.Round, error) {
	switch b.o.net {
	case serial:
		return net.Rounds(net.Serial, names)
	case parallel:
		return net.Rounds(net.Pairs, names)
	}
	// Each machine, by the first of its names, with every name of the others.
	var round net.Round
	seen := map[string]bool{}
	for _, from := range names {
		here := b.hostname(from)
		if seen[here] {
			continue
		}
		seen[here] = true
		for _, to := range names {
			if b.hostname(to) != here {
				round = append(round, perfcheck.PairOf{From: from, To: to})
			}
		}
	}
	if len(round) == 0 {
		return nil, errors.New("all hosts of the list are the same machine")
	}
	return []net.Round{round}, nil
}

// round measures the flows of a round, which begin at the same moment. One
// that fails is told, and left out of the results.
func (b *bench) round(ctx context.Context, round net.Round, members map[string]*run.Member, job func(perfcheck.PairOf) net.Job) {
	seconds := time.Duration(b.o.duration) * time.Second
	start := time.Now().Add(250 * time.Millisecond)
	flows := make([]flow, len(round))
	errs := make([]error, len(round))
	done := make(chan int, len(round))
	for i, pair := range round {
		b.info("%s -> %s for %d seconds, where gpcheckperf runs ssh and gpnetbenchClient", pair.From, pair.To, b.o.duration)
		go func() {
			defer func() { done <- i }()
			from := members[pair.From]
			j := job(pair)
			j.Timing = perfcheck.Timing{Duration: seconds, Start: from.There(start)}
			limited, cancel := context.WithTimeoutCause(ctx, seconds+30*time.Second, errors.New("it did not end in time"))
			defer cancel()
			got, err := from.Measure(limited, perfcheck.Net, j, nil)
			flows[i], errs[i] = flow{pair.From, pair.To, round2(got.Values["throughput"] / mib)}, err
		}()
	}
	for range round {
		<-done
	}
	if ctx.Err() != nil {
		return
	}
	for i, f := range flows {
		if errs[i] != nil || f.mbps <= 0 {
			b.p.line("[Warning] netperf failed on %s -> %s", f.from, f.to)
			if errs[i] != nil {
				_, _ = fmt.Fprintf(b.env.Err, "        %v\n", errs[i])
			}
			continue
		}
		b.info("%s -> %s : %.2f MB/sec", f.from, f.to, f.mbps)
		b.net = append(b.net, f)
	}
}
