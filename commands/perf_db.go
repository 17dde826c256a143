package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"cw/perfcheck"
	"cw/perfcheck/db"
)

// dbFlags say which database is read. They are kept with the run; they hold no
// secret, only the names of files that do.
type dbFlags struct {
	DSNFile      string
	Cluster      string
	Host         string
	Kind         string
	User         string
	Name         string
	PasswordFile string
	Query        string
	Table        string
}

func newPerfDB(a *App) *cobra.Command {
	o := perfOptions{Areas: []perfcheck.Area{perfcheck.DB}}
	c := &cobra.Command{
		Use: "db --dsn-file FILE", Short: "Measure reading from a database over the network", Args: noArgs,
		Long: `Measure how fast hosts read from PostgreSQL (and Greenplum), MySQL or MariaDB: rows
and bytes per second streamed by 1 to 16 connections with the knee, the time to the
first row, the time of new connections on a fixed schedule, and whether the server
has a private address. By default the server makes the rows up, so that neither a
table nor its disks are measured; --table and --query read what is there. Nothing
is written: sessions are read-only. No row is an error, never a result.

The database is named by a file with a connection string (postgres://user@host/db,
mysql://user@host/db), by a cluster, or by --db-host. Passwords come from that file,
--password-file, PGPASSFILE or a prompt, and travel to the hosts over the agent's
input, never in a command line.` + perfExit + exitHelp(3, 4, 5, 6),
		Example: `  cw perf db --dsn-file warehouse.dsn -f hosts
  cw perf db --cluster dw1
  cw perf db --db-cluster dw1 -f etl-hosts --table public.lineitem
  cw perf db --db-host 10.0.0.7:3306 --db-kind mysql --db-user etl --password-file etl.pass -f hosts`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.perf(cmd.Context(), &o) },
	}
	o.addDBFlags(c)
	o.addFlags(c)
	return c
}

func (o *perfOptions) addDBFlags(c *cobra.Command) {
	f, s := c.Flags(), &o.DB
	f.StringVar(&s.DSNFile, "dsn-file", "", "file whose first line is the connection string")
	f.StringVar(&s.Cluster, "db-cluster", "", "read from this cluster (default: that of --cluster)")
	f.StringVar(&s.Host, "db-host", "", "read from this server: host[:port]")
	f.StringVar(&s.Kind, "db-kind", string(db.Postgres), "of --db-host: postgres or mysql")
	f.StringVar(&s.User, "db-user", "", "user at --db-host")
	f.StringVar(&s.Name, "db-name", "", "database at --db-host")
	f.StringVar(&s.PasswordFile, "password-file", "", "file whose first line is the password (default: that of the connection string, PGPASSFILE, or a prompt)")
	f.StringVar(&s.Query, "query", "", "read what this query gives")
	f.StringVar(&s.Table, "table", "", "read this table: schema.table")
}

// database is what the hosts are told to read. Passwords are looked up unless
// it is only a plan.
func (a *App) database(ctx context.Context, o *perfOptions) (*db.Target, error) {
	s := o.DB
	if s.Cluster == "" && s.DSNFile == "" && s.Host == "" {
		s.Cluster = o.Cluster
	}
	given := 0
	for _, v := range []string{s.DSNFile, s.Cluster, s.Host} {
		if v != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return nil, usagef("--dsn-file FILE, --db-cluster NAME or --db-host HOST", "which database to read from was not said")
	case given > 1:
		return nil, usagef("give one of them", "--dsn-file, --db-cluster and --db-host exclude each other")
	case s.Query != "" && s.Table != "":
		return nil, usagef("give one of them", "--query and --table exclude each other")
	}
	t := &db.Target{Query: s.Query, Table: s.Table}
	var err error
	switch {
	case s.DSNFile != "":
		t.DSN, err = firstLine(s.DSNFile, "--dsn-file")
	case s.Host != "":
		t.DSN, err = s.dsn()
	default:
		m, merr := a.manager(ctx)
		if merr != nil {
			return nil, merr
		}
		to, _, eerr := m.Endpoint(ctx, s.Cluster)
		if eerr != nil {
			return nil, eerr
		}
		t.DSN = dsnOf("postgres", to.Host, strconv.Itoa(to.Port), to.User, to.Database)
		if s.PasswordFile == "" {
			s.PasswordFile = to.PasswordFile
		}
	}
	if err != nil {
		return nil, err
	}
	server, err := db.ParseDSN(t.DSN)
	if err != nil || o.dryRun {
		return t, err
	}
	if s.PasswordFile != "" {
		t.Password, err = firstLine(s.PasswordFile, "--password-file")
		return t, err
	}
	if server == db.Postgres {
		// What this machine's PGPASSFILE or ~/.pgpass says the hosts cannot read.
		if cfg, err := pgconn.ParseConfig(t.DSN); err == nil {
			t.Password = cfg.Password
		}
	}
	if t.Password == "" && s.Host != "" && a.IO.InTTY {
		a.infof("password of %s at %s: ", s.User, s.Host)
		if t.Password, err = a.IO.ReadSecret(); err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
	}
	return t, nil
}

// dsn is the connection string of --db-host.
func (s *dbFlags) dsn() (string, error) {
	host, port := s.Host, ""
	if h, p, ok := strings.Cut(s.Host, ":"); ok && !strings.Contains(p, ":") {
		host, port = h, p
	}
	switch db.Server(s.Kind) {
	case db.Postgres:
		if port == "" {
			port = "5432"
		}
	case db.MySQL:
		if port == "" {
			port = "3306"
		}
	default:
		return "", notKnown("--db-kind", s.Kind, "postgres", "mysql")
	}
	if s.User == "" {
		return "", usagef("add --db-user NAME", "--db-host needs a user")
	}
	return dsnOf(s.Kind, host, port, s.User, s.Name), nil
}

func dsnOf(scheme, host, port, user, name string) string {
	if strings.Contains(host, ":") {
		host = "[" + strings.Trim(host, "[]") + "]"
	}
	u := url.URL{Scheme: scheme, User: url.User(user), Host: host + ":" + port, Path: "/" + name}
	return u.String()
}

// firstLine reads a secret out of a file.
func firstLine(path, flag string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", usagef("a file whose first line is it", "%s: %w", flag, err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	text := strings.TrimSpace(string(line))
	if text == "" {
		return "", usagef("a file whose first line is it", "%s: %w", flag, errors.New(path+" is empty"))
	}
	return text, nil
}
