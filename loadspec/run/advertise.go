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

// advertised is how segments are told to reach this machine: as the control
// file says, else the address from which this machine reaches them.
func advertised(ctx context.Context, conn *pgx.Conn, sources []loadspec.Source) ([]string, error) {
	src := sources[0]
	if len(src.LocalHostnames) > 0 {
		return src.LocalHostnames, nil
	}
	if src.FQDN {
		return fullName(ctx)
	}
	rows, err := conn.Query(ctx, "select distinct address::text from gp_segment_configuration where content >= 0 and role = 'p'")
	if err != nil {
		return nil, copy.Explain(err)
	}
	hosts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, copy.Explain(err)
	}
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
	if ip := net.ParseIP(best); best == "" || ip.IsLoopback() && len(hosts) > 1 {
		// Names that mean something only among the segments, or that mean the
		// machine itself here: the way to the coordinator is the next best.
		if tcp, ok := conn.PgConn().Conn().LocalAddr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			return []string{tcp.IP.String()}, nil
		}
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
