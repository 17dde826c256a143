package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cw/cluster"
	"cw/cluster/secret"
	"cw/cluster/step"
	"cw/fault"
)

// Recover brings back standbys that are down or do not follow, and starts the
// primary when it is down. It makes no steps when nothing is wrong.
//
// Every standby that is not well gets a step rejoin@host, which looks at its
// data and does the least that helps: start it, tell it whom to follow, wind
// it back with pg_rewind, copy it anew.
func (e *Engine) Recover(ctx context.Context, o cluster.RecoverOptions) ([]step.Step, error) {
	if o.Rebalance {
		return nil, fault.New(fault.Usage, "cw cluster promote "+e.top.Name, "engine postgres has no preferred roles to go back to: a standby becomes the primary by a promotion")
	}
	for _, h := range o.Hosts {
		if _, ok := e.top.Host(h); !ok {
			return nil, fault.New(fault.Usage, "cw cluster status "+e.top.Name, "cluster %s has no host %q", e.top.Name, h)
		}
	}
	seen := e.views(ctx)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p := e.lay.Primary()
	pv, others := split(seen, p)
	if err := e.canLead(pv, others, o); err != nil {
		return nil, err
	}
	var sick []view
	for _, v := range others {
		if o.On(v.node.Host) && e.sick(ctx, v, pv, o) {
			sick = append(sick, v)
		}
	}
	if len(sick) == 0 && pv.primary() {
		return nil, nil
	}
	steps := []step.Step{e.startStep(p)}
	if len(sick) == 0 {
		return steps, nil
	}
	more, err := e.welcome(ctx, p, "start@"+p.Host)
	if err != nil {
		return nil, err
	}
	steps = append(steps, more...)
	for _, v := range sick {
		back, err := e.bringBack(ctx, v, pv, o)
		if err != nil {
			return nil, err
		}
		steps = append(steps, back...)
	}
	return steps, nil
}

// split finds the view of p among all.
func split(seen []view, p cluster.Node) (view, []view) {
	var pv view
	var others []view
	for _, v := range seen {
		if v.node.ID == p.ID {
			pv = v
		} else {
			others = append(others, v)
		}
	}
	return pv, others
}

// canLead fails when the primary of the layout cannot be the one that standbys
// are brought back to.
func (e *Engine) canLead(p view, others []view, o cluster.RecoverOptions) error {
	n, name := p.node, e.top.Name
	if p.primary() {
		return nil
	}
	for _, v := range others {
		if v.primary() {
			return fault.New(fault.Check, fmt.Sprintf("cw cluster promote %s --node %s makes it the primary here too", name, v.node.Name()),
				"%s on %s takes writes, and primary %s on %s does not (%s)", v.node.Name(), v.node.Host, n.Name(), n.Host, p.describe())
		}
	}
	force := fmt.Sprintf("bring host %s back; if it is off for good: cw cluster promote %s --force", n.Host, name)
	switch {
	case p.host != nil:
		return noAnswer(p, force)
	case p.proc == procNone:
		return fault.New(fault.Check, fmt.Sprintf("cw cluster promote %s --force", name), "primary %s has no data directory %s on %s any more", n.Name(), n.DataDir, n.Host)
	case p.unfinished || p.signal:
		return fault.New(fault.Check, fmt.Sprintf("cw cluster resume %s when a promotion was interrupted, else cw cluster promote %s", name, name),
			"primary %s on %s cannot lead: %s", n.Name(), n.Host, p.describe())
	case !p.runs() && !o.On(n.Host):
		return fault.New(fault.Usage, fmt.Sprintf("cw cluster recover %s --host %s", name, strings.Join(append([]string{n.Host}, o.Hosts...), ",")),
			"primary %s on %s is stopped: its standbys cannot follow before it is started", n.Name(), n.Host)
	}
	return nil
}

// sick says whether a standby needs to be brought back.
func (e *Engine) sick(ctx context.Context, v, p view, o cluster.RecoverOptions) bool {
	if v.host != nil || !p.primary() {
		return true
	}
	u, err := e.upstream(ctx, v, p.node)
	// A full copy of nodes that are well is made only of those that are named.
	return err != nil || e.diagnose(v, p, u, o.Full && len(o.Hosts) > 0).act != actNothing
}

// welcome are the steps on a running primary that let standbys in.
func (e *Engine) welcome(ctx context.Context, p cluster.Node, needs ...string) ([]step.Step, error) {
	if adopted(p) { // whatever its standbys had is good enough for them
		return nil, nil
	}
	if err := e.borrowSecret(ctx); err != nil {
		return nil, err
	}
	role := e.replicationStep(p, e.lay.Standbys())
	role.Needs = needs
	return []step.Step{role, e.hbaStep(p, e.lay.Nodes, nil, needs...)}, nil
}

// bringBack are the steps for one node.
func (e *Engine) bringBack(ctx context.Context, v, p view, o cluster.RecoverOptions) ([]step.Step, error) {
	n := v.node
	d := diagnosis{act: actWait}
	if v.host == nil {
		d = diagnosis{actStart, ""}
		if u, err := e.upstream(ctx, v, p.node); err == nil && p.live != nil {
			d = e.diagnose(v, p, u, o.Full)
		}
	}
	steps := []step.Step{e.userStep(n), e.claimStep(n)}
	if adopted(n) {
		return append(steps, e.rejoinStep(n, p.node, o, d, "claim@"+n.Host)), nil
	}
	needs := []string{"replication@" + p.node.Host, "hba@" + p.node.Host, "passfile@" + n.Host}
	steps = append(steps, e.passfileStep(n))
	if v.host == nil && v.proc == procNone {
		if e.top.Engine.Install {
			steps = append(steps, e.installStep(n))
		}
		needs = e.needBinaries(n, needs...)
		if e.top.TLS.Mode != cluster.TLSOff {
			if err := e.needCA(); err != nil {
				return nil, err
			}
			s := e.tlsStep(n)
			s.Needs = []string{"claim@" + n.Host}
			steps, needs = append(steps, s), append(needs, s.ID)
		}
	}
	return append(steps, e.rejoinStep(n, p.node, o, d, needs...), e.hbaStep(n, e.lay.Nodes, nil, "rejoin@"+n.Host)), nil
}

// needCA fails when certificates can no longer be made on this machine: a new
// CA would not be known to the other nodes.
func (e *Engine) needCA() error {
	if e.top.TLS.Mode != cluster.TLSSelfSigned {
		return nil
	}
	_, err := e.loadCA()
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Check, fmt.Sprintf("run cw where cluster %s was made, or copy %s from there", e.top.Name, e.Dir),
			"the certificate authority of cluster %s is not on this machine: %w", e.top.Name, err)
	}
	return err
}

// borrowSecret gets the replication password from a standby when this machine
// does not have it: making another one would lock the others out.
func (e *Engine) borrowSecret(ctx context.Context) error {
	file := filepath.Join(e.Dir, "replication.pass")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, n := range e.lay.Nodes {
		out, err := e.sh(ctx, n, `cat -- "$1" 2>/dev/null || :`, passFile(n))
		if err != nil {
			continue // another one may have it
		}
		line, _, _ := strings.Cut(out, "\n")
		if f := strings.SplitN(line, ":", 5); len(f) == 5 && f[3] == cluster.ReplicationRole && f[4] != "" {
			return secret.Write(file, []byte(f[4]+"\n"))
		}
	}
	return ctx.Err()
}
