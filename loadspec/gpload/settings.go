package gpload

import (
	"errors"
	"strings"

	"cw/loadspec"
)

// settings are what options, control file and environment say together,
// before the database is asked.
type settings struct {
	Options
	config *config

	table         string // as the control file has it
	schema, name  string // the table's, folded; schema "" for the search path
	password      string
	passwordGiven bool
	errorTable    bool
}

// errNoUser is gpload's word for a user it cannot find out.
var errNoUser = errors.New("You need to specify your username with the -U option or in your configuration or in your environment as PGUSER") //nolint:staticcheck // gpload's sentence

// newSettings settles where to connect: option, else control file, else
// environment, else localhost, 5432 and the user's name.
func newSettings(o Options, c *config, getenv func(string) string, lg *logger) (*settings, error) {
	s := &settings{Options: o, config: c}
	if _, err := c.mustList("gpload:output"); err != nil {
		return nil, err
	}
	var ok bool
	var err error
	if s.table, ok, err = c.text("gpload:output:table"); err != nil {
		return nil, err
	}
	if !ok {
		return nil, missingKey("gpload:output:table")
	}
	if s.schema, s.name, err = loadspec.SplitName(s.table); err != nil {
		return nil, controlErrorf("gpload:output:table: %v", err)
	}
	if err := s.connection(getenv, lg); err != nil {
		return nil, err
	}
	switch table, _, err := c.text("gpload:input:error_table"); {
	case err != nil:
		return nil, err
	case table != "":
		s.errorTable = true
		lg.logf(LevelWarn, "ERROR_TABLE is not supported. We will set LOG_ERRORS and REUSE_TABLES to True for compatibility.")
	}
	return s, nil
}

func (s *settings) connection(getenv func(string) string, lg *logger) error {
	c := s.config
	text := func(value *string, key string, env ...string) error {
		if *value == "" {
			v, _, err := c.text(key)
			if err != nil {
				return err
			}
			*value = v
		}
		for _, name := range env {
			if *value == "" {
				*value = getenv(name)
			}
		}
		return nil
	}
	if err := text(&s.Host, "host", "PGHOST"); err != nil {
		return err
	}
	if s.Host == "" {
		lg.logf(LevelInfo, "no host supplied, defaulting to localhost")
		s.Host = "localhost"
	}
	if s.Port == 0 {
		n, _, err := c.number("port")
		if err != nil {
			return err
		}
		s.Port = n
	}
	if s.Port == 0 {
		if v, ok := integer(strings.TrimSpace(getenv("PGPORT"))).(int64); ok {
			s.Port = int(v)
		}
	}
	if s.Port == 0 {
		s.Port = 5432
	}
	if err := text(&s.User, "user", "PGUSER", "USER", "LOGNAME", "USERNAME"); err != nil {
		return err
	}
	if s.User == "" {
		return errNoUser
	}
	if err := text(&s.Database, "database", "PGDATABASE"); err != nil {
		return err
	}
	if s.Database == "" {
		s.Database = s.User
	}
	if s.Ask {
		return nil // asked for when connecting
	}
	var err error
	if s.password, s.passwordGiven, err = c.text("password"); err != nil {
		return err
	}
	if !s.passwordGiven {
		s.password = getenv("PGPASSWORD")
		s.passwordGiven = s.password != ""
	}
	return nil
}
