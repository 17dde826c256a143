package greenplum

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// isPrimary says whether a node was planned as one.
func isPrimary(n cluster.Node) bool { return n.Role == cluster.NodePrimary && !isCoordinator(n) }

// mirrorPatience is how long new mirrors may take to connect before they are
// stopped and started.
const mirrorPatience = 5 * time.Second

// growSegments adds primaries, with whatever else the layout has got. For the
// coordinator c, its host m, a host h and a new node n:
//
//	fit@m, user@h, claim@h, hold@c, template@m (from the coordinator),
//	template@h, make@n, clear@h, start-primaries@h, start-mirrors@h, register
//	(the point of no return), mirror@n, sync, standby@n, announce
//
// New instances are made, with their mirrors, from one copy of the coordinator
// under the catalogue lock, and are entered in the transaction that holds it.
// Before that the cluster knows nothing of them.
func (e *Engine) growSegments(nodes []cluster.Node) ([]step.Step, error) {
	c := e.coordinator()
	e.growing = true
	p := e.plannedGrowth(nodes)
	steps := []step.Step{e.fitStep(p)}
	var claimed []string
	for _, h := range e.hosts() {
		on := p.on(h, nodes)
		if len(on) == 0 {
			continue
		}
		user, claim := e.userStep(h), e.claimStep(h, on)
		user.Needs = []string{steps[0].ID}
		steps, claimed = append(steps, user, claim), append(claimed, claim.ID)
		if e.top.Engine.Package != "" {
			steps, claimed = append(steps, e.softwareStep(h)), append(claimed, "software@"+h)
		}
	}
	admits, admitted := e.admitSteps(nodes, claimed)
	hold := e.holdStep(slices.Concat(claimed, admitted), p.in)
	source := e.sourceStep(p, hold.ID)
	steps = append(append(steps, admits...), hold, source)

	made, fetched := map[string][]string{}, []string{}
	for _, h := range e.hosts() {
		from := source.ID
		on := p.on(h, p.fresh)
		if len(on) == 0 {
			continue
		}
		if h != c.Host {
			t := e.sendStep(h, p, source.ID)
			from, steps, fetched = t.ID, append(steps, t), append(fetched, t.ID)
		}
		for _, n := range on {
			s := e.formStep(n, p, from)
			steps, made[h] = append(steps, s), append(made[h], s.ID)
		}
	}
	var started []string
	for _, role := range []string{cluster.NodePrimary, cluster.NodeMirror} {
		before := started
		for _, h := range e.hosts() {
			var on []cluster.Node
			for _, n := range p.on(h, p.fresh) {
				if n.Role == role {
					on = append(on, n)
				}
			}
			if len(on) == 0 {
				continue
			}
			s := e.startNodes(choose(role == cluster.NodePrimary, "start-primaries@", "start-mirrors@")+h, h, on, slices.Concat(made[h], before), func(sight) bool { return true })
			steps, started = append(steps, s), append(started, s.ID)
		}
	}
	register := e.enterStep(p, started)
	steps = append(steps, register)
	for _, h := range e.hosts() {
		needs := slices.Clone(made[h])
		if h == c.Host {
			needs = append(needs, fetched...)
		}
		if len(needs) > 0 {
			steps = append(steps, e.clearTemplateStep(h, needs...))
		}
	}
	return append(steps, e.followers(nodes, register.ID)...), nil
}

// followers are the steps after the registration: mirrors that are not up yet,
// the standby, and a second announcement.
func (e *Engine) followers(nodes []cluster.Node, register string) []step.Step {
	var steps []step.Step
	var mirrors []string
	for _, n := range nodes {
		switch n.Role {
		case cluster.NodeStandby:
			steps = append(steps, e.standbyStep(n, cluster.RecoverOptions{}, register))
		case cluster.NodeMirror:
			s := e.recoverStep(n, cluster.RecoverOptions{})
			s.ID, s.Title, s.Needs = "mirror@"+n.Name(), "see "+describe(n)+" follow its primary", []string{register}
			steps, mirrors = append(steps, s), append(mirrors, s.ID)
		}
	}
	if len(mirrors) > 0 {
		steps = append(steps, e.syncStep(mirrors...))
	}
	return append(steps, e.announceStep(register))
}

