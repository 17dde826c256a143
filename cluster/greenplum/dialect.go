package greenplum

import (
	"strings"

	"cw/cluster"
)

// modernWords says in the words of engines made from PostgreSQL 12 and newer
// (Greenplum 7, Cloudberry) what is written here for Greenplum 6. Sources: the
// release notes of PostgreSQL 10 (wal for xlog, lsn for location) and 12
// (recovery.conf became standby.signal and settings), and of Greenplum 7
// (gp_role for gp_session_role, log for pg_log).
var modernWords = strings.NewReplacer( //nolint:gochecknoglobals // constant table
	"gp_session_role", "gp_role",
	"pg_xlog_location_diff", "pg_wal_lsn_diff",
	"pg_current_xlog_location", "pg_current_wal_lsn",
	"replay_location", "replay_lsn",
	"recovery.conf", "standby.signal",
	"/pg_log", "/log",
	"Greenplum Database ([0-9.]+)", "(?:Greenplum Database|Cloudberry Database|Apache Cloudberry) ([0-9.]+)",
)

// modern says whether the engine is newer than Greenplum 6. Until it is known
// the topology says what is looked for.
func (e *Engine) modern() bool {
	if e.top.Engine.Kind != cluster.Greenplum {
		return true
	}
	major := e.lay.Version
	if major == "" {
		major = e.top.Engine.Version
	}
	return major != "" && major != cluster.GreenplumMajor
}

// dialect is a script, statement or option in the engine's words.
func (e *Engine) dialect(text string) string {
	if e.modern() {
		return modernWords.Replace(text)
	}
	return text
}
