package manage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/cluster"
	"cw/fault"
)

// ConnectOptions say how a database is connected to; the zero value is the
// cluster's own database as its administrator.
type ConnectOptions struct {
	Application string // as pg_stat_activity shows it; "" is cw
	Database    string // "" is the cluster's
	// Silent tells of a host that is known not to answer: no way is tried
	// through it. nil is none.
	Silent func(host string) bool
	Log    *slog.Logger
}

// connectPatience is how long one way to the database may take.
const connectPatience = 3 * time.Second

// Connect goes where clients of the cluster go. Where that is not allowed from
// here, as with a firewall, it goes through the node's host. A Greenplum lets
// its owner in there without a password, as its own utilities expect, and to
// the owner it tells most.
func (m *Manager) Connect(ctx context.Context, name string, o ConnectOptions) (*pgx.Conn, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Application == "" {
		o.Application = "cw"
	}
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, err
	}
	to, tls, err := m.Endpoint(ctx, name)
	if err != nil {
		return nil, err
	}
	if o.Database != "" {
		to.Database = o.Database
	}
	host := k.lay.Primary().Host
	silent := o.Silent != nil && o.Silent(host)
	if k.top.Engine.Kind != cluster.Postgres && !silent {
		owner := cluster.Endpoint{Host: "127.0.0.1", Port: to.Port, Database: to.Database, User: k.top.OSUser}
		cfg, err := configOf(owner, nil, o)
		if err != nil {
			return nil, err
		}
		conn, err := m.connectThrough(ctx, k, host, cfg)
		if err == nil || ctx.Err() != nil {
			return conn, err
		}
		o.Log.Debug("the owner is not let in", "host", host, "user", k.top.OSUser, "error", err)
	}
	cfg, err := configOf(to, tls, o)
	if err != nil {
		return nil, err
	}
	direct, cancel := context.WithTimeout(ctx, connectPatience)
	conn, err := pgx.ConnectConfig(direct, cfg)
	cancel()
	if err == nil {
		return conn, nil
	}
	if ctx.Err() == nil && notLetIn(err) && !silent {
		conn, terr := m.connectThrough(ctx, k, host, cfg)
		if terr == nil {
			return conn, nil
		}
		o.Log.Debug("no way through the host either", "host", host, "error", terr)
	}
	return nil, connectError(to, err)
}

// Dial opens a bare connection to where clients of a cluster connect, through
// that host where it cannot be reached from here.
func (m *Manager) Dial(ctx context.Context, name string) (net.Conn, cluster.Endpoint, error) {
	k, err := m.find(ctx, name)
	if err != nil {
		return nil, cluster.Endpoint{}, err
	}
	to, _, err := m.Endpoint(ctx, name)
	if err != nil {
		return nil, to, err
	}
	addr := net.JoinHostPort(to.Host, strconv.Itoa(to.Port))
	direct, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(direct, "tcp", addr)
	if err == nil {
		return c, to, nil
	}
	fleet, ferr := m.fleet(k)
	if ferr != nil {
		return nil, to, ferr
	}
	through, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if c, terr := fleet.Host(k.lay.Primary().Host).DialContext(through, "tcp", addr); terr == nil {
		return c, to, nil
	}
	return nil, to, connectError(to, err)
}

// connectThrough connects from a host of the cluster.
func (m *Manager) connectThrough(ctx context.Context, k *known, host string, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	fleet, err := m.fleet(k)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return fleet.Host(host).DialContext(ctx, network, addr)
	}
	cfg.LookupFunc = func(_ context.Context, name string) ([]string, error) { return []string{name}, nil } // names are the host's business
	return pgx.ConnectConfig(ctx, cfg)
}

// notLetIn says whether it could be otherwise from another address.
func notLetIn(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code == "28000" // no line in pg_hba.conf
	}
	var config *pgconn.ConnectError
	return errors.As(err, &config)
}

func connectError(to cluster.Endpoint, err error) error {
	if err == nil {
		return nil
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return fault.New(fault.Auth, "", "database %s at %s:%d: %s", to.Database, to.Host, to.Port, refused.Message)
	}
	return fault.New(fault.Unreachable, "", "database %s at %s:%d: %s", to.Database, to.Host, to.Port, plainCause(err))
}

// plainCause is the innermost text of pgx's long error.
func plainCause(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Err.Error()
		}
		err = next
	}
}

func configOf(to cluster.Endpoint, tls *cluster.TLSStatus, o ConnectOptions) (*pgx.ConnConfig, error) {
	quote := func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" }
	dsn := fmt.Sprintf("host=%s port=%d dbname=%s", quote(to.Host), to.Port, quote(to.Database))
	if to.User != "" {
		dsn += " user=" + quote(to.User)
	}
	if tls != nil && tls.CAFile != "" && readable(tls.CAFile) {
		dsn += " sslmode=verify-ca sslrootcert=" + quote(tls.CAFile)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "settings of database %s at %s:%s: %w", to.Database, to.Host, strconv.Itoa(to.Port), err)
	}
	if to.PasswordFile != "" {
		text, err := os.ReadFile(to.PasswordFile)
		if err != nil {
			return nil, fault.New(fault.Auth, "run cw where the cluster was made, or set database.password_file", "password of %s: %w", to.User, err)
		}
		cfg.Password, _, _ = strings.Cut(strings.TrimRight(string(text), "\r\n"), "\n")
		cfg.Password = strings.TrimRight(cfg.Password, "\r")
	}
	cfg.ConnectTimeout = connectPatience
	cfg.RuntimeParams["application_name"] = o.Application
	return cfg, nil
}

func readable(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}
