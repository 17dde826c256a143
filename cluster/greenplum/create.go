package greenplum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cw/cluster"
	"cw/cluster/hostprep"
	"cw/cluster/step"
)

// syncPatience is how long a new or recovered mirror may take until it has all
// WAL of its primary.
const syncPatience = 10 * time.Minute

// Create are the steps from bare hosts to a running cluster. For the
// coordinator c, its host m, a host h and a node n:
//
//	user@h, claim@h, init@m, template@h, make@n (the coordinator's with the
//	catalogue in it), clear@h, start@h (segments), start@c, start@standby,
//	sync, admin, database
func (e *Engine) Create() ([]step.Step, error) {
	if e.top.Database.PasswordFile != "" {
		if _, err := e.adminPassword(); err != nil {
			return nil, err
		}
	}
	e.beingMade = true
	c := e.coordinator()
	var steps []step.Step
	segmentsMade := map[string][]string{}
	for _, h := range e.hosts() {
		steps = append(steps, e.userStep(h))
		if e.top.Engine.Package != "" {
			steps = append(steps, e.softwareStep(h))
		}
		steps = append(steps, e.claimStep(h, e.lay.On(h)))
	}
	steps = append(steps, e.initStep(c))
	for _, h := range e.hosts() {
		from := "init@" + c.Host
		if h != c.Host {
			from = "template@" + h
			steps = append(steps, e.templateStep(h))
		}
		var made, segments []string
		for _, n := range e.lay.On(h) {
			steps = append(steps, e.makeStep(n, from))
			made = append(made, "make@"+n.Name())
			if !isCoordinator(n) {
				segments = append(segments, "make@"+n.Name())
			}
		}
		needs := made
		if h == c.Host { // the others are copied from it
			needs = append([]string{}, made...)
			for _, o := range e.hosts() {
				if o != h {
					needs = append(needs, "template@"+o)
				}
			}
		}
		steps = append(steps, e.dropTemplateStep(h, needs))
		segmentsMade[h] = segments
	}
	started, all := e.startSegments(segmentsMade)
	steps = append(steps, started...)
	steps = append(steps, e.startNodeStep(c, append([]string{"make@" + c.Name()}, all...)...))
	follow := []string{"start@" + c.Name()}
	if s, ok := e.standby(); ok {
		steps = append(steps, e.startNodeStep(s, "make@"+s.Name(), "start@"+c.Name()))
		follow = append(follow, "start@"+s.Name())
	}
	if len(e.lay.Nodes) > len(e.contents())+1 {
		steps = append(steps, e.syncStep(follow...))
	}
	return append(steps, e.adminStep("start@"+c.Name()), e.databaseStep("admin")), nil
}

// needSoftware adds the package step, where there is one.
func (e *Engine) needSoftware(host string, needs ...string) []string {
	if e.top.Engine.Package != "" {
		needs = append(needs, "software@"+host)
	}
	return needs
}

// hosts are the names of the hosts that carry nodes.
func (e *Engine) hosts() []string {
	var out []string
	for _, h := range e.top.Hosts {
		if len(e.lay.On(h.Name)) > 0 {
			out = append(out, h.Name)
		}
	}
	return out
}

// contents are the segments' numbers.
func (e *Engine) contents() []int {
	var out []int
	seen := map[int]bool{-1: true}
	for _, n := range e.lay.Nodes {
		if !seen[n.Content] {
			seen[n.Content] = true
			out = append(out, n.Content)
		}
	}
	return out
}

