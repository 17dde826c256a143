package postgres

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"cw/cluster"
)

const confHeader = "# Made by cw. It is overwritten; put your own settings into another file of this folder.\n"

// confLine writes one setting of postgresql.conf.
func confLine(name, value string) string {
	return name + " = '" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(value) + "'\n"
}

// nodeConf are the settings that make a node this node.
func (e *Engine) nodeConf(ctx context.Context, n cluster.Node) (string, error) {
	listen, err := e.Fleet.OwnAddresses(ctx, n.Host)
	if err != nil {
		return "", err
	}
	senders := fmt.Sprint(max(10, 2*len(e.lay.Nodes)+4))
	var b strings.Builder
	b.WriteString(confHeader)
	for _, s := range [][2]string{
		{"listen_addresses", strings.Join(listen, ",")},
		{"port", fmt.Sprint(n.Port)},
		{"unix_socket_directories", n.SocketDir()},
		{"cluster_name", e.top.Name + "-" + n.Name()},
		{"password_encryption", "scram-sha-256"},
		{"wal_level", "replica"},
		{"max_wal_senders", senders},
		{"max_replication_slots", senders},
		{"hot_standby", "on"},
		{"logging_collector", "on"},
		{"log_directory", logDir(n)},
		{"log_filename", "postgresql-%a.log"}, // a week of them
		{"log_rotation_age", "1d"},
		{"log_rotation_size", "0"},
		{"log_truncate_on_rotation", "on"},
		{"log_line_prefix", "%m [%p] %q%u@%d "},
		{"log_lock_waits", "on"},
	} {
		b.WriteString(confLine(s[0], s[1]))
	}
	if e.top.TLS.Mode != cluster.TLSOff {
		b.WriteString(confLine("ssl", "on") + confLine("ssl_cert_file", tlsFile(n)) + confLine("ssl_key_file", tlsFile(n)))
	}
	if n.Role == cluster.NodeStandby {
		b.WriteString(confLine("primary_conninfo", e.replicationConninfo(n, e.lay.Primary())))
		b.WriteString(confLine("primary_slot_name", slot(n)))
	}
	return b.String(), nil
}

// replicationConninfo is how node n streams from a primary. The password is
// in the passfile, not here.
func (e *Engine) replicationConninfo(n, primary cluster.Node) string {
	h, _ := e.top.Host(primary.Host)
	info := fmt.Sprintf("host=%s port=%d user=%s passfile=%s application_name=%s connect_timeout=10 keepalives_idle=30",
		connValue(h.Peer()), primary.Port, cluster.ReplicationRole, connValue(passFile(n)), n.Name())
	switch {
	case e.top.TLS.Mode == cluster.TLSOff:
		return info + " sslmode=disable"
	case e.CAFile() == "": // certificates of an authority we were not told
		return info + " sslmode=require"
	default:
		return info + " sslmode=verify-ca sslrootcert=" + connValue(rootFile(n))
	}
}

// atLeast are the settings that a standby must not have lower than its primary,
// or it refuses to start (PostgreSQL 15 docs, 27.4.3), with the primary's values.
type atLeast map[string]int64

// floor asks a running primary for them.
func (e *Engine) floor(ctx context.Context, p cluster.Node) (atLeast, error) {
	var out atLeast
	err := e.query(ctx, p, `select json_object_agg(name, setting::bigint) from pg_settings
where name in ('max_connections', 'max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction')`, &out)
	return out, err
}

// profileConf are the settings computed for the machine. A new host that is
// smaller than the others must still be able to follow: least raises what is
// too low.
func (e *Engine) profileConf(ctx context.Context, n cluster.Node, least atLeast) (string, error) {
	own, err := e.Fleet.Machine(ctx, n.Host)
	if err != nil {
		return "", err
	}
	smallest, err := e.Fleet.LeastMachine(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(confHeader)
	fmt.Fprintf(&b, "# profile %s, node type %s, %d MB of memory and %d cores for this node\n", e.top.Profile, e.top.NodeType, own.Memory>>20, own.CPUs)
	for _, s := range cluster.Settings(e.top, own, smallest) {
		if v, err := strconv.ParseInt(s.Value, 10, 64); err == nil && v < least[s.Name] {
			s.Value, s.Reason = fmt.Sprint(least[s.Name]), "as on the primary"
		}
		fmt.Fprintf(&b, "# %s\n%s", s.Reason, confLine(s.Name, s.Value))
	}
	return b.String(), nil
}

// hba is pg_hba.conf: the owner over the socket, the ranges of network.allow,
// and replication from the cluster's own hosts. With TLS nothing goes over
// the network in the clear. It is the same on all nodes, so that each can take
// over from any other.
func (e *Engine) hba(ctx context.Context) (string, error) {
	kind := "hostssl"
	if e.top.TLS.Mode == cluster.TLSOff {
		kind = "host"
	}
	var b strings.Builder
	b.WriteString("# Made by cw from network.allow and the hosts of the topology.\n")
	owner := ident(e.top.OSUser)
	fmt.Fprintf(&b, "local all %s peer\nlocal replication %s peer\nlocal all all scram-sha-256\n", owner, owner)
	for _, text := range e.top.Network.Allow {
		p, err := cluster.ParseCIDR(text)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s all all %s scram-sha-256\n", kind, p)
	}
	if len(e.lay.Nodes) > 1 {
		peers, err := e.peerLines(ctx, e.lay.Nodes)
		if err != nil {
			return "", err
		}
		for _, l := range peers {
			b.WriteString(l + "\n")
		}
	}
	return b.String(), nil
}

// configure writes the node's configuration into a data directory that is
// being made; least is nil for a primary.
func (e *Engine) configure(ctx context.Context, n cluster.Node, data string, least atLeast) error {
	node, err := e.nodeConf(ctx, n)
	if err != nil {
		return err
	}
	profile, err := e.profileConf(ctx, n, least)
	if err != nil {
		return err
	}
	hba, err := e.hba(ctx)
	if err != nil {
		return err
	}
	// In a copy of the primary the line and the folder are there already.
	_, err = e.sh(ctx, n, `set -e
mkdir -p "$1/conf.d"
chmod 0700 "$1/conf.d"
grep -q "^include_dir = 'conf.d'" "$1/postgresql.conf" || printf "\ninclude_dir = 'conf.d'\n" >>"$1/postgresql.conf"`, data)
	if err != nil {
		return err
	}
	for _, f := range [][2]string{{"conf.d/cw-10-node.conf", node}, {"conf.d/cw-20-profile.conf", profile}, {"pg_hba.conf", hba}} {
		if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, path.Join(data, f[0]), []byte(f[1]), 0o600); err != nil {
			return err
		}
	}
	return nil
}
