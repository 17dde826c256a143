package run

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
	"cw/loadspec/ledger"
	"cw/loadspec/source"
)

// An object that an earlier job has loaded into the table is not loaded again.
// The ledger tells: loaded is what has all of its splits committed, in the
// version (URL, ETag, size) that is there now, into the table of the same oid,
// with no TRUNCATE by cw since. The other file number of a table is no sign:
// VACUUM FULL, CLUSTER and an expand of the cluster change it, too.
//
// What another job has begun is that job's to finish, for its rows are in the
// table; what another has only planned is taken from it. Planning is one
// transaction, and one job's at a time for each table.

// choice is what of the objects on offer a job is to load.
type choice struct {
	load    []ledger.Object
	skipped []ledger.Skipped
	changed []string // URLs that were loaded in another version
	waiting []*ledger.ClaimedError
}

// targetOf is the job's table as the ledger knows it.
func (j *job) targetOf() ledger.Target {
	t := ledger.Target{Again: j.o.Again}
	if j.gp != nil {
		g := j.gp.load.Target
		t.OID, t.Name = g.OID, g.Schema+"."+g.Table
		return t // the modes' rows are merged wave by wave
	}
	t.OID, t.Name, t.Staged = j.table.OID, j.table.Schema+"."+j.table.Table, j.spec.Output.Mode != loadspec.ModeInsert
	return t
}

// own is how far this job itself is with an object.
type own map[string]bool // URL: begun

// choose decides about offered objects in the transaction that plans them.
func (j *job) choose(ctx context.Context, tx pgx.Tx, t ledger.Target, offered []ledger.Object, d decision) (*choice, error) {
	if err := ledger.LockTarget(ctx, tx, t); err != nil {
		return nil, copy.Explain(err)
	}
	urls := make([]string, len(offered))
	for i, o := range offered {
		urls[i] = o.URL
	}
	fenced := map[string]bool{}
	for {
		claims, err := j.ledger.Claims(ctx, tx, t, urls)
		if err != nil {
			return nil, copy.Explain(err)
		}
		d.again, d.strict, d.running = t.Again || j.emptiesFirst(), !t.Again, map[string]bool{}
		for _, c := range claims {
			if _, known := d.running[c.Job]; known || c.Loaded() || c.Gone() {
				continue
			}
			if d.running[c.Job], err = ledger.Running(ctx, tx, c.Job); err != nil {
				return nil, copy.Explain(err)
			}
			if ledger.Root(c.Job) == j.o.Job {
				d.running[c.Job] = false // the lock is our own
			}
		}
		got, others, err := d.decide(offered, claims)
		if err != nil {
			return nil, j.claimed(err, t)
		}
		// Whoever runs them without being seen must not commit any more; what
		// they have committed meanwhile is looked at again.
		fresh := false
		for _, other := range others {
			if !fenced[other] {
				fenced[other], fresh = true, true
				if err := j.ledger.Fence(ctx, tx, other); err != nil {
					return nil, copy.Explain(err)
				}
			}
		}
		if !fresh {
			return got, nil
		}
	}
}

// emptiesFirst tells that the table is still to be emptied by this job.
func (j *job) emptiesFirst() bool { return j.spec.Truncate && !j.emptied && j.round == 0 }

// decision is the rules, without a database.
type decision struct {
	again   bool // what is in the table does not matter
	strict  bool // but what another job is loading right now does
	begun   own
	lenient bool // what is another job's is left for later
	running map[string]bool
}

