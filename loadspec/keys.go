package loadspec

import "cw/schema"

// Key spellings that code refers to more than once.
const (
	keyInput  = "INPUT"
	keySource = "SOURCE"

	keyExec        = "EXEC"
	keyWebhookFile = "WEBHOOK_FILE"
)

// Root is the table of the load control file's keys, the one source of its
// parser, its help and its JSON Schema.
func Root() schema.Key {
	return schema.Key{Type: schema.Map, Doc: "A load control file.", Keys: []schema.Key{
		{Name: "VERSION", Type: schema.Enum, Enum: []string{"1.0.0.1"}, Required: true, Example: "1.0.0.1", Doc: "Version of the file format; gpload's."},
		{Name: "DATABASE", Doc: "Database to load into; else PGDATABASE, else the user's name.", Example: "warehouse"},
		{Name: "USER", Doc: "Database role; else PGUSER, else the operating system's user.", Example: "gpadmin"},
		{Name: "HOST", Doc: "Host of the database; else PGHOST, else localhost.", Example: "cdw"},
		{Name: "PORT", Type: schema.Int, Doc: "Port of the database; else PGPORT, else 5432.", Example: "5432"},
		{Name: "PASSWORD", Doc: "Password of the role. Better kept in ~/.pgpass or PGPASSFILE: a control file is copied around.", Example: "secret"},
		{Name: "GPLOAD", Type: schema.Map, Required: true, Doc: "The load.", Keys: []schema.Key{
			{Name: keyInput, Type: schema.Sections, Required: true, Doc: "What is read and how it is written.", Keys: inputKeys()},
			{Name: "EXTERNAL", Type: schema.Sections, Doc: "Where the external table is created (Greenplum).", Keys: []schema.Key{
				{Name: "SCHEMA", Doc: "Schema of the external table; % is the target's.", Example: "etl"},
			}},
			{Name: "OUTPUT", Type: schema.Sections, Required: true, Doc: "What is written.", Keys: outputKeys()},
			{Name: "PRELOAD", Type: schema.Sections, Doc: "What happens before the first row.", Keys: []schema.Key{
				{Name: "TRUNCATE", Type: schema.Bool, Default: "false", Doc: "Empty the target table first; mode insert only.", Example: "true"},
				{Name: "CREATE_TABLE", Type: schema.Bool, Default: "false", Doc: "Create the target table when it does not exist, with the types that the objects' schema or a sample of their rows has.", Example: "true"},
				{Name: "REUSE_TABLES", Type: schema.Bool, Default: "false", Doc: "Keep external and staging tables for the next load (Greenplum).", Example: "true"},
				{Name: "STAGING_TABLE", Doc: "Name of the reusable external table (Greenplum).", Example: "ext_orders"},
				{Name: "FAST_MATCH", Type: schema.Bool, Default: "false", Doc: "Reuse the external table without comparing columns (Greenplum).", Example: "true"},
			}},
			{Name: "SQL", Type: schema.Sections, Doc: "SQL run once before and once after the rows.", Keys: []schema.Key{
				{Name: "BEFORE", Doc: "SQL run after TRUNCATE and before the first row.", Example: "drop index if exists i"},
				{Name: "AFTER", Doc: "SQL run after the last row.", Example: "select refresh_totals()"},
			}},
			{Name: "SPEED", Type: schema.Map, Doc: "How fast the source may be read.", Keys: speedKeys()},
			{Name: "PARALLEL", Type: schema.Map, Doc: "How the work is divided.", Keys: []schema.Key{
				{Name: "WORKERS", Type: schema.Int, Doc: "Database sessions that copy at the same time; default the machine's cores, at least 2 and at most 4.", Example: "4"},
				{Name: "HOSTS", Type: schema.List, Elem: &schema.Key{}, Doc: "Load machines that serve the objects instead of this one, as [user@]host[:port] or names of ~/.ssh/config; S3 objects only (Greenplum).", Example: "[etl1, etl2]"},
				{Name: "SPLIT", Type: schema.Size, Default: "8MiB", Doc: "Bytes of rows, uncompressed, that are committed as one split; 64kB to 256MB.", Example: "64MB"},
				{Name: "COMMIT", Type: schema.Size, Doc: "Bytes of rows loaded by one statement (Greenplum); default 10GiB.", Example: "10GB"},
			}},
			notifyKey(),
		}},
	}}
}

