package greenplum

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
	"cw/fault"
)

// Recover brings back segments that the coordinator holds for down or that do
// not run, and the standby; with o.Rebalance every segment then gets its
// preferred role.
func (e *Engine) Recover(ctx context.Context, o cluster.RecoverOptions) ([]step.Step, error) {
	c, err := e.running(ctx)
	if err != nil {
		return nil, err
	}
	if lost(c) {
		// The catalogue keeps the last one up, so this is not seen in practice;
		// without an acting primary there is nothing to copy from.
		return nil, fault.New(fault.Failed, "cw cluster start "+e.top.Name, "a segment has lost both its instances")
	}
	var steps []step.Step
	var recovered []string
	var away []error
	for _, n := range e.lay.Nodes {
		if isCoordinator(n) || !o.On(n.Host) {
			continue
		}
		row, known := c.of(n)
		s, err := e.see(ctx, n)
		switch {
		case err != nil:
			e.leave("%s is not recovered: %s", describe(n), clean(err.Error()))
			away = append(away, err)
			continue
		case !known:
			continue // never added
		case row.Status == "u" && s.Data && s.up() && !s.Rewound:
			continue
		case row.Role == "p":
			// Its mirror did not take over, so its data is the only one.
			st := e.startNodeStep(n)
			steps, recovered = append(steps, st), append(recovered, st.ID)
			continue
		}
		st := e.recoverStep(n, o)
		steps, recovered = append(steps, st), append(recovered, st.ID)
	}
	if len(recovered) > 0 {
		steps = append(steps, e.syncStep(recovered...))
	}
	if n, ok := e.standby(); ok && o.On(n.Host) {
		if st, needed, err := e.recoverStandby(ctx, c, n, o); err != nil {
			return nil, err
		} else if needed {
			steps = append(steps, st)
		}
	}
	if o.Rebalance && len(away) == 0 {
		steps = append(steps, e.rebalance(c, len(recovered) > 0)...)
	}
	if len(steps) == 0 && len(away) > 0 {
		return nil, fault.Wrap(fault.Unreachable, "when the host is back: cw cluster recover "+e.top.Name,
			fmt.Errorf("%d nodes are down and cannot be recovered now: %w", len(away), away[0]))
	}
	return steps, nil
}

// running is the catalogue of a coordinator that runs; else the error says
// what to do first.
func (e *Engine) running(ctx context.Context) (catalog, error) {
	n := e.coordinator()
	s, err := e.see(ctx, n)
	_, has := e.standby()
	switch {
	case err != nil && has:
		return nil, fault.Wrap(fault.KindOf(err), "if the host is lost: cw cluster promote "+e.top.Name, fmt.Errorf("the coordinator cannot be asked: %w", err))
	case err != nil:
		return nil, fmt.Errorf("the coordinator cannot be asked: %w", err)
	case s.Proc != procReady:
		return nil, fault.New(fault.Failed, "cw cluster start "+e.top.Name, "%s: the coordinator does not take connections (%s)", n.Host, s.Proc)
	}
	return e.probe(ctx)
}

// recoverStep brings back one segment that is down: as it is when it was a
// mirror all along, with pg_rewind when it was the primary, from a full copy
// when neither can be.
func (e *Engine) recoverStep(n cluster.Node, o cluster.RecoverOptions) step.Step {
	return step.Step{
		ID: "recover@" + n.Name(), Host: n.Host, Title: "recover " + describe(n), Destructive: o.Full,
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := e.see(ctx, n)
			if err != nil {
				return step.Observed{}, err
			}
			c, err := e.catalog(ctx)
			if err != nil {
				return step.Observed{}, err
			}
			row, _ := c.of(n)
			ok := row.Status == "u" && s.up() && !s.Rewound
			return step.Observed{Done: ok, Note: choose(ok, "up", e.way(s, o))}, nil
		},
		Apply:  func(ctx context.Context) error { return e.bringBack(ctx, n, o) },
		Verify: verified,
	}
}

// way says how a node would be brought back.
func (e *Engine) way(s sight, o cluster.RecoverOptions) string {
	switch {
	case o.Full:
		return "down, full copy"
	case !s.Data:
		return "no data directory, full copy"
	case s.Rewound:
		return "its recovery was interrupted, full copy"
	case s.Follower:
		return "down, start as it is"
	}
	return "down, rewind"
}

// bringBack makes a node a mirror of its acting primary and starts it.
func (e *Engine) bringBack(ctx context.Context, n cluster.Node, o cluster.RecoverOptions) error {
	defer e.changed(n.Host)
	c, err := e.catalog(ctx)
	if err != nil {
		return err
	}
	row, ok := c.of(n)
	if !ok {
		return fmt.Errorf("%s is not in the catalogue", describe(n))
	}
	from, ok := c.acting(n.Content)
	source, known := e.node(from)
	if !ok || !known || source.ID == n.ID {
		return fmt.Errorf("%s: there is no acting primary to follow", describe(n))
	}
	// The catalogue names a new primary before its promotion has ended.
	if err := e.takesConnections(ctx, source); err != nil {
		return err
	}
	if err := e.sweep(ctx, n.Host, newData(n)); err != nil {
		return err
	}
	if err := e.stop(ctx, n.Host, []cluster.Node{n}, cluster.Immediate, "", false); err != nil {
		return err
	}
	s, err := e.see(ctx, n)
	if err != nil {
		return err
	}
	full := o.Full || !s.Data || s.Rewound
	if !full {
		if !s.Follower {
			if err := e.rewind(ctx, n, source, row.DBID); err != nil {
				if ctx.Err() != nil {
					return err
				}
				full = true // what rewinding could not do, a copy can
			}
		}
		if !full {
			return e.start(ctx, n.Host, []cluster.Node{n})
		}
	}
	if err := e.copyFrom(ctx, n, source, row.DBID, o.Rate); err != nil {
		return err
	}
	return e.start(ctx, n.Host, []cluster.Node{n})
}

