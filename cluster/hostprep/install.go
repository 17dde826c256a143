package hostprep

import (
	"context"
	"fmt"
)

// installScript installs PostgreSQL $1 with the host's package manager. On
// Debian the packages would also make and start a cluster called main on port
// 5432; create_main_cluster=false keeps them from it (createcluster.conf(5)),
// and the file is taken away again, so that later installations behave as the
// administrator expects.
const installScript = `set -e
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null; then
  conf=/etc/postgresql-common/createcluster.conf
  drop=/etc/postgresql-common/createcluster.d/cw.conf
  apt-get update -q
  apt-get install -q -y --no-install-recommends postgresql-common
  mkdir -p "${drop%/*}"
  trap 'rm -f "$drop"' EXIT
  echo "create_main_cluster = false" >"$drop"
  if ! grep -q "^include_dir.*createcluster.d" "$conf"; then
    cp -p "$conf" "$conf.cw-saved"
    trap 'rm -f "$drop"; mv "$conf.cw-saved" "$conf"' EXIT
    sed -i '/^create_main_cluster/d' "$conf"
    echo "create_main_cluster = false" >>"$conf"
  fi
  apt-get install -q -y --no-install-recommends "postgresql-$1" "postgresql-client-$1"
elif command -v dnf >/dev/null; then
  dnf install -q -y "postgresql$1-server" "postgresql$1" ||
    { dnf module enable -q -y "postgresql:$1" && dnf install -q -y postgresql-server postgresql; }
else
  echo "neither apt-get nor dnf is on this host" >&2
  exit 1
fi`

// InstallPostgres installs a major version as root from the distribution's
// repositories (and PGDG's, where they are configured).
func (f *Fleet) InstallPostgres(ctx context.Context, host string, major int) error {
	if _, err := f.Script(ctx, host, "root", installScript, fmt.Sprint(major)); err != nil {
		return fmt.Errorf("installing PostgreSQL %d: %w", major, err)
	}
	return nil
}