// userStep makes the OS user that owns the database.
func (e *Engine) userStep(host string) step.Step {
	return step.Step{
		ID: "user@" + host, Host: host, Title: "create OS user " + e.top.OSUser,
		Check: func(ctx context.Context) (step.Observed, error) {
			ok, err := e.Fleet.UserExists(ctx, host)
			return step.Observed{Done: ok, Note: choose(ok, "exists", "missing")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			return e.Fleet.CreateUser(ctx, host)
		},
	}
}

// claimStep makes the folders of nodes and marks them as ours. A folder with
// anything in it but our marker is an error, now and when the step is run.
func (e *Engine) claimStep(host string, nodes []cluster.Node) step.Step {
	claims := e.claims(nodes)
	return step.Step{
		ID: "claim@" + host, Host: host, Title: "make the folders of " + names(nodes), Needs: []string{"user@" + host},
		Check: func(ctx context.Context) (step.Observed, error) {
			dirs, err := e.Fleet.LookDirs(ctx, host, e.top.OSUser, claims)
			if err != nil {
				return step.Observed{}, ignoreAbsent(err)
			}
			ours := 0
			for i, d := range dirs {
				switch d.State {
				case hostprep.DirForeign, hostprep.DirUnreadable:
					return step.Observed{}, hostprep.Foreign(host, claims[i].Dir, d)
				case hostprep.DirOurs:
					ours++
				}
			}
			return step.Observed{Done: ours == len(nodes), Note: fmt.Sprintf("%d of %d are there", ours, len(nodes))}, nil
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			return e.Fleet.ClaimAll(ctx, host, e.top.OSUser, claims)
		},
		Verify: verified,
	}
}

// claims are the folders of nodes with their markers.
func (e *Engine) claims(nodes []cluster.Node) []hostprep.Claim {
	out := make([]hostprep.Claim, len(nodes))
	for i, n := range nodes {
		out[i] = hostprep.Claim{Dir: n.Dir, Marker: e.marker(n)}
	}
	return out
}

// startSegments starts the acting primaries of all hosts and then the mirrors:
// one that finds no primary at its first attempt waits five seconds for the
// next, and until it is there no transaction commits. needs are steps by host;
// the ids of all steps are returned too.
func (e *Engine) startSegments(needs map[string][]string) (steps []step.Step, ids []string) {
	var first []string
	for _, h := range e.segmentHosts() {
		s := e.startNodes("start-primaries@"+h, h, e.segments(h), needs[h], func(s sight) bool { return !s.Follower })
		s.Title = "start the acting primaries"
		steps, first = append(steps, s), append(first, s.ID)
	}
	ids = first
	for _, h := range e.segmentHosts() {
		if len(e.pair(e.segments(h)[0].Content)) < 2 {
			continue // without mirrors
		}
		s := e.startNodes("start-mirrors@"+h, h, e.segments(h), needs[h], func(s sight) bool { return s.Follower })
		s.Title, s.After = "start the mirrors", first
		steps, ids = append(steps, s), append(ids, s.ID)
	}
	return steps, ids
}

// startNodeStep starts a coordinator or a standby.
func (e *Engine) startNodeStep(n cluster.Node, needs ...string) step.Step {
	return e.startNodes("start@"+n.Name(), n.Host, []cluster.Node{n}, needs, func(sight) bool { return true })
}

// startNodes starts those of the nodes that which holds for when the step
// runs, all at once.
func (e *Engine) startNodes(id, host string, nodes []cluster.Node, needs []string, which func(sight) bool) step.Step {
	title := "start " + names(nodes)
	if len(nodes) == 1 {
		title = "start " + describe(nodes[0])
	}
	return step.Step{
		ID: id, Host: host, Title: title, Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if made, err := e.made(ctx, nodes); err != nil || !made && e.beingMade {
				return step.Observed{Note: "not made yet"}, err
			}
			nodes, err := e.toStart(ctx, nodes, which)
			if err != nil {
				return step.Observed{}, err
			}
			running, missing := 0, false
			for _, n := range nodes {
				s, err := e.see(ctx, n)
				if err != nil {
					return step.Observed{}, err
				}
				if s.up() {
					running++
				}
				missing = missing || !s.Data
			}
			return step.Observed{Done: running == len(nodes) && !missing, Note: fmt.Sprintf("%d of %d run", running, len(nodes))}, nil
		},
		Apply: func(ctx context.Context) error {
			nodes, err := e.toStart(ctx, nodes, which)
			if err != nil {
				return err
			}
			// What cannot be started keeps no other from it.
			var able []cluster.Node
			var unable []error
			for _, n := range nodes {
				if err := e.startable(ctx, n); err != nil {
					unable = append(unable, err)
					continue
				}
				able = append(able, n)
			}
			if len(able) > 0 {
				unable = append(unable, e.start(ctx, host, able))
			}
			return errors.Join(unable...)
		},
		Verify: verified,
	}
}

// up says whether the instance does what its data directory is for.
func (s sight) up() bool {
	return s.Proc == procReady || s.Follower && s.Proc == procRecovery
}

// syncStep waits until every mirror has all WAL of its primary.
func (e *Engine) syncStep(needs ...string) step.Step {
	return step.Step{
		ID: "sync", Host: e.coordinator().Host, Title: "see all mirrors in sync", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			if s, err := e.see(ctx, e.coordinator()); err != nil || s.Proc != procReady {
				return step.Observed{Note: "the coordinator does not run"}, err
			}
			c, err := e.catalog(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			if missing := unsynced(c); missing != nil {
				return step.Observed{Note: missing.Error()}, nil
			}
			return step.Observed{Done: true, Note: "in sync"}, nil
		},
		Apply:  func(ctx context.Context) error { return e.await(ctx, syncPatience, unsynced) },
		Verify: verified,
	}
}

// unsynced names the segments of a catalogue that are down or not in sync; nil
// when there are none.
func unsynced(c catalog) error {
	var bad []string
	for _, r := range c {
		if _, mirrored := c.peer(r); r.Content >= 0 && mirrored && (r.Status != "u" || r.Mode != "s") {
			bad = append(bad, fmt.Sprintf("dbid %d (content %d on %s)", r.DBID, r.Content, r.Hostname))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%d instances are down or not in sync: %s", len(bad), abbreviate(bad, 4))
}

// abbreviate lists the first n of many.
func abbreviate(list []string, n int) string {
	text := ""
	for i, s := range list {
		switch {
		case i == n:
			return text + fmt.Sprintf(" and %d more", len(list)-n)
		case i > 0:
			text += ", "
		}
		text += s
	}
	return text
}
