package copy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"cw/fault"
	"cw/loadspec/split"
)

// RowError is a row that the database refuses.
type RowError struct {
	Object   string
	Line     int64  // at which the row begins, in the uncompressed object; 0 when only a range is known
	LastLine int64  // end of the range when Line is its begin and the row is not known; else 0
	Column   string // "" when the whole row is meant
	Row      string // its text, shortened
	Err      *pgconn.PgError
}

func (e *RowError) Error() string {
	var b strings.Builder
	b.WriteString(e.Object)
	if e.LastLine > 0 {
		fmt.Fprintf(&b, " lines %d to %d", e.Line, e.LastLine)
	} else {
		fmt.Fprintf(&b, " line %d", e.Line)
	}
	if e.Column != "" {
		b.WriteString(", column " + e.Column)
	}
	b.WriteString(": " + e.Err.Message)
	if e.Err.Detail != "" {
		b.WriteString(": " + e.Err.Detail)
	}
	fmt.Fprintf(&b, " (SQLSTATE %s)", e.Err.Code)
	if e.Row != "" {
		b.WriteString("\n  row: " + e.Row)
	}
	return b.String()
}

// Unwrap gives the database's error.
func (e *RowError) Unwrap() error { return e.Err }

// FaultKind is an ordinary failure.
func (e *RowError) FaultKind() fault.Kind { return fault.Failed }

// MarkerError is text's end-of-data marker before the end of the data.
type MarkerError struct {
	Object string
	Line   int64
}

func (e *MarkerError) Error() string {
	return fmt.Sprintf(`%s line %d: end-of-data marker \. stands before the end; the rows after it would be lost`, e.Object, e.Line)
}

// FaultKind is an ordinary failure.
func (e *MarkerError) FaultKind() fault.Kind { return fault.Failed }

// FaultHint says what to change.
func (e *MarkerError) FaultHint() string {
	return `quote the value ("\.") in csv, write \\. in text, or remove the line`
}

var copyContext = regexp.MustCompile(`(?m)^COPY .*?, line (\d+)(?:, column (.*?))?(?:: |$)`)

// excerpt is the longest part of a row that is shown.
const excerpt = 300

// rowError finds the row that a COPY error is about. nil when err is not
// about rows.
func rowError(err error, object string, d split.Dialect, p *split.Piece) *RowError {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || len(pg.Code) != 5 || pg.Code[:2] != "22" && pg.Code[:2] != "23" {
		return nil
	}
	e := &RowError{Object: object, Err: pg, Line: p.FirstLine, LastLine: p.FirstLine + max(p.Lines-1, 0)}
	at, ok := refusedRow(err, p, d)
	if !ok {
		return e
	}
	e.Line, e.LastLine, e.Row = p.FirstLine+at.lines, 0, shorten(p.Data[at.begin:at.end])
	e.Column = copyContext.FindStringSubmatch(pg.Where)[2]
	return e
}

func shorten(row []byte) string {
	text := strings.TrimRight(strings.ToValidUTF8(string(row), "?"), "\r\n")
	if len(text) > excerpt {
		text = strings.ToValidUTF8(text[:excerpt], "") + fmt.Sprintf("… (%d bytes)", len(row))
	}
	return text
}

// place is where a record is in a piece.
type place struct {
	begin, end int
	records    int64 // before it
	lines      int64 // line ends before it
}

func lineEnd(p *split.Piece) []byte {
	if p.Newline == split.CR {
		return []byte{'\r'}
	}
	return []byte{'\n'}
}

// eachRecord calls fn for the records of a piece, with the number of line ends
// before each, until it says no.
func eachRecord(p *split.Piece, d split.Dialect, fn func(begin, end int, lines int64) bool) {
	eol := lineEnd(p)
	d.Newline = p.Newline
	scan := split.NewScanner(d)
	begin, lines := 0, int64(0)
	for at := 0; at < len(p.Data); {
		next := len(p.Data)
		if i := bytes.IndexByte(p.Data[at:], eol[0]); i >= 0 {
			next = at + i + 1
		}
		scan.Feed(p.Data[at:next])
		at = next
		if _, records := scan.End(); records == 0 && at < len(p.Data) {
			continue // the line end was data
		}
		if !fn(begin, at, lines) {
			return
		}
		lines += int64(bytes.Count(p.Data[begin:at], eol))
		scan.Cut()
		begin = at
	}
}

