package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/fault"
	"cw/remote"
)

// serversScript prints the postmasters whose processes the caller may look at:
// pid, user, port, socket folder, program and data directory. A postmaster is
// the process that works in a data directory whose postmaster.pid names it.
const serversScript = `for p in /proc/[0-9]*; do
  e=$(readlink "$p/exe" 2>/dev/null) || continue
  e=${e% (deleted)}
  case $e in */postgres|*/postmaster) ;; *) continue;; esac
  d=$(readlink "$p/cwd" 2>/dev/null) || continue
  [ "$(head -n 1 "$d/postmaster.pid" 2>/dev/null)" = "${p#/proc/}" ] || continue
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "${p#/proc/}" "$(stat -c %U "$p")" "$(sed -n 4p "$d/postmaster.pid")" "$(sed -n 5p "$d/postmaster.pid")" "$e" "$d"
done`

// server is a postmaster that was found on a host.
type server struct {
	host   cluster.Host
	user   string
	port   int
	socket string
	bin    string // folder of its programs
	data   string
	about  about
}

// about is what a server says of itself.
type about struct {
	Version   int      `json:"version"` // 150004
	Text      string   `json:"text"`    // version()
	System    string   `json:"system"`
	Recovery  bool     `json:"recovery"`
	Config    string   `json:"config"` // postgresql.conf
	Slot      string   `json:"slot"`
	SSL       bool     `json:"ssl"`
	Super     bool     `json:"super"`
	Sender    string   `json:"sender"` // host:port a standby streams from
	Encoding  string   `json:"encoding"`
	Locale    string   `json:"locale"`
	Databases []string `json:"databases"`
	Clients   []client `json:"clients"`
	Idle      []string `json:"idle"` // physical slots that nobody uses
}

// client is what receives WAL from a server.
type client struct {
	Name string `json:"name"`
	Addr string `json:"addr"` // "" over the unix socket
}

const aboutQuery = `select json_build_object('version', current_setting('server_version_num')::int, 'text', version(),
 'system', (select system_identifier::text from pg_control_system()), 'recovery', pg_is_in_recovery(),
 'config', current_setting('config_file'), 'slot', current_setting('primary_slot_name'), 'ssl', current_setting('ssl') = 'on',
 'super', (select rolsuper from pg_roles where rolname = current_user),
 'sender', coalesce((select sender_host || ':' || sender_port from pg_stat_wal_receiver), ''),
 'encoding', pg_encoding_to_char(d.encoding), 'locale', d.datcollate,
 'databases', (select coalesce(json_agg(datname order by datname), '[]'::json) from pg_database where not datistemplate and datname <> 'postgres'),
 'clients', (select coalesce(json_agg(json_build_object('name', application_name, 'addr', coalesce(host(client_addr), ''))), '[]'::json) from pg_stat_replication),
 'idle', (select coalesce(json_agg(slot_name), '[]'::json) from pg_replication_slots where slot_type = 'physical' and not active))
from pg_database d where datname = 'template1';`

// servers lists the servers of a host: those of the SSH user or of the
// owner that is known, or those of all users with root rights.
func (d *discovery) servers(ctx context.Context, h cluster.Host, as string) ([]server, error) {
	res, err := d.reach(h).Run(ctx, remote.Cmd{Args: []string{"/bin/sh", "-c", serversScript, "cw"}, As: as, Dir: "/"})
	if err != nil {
		return nil, err
	}
	var out []server
	for line := range strings.Lines(string(res.Stdout)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 6 {
			continue
		}
		port, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		out = append(out, server{host: h, user: f[1], port: port, socket: f[3], bin: path.Dir(f[4]), data: f[5]})
	}
	return out, nil
}

// ask has a server tell about itself.
func (d *discovery) ask(ctx context.Context, s server) (server, error) {
	if s.socket == "" {
		return s, fault.New(fault.Check, "set unix_socket_directories there", "%s port %d: the server has no unix socket, which is how cw talks to it", s.host.Name, s.port)
	}
	conninfo := fmt.Sprintf("host=%s port=%d dbname=postgres user=%s connect_timeout=5", connValue(s.socket), s.port, connValue(s.user))
	res, err := d.reach(s.host).Run(ctx, remote.Cmd{
		Args:  []string{path.Join(s.bin, "psql"), "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", conninfo},
		Stdin: strings.NewReader(aboutQuery), As: s.user, Dir: "/",
	})
	if err != nil {
		return s, fault.Wrap(fault.KindOf(err), fmt.Sprintf("%s must be able to log in as superuser %s over the unix socket: local all %s peer (in pg_hba.conf)", s.user, s.user, s.user),
			fmt.Errorf("asking the server on %s port %d: %w", s.host.Name, s.port, err))
	}
	if err := json.Unmarshal(res.Stdout, &s.about); err != nil {
		return s, fmt.Errorf("asking the server on %s port %d: %w", s.host.Name, s.port, err)
	}
	return s, nil
}

// OtherEngineError is a server of another engine than PostgreSQL.
type OtherEngineError struct{ At, Text string }

func (e *OtherEngineError) Error() string {
	return fmt.Sprintf("%s is no PostgreSQL but %s", e.At, e.Text)
}

// FaultKind makes *OtherEngineError a fault.Kinder.
func (e *OtherEngineError) FaultKind() fault.Kind { return fault.Usage }

// IsOtherEngine says whether a search ended at another engine's server.
func IsOtherEngine(err error) bool {
	var other *OtherEngineError
	return errors.As(err, &other)
}