// decide sorts the offered objects; others are the jobs that must not go on
// with what is taken from them.
func (d *decision) decide(offered []ledger.Object, claims []ledger.Claim) (c *choice, others []string, err error) {
	byURL := map[string][]ledger.Claim{}
	for _, cl := range claims {
		byURL[cl.Object] = append(byURL[cl.Object], cl)
	}
	c = &choice{}
	skipped, taken := map[string]*ledger.Skipped{}, map[string]bool{}
	blocked := map[string]*ledger.ClaimedError{}
	stopped := false
	block := func(cl ledger.Claim, running bool, hint string) {
		stopped = true
		b := blocked[cl.Job]
		if b == nil {
			b = &ledger.ClaimedError{Job: ledger.Root(cl.Job), Running: running, Hint: hint}
			blocked[cl.Job] = b
		}
		b.Objects = append(b.Objects, cl.Object)
	}
	for _, o := range offered {
		var by *ledger.Claim
		older := false
		for i, cl := range byURL[o.URL] {
			switch {
			case plainTag(cl.ETag) != plainTag(o.ETag) || cl.Size != o.Size:
				older = older || cl.Begun() && o.URL != source.StdinURL
			case cl.Loaded():
				by = &byURL[o.URL][i]
			}
		}
		if by != nil && !d.again {
			if d.begun[o.URL] {
				block(*by, false, "this job has loaded a part of it as well: cw load cancel JOB ends it; cw load resume JOB --again loads the rest all the same")
				continue
			}
			if skipped[by.Job] == nil {
				skipped[by.Job] = &ledger.Skipped{Job: by.Job}
			}
			skipped[by.Job].Objects++
			skipped[by.Job].Bytes += o.Size
			continue
		}
		stopped = false
		for _, cl := range byURL[o.URL] {
			if plainTag(cl.ETag) != plainTag(o.ETag) || cl.Size != o.Size || cl.Loaded() || cl.Gone() {
				continue
			}
			name := ledger.Root(cl.Job)
			switch {
			case d.running[cl.Job] && !d.strict: // both load it, as was asked for
			case d.running[cl.Job]:
				block(cl, true, "wait for it: cw load wait "+name+"; then run this again")
			case cl.Begun() && !d.again:
				block(cl, false, "finish it: cw load resume "+name+"; to load the objects once more, their rows twice in the table, add --again")
			default:
				taken[cl.Job] = true
			}
		}
		if !stopped {
			c.load = append(c.load, o)
			if older {
				c.changed = append(c.changed, o.URL)
			}
		}
	}
	for _, name := range sortedKeys(blocked) {
		if !d.lenient {
			return nil, nil, blocked[name] // one at a time: each has a command of its own
		}
		c.waiting = append(c.waiting, blocked[name])
	}
	for _, name := range sortedKeys(skipped) {
		c.skipped = append(c.skipped, *skipped[name])
	}
	return c, sortedKeys(taken), nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// plainTag is the object's ETag in one that the plan keeps.
func plainTag(planned string) string {
	etag, _, _ := strings.Cut(planned, tagMark)
	return etag
}

// claimed puts the table's name into the error.
func (j *job) claimed(err error, t ledger.Target) error {
	if e, ok := err.(*ledger.ClaimedError); ok { //nolint:errorlint // decide's own
		e.Target, e.Hint = t.Name, strings.ReplaceAll(e.Hint, "JOB", j.o.Job)
	}
	return err
}

// foresee tells what a run would leave out, or stumble over.
func (j *job) foresee(ctx context.Context, conn *pgx.Conn, rep *Report) error {
	there, err := ledger.Exists(ctx, conn)
	if err != nil || !there || j.o.Again || j.spec.Truncate {
		return err
	}
	t := j.targetOf()
	offered := make([]ledger.Object, len(rep.Objects))
	urls := make([]string, len(rep.Objects))
	for i, o := range rep.Objects {
		offered[i], urls[i] = ledger.Object{URL: o.URL, ETag: o.ETag, Size: o.Size}, o.URL
	}
	claims, err := j.ledger.Claims(ctx, conn, t, urls)
	if err != nil {
		return nil //nolint:nilerr // a role that may look at the table may not see the ledger
	}
	c, _, err := (&decision{}).decide(offered, claims)
	if err != nil {
		err = j.claimed(err, t)
		j.tell(fmt.Sprintf("%v; %s", err, fault.HintOf(err)))
		return nil
	}
	rep.Skipped = c.skipped
	j.tellChoice(ctx, conn, t, c)
	return nil
}

// tellChoice says what a person should know of what was decided.
func (j *job) tellChoice(ctx context.Context, conn *pgx.Conn, t ledger.Target, c *choice) {
	if n := len(c.changed); n > 0 {
		j.tell(fmt.Sprintf("%s changed since an earlier load of %s, or cannot be told from what changed: loaded as new, the old rows stay", someOf(c.changed), t.Name))
	}
	if len(c.skipped) == 0 {
		return
	}
	// Emptied by hand, the table may want them again; or they have moved on.
	var rows bool
	if err := conn.QueryRow(ctx, "select exists (select 1 from "+j.target()+")").Scan(&rows); err == nil && !rows {
		j.tell(fmt.Sprintf("%s is empty, but objects are skipped that were loaded into it before: if they are to be loaded once more, add --again", t.Name))
	}
}

// tell warns once.
func (j *job) tell(text string) {
	if !slices.Contains(j.told, text) {
		j.told = append(j.told, text)
		j.o.Warn(text)
	}
}

// someOf names a few of many.
func someOf(names []string) string {
	const shown = 3
	text := strings.Join(names[:min(len(names), shown)], ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