// readyScript waits until the instance on port $1 with its socket in $2 takes
// connections, for at most ten minutes.
const readyScript = `n=0
until PGOPTIONS="` + utility + `" pg_isready -q -t 2 -d template1 -h "$2" -p "$1"; do
  n=$((n+1)); [ $n -lt 12000 ] || { echo "port $1 does not take connections after 10 minutes" >&2; exit 1; }
  sleep 0.05
done`

func (e *Engine) takesConnections(ctx context.Context, n cluster.Node) error {
	if _, err := e.sh(ctx, n.Host, readyScript, strconv.Itoa(n.Port), socketDir(n)); err != nil {
		return fmt.Errorf("waiting for %s: %w", describe(n), err)
	}
	return nil
}

// dressScript makes a data directory that came from another instance this
// node's: $1 its place, $2 port, $3 dbid, $4 recovery.conf.
const dressScript = `cd -- "$1"
sed -i -E "s/^[[:space:]]*port[[:space:]]*=.*/port = $2/" postgresql.conf
grep -Eq '^port = ' postgresql.conf || echo "port = $2" >>postgresql.conf
echo "gp_dbid = $3" >internal.auto.conf
printf '%s' "$4" >recovery.conf
rm -f postmaster.opts postmaster.pid
`

// dress are the arguments of dressScript.
func (e *Engine) dress(place string, n, source cluster.Node, dbid int) []string {
	return []string{place, strconv.Itoa(n.Port), strconv.Itoa(dbid), e.recoveryConf(source)}
}

// rewindScript rewinds data directory $1 to what the source $5 has, with a
// note beside it while it is neither the one nor the other: $6.
const rewindScript = `set -e
: >"$6"
sync -f "$6" 2>/dev/null || :
PGOPTIONS="` + utility + `" pg_rewind --write-recovery-conf --slot=` + slotName + ` --source-server="$5" --target-pgdata="$1" >"$6" 2>&1 || { tail -n 5 "$6" >&2; exit 1; }
grep -q 'no rewind required' "$6" && [ ! -f "$1/recovery.conf" ] && { echo "pg_rewind left it alone" >&2; exit 1; }
` + dressScript + `rm -f -- "$6"`

// rewind makes the former primary of a pair follow the present one. The source
// writes a checkpoint first: until then its control file has the old timeline,
// and pg_rewind believes that nothing is to be done.
func (e *Engine) rewind(ctx context.Context, n, source cluster.Node, dbid int) error {
	if _, err := e.sql(ctx, session{node: source, options: utility}, "checkpoint;"); err != nil {
		return fmt.Errorf("checkpoint of node %s: %w", source.Name(), err)
	}
	server := fmt.Sprintf("user=%s host=%s port=%d dbname=template1", connValue(e.top.OSUser), connValue(e.address(source)), source.Port)
	_, err := e.sh(ctx, n.Host, rewindScript, append(e.dress(n.DataDir, n, source, dbid), server, noteFile(n))...)
	if err != nil {
		return fmt.Errorf("rewinding node %s: %w", n.Name(), err)
	}
	return nil
}

func noteFile(n cluster.Node) string { return n.Dir + "/" + rewindNote }

// copyScript copies the source at $5 port $6 to $1: $7 are further options of
// pg_basebackup, $8 the final place, $9 the note of an interrupted rewind.
// What is in the final place is replaced at the end, when the copy is whole.
const copyScript = `set -e
umask 077
pg_basebackup -c fast -D "$1" -h "$5" -p "$6" -U "$(id -un)" --target-gp-dbid "$3" $7 -E ./db_dumps -E ./gpperfmon/data -E ./gpperfmon/logs -E ./promote >"$1.log" 2>&1 </dev/null || { tail -n 5 "$1.log" >&2; rm -rf -- "$1"; exit 1; }
rm -f -- "$1.log"
` + dressScript + `chmod 0700 "$1"
sync -f "$1" 2>/dev/null || :
cd /
rm -rf -- "$8"
mv -T -- "$1" "$8"
rm -f -- "$9"`

// copyFrom replaces a node's data directory by a copy of the source; rate is
// in bytes per second, 0 for no limit.
func (e *Engine) copyFrom(ctx context.Context, n, source cluster.Node, dbid int, rate int64) error {
	options := []string{"-X", "stream", "-S", slotName}
	if isCoordinator(n) {
		options = []string{"--xlog"}
	}
	if rate > 0 {
		options = append(options, "-r", strconv.FormatInt(max(rate>>10, 32), 10)) // kB/s, 32 is its least
	}
	args := append(e.dress(newData(n), n, source, dbid), e.address(source), strconv.Itoa(source.Port), strings.Join(options, " "), n.DataDir, noteFile(n))
	if _, err := e.sh(ctx, n.Host, copyScript, args...); err != nil {
		return fmt.Errorf("copying node %s to %s: %w", source.Name(), n.Name(), err)
	}
	return nil
}
