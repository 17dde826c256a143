package commands

// variable is an environment variable that cw reads, or gives to commands
// that it runs for the operator.
type variable struct {
	name    string
	meaning string
}

// variableGroup is a part of the topic environment.
type variableGroup struct {
	title string
	vars  []variable
}

// environment lists every variable. TestEnvironmentIsComplete reads the
// sources and finds what is missing here.
func environment() []variableGroup {
	return []variableGroup{
		{"Settings of cw (a flag on the command line is stronger, config.yaml is weaker)", []variable{
			{"CW_STORE", "where clusters, runs and jobs are kept: a path, or postgres://… (--store)"},
			{"CW_OUTPUT", "format of results: table, wide, json, yaml, csv (--output)"},
			{"CW_PROGRESS", "how progress is shown: auto, tty, plain, json, off (--progress)"},
		}},
		{"Where cw keeps its files (cw config paths prints them)", []variable{
			{"HOME", "the home folder; also that of .ssh, .pgpass and gpAdminLogs"},
			{"XDG_CONFIG_HOME", "folder of cw/config.yaml, cw/monitor.yaml and cw/baselines (default ~/.config)"},
			{"XDG_STATE_HOME", "folder of cw/state.db, cw/log and cw/clusters (default ~/.local/state)"},
			{"XDG_DATA_HOME", "folder of cw/schema, which editors read (default ~/.local/share)"},
			{"XDG_CACHE_HOME", "folder of what can be made again (default ~/.cache)"},
			{"TMPDIR", "folder of temporary files (default /tmp)"},
		}},
		{"Terminal", []variable{
			{"NO_COLOR", "set to anything: cw top shows no colours"},
			{"TERM", "dumb or empty: no bars, and cw top prints one snapshot"},
			{"LC_ALL, LC_CTYPE, LANG", "the first that is set decides whether cw top draws with more than ASCII"},
		}},
		{"Databases (of cw load init, and where a control file names no server)", []variable{
			{"PGHOST, PGPORT, PGDATABASE, PGUSER", "server, port, database and role, as of psql"},
			{"PGPASSWORD, PGPASSFILE", "password, or the file with passwords (default ~/.pgpass)"},
			{"PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY", "TLS to the server, as of psql"},
			{"PGSERVICE, PGSERVICEFILE", "a service of pg_service.conf"},
			{"USER, LOGNAME, USERNAME", "as whom gpload connects when nothing else says it"},
		}},
		{"Object storage and network", []variable{
			{"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN", "credentials"},
			{"AWS_PROFILE, AWS_REGION", "profile of ~/.aws, and region"},
			{"AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE", "the files of ~/.aws, elsewhere"},
			{"AWS_CA_BUNDLE", "PEM file of the authorities to trust"},
			{"HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "proxy for object storage, and where none is used"},
			{"SSH_AUTH_SOCK", "socket of ssh-agent, whose keys are tried first"},
		}},
		{"Other programs that cw is, and the playground", []variable{
			{"GPFDIST_WATCHDOG_TIMER", "gpfdist: seconds after which a server that is stuck ends itself"},
			{"SUDO_USER", "cw playground up as root: the user that commands run as"},
			{"PATH", "where PostgreSQL's programs, fio and iperf3 are looked for"},
		}},
		{"Given by cw to the commands that it runs", []variable{
			{"CW_JOB, CW_STATE, CW_TARGET, CW_ROWS, CW_REJECTED, CW_ERROR", "NOTIFY: EXEC of a control file: the load that ended"},
			{"CW_ALERT_STATUS, CW_ALERT_SEVERITY, CW_ALERT_TITLE, …", "exec of a monitor's receiver (cw explain monitor.receivers)"},
			{"CW_MACHINE, CW_DEVICE", "hooks of cw perf replace: the machine that fails, and what the volume is called"},
			{"CW_PLAYGROUND_HOST", "commands on a playground's host: which of them it is"},
		}},
	}
}
