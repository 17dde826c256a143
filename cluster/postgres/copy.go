package postgres

import (
	"context"
	"fmt"
	"strconv"

	"cw/cluster"
)

// swapScript gives the complete copy $2 the name $1 and removes what was
// there.
const swapScript = `set -e
rm -rf --one-file-system -- "$1.cw-old"
if [ -e "$1" ]; then mv -T -- "$1" "$1.cw-old"; fi
mv -T -- "$2" "$1"
sync -f "$1" 2>/dev/null || sync`

// clearScript empties the tablespaces of the old data directories, which lie
// elsewhere: pg_basebackup wants them empty. It prints a pg_wal that is
// elsewhere.
const clearScript = `set -e
for d in "$1" "$1.cw-old"; do
  [ -d "$d" ] || continue
  for l in "$d"/pg_tblspc/*; do
    [ -L "$l" ] || continue
    t=$(readlink -f "$l")
    [ -d "$t" ] && find "$t" -mindepth 1 -maxdepth 1 -name 'PG_*' -exec rm -rf --one-file-system -- {} +
  done
done
if [ -L "$1/pg_wal" ]; then readlink "$1/pg_wal"; fi`

// copyAnew replaces a node's data directory by a copy of its primary's, read
// with at most rate bytes per second (0 is no limit).
func (e *Engine) copyAnew(ctx context.Context, v view, p cluster.Node, u upstream, rate int64) error {
	n := v.node
	if err := e.halt(ctx, n); err != nil {
		return err
	}
	if err := e.sweepRewind(ctx, n); err != nil {
		return err
	}
	if err := e.sweep(ctx, n); err != nil {
		return err
	}
	if err := e.passfileFor(ctx, n, u); err != nil {
		return err
	}
	// What is there can be used until the copy takes its place, but for
	// tablespaces, which have to be emptied before.
	links, err := e.sh(ctx, n, `find "$1/pg_tblspc" "$1.cw-old/pg_tblspc" -type l 2>/dev/null || :`, n.DataDir)
	if err != nil {
		return err
	}
	if err := e.putAside(ctx, n, links != ""); err != nil {
		return err
	}
	wal, err := e.sh(ctx, n, clearScript, n.DataDir)
	if err != nil {
		return fmt.Errorf("clearing the tablespaces of %s: %w", n.Name(), err)
	}
	if wal != "" {
		e.leave("%s: pg_wal of node %s was a link to %s; it is a folder of its data directory now", n.Host, n.Name(), wal)
	}
	if err := e.baseBackup(ctx, n, p, u, rate); err != nil {
		return err
	}
	none, err := e.restoreConf(ctx, n, newData(n))
	if err == nil && none && !adopted(n) {
		err = e.standbyConf(ctx, n, p)
	}
	if err != nil {
		return err
	}
	if err := e.point(ctx, n, newData(n), u); err != nil {
		return err
	}
	if _, err := e.sh(ctx, n, swapScript, n.DataDir, newData(n)); err != nil {
		return err
	}
	if err := e.note(ctx, n, "copied-by"); err != nil {
		return err
	}
	if err := e.endUnfinished(ctx, n); err != nil {
		return err
	}
	_, err = e.sh(ctx, n, `rm -rf --one-file-system -- "$1.cw-old"`, n.DataDir)
	return err
}

// The rates that pg_basebackup takes, in KiB per second.
const (
	leastRate = 32
	mostRate  = 1 << 20
)

// baseBackup copies p into the new data directory of n.
func (e *Engine) baseBackup(ctx context.Context, n, p cluster.Node, u upstream, rate int64) error {
	args := []string{"-D", newData(n), "-d", u.tool, "-X", "stream", "-c", "fast", "--no-password"}
	if u.slot != "" {
		args = append(args, "-S", u.slot)
	}
	if rate > 0 {
		args = append(args, "--max-rate", strconv.FormatInt(min(max(rate>>10, leastRate), mostRate), 10))
	}
	if err := e.tool(ctx, n, "pg_basebackup", args...); err != nil {
		return fmt.Errorf("copying node %s to %s: %w", p.Name(), n.Name(), err)
	}
	return nil
}
