package greenplum

import (
	"context"
	"fmt"
	"strings"

	"cw/cluster"
	"cw/cluster/step"
)

// makeScript copies template $1 to data directory $2 and makes it one
// instance's: $3 is internal.auto.conf, $4 what postgresql.conf gets, $5
// pg_hba.conf, $6 recovery.conf or nothing, $7 whether it keeps the slot.
const makeScript = `set -e
umask 077
rm -rf -- "$2.cw-new"
cp -a --reflink=auto -- "$1" "$2.cw-new"
cd "$2.cw-new"
printf '%s' "$3" >internal.auto.conf
printf '%s' "$4" >>postgresql.conf
printf '%s' "$5" >pg_hba.conf
if [ "$6" ]; then printf '%s' "$6" >recovery.conf; fi
[ "$7" ] || rm -rf pg_replslot/*
`

// nameScript gives a data directory its name when all of it is on disk.
const nameScript = `rm -f postmaster.opts
sync -f . 2>/dev/null || :
mv -T -- "$2.cw-new" "$2"`

// makeStep makes a node's data directory from the host's template.
func (e *Engine) makeStep(n cluster.Node, need string) step.Step {
	return step.Step{
		ID: "make@" + n.Name(), Host: n.Host, Title: "make " + describe(n), Needs: []string{need},
		Check: func(ctx context.Context) (step.Observed, error) {
			s, err := e.see(ctx, n)
			return step.Observed{Done: s.Data, Note: choose(s.Data, n.DataDir, "no data directory")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(n.Host)
			return e.make(ctx, n)
		},
		Verify: verified,
	}
}

// describe is a node in words: primary n2 (content 0).
func describe(n cluster.Node) string {
	if isCoordinator(n) {
		return fmt.Sprintf("%s %s", n.Role, n.Name())
	}
	return fmt.Sprintf("%s %s (content %d)", n.Role, n.Name(), n.Content)
}

func (e *Engine) make(ctx context.Context, n cluster.Node) error {
	hba, err := e.hba(ctx, n)
	if err != nil {
		return err
	}
	conf, err := e.nodeConf(ctx, n)
	if err != nil {
		return err
	}
	script, statements, recovery, slot := makeScript+nameScript, "", "", ""
	switch n.Role {
	case cluster.NodeMirror:
		for _, p := range e.pair(n.Content) {
			if p.Role == cluster.NodePrimary {
				recovery = e.recoveryConf(p)
			}
		}
	case cluster.NodeStandby:
		recovery = e.recoveryConf(e.coordinator())
	case cluster.NodeCoordinator:
		script, statements = makeScript+registerScript+nameScript, e.registration()
	default:
		slot = "keep"
	}
	_, err = e.shInput(ctx, n.Host, statements, script, e.templateDir(n.Host), n.DataDir, fmt.Sprintf("gp_dbid = %d\n", n.ID), conf, hba, recovery, slot)
	if err != nil {
		return fmt.Errorf("making node %s: %w", n.Name(), err)
	}
	return nil
}

// registerScript enters all nodes into the coordinator's catalogue, with
// statements from standard input. A single-user server does not fail with its
// statements; the last of them says whether all rows are there.
const registerScript = `cat >cw-register.sql
postgres --single -D . -c shared_buffers=8MB -c gp_role=utility -c gp_contentid=-1 -O template1 <cw-register.sql >cw-register.log 2>&1 || { grep -E 'ERROR|FATAL|PANIC' cw-register.log >&2; exit 1; }
grep -q 'registered = "all"' cw-register.log || { grep -E 'ERROR|FATAL|PANIC' cw-register.log >&2; echo "the instances could not be registered" >&2; exit 1; }
rm -f cw-register.sql cw-register.log
`

// registration are the statements for registerScript, one line each.
// gp_add_segment takes mirrors as well; the standby has its own function, which
// gives it the highest dbid plus one (segadmin.c).
func (e *Engine) registration() string {
	var b strings.Builder
	var standby cluster.Node
	last := 0
	for _, n := range e.lay.Nodes {
		last = max(last, n.ID)
		role, status := "p", "u"
		switch n.Role {
		case cluster.NodeMirror:
			role, status = "m", "d" // until the fault tolerance server has seen it
		case cluster.NodeStandby:
			standby = n
			continue
		}
		fmt.Fprintf(&b, "select gp_add_segment(%d::int2, %d::int2, '%s', '%s', 'n', '%s', %d, %s, %s, %s);\n",
			n.ID, n.Content, role, role, status, n.Port, literal(n.Host), literal(e.address(n)), literal(n.DataDir))
	}
	if standby.ID != 0 {
		fmt.Fprintf(&b, "select gp_add_master_standby(%s, %s, %s, %d);\n", literal(standby.Host), literal(e.address(standby)), literal(standby.DataDir), standby.Port)
	}
	fmt.Fprintf(&b, "select 'all' as registered from gp_segment_configuration having count(*) = %d and count(distinct dbid) = %d and max(dbid) = %d;\n", len(e.lay.Nodes), len(e.lay.Nodes), last)
	return b.String()
}
