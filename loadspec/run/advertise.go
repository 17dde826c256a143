package run

import (
	"context"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/copy"
)

// advertise finds out how segments are told to reach this machine: as the
// control file says, else the address from which this machine reaches them.
func (g *greenplum) advertise(ctx context.Context, conn *pgx.Conn, src loadspec.Source) error {
	rows, err := conn.Query(ctx, "select distinct address::text from gp_segment_configuration where content >= 0 and role = 'p' order by 1")
	if err != nil {
		return copy.Explain(err)
	}
	if g.segments, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return copy.Explain(err)
	}
	switch {
	case len(src.LocalHostnames) > 0:
		g.addrs = src.LocalHostnames
	case src.FQDN:
		g.addrs, err = fullName(ctx)
	default:
		tcp, _ := conn.PgConn().Conn().LocalAddr().(*net.TCPAddr)
		g.addrs, err = wayTo(ctx, g.segments, tcp)
	}
	return err
}

// wayTo is the address from which this machine reaches most of the segments'
// hosts; fallback is the one it reaches the coordinator from, nil when
// unknown.
func wayTo(ctx context.Context, hosts []string, fallback *net.TCPAddr) ([]string, error) {
	count := map[string]int{}
	best := ""
	var failed error
	for _, h := range hosts {
		a, err := sourceAddress(ctx, h)
		if err != nil {
			failed = err
			continue
		}
		count[a]++
		if best == "" || count[a] > count[best] {
			best = a
		}
	}
	// Names may mean something only among the segments, or mean the machine
	// itself here: the way to the coordinator is the next best.
	if ip := net.ParseIP(best); fallback != nil && !fallback.IP.IsLoopback() && (best == "" || ip.IsLoopback() && len(hosts) > 1) {
		return []string{fallback.IP.String()}, nil
	}
	if best == "" {
		return nil, fault.New(fault.Usage, "name an address of this machine that segments reach under LOCAL_HOSTNAME", "how do segments reach this machine? %w", failed)
	}
	return []string{best}, nil
}

// fullName is this machine's name with its domain.
func fullName(ctx context.Context) ([]string, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fault.New(fault.Failed, "name it under LOCAL_HOSTNAME", "this machine's name: %w", err)
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil || len(addrs) == 0 {
		return []string{name}, nil //nolint:nilerr // segments may know what this machine does not
	}
	names, err := net.DefaultResolver.LookupAddr(ctx, addrs[0])
	if err != nil || len(names) == 0 {
		return []string{name}, nil //nolint:nilerr // as above
	}
	return []string{strings.TrimSuffix(names[0], ".")}, nil
}
