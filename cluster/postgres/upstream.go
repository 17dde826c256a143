package postgres

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"cw/cluster"
	"cw/fault"
)

// upstream is how a standby reaches its primary.
type upstream struct {
	conninfo string // primary_conninfo; that of an adopted standby may hold a password
	slot     string // primary_slot_name; "" for none
	tool     string // for pg_basebackup: without secrets, since an argv is seen by all
	rewind   string // for pg_rewind, which wants a database
	secret   string // the line of a passfile that tool needs; "" when the file is there
}

// upstream says how the node of v follows p. A standby that somebody else
// made keeps the role, the slot and everything else that it had; only host and
// port change. The old primary of such a cluster never had any of that: it
// borrows from a standby.
func (e *Engine) upstream(ctx context.Context, v view, p cluster.Node) (upstream, error) {
	n := v.node
	if !adopted(n) {
		info := e.replicationConninfo(n, p)
		return upstream{conninfo: info, slot: slot(n), tool: info, rewind: info + " dbname=postgres"}, nil
	}
	if v.badConf != "" && v.proc != procNone {
		return upstream{}, e.unusableFiles(v)
	}
	text, slotName := v.conninfo, v.slot
	if text == "" {
		for _, o := range e.lay.Nodes {
			if o.ID == n.ID || text != "" {
				continue
			}
			if lender := e.view(ctx, o); lender.conninfo != "" {
				text = lender.conninfo
				if lender.slot != "" {
					slotName = slot(n)
				}
			}
		}
		if text == "" {
			return upstream{}, fault.New(fault.Check, fmt.Sprintf("set primary_conninfo in the configuration of %s on %s", n.Name(), n.Host),
				"node %s was adopted, and nothing says how it could stream: no node has a primary_conninfo", n.Name())
		}
	}
	c, err := parseConninfo(text)
	if err != nil {
		return upstream{}, fmt.Errorf("primary_conninfo of node %s on %s: %w", n.Name(), n.Host, err)
	}
	if v.conninfo == "" { // borrowed: what is personal stays with the lender
		c = c.with("application_name", "").with("passfile", "")
	}
	if !e.reaches(ctx, n, c, p) {
		h, _ := e.top.Host(p.Host)
		c = c.with("hostaddr", "").with("host", h.Peer()).with("port", strconv.Itoa(p.Port))
	}
	u := upstream{conninfo: c.String(), slot: slotName}
	if v.conninfo != "" && u.conninfo != "" {
		if own, err := parseConninfo(v.conninfo); err == nil && slices.Equal(own, c) {
			u.conninfo = v.conninfo // as it was written
		}
	}
	bare := c.with("password", "").with("dbname", "").with("replication", "")
	if pw := c.get("password"); pw != "" {
		escape := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
		u.secret = "*:*:*:" + escape.Replace(c.get("user")) + ":" + escape.Replace(pw) + "\n"
		bare = bare.with("passfile", passFile(n))
	}
	u.tool, u.rewind = bare.String(), bare.with("dbname", "postgres").String()
	return u, nil
}

// reaches says whether a connection string of node n leads to p: by its
// address, by any other that p's host carries now, or by a name for one.
func (e *Engine) reaches(ctx context.Context, n cluster.Node, c conninfo, p cluster.Node) bool {
	port := c.get("port")
	if port == "" {
		port = "5432"
	}
	if port != strconv.Itoa(p.Port) {
		return false
	}
	host := c.get("hostaddr")
	if host == "" {
		host = c.get("host")
	}
	at, _ := e.top.Host(p.Host)
	own, _ := e.top.Host(n.Host)
	same := own.Address == at.Address
	if host == "" || strings.HasPrefix(host, "/") {
		return same
	}
	carried := append([]string{at.Address, at.Name}, at.Interconnect...)
	if facts, err := e.Fleet.Host(p.Host).Facts(ctx); err == nil {
		for _, nic := range facts.NICs {
			for _, a := range nic.Addrs {
				text, _, _ := strings.Cut(a, "/")
				if ip, err := netip.ParseAddr(text); err == nil && (same || !ip.IsLoopback()) {
					carried = append(carried, ip.String())
				}
			}
		}
	}
	if slices.Contains(carried, host) {
		return true
	}
	out, err := e.sh(ctx, n, `getent ahosts "$1" | awk '{print $1}'`, host)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Fields(out), func(a string) bool { return slices.Contains(carried, a) })
}

// follows says whether the files of v make it follow as u wants.
func (u upstream) follows(v view) bool {
	return v.signal && v.conninfo == u.conninfo && v.slot == u.slot
}

// passfileFor writes the passfile that the programs need for an adopted node.
func (e *Engine) passfileFor(ctx context.Context, n cluster.Node, u upstream) error {
	if u.secret == "" {
		return nil
	}
	return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, passFile(n), []byte(u.secret), 0o600)
}

// point writes into the files of n, whose data directory is data, that it is
// a standby and follows as u says. ALTER SYSTEM's file stands above all
// others: what it says about following goes.
func (e *Engine) point(ctx context.Context, n cluster.Node, data string, u upstream) error {
	auto := data + "/postgresql.auto.conf"
	text, err := e.sh(ctx, n, `cat -- "$1" 2>/dev/null || :`, auto)
	if err != nil {
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if name := settingOf(line); name != "primary_conninfo" && name != "primary_slot_name" && !strings.HasPrefix(name, "recovery_target") {
			b.WriteString(strings.TrimRight(line, "\n") + "\n")
		}
	}
	if adopted(n) {
		b.WriteString(confLine("primary_conninfo", u.conninfo))
		if u.slot != "" {
			b.WriteString(confLine("primary_slot_name", u.slot))
		}
	} else {
		n.Role = cluster.NodeStandby
		conf, err := e.nodeConf(ctx, n)
		if err != nil {
			return err
		}
		if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, data+"/conf.d/cw-10-node.conf", []byte(conf), 0o600); err != nil {
			return err
		}
	}
	if b.String() != text {
		if err := e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, auto, []byte(b.String()), 0o600); err != nil {
			return err
		}
	}
	return e.Fleet.WriteFile(ctx, n.Host, e.top.OSUser, data+"/standby.signal", nil, 0o600)
}

// unusableFiles is the error about configuration files that a server would not
// start with.
func (e *Engine) unusableFiles(v view) error {
	return fault.New(fault.Failed, fmt.Sprintf("correct it on %s, then: cw cluster recover %s", v.node.Host, e.top.Name), "node %s on %s cannot use its configuration: %s", v.node.Name(), v.node.Host, v.badConf)
}

// settingOf is the name of the setting on a line of a configuration file.
func settingOf(line string) string {
	line = strings.TrimSpace(line)
	end := strings.IndexFunc(line, func(r rune) bool { return r == '=' || r == ' ' || r == '\t' })
	if end < 0 || strings.HasPrefix(line, "#") {
		return ""
	}
	return strings.ToLower(line[:end])
}
