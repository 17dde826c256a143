package db

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"cw/fault"
)

// pgSession is a connection to PostgreSQL, or to what speaks its protocol.
type pgSession struct {
	c       *pgconn.PgConn
	sql     string
	checked bool // the rows are those that the server makes up
	payload []byte
}

func (t Target) postgres(p *path) (opener, error) {
	cfg, err := pgconn.ParseConfig(t.DSN)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "the connection string is not one of PostgreSQL's") // which repeats it
	}
	if t.Password != "" {
		cfg.Password = t.Password
	}
	p.host = cfg.Host
	cfg.DialFunc = p.dial
	cfg.ConnectTimeout = dialTimeout
	cfg.RuntimeParams["application_name"] = application
	cfg.RuntimeParams["default_transaction_read_only"] = "on"
	// Rows come in messages of their own: many are read at a time.
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, 128<<10), w)
	}
	s := pgSession{payload: []byte(payload())}
	switch {
	case t.Query != "":
		s.sql = strings.TrimRight(strings.TrimSpace(t.Query), "; \n\t")
	case t.Table != "":
		name, err := quoteTable(t.Table, `"`)
		if err != nil {
			return nil, err
		}
		s.sql = "select * from " + name
	default:
		// In the list of a select the numbers are made as they are sent; in
		// its from they would all be made first.
		s.sql, s.checked = "select generate_series(1::int8, 1000000000000::int8) as id, '"+payload()+"'::text as payload", true
	}
	s.sql = "copy (" + s.sql + ") to stdout (format binary)"
	return func(ctx context.Context) (session, error) {
		c, err := pgconn.ConnectConfig(ctx, cfg)
		if err != nil {
			return nil, pgError(ctx, hostPort(cfg.Host, int(cfg.Port)), err)
		}
		one := s
		one.c = c
		return &one, nil
	}, nil
}

func pgError(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return unreachable(host, err)
	}
	switch {
	case strings.HasPrefix(pg.Code, "28"):
		return fault.New(fault.Auth, "check the user, the password file and pg_hba.conf", "%s: %s", host, pg.Message)
	case pg.Code == "53300":
		return fault.New(fault.Failed, "raise max_connections, or measure fewer: --skip db.read.c16", "%s: %s", host, pg.Message)
	case pg.Code == "25006":
		return fault.New(fault.Usage, "give a query that only reads", "%s: %s", host, pg.Message)
	case strings.HasPrefix(pg.Code, "42"):
		return fault.New(fault.Usage, "correct --query or --table", "%s: %s", host, pg.Message)
	}
	return fault.New(fault.Failed, "", "%s: %s (%s)", host, pg.Message, pg.Code)
}

// pgHeader begins a binary COPY: a signature, flags, and the length of nothing.
const pgHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// rowsOf counts the rows of a COPY: the server sends each as one message.
type rowsOf struct {
	s    *pgSession
	row  func(bytes int) error
	rows int64
}

// Write takes one message.
func (r *rowsOf) Write(p []byte) (int, error) {
	n := len(p)
	if r.rows == 0 {
		p = bytes.TrimPrefix(p, []byte(pgHeader))
	}
	if len(p) == 0 || len(p) == 2 && p[0] == 0xff && p[1] == 0xff {
		return n, nil // the header alone, or the end
	}
	r.rows++
	if r.s.checked {
		if err := r.check(p); err != nil {
			return 0, err
		}
	}
	return n, r.row(len(p))
}

// check compares a row with the one that was asked for: its number and text.
func (r *rowsOf) check(p []byte) error {
	const head = 2 + 4 + 8 + 4
	if len(p) != head+len(r.s.payload) || binary.BigEndian.Uint16(p) != 2 || int64(binary.BigEndian.Uint64(p[6:])) != r.rows || !bytes.Equal(p[head:], r.s.payload) { //nolint:gosec // the server counts up from 1
		return fmt.Errorf("row %d is not the one that was asked for: %w", r.rows, errContent)
	}
	return nil
}

var errContent = errors.New("wrong content")

func (s *pgSession) read(ctx context.Context, row func(bytes int) error) (int64, error) {
	r := &rowsOf{s: s, row: row}
	tag, err := s.c.CopyTo(ctx, r, s.sql)
	switch {
	case errors.Is(err, errOver):
		return r.rows, err
	case errors.Is(err, errContent):
		return r.rows, fault.New(fault.Failed, "", "%w", err)
	case err != nil:
		return r.rows, pgError(ctx, s.c.Conn().RemoteAddr().String(), err)
	case tag.RowsAffected() != r.rows:
		return r.rows, fault.New(fault.Failed, "is something between cw and the server?", "%d rows arrived of %d that were sent", r.rows, tag.RowsAffected())
	}
	return r.rows, nil
}

// close ends the session. A stream that was left in its middle is cancelled,
// and is over on the server when this returns.
func (s *pgSession) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	_ = s.c.Close(ctx)
	select {
	case <-s.c.CleanupDone():
	case <-ctx.Done():
	}
}
