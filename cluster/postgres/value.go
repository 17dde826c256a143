package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// gucQuery returns rows of pg_settings as JSON; the place holder is a
// condition on s, its row, and f, which is not null when a file sets it.
const gucQuery = `with line as (select lower(name) as name, setting, sourcefile, seqno from pg_file_settings),
last as (select distinct on (name) name, setting from line order by name, seqno desc),
auto as (select distinct on (name) name, setting from line where sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' order by name, seqno desc)
select coalesce(json_agg(json_build_object('name', s.name, 'show', current_setting(s.name), 'setting', coalesce(s.setting, ''), 'unit', coalesce(s.unit, ''), 'type', s.vartype,
  'context', s.context, 'min', coalesce(s.min_val, ''), 'max', coalesce(s.max_val, ''), 'enum', coalesce(s.enumvals, '{}'), 'pending', s.pending_restart,
  'source', s.source, 'file', f.setting, 'auto', a.setting) order by s.name), '[]'::json)
from pg_settings s left join last f on f.name = lower(s.name) left join auto a on a.name = lower(s.name) where %s;`

// quotedLists are the settings whose elements ALTER SYSTEM wants quoted one by
// one (GUC_LIST_QUOTE in guc_tables.c): as one constant, 'a,b' would be a
// single library of that name.
var quotedLists = []string{ //nolint:gochecknoglobals // constant table
	"local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries", "temp_tablespaces", "unix_socket_directories",
}

// setStatement is the ALTER SYSTEM that gives a setting a value.
func setStatement(name, value string) string {
	constant := literal(value)
	if slices.Contains(quotedLists, name) {
		var words []string
		for _, w := range strings.Split(value, ",") {
			words = append(words, literal(strings.Trim(strings.TrimSpace(w), `"`)))
		}
		constant = strings.Join(words, ", ")
	}
	return fmt.Sprintf("alter system set %s to %s;\n", settingIdent(name), constant)
}

func resetStatement(name string) string {
	return fmt.Sprintf("alter system reset %s;\n", settingIdent(name))
}

// settingIdent quotes the name of a setting, whose parts are identifiers.
func settingIdent(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = ident(p)
	}
	return strings.Join(parts, ".")
}
