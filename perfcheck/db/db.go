// Package db measures how fast a host reads from a database over the network:
// rows streamed out of PostgreSQL (COPY TO STDOUT) or MySQL and MariaDB by one
// or more connections, and how long a new connection takes. Its sessions are
// read-only. By default the server makes the rows up, so that no disk and no
// table is measured with the network; they are checked as they come.
package db

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/perfcheck"
)

// Kind is what a job measures.
type Kind string

// The kinds of jobs.
const (
	Read    Kind = "read"    // rows, by Streams connections
	Connect Kind = "connect" // new connections, Rate per second
)

// Server is the kind of a database.
type Server string

// The kinds of databases.
const (
	Postgres Server = "postgres"
	MySQL    Server = "mysql" // MariaDB as well
)

// Target is a database and what is read from it. It holds a password: it
// travels over the agent's input only.
type Target struct {
	DSN      string `json:"dsn"`                // see ParseDSN
	Password string `json:"password,omitempty"` // in place of the DSN's
	Query    string `json:"query,omitempty"`    // what to read; "" with Table "" has the server make rows up
	Table    string `json:"table,omitempty"`
}

// Job is one measurement.
type Job struct {
	perfcheck.Timing
	Kind    Kind    `json:"kind"`
	Streams int     `json:"streams,omitempty"`
	Rate    float64 `json:"rate,omitempty"`
	Target  Target  `json:"target"`
}

const (
	dialTimeout = 10 * time.Second
	closeTime   = 5 * time.Second
	// payload is the text of the rows that the server makes up.
	payloadSize = 200
	// application is what sessions are called.
	application = "cw perf"
)

func payload() string { return strings.Repeat("cw perf db ", payloadSize)[:payloadSize] }

// ParseDSN says what a connection string is of: postgres:// or a list of
// keyword=value as libpq takes it, mysql:// or mariadb://, or user@tcp(host)/db
// as Go's driver for MySQL takes it. Errors do not repeat it: it has a
// password in it.
func ParseDSN(dsn string) (Server, error) {
	dsn = strings.TrimSpace(dsn)
	hint := "write postgres://user@host:5432/database or mysql://user@host:3306/database"
	switch scheme, _, _ := strings.Cut(dsn, "://"); {
	case dsn == "":
		return "", fault.New(fault.Usage, hint, "the connection string is empty")
	case scheme == "postgres" || scheme == "postgresql":
		if _, err := pgconn.ParseConfig(dsn); err != nil {
			return "", fault.New(fault.Usage, hint, "the connection string is not one of PostgreSQL's")
		}
		return Postgres, nil
	case strings.Contains(dsn, "(") && strings.Contains(dsn, ")/") || scheme == "mysql" || scheme == "mariadb":
		if _, err := mysqlConfig(dsn); err != nil {
			return "", fault.New(fault.Usage, hint, "the connection string is not one of MySQL's")
		}
		return MySQL, nil
	case strings.Contains(dsn, "=") && !strings.Contains(dsn, "://"):
		if _, err := pgconn.ParseConfig(dsn); err != nil {
			return "", fault.New(fault.Usage, hint, "the connection string is not one of PostgreSQL's")
		}
		return Postgres, nil
	}
	return "", fault.New(fault.Usage, hint, "what kind of database the connection string is of cannot be told")
}

// mysqlConfig reads a URL, or the driver's own form.
func mysqlConfig(dsn string) (*mysql.Config, error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	if !isURL || scheme != "mysql" && scheme != "mariadb" {
		return mysql.ParseDSN(dsn)
	}
	u, err := url.Parse(dsn)
	if err != nil || u.Hostname() == "" {
		return nil, fault.New(fault.Usage, "", "it is no URL") // whose text has the password in it
	}
	c := mysql.NewConfig()
	c.User, c.DBName, c.Net, c.Addr = u.User.Username(), strings.Trim(u.Path, "/"), "tcp", u.Host
	c.Passwd, _ = u.User.Password()
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	for name, values := range u.Query() {
		switch name {
		case "tls", "ssl-mode", "sslmode":
			switch v := strings.ToLower(values[0]); v {
			case "true", "verify_identity", "verify-full":
				c.TLSConfig = "true"
			case "skip-verify", "required", "require":
				c.TLSConfig = "skip-verify"
			case "preferred", "prefer":
				c.TLSConfig = "preferred"
			case "false", "disabled", "disable":
				c.TLSConfig = "false"
			default:
				return nil, fault.New(fault.Usage, "", "%s=%s is not known", name, v)
			}
		default:
			return nil, fault.New(fault.Usage, "", "parameter %s is not known", name)
		}
	}
	// The checks of the driver itself.
	return mysql.ParseDSN(c.FormatDSN())
}

// path is what connections learn of the way to the server.
type path struct {
	mu    sync.Mutex
	host  string
	peer  net.IP
	local net.IP
}

// dial makes a connection and remembers where it went.
func (p *path) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		p.peer = a.IP
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		p.local = a.IP
	}
	return conn, nil
}

// session is one connection to a database.
type session interface {
	// read runs the query. row hears of every row, with its payload; an error
	// that it returns ends the reading and the session.
	read(ctx context.Context, row func(bytes int) error) (rows int64, err error)
	close(ctx context.Context)
}

// opener makes sessions of a target.
type opener func(ctx context.Context) (session, error)

func (t Target) opener(p *path) (opener, error) {
	server, err := ParseDSN(t.DSN)
	if err != nil {
		return nil, err
	}
	if t.Query != "" && t.Table != "" {
		return nil, fault.New(fault.Usage, "", "a query and a table were given: one of them is read")
	}
	if server == MySQL {
		return t.mysql(p)
	}
	return t.postgres(p)
}

// quoteTable quotes the parts of a table's name.
func quoteTable(name, quote string) (string, error) {
	parts := strings.Split(name, ".")
	if len(parts) > 2 {
		return "", fault.New(fault.Usage, "name it as schema.table; anything else by a query", "table %q has too many parts", name)
	}
	for i, p := range parts {
		if p == "" || strings.ContainsAny(p, "\x00") {
			return "", fault.New(fault.Usage, "name it as schema.table", "%q is no table", name)
		}
		parts[i] = quote + strings.ReplaceAll(p, quote, quote+quote) + quote
	}
	return strings.Join(parts, "."), nil
}

func (j Job) check() error {
	bad := j.Duration <= 0
	switch j.Kind {
	case Read:
		bad = bad || j.Streams < 1
	case Connect:
		bad = bad || j.Rate <= 0
	default:
		bad = true
	}
	if bad {
		return fault.New(fault.Usage, "", "db: %s by %d connections, %g per second for %s is no measurement", j.Kind, j.Streams, j.Rate, j.Duration)
	}
	return nil
}

// unreachable is the error of a server that cannot be connected to.
func unreachable(host string, err error) error {
	return fault.New(fault.Unreachable, "look at it from that host: is the address right, is the port open, may it connect (pg_hba.conf, grants)?", "connect to %s: %w", host, err)
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

var errOver = errors.New("the measured phase is over")
