package greenplum

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"cw/cluster"
)

// confLine writes one setting of postgresql.conf. Numbers stay bare: the
// engine's own tools look for them with a pattern that knows no quotes.
func confLine(name, value string) string {
	digits := strings.TrimPrefix(value, "-")
	if digits != "" && strings.Trim(digits, "0123456789") == "" {
		return name + " = " + value + "\n"
	}
	return name + " = '" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(value) + "'\n"
}

// nodeConf is what is appended to a node's postgresql.conf.
func (e *Engine) nodeConf(ctx context.Context, n cluster.Node) (string, error) {
	list, err := e.settingsOf(ctx, n)
	return ownConf(n) + confOf(list), err
}

// ownConf are the lines of postgresql.conf that make an instance this one.
func ownConf(n cluster.Node) string {
	var b strings.Builder
	b.WriteString("\n# Made by cw for this instance.\n")
	b.WriteString(confLine("port", fmt.Sprint(n.Port)))
	b.WriteString(confLine("listen_addresses", "*")) // pg_hba.conf decides; the engine's tools expect it so
	b.WriteString(confLine("gp_contentid", fmt.Sprint(n.Content)))
	if socketDir(n) != "/tmp" {
		b.WriteString(confLine("unix_socket_directories", socketDir(n)))
	}
	return b.String()
}

// ownLine is a line of postgresql.conf that ownConf writes.
var ownLine = regexp.MustCompile(`(?im)^(# Made by cw for this instance\.|[ \t]*(port|listen_addresses|gp_contentid|gp_dbid|unix_socket_directories)[ \t]*[= \t].*)(\n|\z)`)

// commonConf is a postgresql.conf without what makes an instance that one.
func commonConf(text string) string {
	return strings.TrimRight(ownLine.ReplaceAllString(text, ""), "\n") + "\n"
}

// ranges are the addresses from which the hosts of some nodes connect, each
// once, as pg_hba.conf writes them.
func (e *Engine) ranges(ctx context.Context, nodes []cluster.Node) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, n := range nodes {
		all, err := e.Fleet.PeerRanges(ctx, n.Host)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if p.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || seen[p.String()] {
				continue // the first is always there
			}
			seen[p.String()] = true
			out = append(out, p.String())
		}
	}
	return out, nil
}

// coordinators are the coordinator and the standby.
func (e *Engine) coordinators() []cluster.Node { return e.pair(-1) }

// pair are the nodes of a content.
func (e *Engine) pair(content int) []cluster.Node {
	var out []cluster.Node
	for _, n := range e.lay.Nodes {
		if n.Content == content {
			out = append(out, n)
		}
	}
	return out
}

// hba is a node's pg_hba.conf. As the engine wants it, the superuser comes in
// without a password from the coordinators' hosts and, for replication, from
// the hosts of the node and its peer; segments let all users in from the
// coordinators, since sessions are dispatched without passwords. Clients come
// in on the coordinators only, from network.allow and with a password.
func (e *Engine) hba(ctx context.Context, n cluster.Node) (string, error) {
	owner := ident(e.top.OSUser)
	masters, err := e.ranges(ctx, e.coordinators())
	if err != nil {
		return "", err
	}
	pair, err := e.ranges(ctx, e.pair(n.Content))
	if err != nil {
		return "", err
	}
	who := owner
	if !isCoordinator(n) {
		who = "all"
	}
	var b strings.Builder
	b.WriteString("# Made by cw from network.allow and the hosts of the topology.\n")
	fmt.Fprintf(&b, "local all %[1]s ident\nlocal replication %[1]s ident\nhost all %[1]s 127.0.0.1/28 trust\nhost all %[1]s ::1/128 trust\n", owner)
	for _, r := range masters {
		fmt.Fprintf(&b, "host all %s %s trust\n", who, r)
	}
	fmt.Fprintf(&b, "host replication %s samehost trust\n", owner)
	for _, r := range pair {
		fmt.Fprintf(&b, "host replication %s %s trust\n", owner, r)
		if !isCoordinator(n) {
			fmt.Fprintf(&b, "host all %s %s trust\n", owner, r) // pg_rewind reads its peer
		}
	}
	if !isCoordinator(n) {
		return b.String(), nil
	}
	b.WriteString("local all all md5\n")
	for _, text := range e.top.Network.Allow {
		p, err := cluster.ParseCIDR(text)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "host all all %s md5\n", p)
	}
	return b.String(), nil
}

// recoveryConf makes an instance follow another.
func (e *Engine) recoveryConf(from cluster.Node) string {
	info := fmt.Sprintf("user=%s host=%s port=%d sslmode=prefer application_name=gp_walreceiver", connValue(e.top.OSUser), connValue(e.address(from)), from.Port)
	text := confLine("standby_mode", "on") + confLine("primary_conninfo", info) +
		confLine("recovery_target_timeline", "latest") // after a clean switch the timelines fork where the old one ends
	if !isCoordinator(from) {
		text += confLine("primary_slot_name", slotName)
	}
	return text
}