// planned is a growth by segments.
type planned struct {
	nodes []cluster.Node // all that is new
	fresh []cluster.Node // new primaries, and the mirrors of those
	in    func(context.Context) (bool, error)
}

// on are the nodes among some that are on a host.
func (p *planned) on(host string, nodes []cluster.Node) []cluster.Node {
	var out []cluster.Node
	for _, n := range nodes {
		if n.Host == host {
			out = append(out, n)
		}
	}
	return out
}

// content is the lowest new one.
func (p *planned) content() int {
	low := p.fresh[0].Content
	for _, n := range p.fresh {
		low = min(low, n.Content)
	}
	return low
}

func (e *Engine) plannedGrowth(nodes []cluster.Node) *planned {
	added := map[int]bool{}
	for _, n := range nodes {
		added[n.Content] = added[n.Content] || isPrimary(n)
	}
	p := &planned{nodes: nodes}
	for _, n := range nodes {
		if added[n.Content] {
			p.fresh = append(p.fresh, n)
		}
	}
	p.in = func(ctx context.Context) (bool, error) { return e.joined(ctx, p.fresh) }
	return p
}

// fitStep refuses what cannot be grown, before anything is touched.
func (e *Engine) fitStep(p *planned) step.Step {
	obstacle := func(ctx context.Context) error {
		rows, err := e.catalog(ctx)
		if err != nil {
			return err
		}
		if content := outOfRow(rows, p.content()); content >= 0 {
			return fault.New(fault.Check, fmt.Sprintf("finish the shrink that was begun (cw cluster shrink %s), or see what others have changed: cw cluster status %[1]s", e.top.Name),
				"the new segments begin at %d, and the catalogue does not end before it: see segment %d", p.content(), content)
		}
		out, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, "select string_agg(quote_ident(spcname), ', ' order by spcname) from pg_tablespace where spcname not in ('pg_default', 'pg_global');")
		if err == nil && out != "" {
			err = fault.New(fault.Check, "move their tables (alter table … set tablespace pg_default) and drop them, or grow with the engine's gpexpand, which asks for places",
				"tablespaces %s of the coordinator have no place on new segments", out)
		}
		return err
	}
	return step.Step{
		ID: "fit@" + e.coordinator().Host, Host: e.coordinator().Host, Title: "see that the cluster can be grown",
		Check: func(ctx context.Context) (step.Observed, error) {
			if done, err := p.in(ctx); err != nil || done {
				return step.Observed{Done: done, Note: "done"}, err
			}
			err := obstacle(ctx)
			if fault.KindOf(err) == fault.Check { // Apply says it again, with what to do
				return step.Observed{Note: err.Error()}, nil
			}
			return step.Observed{Done: err == nil, Note: "it can"}, err
		},
		Apply: obstacle,
	}
}

// outOfRow is a content below a number that the catalogue lacks, or one from
// there on that it has; -1 when there is none. The engine serves nobody when
// contents have a hole (cdbutil.c).
func outOfRow(rows catalog, below int) int {
	for content := range below {
		if _, ok := rows.acting(content); !ok {
			return content
		}
	}
	for _, r := range rows {
		if r.Content >= below {
			return r.Content
		}
	}
	return -1
}

// formStep makes a new segment from its host's template.
func (e *Engine) formStep(n cluster.Node, p *planned, need string) step.Step {
	id := "make@" + n.Name()
	return step.Step{
		ID: id, Host: n.Host, Title: "make " + describe(n), Needs: []string{need},
		Check: e.underHold(id, p, "to be made from the template"),
		Apply: func(ctx context.Context) error {
			defer e.changed(n.Host)
			if err := e.form(ctx, n); err != nil {
				return err
			}
			e.growth.note(id)
			return nil
		},
		Verify: verified,
	}
}

// underHold is the Check of steps whose result is of use to this run alone.
func (e *Engine) underHold(id string, p *planned, note string) func(context.Context) (step.Observed, error) {
	return func(ctx context.Context) (step.Observed, error) {
		if done, err := p.in(ctx); err != nil || done {
			return step.Observed{Done: done, Note: "not needed any more"}, err
		}
		done := e.growth.noted(id)
		return step.Observed{Done: done, Note: choose(done, "made", note)}, nil
	}
}