// findRow returns the place of the record at which PostgreSQL's line counter
// shows n. The counter counts records, and in csv line ends inside quotes: CRs
// until a record has shown that rows end in LF (CopyReadLineText).
func findRow(p *split.Piece, d split.Dialect, n int64) place {
	var counter int64
	var at place
	found := false
	eachRecord(p, d, func(begin, end int, lines int64) bool {
		record := p.Data[begin:end]
		counter++
		if d.CSV {
			counter += inside(record, begin == 0, p.Newline)
		}
		found = counter >= n
		at = place{begin: begin, end: end, records: at.records + 1, lines: lines}
		return !found
	})
	at.records--
	if !found {
		at.begin, at.records = at.end, at.records+1
	}
	return at
}

// refusedRow is the record that an error is about; ok is false when it does
// not say.
func refusedRow(err error, p *split.Piece, d split.Dialect) (at place, ok bool) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return place{}, false
	}
	m := copyContext.FindStringSubmatch(pg.Where)
	if m == nil {
		return place{}, false
	}
	n, convErr := strconv.ParseInt(m[1], 10, 64)
	if convErr != nil {
		return place{}, false
	}
	at = findRow(p, d, n)
	return at, at.begin < at.end
}

// inside counts the line ends in a record, its last one apart, that
// PostgreSQL's counter counts.
func inside(record []byte, first bool, n split.Newline) int64 {
	body := strings.TrimRight(string(record), "\r\n")
	if n == split.LF && !first {
		return int64(strings.Count(body, "\n"))
	}
	return int64(strings.Count(body, "\r"))
}

// Retriable tells that the connection or the server went away, so that the
// work may be tried again on a new connection once the ledger has been asked.
func Retriable(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "57P05", // shutdown, crash, starting up, idle
			"58M01", "58M02", // Greenplum: a segment is gone, or has failed over
			"53300",          // too many connections
			"40001", "40P01": // could not serialise, deadlock
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// NoServer tells that no server answered at all: a wrong name or port, or a
// server that is down.
func NoServer(err error) bool {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	return errors.As(err, &connect) && !errors.As(err, &pg)
}

// brief says of a failed connection only why: pgx tells every address and
// TLS mode it tried.
type brief struct{ error }

func (b brief) Error() string {
	var pg *pgconn.PgError
	var network *net.OpError
	switch {
	case errors.As(b.error, &pg):
		return pg.Error()
	case errors.As(b.error, &network):
		return network.Op + ": " + network.Err.Error()
	default:
		return b.error.Error()
	}
}

// Unwrap gives the whole error.
func (b brief) Unwrap() error { return b.error }

func connectError(cfg *pgx.ConnConfig, err error) error {
	err = brief{err}
	where := fmt.Sprintf("database %s on %s:%d as %s", cfg.Database, cfg.Host, cfg.Port, cfg.User)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case pg.Code == "28P01":
			return fault.New(fault.Auth, fmt.Sprintf("put it into ~/.pgpass (chmod 600): %s:%d:%s:%s:PASSWORD", cfg.Host, cfg.Port, cfg.Database, cfg.User), "connect to %s: wrong or missing password: %w", where, err)
		case strings.HasPrefix(pg.Code, "28"):
			return fault.New(fault.Auth, "allow this machine in the server's pg_hba.conf, or set PGSSLMODE", "connect to %s: %w", where, err)
		case pg.Code == "3D000":
			return fault.New(fault.Usage, fmt.Sprintf("see the databases: psql -h %s -p %d -U %s -l", cfg.Host, cfg.Port, cfg.User), "connect to %s: the database does not exist: %w", where, err)
		}
	}
	return fault.New(fault.Unreachable, fmt.Sprintf("is it up? pg_isready -h %s -p %d", cfg.Host, cfg.Port), "connect to %s: %w", where, err)
}

// Explain gives an error of the database its kind and a hint.
func Explain(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch {
	case pg.Code == "53100":
		return fault.New(fault.Failed, "free space on the database host (df -h there shows which disk), then cw load resume JOB", "the database's disk is full: %w", err)
	case pg.Code == "42501":
		return fault.New(fault.Auth, "grant the role what it needs: insert on the table (truncate for PRELOAD), create on the database for schema cw", "%w", err)
	case pg.Code[:min(2, len(pg.Code))] == "42":
		return fault.New(fault.Usage, "correct the control file, then cw load check FILE", "%w", err)
	case pg.Code == "57014":
		return fault.New(fault.Interrupted, "cw load resume JOB goes on", "the database cancelled the statement: %w", err)
	default:
		return err
	}
}
