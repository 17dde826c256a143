package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-sql-driver/mysql"

	"cw/fault"
)

// mySession is a connection to MySQL or MariaDB.
type mySession struct {
	c       driver.Conn
	address string
	sql     string
	checked bool
	payload string
}

// quiet drops what the driver would write to standard error: that a
// connection was closed in the middle of an answer, which is what is meant.
type quiet struct{}

// Print drops a line.
func (quiet) Print(...any) {}

func (t Target) mysql(p *path) (opener, error) {
	cfg, err := mysqlConfig(t.DSN)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "the connection string is not one of MySQL's")
	}
	if t.Password != "" {
		cfg.Passwd = t.Password
	}
	p.host, _, _ = strings.Cut(cfg.Addr, ":")
	if cfg.Net != "unix" {
		cfg.DialFunc = p.dial
	}
	cfg.Timeout = dialTimeout
	cfg.Logger = quiet{}
	cfg.MultiStatements = false // the second could make the session one that writes
	s := mySession{address: cfg.Addr, payload: payload()}
	switch {
	case t.Query != "":
		s.sql = strings.TrimRight(strings.TrimSpace(t.Query), "; \n\t")
	case t.Table != "":
		name, err := quoteTable(t.Table, "`")
		if err != nil {
			return nil, err
		}
		s.sql = "SELECT * FROM " + name
	default:
		s.sql, s.checked = madeUp(), true
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "the connection string is not one of MySQL's")
	}
	return func(ctx context.Context) (session, error) {
		c, err := connector.Connect(ctx)
		if err != nil {
			return nil, myError(ctx, cfg.Addr, err)
		}
		one := s
		one.c = c
		if err := one.readOnly(ctx); err != nil {
			_ = c.Close()
			return nil, err
		}
		return &one, nil
	}, nil
}

// madeUp is a query whose rows the server makes up as it sends them, in every
// version: twelve digits, each joined with the ones before.
func madeUp() string {
	const digits = "(SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	var number, from []string
	factor := int64(1)
	for i := range 12 {
		number = append(number, fmt.Sprintf("%d*d%d.i", factor, i))
		from = append(from, fmt.Sprintf("%s AS d%d", digits, i))
		factor *= 10
	}
	return "SELECT " + strings.Join(number, "+") + " AS id, '" + payload() + "' AS payload FROM " + strings.Join(from, " STRAIGHT_JOIN ")
}

// readOnly makes the session one that cannot write.
func (s *mySession) readOnly(ctx context.Context) error {
	e, ok := s.c.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver for MySQL cannot run statements")
	}
	if _, err := e.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY", nil); err != nil {
		return myError(ctx, s.address, err)
	}
	return nil
}

func (s *mySession) read(ctx context.Context, row func(bytes int) error) (n int64, err error) {
	q, ok := s.c.(driver.QueryerContext)
	if !ok {
		return 0, errors.New("the driver for MySQL cannot run queries")
	}
	rows, err := q.QueryContext(ctx, s.sql, nil)
	if err != nil {
		return 0, myError(ctx, s.address, err)
	}
	// Rows are not closed when they are left in their middle: closing reads
	// the rest of them, which does not end. The session's close does.
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return n, rows.Close()
		case err != nil:
			return n, myError(ctx, s.address, err)
		}
		n++
		bytes := 0
		for _, v := range values {
			switch v := v.(type) {
			case []byte:
				bytes += len(v)
			case string:
				bytes += len(v)
			case nil:
			default:
				bytes += 8
			}
		}
		if s.checked {
			if text, ok := values[1].([]byte); !ok || string(text) != s.payload {
				return n, fault.New(fault.Failed, "", "row %d is not one that was asked for: %w", n, errContent)
			}
		}
		if err := row(bytes); err != nil {
			return n, err
		}
	}
}

// close ends the session, in whatever it is: the server notices with its next
// row.
func (s *mySession) close(context.Context) {
	_ = s.c.Close()
}

func myError(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return unreachable(host, err)
	}
	switch my.Number {
	case 1044, 1045, 1698, 1130:
		return fault.New(fault.Auth, "check the user, the password file and the grants", "%s: %s", host, my.Message)
	case 1040, 1203:
		return fault.New(fault.Failed, "raise max_connections, or measure fewer: --skip db.read.c16", "%s: %s", host, my.Message)
	case 1792:
		return fault.New(fault.Usage, "give a query that only reads", "%s: %s", host, my.Message)
	case 1064, 1146, 1054, 1049:
		return fault.New(fault.Usage, "correct --query or --table", "%s: %s", host, my.Message)
	}
	return fault.New(fault.Failed, "", "%s: %s (%d)", host, my.Message, my.Number)
}