// form makes a new segment's data directory, in the place of whatever an
// earlier attempt left there: that was made from another copy.
func (e *Engine) form(ctx context.Context, n cluster.Node) error {
	hba, err := e.hba(ctx, n)
	if err != nil {
		return err
	}
	s, err := e.see(ctx, n)
	if err != nil {
		return err
	}
	if s.Data || s.Unready || s.Proc != procStopped {
		if err := e.sweep(ctx, n.Host, newData(n)); err != nil {
			return err
		}
		if err := e.stop(ctx, n.Host, []cluster.Node{n}, cluster.Immediate, "", false); err != nil {
			return err
		}
		if err := e.sweep(ctx, n.Host, n.DataDir); err != nil {
			return err
		}
	}
	recovery, slot := "", "keep"
	if n.Role == cluster.NodeMirror {
		slot = ""
		for _, p := range e.pair(n.Content) {
			if p.Role == cluster.NodePrimary {
				recovery = e.recoveryConf(p)
			}
		}
	}
	_, err = e.sh(ctx, n.Host, makeScript+fillScript+nameScript, e.templateDir(n.Host), n.DataDir, fmt.Sprintf("gp_dbid = %d\n", e.growth.dbid(n)), ownConf(n), hba, recovery, slot)
	if err != nil {
		return fmt.Errorf("making node %s: %w", n.Name(), err)
	}
	return nil
}

// enterStep enters all new segments into the catalogue, in the transaction that
// holds its lock. The announcement (gp_expand_bump_version) is in it as well:
// whoever looks at the new version waits for gp_segment_configuration, which is
// locked from the first row to the commit, and sees the rows.
func (e *Engine) enterStep(p *planned, needs []string) step.Step {
	return step.Step{
		ID: "register", Host: e.coordinator().Host, Title: "enter the new segments into the catalogue", Needs: needs, PointOfNoReturn: true,
		Check: func(ctx context.Context) (step.Observed, error) {
			done, err := p.in(ctx)
			return step.Observed{Done: done, Note: choose(done, "entered", "not entered")}, err
		},
		Apply: func(ctx context.Context) error {
			h := e.growth.current()
			if h == nil {
				return fault.New(fault.Failed, "cw cluster resume "+e.top.Name, "the catalogue lock was lost: the new segments may lack what was changed since")
			}
			var b strings.Builder
			b.WriteString("lock table gp_segment_configuration in access exclusive mode;\n")
			for _, role := range []string{cluster.NodePrimary, cluster.NodeMirror} {
				for _, n := range p.nodes {
					if n.Role == role {
						fmt.Fprintf(&b, "select gp_add_segment(%d::int2, %d::int2, '%[3]s', '%[3]s', 'n', '%[4]s', %[5]d, %[6]s, %[7]s, %[8]s);\n", e.growth.dbid(n), n.Content,
							choose(role == cluster.NodePrimary, "p", "m"), choose(role == cluster.NodePrimary, "u", "d"), n.Port, literal(n.Host), literal(e.address(n)), literal(n.DataDir))
					}
				}
			}
			b.WriteString("select gp_expand_bump_version();\ncommit;")
			err := h.exec(ctx, b.String())
			e.growth.letGo(h)
			if err != nil {
				return fmt.Errorf("entering the new segments: %w", err)
			}
			if _, err = e.probe(ctx); err != nil {
				return err
			}
			// Mirrors that are about to connect are up in a moment; those that are
			// not then are looked after by steps of their own.
			_ = e.await(ctx, mirrorPatience, func(c catalog) error {
				for _, n := range p.fresh {
					if row, _ := c.of(n); row.Status != "u" {
						return fmt.Errorf("%s is not up", describe(n))
					}
				}
				return nil
			})
			return nil
		},
	}
}

// announceStep tells sessions once more that the number of segments has
// changed: one that read the old rows just before, and took long to look up
// addresses, would take them for the rows of the new version (cdbutil.c reads
// the version after the rows in a new session).
func (e *Engine) announceStep(needs ...string) step.Step {
	return step.Step{
		ID: "announce", Host: e.coordinator().Host, Title: "have sessions look at the catalogue again", Needs: needs,
		Check: func(context.Context) (step.Observed, error) {
			return step.Observed{Note: "to be told"}, nil
		},
		Apply: func(ctx context.Context) error {
			_, err := e.sql(ctx, session{node: e.coordinator(), options: utility}, "select gp_expand_bump_version();")
			return err
		},
		Verify: verified,
	}
}
