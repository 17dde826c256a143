package external

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"cw/fault"
)

// Engine is what kind of database it is.
type Engine struct {
	Cloudberry bool
	Major      int    // of Greenplum or Cloudberry
	Version    string // 6.24.3
	Catalog    int    // server_version_num of the PostgreSQL inside: 90426 in Greenplum 6, 120012 in 7
	Encoding   string // of the database
	Primaries  int    // segments
}

// foreign tells whether external tables are foreign tables inside, as they
// are from Greenplum 7 on.
func (e Engine) foreign() bool { return e.Catalog >= 120000 }

var engineName = regexp.MustCompile(`\((?:(Greenplum) Database|Apache (Cloudberry)|(Cloudberry) Database) (\d+)([^ )]*)`)

// parseVersion reads the answer of version(); ok is false for plain
// PostgreSQL.
func parseVersion(text string) (e Engine, ok bool) {
	m := engineName.FindStringSubmatch(text)
	if m == nil {
		return Engine{}, false
	}
	e.Cloudberry = m[1] == ""
	e.Major, _ = strconv.Atoi(m[4])
	e.Version = m[4] + strings.TrimSuffix(m[5], "-")
	return e, true
}

// Probe asks the database what it is; one that is no Greenplum is an error.
func Probe(ctx context.Context, c *pgx.Conn) (Engine, error) {
	var text, number, encoding string
	var primaries int
	err := c.QueryRow(ctx, `select version(), current_setting('server_version_num'), getdatabaseencoding()::text`).Scan(&text, &number, &encoding)
	if err != nil {
		return Engine{}, err
	}
	e, ok := parseVersion(text)
	if !ok {
		cfg := c.Config()
		return Engine{}, fault.New(fault.Usage, "", "%s:%d is no Greenplum or Cloudberry but %s", cfg.Host, cfg.Port, text)
	}
	err = c.QueryRow(ctx, `select count(*)::int from gp_segment_configuration where content >= 0 and role = 'p'`).Scan(&primaries)
	if err != nil {
		return Engine{}, err
	}
	e.Catalog, _ = strconv.Atoi(number)
	e.Encoding, e.Primaries = encoding, primaries
	return e, nil
}
