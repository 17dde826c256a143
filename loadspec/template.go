package loadspec

import (
	"strconv"
	"strings"
)

// Template writes a commented control file that loads url into table.
func Template(table, url string) string {
	key, rows := "URL", FormatCSV
	if !strings.Contains(url, "://") {
		key = "FILE"
	}
	name := strings.TrimSuffix(strings.TrimSuffix(url, ".gz"), ".zst")
	if strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".tsv") {
		rows = FormatText
	}
	return strings.NewReplacer(
		"@TABLE@", strconv.Quote(table), "@KEY@", key, "@URL@", strconv.Quote(url), "@FORMAT@", rows,
	).Replace(template)
}

const template = `---
# A load control file: cw load check FILE, then cw load run FILE.
# Keys are gpload's, in any case; cw explain loadspec tells all of them.
VERSION: 1.0.0.1
# Where to load into; what is missing comes from PGHOST, PGPORT, PGUSER,
# PGDATABASE. The password comes from ~/.pgpass or PGPASSFILE.
# HOST: cdw
# PORT: 5432
# USER: gpadmin
# DATABASE: warehouse
GPLOAD:
  INPUT:
    - SOURCE:
        @KEY@: [ @URL@ ]                  # s3://bucket/prefix/*.csv.gz, file:///data/*.csv; several may stand here
        # ENDPOINT: https://s3.example.com   # an S3-compatible store; REGION, PATH_STYLE, PROFILE, ANONYMOUS
    - FORMAT: @FORMAT@                       # text or csv
    # - COMPRESSION: auto                    # auto, none, gzip, zstd
    # - HEADER: true                         # drop the first row of every object
    # - DELIMITER: ','                       # QUOTE, ESCAPE, NULL_AS, NEWLINE, ENCODING
    # - COLUMNS:                             # columns of the file, in order, when they are not the table's
    #     - id: int
    #     - name: text
  OUTPUT:
    - TABLE: @TABLE@
    - MODE: insert
    # - MAPPING: {id: id, name: upper(name)} # target column: source column or SQL expression
  # PRELOAD: [ {TRUNCATE: true} ]            # empty the table first
  # SQL: [ {BEFORE: "…"}, {AFTER: "analyze …"} ]
  # SPEED: {LIMIT: 200MB/s}                  # bytes read from the source per second; cw load limit JOB changes it
  # PARALLEL: {WORKERS: 4}                   # database sessions that copy at the same time
`
