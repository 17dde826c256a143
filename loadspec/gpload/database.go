package gpload

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// database is the connection of a load.
type database struct {
	*pgx.Conn
	rejected int64 // rows that the last statement has rejected, as it said itself
}

// noticed is what is known of statements from their notices. gpload does not
// show these.
type noticed struct {
	database *database
	log      *logger
}

var foundErrors = regexp.MustCompile(`^found (\d+) data formatting errors`)

func (n *noticed) take(_ *pgconn.PgConn, notice *pgconn.Notice) {
	if m := foundErrors.FindStringSubmatch(notice.Message); m != nil && n.database != nil {
		rows, _ := strconv.ParseInt(m[1], 10, 64)
		n.database.rejected += rows
	}
	pg := pgconn.PgError(*notice)
	n.log.logf(LevelDebug, "%s", strings.TrimSuffix(report(&pg, ""), "\n"))
}

// connect opens the connection, asking for a password and trying again as the
// options say.
func (s *settings) connect(ctx context.Context, lg *logger, ask func() (string, error)) (*database, error) {
	if s.Ask && !s.passwordGiven {
		if err := s.askPassword(ask); err != nil {
			return nil, err
		}
	}
	const logins = 10
	for login, retry := 0, 0; ; {
		lg.logf(LevelDebug, "connection string: user=%s host=%s port=%d database=%s", s.User, s.Host, s.Port, s.Database)
		db, err := s.dial(ctx, lg)
		if err == nil {
			lg.logf(LevelDebug, "Successfully connected to database")
			return db, nil
		}
		text := err.Error()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case needsPassword(err) && !s.passwordGiven:
			if login++; login > logins {
				return nil, errors.New("too many login attempt failures")
			}
			if err := s.askPassword(ask); err != nil {
				return nil, err
			}
		case strings.Contains(text, "Connection timed out") && s.Retries != 0:
			retry++
			switch {
			case s.Retries < 0:
				lg.logf(LevelInfo, "retry to connect to database.")
			case retry > s.Retries:
				return nil, fmt.Errorf("could not connect to database after retry %d times, error message:\n %s", retry-1, text)
			default:
				lg.logf(LevelInfo, "retry to connect to database, %d of %d times", retry, s.Retries)
			}
		default:
			return nil, fmt.Errorf("could not connect to database: %s. Is the Greenplum Database running on port %d?", text, s.Port)
		}
	}
}

func (s *settings) askPassword(ask func() (string, error)) error {
	password, err := ask()
	if err != nil {
		return fmt.Errorf("could not read the password: %w", err)
	}
	s.password, s.passwordGiven = password, true
	return nil
}

// needsPassword tells that the server wanted a password and got none.
func needsPassword(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "28P01"
}

// connectFailure has libpq's words for what pgx says.
type connectFailure struct {
	text string
	err  error
}

func (e *connectFailure) Error() string { return e.text }
func (e *connectFailure) Unwrap() error { return e.err }

func (s *settings) dial(ctx context.Context, lg *logger) (*database, error) {
	if s.Port < 1 || s.Port > 65535 {
		return nil, &connectFailure{text: fmt.Sprintf("invalid port number: \"%d\"\n", s.Port)}
	}
	quote := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
	dsn := fmt.Sprintf("host=%s port=%d user=%s dbname=%s", quote(s.Host), s.Port, quote(s.User), quote(s.Database))
	if s.passwordGiven {
		dsn += " password=" + quote(s.password)
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, &connectFailure{err.Error() + "\n", err}
	}
	notices := &noticed{log: lg}
	cfg.OnNotice = notices.take
	cfg.RuntimeParams["application_name"] = "gpload"
	cfg.RuntimeParams["client_encoding"] = "UTF8"
	// Control files set what they like between statements, so nothing is kept
	// prepared.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	cfg.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: cancelPatience}
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, &connectFailure{connectMessage(err, s.Host, s.Port), err}
	}
	db := &database{Conn: c}
	notices.database = db
	return db, nil
}

// cancelPatience is how long a cancelled statement may take to end before the
// connection is given up.
const cancelPatience = 10 * time.Second

// run runs one or more statements and tells how many rows the last one took.
func (db *database) run(ctx context.Context, sql string) (int64, error) {
	results, err := db.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return 0, err
	}
	last := results[len(results)-1]
	return last.CommandTag.RowsAffected(), last.Err
}
