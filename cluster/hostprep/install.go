package hostprep

import (
	"context"
	"fmt"
)

// installScript installs PostgreSQL $1 with the host's package manager; $2 is
// the folder of Debian's settings for it. On Debian the packages would also
// make and start a cluster called main on port 5432; create_main_cluster=false
// keeps them from it (createcluster.conf(5)), and is taken away again, so that
// later installations behave as the administrator expects. What is installed
// is not upgraded: other databases of the host may be using it.
const installScript = `set -e
export DEBIAN_FRONTEND=noninteractive
if command -v apt-get >/dev/null; then
  conf=$2/createcluster.conf
  drop=$2/createcluster.d/cw.conf
  get="apt-get install -q -y --no-install-recommends --no-upgrade"
  apt-get update -q
  $get postgresql-common
  made=
  [ -d "${drop%/*}" ] || { mkdir -p "${drop%/*}"; made=${drop%/*}; }
  saved=
  restore() {
    rm -f "$drop"
    [ -z "$made" ] || rmdir "$made" 2>/dev/null || :
    [ -z "$saved" ] || mv "$saved" "$conf"
  }
  trap restore EXIT
  trap 'exit 143' TERM HUP INT
  echo "create_main_cluster = false" >"$drop"
  if ! grep -q "^include_dir.*createcluster.d" "$conf"; then # before Debian 10
    cp -p "$conf" "$conf.cw-saved"
    saved=$conf.cw-saved
    sed -i '/^create_main_cluster/d' "$conf"
    echo "create_main_cluster = false" >>"$conf"
  fi
  $get "postgresql-$1" "postgresql-client-$1"
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
	if _, err := f.Script(ctx, host, "root", installScript, fmt.Sprint(major), "/etc/postgresql-common"); err != nil {
		return fmt.Errorf("installing PostgreSQL %d: %w", major, err)
	}
	return nil
}
