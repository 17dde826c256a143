package loadspec

import (
	"strconv"
	"strings"
)

// TemplateOptions are what is known of a load before its control file is
// written.
type TemplateOptions struct {
	Table, URL string
	Endpoint   string
	Format     string // "" by the URL's name
	Delimiter  byte   // 0 the format's
	Header     bool
	Names      []string // of the header, in the file's order
	Columns    []Column // of the table; nil not known
	Database   Conn     // what the table was looked up in
}

// Template writes a commented control file that loads url into table.
func Template(table, url string) string {
	return TemplateFor(TemplateOptions{Table: table, URL: url})
}

// TemplateFor writes a commented control file of what is known.
func TemplateFor(o TemplateOptions) string {
	key := "URL"
	if !strings.Contains(o.URL, "://") {
		key = "FILE"
	}
	if o.Format == "" {
		o.Format = FormatCSV
		name := strings.TrimSuffix(strings.TrimSuffix(o.URL, ".gz"), ".zst")
		if strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".tsv") {
			o.Format = FormatText
		}
	}
	option := func(set bool, text string) string {
		if set {
			return "    - " + text
		}
		return "    # - " + text
	}
	delimiter := "','"
	if o.Delimiter == '\t' {
		delimiter = `'\t'`
	} else if o.Delimiter != 0 {
		delimiter = "'" + string(o.Delimiter) + "'"
	}
	standard := map[string]byte{FormatCSV: ',', FormatText: '\t'}[o.Format]
	endpoint := "# ENDPOINT: https://s3.example.com"
	if o.Endpoint != "" {
		endpoint = "ENDPOINT: " + strconv.Quote(o.Endpoint)
	}
	conn := func(k, v string) string {
		if v == "" {
			return "# " + k + ": " + map[string]string{"HOST": "cdw", "PORT": "5432", "USER": "gpadmin", "DATABASE": "warehouse"}[k]
		}
		return k + ": " + v
	}
	port := ""
	if o.Database.Port != 0 {
		port = strconv.Itoa(o.Database.Port)
	}
	return strings.NewReplacer(
		"@TABLE@", strconv.Quote(o.Table), "@KEY@", key, "@URL@", strconv.Quote(o.URL), "@FORMAT@", o.Format, "@ENDPOINT@", endpoint,
		"@HEADER@", option(o.Header, "HEADER: true                         # the first row of every object is dropped"),
		"@DELIMITER@", option(o.Delimiter != 0 && o.Delimiter != standard, "DELIMITER: "+delimiter+"                       # QUOTE, ESCAPE, NULL_AS, NEWLINE, ENCODING"),
		"@COLUMNS@", templateColumns(o),
		"@HOST@", conn("HOST", o.Database.Host), "@PORT@", conn("PORT", port), "@USER@", conn("USER", o.Database.User), "@DATABASE@", conn("DATABASE", o.Database.Database),
	).Replace(template)
}

// plainName tells whether a name can stand in a control file without quotes.
func plainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' }) && (s[0] < '0' || s[0] > '9')
}

// columnOf finds the column that a header's name means.
func columnOf(name string, columns []Column) string {
	name = strings.TrimSpace(name)
	for _, c := range columns {
		if c.Name == name {
			return name
		}
	}
	for _, c := range columns {
		if strings.EqualFold(c.Name, name) {
			return c.Name
		}
	}
	return name
}

// templateColumns lists the table's columns as a comment; it is the list to
// load by where a header names them in another order, or not all of them.
func templateColumns(o TemplateOptions) string {
	if o.Columns == nil {
		return "    # - COLUMNS:                             # columns of the file, in order, when they are not the table's\n    #     - id: int\n    #     - name: text"
	}
	types := map[string]string{}
	for _, c := range o.Columns {
		types[c.Name] = c.Type
	}
	list, mark, why := o.Columns, "# ", "the table's columns; list the file's here when they are others, or in another order"
	if o.Header {
		var named []Column
		same := len(o.Names) == len(o.Columns)
		for i, n := range o.Names {
			name := columnOf(n, o.Columns)
			if types[name] == "" {
				types[name] = "text"
			}
			named = append(named, Column{Name: name, Type: types[name]})
			same = same && o.Columns[i].Name == name
		}
		if !same {
			list, mark, why = named, "", "as the header names them; columns that are not the table's are read and not loaded"
		}
	}
	var b strings.Builder
	b.WriteString("    " + mark + "- COLUMNS:                             # " + why)
	for _, c := range list {
		name := c.Name
		if FoldName(name) != name || !plainName(name) {
			name = "'" + strings.ReplaceAll(QuoteIdent(name), "'", "''") + "'"
		}
		b.WriteString("\n    " + mark + "    - " + name + ": " + c.Type)
	}
	return b.String()
}

const template = `---
# A load control file: cw load check FILE, then cw load run FILE.
# Keys are gpload's, in any case; cw explain loadspec tells all of them.
VERSION: 1.0.0.1
# Where to load into; what is missing comes from PGHOST, PGPORT, PGUSER,
# PGDATABASE. The password comes from ~/.pgpass or PGPASSFILE.
@HOST@
@PORT@
@USER@
@DATABASE@
GPLOAD:
  INPUT:
    - SOURCE:
        @KEY@: [ @URL@ ]                  # s3://bucket/prefix/*.csv.gz, file:///data/*.csv; several may stand here
        @ENDPOINT@   # an S3-compatible store; REGION, PATH_STYLE, PROFILE, ANONYMOUS
    - FORMAT: @FORMAT@                       # text, csv, json, parquet, avro, mysqldump
    # - COMPRESSION: auto                    # auto, none, gzip, zstd, bzip2, lz4, snappy, xz
@HEADER@
@DELIMITER@
@COLUMNS@
  OUTPUT:
    - TABLE: @TABLE@
    - MODE: insert
    # - MAPPING: {id: id, name: upper(name)} # target column: source column or SQL expression
  # PRELOAD: [ {TRUNCATE: true} ]            # empty the table first
  # SQL: [ {BEFORE: "…"}, {AFTER: "analyze …"} ]
  # SPEED: {LIMIT: 200MB/s}                  # bytes read from the source per second; cw load limit JOB changes it
  #                                          # SCHEDULE: by time of day; ADAPTIVE: as the database's latency allows
  # PARALLEL: {WORKERS: 4}                   # database sessions that copy at the same time
`
