package source

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"cw/cluster/manage"
)

// connector is how the database is reached.
func (l *Live) connector() func(ctx context.Context) (*pgx.Conn, error) {
	if l.o.Connect != nil {
		return l.o.Connect
	}
	return func(ctx context.Context) (*pgx.Conn, error) {
		return l.look.Connect(ctx, l.o.Cluster, manage.ConnectOptions{Application: l.o.Application, Silent: l.silent, Log: l.log})
	}
}

// silent says whether a host does not answer.
func (l *Live) silent(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.draft.Hosts.Items, func(h Host) bool { return h.Name == host && h.Err != "" })
}
