package greenplum

import (
	"context"
	"fmt"
	"path"

	"cw/cluster"
	"cw/cluster/step"
)

// slotName is the replication slot of every primary: the engine knows it by
// this name alone.
const slotName = "internal_wal_replication_slot"

// templateDir is where a host keeps the data directory that its instances are
// copied from while the cluster is made; "" when it carries no node.
func (e *Engine) templateDir(host string) string {
	on := e.lay.On(host)
	if len(on) == 0 {
		return ""
	}
	return path.Join(on[0].Dir, "template")
}

// initScript makes a data directory with the slot of a primary in it. $1 is
// its place, $2 encoding, $3 locale, $4 the superuser. With max_connections
// and shared_buffers given initdb does not try what the machine bears; they
// are small, for each of the many servers that it starts makes them anew,
// which takes longer than all else. Every instance gets its own.
// Nothing is synced: the copies are what lasts.
const initScript = `set -e
umask 077
rm -rf -- "$1.cw-new"
initdb -N -D "$1.cw-new" -E "$2" --locale="$3" -U "$4" --data-checksums --max_connections=20 --shared_buffers=8MB >"$1.log" 2>&1 || { tail -n 20 "$1.log" >&2; exit 1; }
sed -i -E '/^(max_connections|shared_buffers) = /d' "$1.cw-new/postgresql.conf"
echo "gp_dbid = 1" >"$1.cw-new/internal.auto.conf"
echo "select pg_create_physical_replication_slot('` + slotName + `');" |
postgres --single -D "$1.cw-new" -c shared_buffers=8MB -c gp_role=utility -c gp_contentid=-1 -O template1 >"$1.log" 2>&1 || { tail -n 5 "$1.log" >&2; exit 1; }
[ -d "$1.cw-new/pg_replslot/` + slotName + `" ] || { grep -E 'ERROR|FATAL|PANIC' "$1.log" >&2; exit 1; }
rm -f -- "$1.log"
mv -T -- "$1.cw-new" "$1"`

// initStep initialises the template on the coordinator's host. One initdb
// makes the whole cluster: segments share the system identifier, as they do
// when gpexpand makes them from the coordinator. Same binaries and locales
// everywhere are a required check.
func (e *Engine) initStep(c cluster.Node) step.Step {
	dir := e.templateDir(c.Host)
	return step.Step{
		ID: "init@" + c.Host, Host: c.Host, Title: "initialise the template of all instances", Needs: e.needSoftware(c.Host, "claim@"+c.Host),
		Check: func(ctx context.Context) (step.Observed, error) {
			if made, err := e.made(ctx, e.lay.Nodes); err != nil || made {
				return step.Observed{Done: made, Note: "not needed any more"}, err
			}
			ok, err := e.seeTemplate(ctx, c.Host)
			return step.Observed{Done: ok, Note: choose(ok, dir, "no template")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(c.Host)
			if err := e.sweep(ctx, c.Host, dir+".cw-new"); err != nil {
				return err
			}
			if _, err := e.sh(ctx, c.Host, initScript, dir, e.top.Database.Encoding, e.top.Database.Locale, e.top.OSUser); err != nil {
				return fmt.Errorf("initdb: %w", err)
			}
			return nil
		},
		Verify: verified,
	}
}

// unpackScript unpacks the template from standard input into $1.
const unpackScript = `set -e
umask 077
rm -rf -- "$1.cw-new"
mkdir -- "$1.cw-new"
chmod 0700 "$1.cw-new"
tar -xzf - -C "$1.cw-new"
mv -T -- "$1.cw-new" "$1"`

// templateStep brings the template to another host.
func (e *Engine) templateStep(host string) step.Step {
	c := e.coordinator()
	dir := e.templateDir(host)
	return step.Step{
		ID: "template@" + host, Host: host, Title: "copy the template from " + c.Host, Needs: e.needSoftware(host, "init@"+c.Host, "claim@"+host),
		Check: func(ctx context.Context) (step.Observed, error) {
			if made, err := e.made(ctx, e.lay.On(host)); err != nil || made {
				return step.Observed{Done: made, Note: "not needed any more"}, err
			}
			ok, err := e.seeTemplate(ctx, host)
			return step.Observed{Done: ok, Note: choose(ok, dir, "no template")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			return e.unpack(ctx, host)
		},
		Verify: verified,
	}
}

// dropTemplateStep removes a host's template when all its instances are made.
func (e *Engine) dropTemplateStep(host string, needs []string) step.Step {
	return step.Step{
		ID: "clear@" + host, Host: host, Title: "remove the template", Needs: needs,
		Check: func(ctx context.Context) (step.Observed, error) {
			ok, err := e.seeTemplate(ctx, host)
			if err == nil && !ok {
				ok, err = e.made(ctx, e.lay.On(host))
				ok = !ok
			}
			return step.Observed{Done: !ok, Note: choose(ok, "there", "gone")}, err
		},
		Apply: func(ctx context.Context) error {
			defer e.changed(host)
			_, err := e.Fleet.Script(ctx, host, e.top.OSUser, `rm -rf -- "$1" "$1.cw-new" "$1.log"`, e.templateDir(host))
			return err
		},
		Verify: verified,
	}
}

// made says whether the data directories of nodes are complete.
func (e *Engine) made(ctx context.Context, nodes []cluster.Node) (bool, error) {
	for _, n := range nodes {
		s, err := e.see(ctx, n)
		if err != nil || !s.Data {
			return false, err
		}
	}
	return true, nil
}

// verified is the Verify of steps whose script fails unless it achieved what
// it should.
func verified(context.Context) error { return nil }

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}
