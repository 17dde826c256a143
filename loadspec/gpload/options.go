package gpload

import (
	"fmt"
	"strconv"
	"strings"
)

// Options are gpload's.
type Options struct {
	File     string // -f
	Host     string // -h
	Port     int    // -p
	User     string // -U
	Database string // -d
	Ask      bool   // -W: ask for a password whatever else there is
	LogFile  string // -l
	Level    Level  // -q, -v, -V
	Dry      bool   // -D
	Timeout  string // --gpfdist_timeout, as given; "" 30
	NoTrans  bool   // --no_auto_trans
	Retries  int    // --max_retries: 0 none, negative forever

	conflict bool // -q beside -v or -V
	version  bool
	help     bool
}

// usageError is what is wrong with the arguments. gpload prints its help
// before some of them.
type usageError struct {
	text string
	help bool
}

func (e *usageError) Error() string { return e.text }

// parseOptions reads the arguments as gpload does: options in any order, each
// with its value in the next argument, and nothing else.
func parseOptions(args []string) (Options, error) {
	o := Options{Level: LevelInfo}
	quiet, verbose := false, false
	value := func() (string, error) {
		if len(args) < 2 {
			return "", &usageError{text: fmt.Sprintf("Option %s needs a parameter.\n", args[0])}
		}
		v := args[1]
		args = args[1:]
		return v, nil
	}
	number := func(into *int) error {
		name := args[0]
		v, err := value()
		if err != nil {
			return err
		}
		if *into, err = strconv.Atoi(strings.TrimSpace(v)); err != nil {
			return &usageError{text: fmt.Sprintf("Parameter for option %s must be an integer.\n", name)}
		}
		return nil
	}
	texts := map[string]*string{"-h": &o.Host, "-U": &o.User, "-d": &o.Database, "-f": &o.File, "-l": &o.LogFile, "--gpfdist_timeout": &o.Timeout}
	flags := map[string]*bool{"-W": &o.Ask, "-D": &o.Dry, "--no_auto_trans": &o.NoTrans}
	for ; len(args) > 0 && !o.help && !o.version; args = args[1:] {
		var err error
		name := args[0]
		switch {
		case texts[name] != nil:
			*texts[name], err = value()
		case flags[name] != nil:
			*flags[name] = true
		case name == "-p":
			err = number(&o.Port)
		case name == "--max_retries":
			err = number(&o.Retries)
		case name == "-q":
			o.Level--
			quiet = true
		case name == "-v":
			o.Level, verbose = LevelLog, true
		case name == "-V":
			o.Level, verbose = LevelDebug, true
		case name == "--version":
			o.version = true
		case name == "-?" || name == "--help":
			o.help = true
		case o.File == "":
			return o, &usageError{text: "configuration file required", help: true}
		default:
			plural := ""
			if len(args) > 1 {
				plural = "s"
			}
			return o, &usageError{text: fmt.Sprintf("unrecognized argument%s: %s", plural, strings.Join(args, " ")), help: true} //nolint:misspell // gpload's word
		}
		if err != nil {
			return o, err
		}
	}
	if o.File == "" && !o.help && !o.version {
		return o, &usageError{text: "configuration file required", help: true}
	}
	o.conflict = quiet && verbose
	return o, nil
}

const help = `gpload [options] -f CONTROL_FILE

Loads files into a table of Greenplum as the control file says.

Options:
    -f file        the control file
    -h host        host of the database
    -p port        port of the database
    -U user        role to connect as
    -d database    database to load into
    -W             ask for the password
    -q             fewer lines; may be repeated
    -v             more lines
    -V             all lines
    -D             check everything, load nothing
    -l logfile     where the log goes (default ~/gpAdminLogs/gpload_YYYYMMDD.log)
    --no_auto_trans            do not make one transaction of the load
    --gpfdist_timeout seconds  how long a segment may take for its request (default 30)
    --max_retries n            attempts after a connection timed out: 0 none, -1 without end
    --version      print the version and exit
    -?             print this help

What the options leave open is taken from the control file, then from PGHOST,
PGPORT, PGUSER, PGDATABASE and PGPASSWORD; passwords also from PGPASSFILE or
~/.pgpass.

Exit codes: 0 all rows loaded, 1 loaded with rejected rows, 2 failed.
`
