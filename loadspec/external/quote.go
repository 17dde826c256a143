package external

import (
	"strings"

	"cw/loadspec"
)

// reserved are the words that cannot stand for a name unquoted, of PostgreSQL
// 9.4 to 14 and Greenplum together.
var reserved = func(words string) map[string]bool { //nolint:gochecknoglobals // constant table
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}(`all analyse analyze and any array as asc asymmetric authorization between binary both case cast check collate collation column concurrently
	constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp current_user decode default
	deferrable desc distinct distributed do else end except exclude false fetch filter following for foreign freeze from full grant group having
	ilike in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp log natural not notnull null
	offset on only or order outer over overlaps partition placing preceding primary references returning right scatter select session_user
	similar some symmetric table tablesample then to trailing true unbounded union unique user using variadic verbose when where window with
	between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping group_id inout int integer interval
	least median national nchar none nullif numeric out overlay position precision real row setof smallint substring time timestamp treat trim
	values varchar`)

// plain tells whether a name may stand in SQL as it is.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != "" && !reserved[name]
}

// Ident makes an SQL identifier of a name, with quotes only where they are
// needed, as the database's quote_ident does.
func Ident(name string) string {
	if plain(name) {
		return name
	}
	return loadspec.QuoteIdent(name)
}

// Qualified is schema.name in SQL; an empty schema is left to the search path.
func Qualified(schemaName, name string) string {
	if schemaName == "" {
		return Ident(name)
	}
	return Ident(schemaName) + "." + Ident(name)
}

// idents is a list of column names in SQL, quoted all.
func idents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = loadspec.QuoteIdent(n)
	}
	return strings.Join(quoted, ",")
}

// literal quotes a text for a session in which standard_conforming_strings is
// on, without PostgreSQL's E” form when plainText asks for that.
func literal(text string, plainText bool) string {
	if plainText {
		return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''") + "'"
	}
	return strings.TrimPrefix(loadspec.QuoteLiteral(text), " ")
}
