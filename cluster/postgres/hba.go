package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// peerLines are the lines of pg_hba.conf by which nodes stream from each
// other and wind each other back: pg_rewind connects to database postgres.
func (e *Engine) peerLines(ctx context.Context, nodes []cluster.Node) ([]string, error) {
	kind := "hostssl"
	if e.top.TLS.Mode == cluster.TLSOff {
		kind = "host"
	}
	var out []string
	for _, n := range nodes {
		ranges, err := e.peerRanges(ctx, n)
		if err != nil {
			return nil, err
		}
		for _, p := range ranges {
			line := fmt.Sprintf("%s replication,postgres %s %s scram-sha-256", kind, cluster.ReplicationRole, p)
			if !slices.Contains(out, line) {
				out = append(out, line)
			}
		}
	}
	return out, nil
}

// peerRanges are the addresses from which a node connects to others. Only a
// host that the topology knows by name is asked, and only once: one that is
// off takes its time not to answer.
func (e *Engine) peerRanges(ctx context.Context, n cluster.Node) ([]netip.Prefix, error) {
	h, _ := e.top.Host(n.Host)
	var ranges []netip.Prefix
	for _, a := range append([]string{h.Address}, h.Interconnect...) {
		ip, err := netip.ParseAddr(a)
		if err != nil || ip.IsLoopback() { // connections from there have another address
			return e.askedRanges(ctx, n.Host)
		}
		ranges = append(ranges, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return ranges, nil
}

func (e *Engine) askedRanges(ctx context.Context, host string) ([]netip.Prefix, error) {
	e.mu.Lock()
	known, ok := e.peers[host]
	e.mu.Unlock()
	if !ok {
		known.ranges, known.err = e.Fleet.PeerRanges(ctx, host)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		e.mu.Lock()
		e.peers[host] = known
		e.mu.Unlock()
	}
	return known.ranges, known.err
}

// peer is where a host's connections come from, or why that is not known.
type peer struct {
	ranges []netip.Prefix
	err    error
}

// hbaChange is what is to be done to a pg_hba.conf, line by line: whatever
// else is in it is the administrator's.
type hbaChange struct{ add, drop []string }

// apply puts the new lines before all others: the first line that fits counts.
func (c hbaChange) apply(text string) string {
	var head, rest []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case slices.Contains(c.drop, line):
		case len(rest) == 0 && strings.HasPrefix(line, "#"):
			head = append(head, line)
		default:
			rest = append(rest, line)
		}
	}
	for _, l := range c.add {
		if !slices.Contains(rest, l) {
			head = append(head, l)
		}
	}
	return strings.Join(append(head, rest...), "\n") + "\n"
}

// hbaStep lets nodes in, and others not any more, on the node n. A node that
// does not run gets it too; reading it is for its start.
func (e *Engine) hbaStep(n cluster.Node, in, out []cluster.Node, needs ...string) step.Step {
	file := n.DataDir + "/pg_hba.conf"
	change := func(ctx context.Context) (text, want string, err error) {
		var c hbaChange
		if c.add, err = e.peerLines(ctx, e.answering(ctx, in)); err != nil {
			return "", "", err
		}
		gone, err := e.peerLines(ctx, e.answering(ctx, out))
		if err != nil {
			return "", "", err
		}
		for _, l := range gone {
			if !slices.Contains(c.add, l) {
				c.drop = append(c.drop, l, strings.Replace(l, "replication,postgres", "replication", 1)) // as the first versions of cw wrote it
			}
		}
		if text, err = e.sh(ctx, n, `cat -- "$1"`, file); err != nil {
			return "", "", err
		}
		return text, c.apply(text), nil
	}
	return step.Step{
		ID: "hba@" + n.Host, Host: n.Host, Title: "let the nodes of the cluster in on " + n.Name(), Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if state, err := e.proc(ctx, n); err != nil || state == procNone {
				return step.Observed{Note: "no data directory"}, ignoreNoUser(err)
			}
			text, want, err := change(ctx)
			return step.Observed{Done: text == want, Note: choose(text == want, "as it should be", "another pg_hba.conf")}, err
		},
		Apply: func(ctx context.Context) error {
			_, want, err := change(ctx)
			if err != nil {
				return fault.Wrap(fault.KindOf(err), "cw cluster recover "+e.top.Name, fmt.Errorf("reading pg_hba.conf of node %s: %w", n.Name(), err))
			}
			if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, file, []byte(want), 0o600); err != nil {
				return err
			}
			if state, err := e.proc(ctx, n); err != nil || state != procReady {
				return err
			}
			return e.tool(ctx, n, "pg_ctl", "reload", "-D", n.DataDir, "-s")
		},
	}
}

// answering are the nodes whose addresses can be found out now. Lines of the
// others are there already, or come when they are recovered.
func (e *Engine) answering(ctx context.Context, nodes []cluster.Node) []cluster.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n cluster.Node) bool {
		_, err := e.peerRanges(ctx, n)
		return err != nil
	})
}