func inputKeys() []schema.Key {
	str := &schema.Key{}
	return []schema.Key{
		{Name: keySource, Type: schema.Map, Required: true, Repeat: true, Doc: "Where rows come from; may stand more than once.", Keys: append([]schema.Key{
			{Name: "URL", Type: schema.List, Elem: str, Doc: "Objects: s3://bucket/key or file:///path, both with wildcards; https://host/path.", Example: `["s3://bucket/prefix/*.csv.zst"]`},
			{Name: "FILE", Type: schema.List, Elem: str, Doc: "Local files, with wildcards; - is standard input, which cannot be resumed.", Example: "[/data/orders*.csv]"},
			{Name: "MANIFEST", Doc: "URL or file of a manifest that lists objects, beside URL and FILE: Redshift's, or that of cw unload. Its sizes and ETags are compared with the objects'.", Example: "s3://bucket/manifest.json"},
			{Name: "ENDPOINT", Doc: "URL of an S3-compatible store; default Amazon's.", Example: "https://s3.example.com"},
			{Name: "PATH_STYLE", Type: schema.Bool, Doc: "Bucket in the path, not in the host name; default true with ENDPOINT, else false.", Example: "true"},
			{Name: "REGION", Doc: "Region of the bucket; else that of the environment or profile, with ENDPOINT us-east-1.", Example: "eu-central-1"},
			{Name: "PROFILE", Doc: "Profile of ~/.aws to take credentials from; default the AWS credential chain.", Example: "etl"},
			{Name: "ANONYMOUS", Type: schema.Bool, Default: "false", Doc: "Send no credentials (public buckets).", Example: "true"},
			{Name: "LOCAL_HOSTNAME", Type: schema.List, Elem: str, Doc: "Names or addresses the segments reach this machine by (Greenplum).", Example: "[etl1]"},
			{Name: "PORT", Type: schema.Int, Doc: "Port of the gpfdist server (Greenplum).", Example: "8081"},
			{Name: "PORT_RANGE", Type: schema.List, Elem: &schema.Key{Type: schema.Int}, Doc: "First and last port of the gpfdist server (Greenplum).", Example: "[8000, 9000]"},
			{Name: "FULLY_QUALIFIED_DOMAIN_NAME", Type: schema.Bool, Default: "false", Doc: "Give segments the full host name (Greenplum).", Example: "true"},
			{Name: "SSL", Type: schema.Bool, Default: "false", Doc: "gpfdists instead of gpfdist (Greenplum); needs CERTIFICATES_PATH.", Example: "true"},
			{Name: "CERTIFICATES_PATH", Doc: "Folder with server.crt, server.key, root.crt (Greenplum).", Example: "/etc/gpfdist"},
		}, storeKeys()...)},
		{Name: "FULLY_QUALIFIED_DOMAIN_NAME", Type: schema.Bool, Default: "false", Doc: "Give segments the full host name (Greenplum).", Example: "true"},
		{
			Name: "COLUMNS", Type: schema.List, Doc: "Columns of the file in order, name: type; default the target's columns without its sequences.", Example: "[{id: int}, {name: text}]",
			Elem: &schema.Key{Type: schema.Map, Elem: str},
		},
		{Name: "TRANSFORM", Doc: "Name of an input transformation.", Example: "xml"},
		{Name: "TRANSFORM_CONFIG", Doc: "File that defines the transformations.", Example: "transform.yaml"},
		{Name: "MAX_LINE_LENGTH", Type: schema.Int, Doc: "Longest row in bytes; a longer one is an error. Default 256 MiB.", Example: "1048576"},
		{Name: "FORMAT", Type: schema.Enum, Enum: []string{FormatText, FormatCSV, FormatJSON, FormatParquet, FormatAvro, FormatMySQLDump, FormatFixed}, Default: FormatText, Doc: "How rows are written. json: one object after the other, or arrays of them; columns are its keys, a missing one is NULL. parquet, avro (object container files): columns by name, lists, maps and structs as JSON. mysqldump: the INSERT statements of one table, columns by name. fixed: fields of fixed width (FIXED).", Example: "csv"},
		{Name: "JSON", Type: schema.Map, Elem: str, Doc: "column: path of its value (json), where it is not the key of the column's name: $.order.id, $.items[0].sku, $['a.b'], $ for all.", Example: "{id: $.order.id, first: '$.items[0].sku'}"},
		{Name: "FIXED", Type: schema.Map, Elem: str, Doc: "column: width in characters, all fields of a row in order (fixed); names that begin with _ are not loaded. Blanks that pad a value are cut off, in texts those behind it alone; what is blank then is NULL, or what NULL_AS says.", Example: "{id: 8, _gap: 1, name: 20}"},
		{Name: "MYSQLDUMP", Type: schema.Map, Doc: "What is taken of a dump of mysqldump or mariadb-dump.", Keys: []schema.Key{
			{Name: "TABLE", Doc: "Table of the dump whose rows are loaded; default the target's name.", Example: "orders"},
			{Name: "ZERO_DATES", Type: schema.Enum, Enum: []string{ZeroDatesNull, ZeroDatesError}, Default: ZeroDatesNull, Doc: "What 0000-00-00 becomes in columns of dates and timestamps.", Example: "error"},
		}},
		{Name: "COMPRESSION", Type: schema.Enum, Enum: []string{CompressionAuto, "none", "gzip", "zstd", "bzip2", "lz4", "snappy", "xz"}, Default: CompressionAuto, Doc: "How objects are compressed; auto looks at the content.", Example: "zstd"},
		{Name: "DELIMITER", Doc: "Character between fields; default tab for text, comma for csv. \\x1c, \\u001c and E'\\t' forms are understood.", Example: "'|'"},
		{Name: "ESCAPE", Doc: "Escape character, or OFF (text); default backslash for text, QUOTE for csv.", Example: `'\'`},
		{Name: "QUOTE", Doc: "Quote character of csv.", Default: `"`, Example: `'"'`},
		{Name: "NULL_AS", Doc: `What stands for NULL; default \N for text, empty and unquoted for csv.`, Example: `'\N'`},
		{Name: "NEWLINE", Type: schema.Enum, Enum: []string{NewlineLF, NewlineCR, NewlineCRLF, NewlineNone}, Doc: "How rows end; default as the first row ends. NONE: not at all (fixed).", Example: "CRLF"},
		{Name: "HEADER", Type: schema.Bool, Default: "false", Doc: "The first row of every object is a heading and dropped.", Example: "true"},
		{Name: "FILL_MISSING_FIELDS", Type: schema.Bool, Default: "false", Doc: "Fields missing at a row's end are NULL.", Example: "true"},
		{Name: "FORCE_NOT_NULL", Type: schema.List, Elem: str, Doc: "Columns in which NULL_AS is text, not NULL (csv); true means all.", Example: "[name]"},
		{Name: "ENCODING", Doc: "Encoding of the objects; default the database's.", Example: "UTF8"},
		{Name: "ERROR_LIMIT", Type: schema.Count, Doc: "Rejected rows that are tolerated, as a number or as a percentage of the rows (looked at from 1000 rows on, and at the end); unset or 0: the first one stops the load.", Example: "100"},
		{Name: "ERROR_PERCENT", Type: schema.Int, Doc: "Accepted and unused, as in gpload.", Example: "5"},
		{Name: "LOG_ERRORS", Type: schema.Bool, Default: "false", Doc: "Keep the rejected rows; needs ERROR_LIMIT.", Example: "true"},
		{Name: "ERROR_TABLE", Doc: "Old way to say LOG_ERRORS.", Example: "err_orders"},
	}
}

func outputKeys() []schema.Key {
	str := &schema.Key{}
	return []schema.Key{
		{Name: "TABLE", Required: true, Doc: "Target table, schema.table; parts may be quoted.", Example: "public.orders"},
		{Name: "MODE", Type: schema.Enum, Enum: []string{ModeInsert, "update", "merge"}, Default: ModeInsert, Doc: "What happens to rows that exist already.", Example: "insert"},
		{Name: "MATCH_COLUMNS", Type: schema.List, Elem: str, Doc: "Columns that identify a row (update, merge).", Example: "[id]"},
		{Name: "UPDATE_COLUMNS", Type: schema.List, Elem: str, Doc: "Columns that are overwritten (update, merge).", Example: "[price]"},
		{Name: "UPDATE_CONDITION", Doc: "SQL condition a row must meet to be overwritten.", Example: "price > 0"},
		{Name: "MAPPING", Type: schema.Map, Elem: str, Doc: "target: source column or SQL expression; only mapped columns are loaded. cw_object is the URL of the row's object and cw_line the line at which the row begins in it.", Example: "{id: id, total: price * quantity, origin: cw_object}"},
	}
}
