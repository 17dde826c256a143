package loadspec

import "cw/schema"

// Values of enumerated keys.
const (
	FormatText      = "text"
	FormatCSV       = "csv"
	CompressionAuto = "auto"
	NewlineLF       = "LF"
	NewlineCR       = "CR"
	NewlineCRLF     = "CRLF"
	ModeInsert      = "insert"
	ModeUpdate      = "update"
	ModeMerge       = "merge"
)

// TargetSchema as ExternalSchema means the schema of the target table.
const TargetSchema = "%"

// Limits of the file's numbers, in bytes.
const (
	DefaultSplit  = 8 << 20
	MinSplit      = 64 << 10
	MaxSplit      = 256 << 20
	DefaultMaxRow = 256 << 20
	MaxWorkers    = 256
)

// Spec is a load control file that has been read and found valid.
type Spec struct {
	File     string // as given by the caller; "" for a stored spec
	Conn     Conn
	Sources  []Source
	Format   Format
	Convert  *Convert // nil: objects are rows as Format says
	Columns  []Column // of the file, in order; empty: the target's
	Output   Output
	Truncate bool
	Create   bool // the target table when it does not exist
	Before   string
	After    string
	Speed
	Notify   []Notify
	Workers  int   // 0: decided by the runner
	Split    int64 // bytes of rows in one split
	MaxRow   int64 // bytes
	Warnings schema.Problems

	// What only Greenplum, Cloudberry and their forks make use of.

	ErrorLimit      int      // rejected rows tolerated, on Greenplum per segment; 0 none
	ErrorPercent    float64  // the same as a share of the rows; 0 ErrorLimit counts
	LogErrors       bool     // keep the rejected rows; ERROR_TABLE implies it
	ExternalSchema  string   // of external and reusable staging tables; "" search path, TargetSchema the target's
	Reuse           bool     // keep external and staging tables for the next load; ERROR_TABLE implies it
	Staging         string   // name of the reusable external table; "" cw's choice
	FastMatch       bool     // reuse without comparing columns
	Transform       string   // name of an input transformation
	TransformConfig string   // file that defines it
	Commit          int64    // bytes loaded by one statement; 0 all
	Hosts           []string // load machines; none: this one

	file file // as decoded: for what is parsed but not run everywhere
	at   func(path string) schema.Problem
}

// Conn says which database; empty fields are left to libpq's rules
// (environment, ~/.pgpass).
type Conn struct {
	Host, Database, User, Password string
	Port                           int
}

// Source is one SOURCE block.
type Source struct {
	Locations []string // s3:// and file:// URLs and plain paths, with wildcards; http(s):// URLs; Stdin
	Endpoint  string
	Region    string
	Profile   string
	PathStyle bool
	Anonymous bool
	Manifest  string // URL of a list of objects

	// More about S3-compatible stores and, as far as it means something there,
	// web servers.

	CAFile          string // PEM of the authorities that are trusted instead of the machine's
	ServerName      string // that the certificate is for; "" the endpoint's
	RoleARN         string // role to take
	ExternalID      string // that the role asks for
	CustomerKeyFile string // key of SSE-C: 32 bytes, or their base64
	RequesterPays   bool
	Encryption      string // of what is written: "", EncryptionS3 or EncryptionKMS
	KMSKey          string

	// Of the server that segments read from.

	LocalHostnames   []string // names or addresses that segments use; none: this host's name
	FQDN             bool     // that name in full
	Port             int      // 0: one of PortRange
	PortRange        [2]int   // first and last; zeros: gpload's 8000 to 9000
	SSL              bool     // gpfdists
	CertificatesPath string   // folder with server.crt, server.key, root.crt
}

// Format is how the rows are written.
type Format struct {
	Kind         string // FormatText or FormatCSV among others
	Compression  string
	Delimiter    byte
	Quote        byte // csv
	Escape       byte // backslash in text
	EscapeOff    bool // text: no character escapes
	Null         string
	NullSet      bool
	Newline      string // "" when the first row decides
	Header       bool
	Encoding     string // "" for the database's
	ForceNotNull []string
	ForceAll     bool // FORCE_NOT_NULL: true
	FillMissing  bool // fields missing at a row's end are NULL
}

// Column is a column of the file. An empty type is the target's.
type Column struct{ Name, Type string }

// Mapping fills one target column.
type Mapping struct{ Target, Expr string }

// Output is the target.
type Output struct {
	Schema  string // "" for the search path
	Table   string
	Mode    string
	Mapping []Mapping

	Match     []string // columns that identify a row (update, merge)
	Update    []string // columns that are overwritten (update, merge)
	Condition string   // SQL on the target's columns: which rows may be updated; "" all
}

// file mirrors the keys of Root.
type file struct {
	Database string `yaml:"DATABASE"`
	User     string `yaml:"USER"`
	Host     string `yaml:"HOST"`
	Port     int    `yaml:"PORT"`
	Password string `yaml:"PASSWORD"`
	Load     struct {
		Input    input `yaml:"INPUT"`
		External struct {
			Schema string `yaml:"SCHEMA"`
		} `yaml:"EXTERNAL"`
		Output struct {
			Table     string         `yaml:"TABLE"`
			Mode      string         `yaml:"MODE"`
			Match     []string       `yaml:"MATCH_COLUMNS"`
			Update    []string       `yaml:"UPDATE_COLUMNS"`
			Condition string         `yaml:"UPDATE_CONDITION"`
			Mapping   orderedMapping `yaml:"MAPPING"`
		} `yaml:"OUTPUT"`
		Preload struct {
			Truncate  bool   `yaml:"TRUNCATE"`
			Create    bool   `yaml:"CREATE_TABLE"`
			Reuse     bool   `yaml:"REUSE_TABLES"`
			Staging   string `yaml:"STAGING_TABLE"`
			FastMatch bool   `yaml:"FAST_MATCH"`
		} `yaml:"PRELOAD"`
		SQL struct {
			Before string `yaml:"BEFORE"`
			After  string `yaml:"AFTER"`
		} `yaml:"SQL"`
		Speed    speedFile `yaml:"SPEED"`
		Parallel struct {
			Workers *int     `yaml:"WORKERS"`
			Hosts   []string `yaml:"HOSTS"`
			Split   string   `yaml:"SPLIT"`
			Commit  string   `yaml:"COMMIT"`
		} `yaml:"PARALLEL"`
		Notify []notifyFile `yaml:"NOTIFY"`
	} `yaml:"GPLOAD"`
}

type input struct {
	Sources       sourceList       `yaml:"SOURCE"`
	FQDN          bool             `yaml:"FULLY_QUALIFIED_DOMAIN_NAME"`
	Columns       []orderedMapping `yaml:"COLUMNS"`
	Transform     string           `yaml:"TRANSFORM"`
	TransformConf string           `yaml:"TRANSFORM_CONFIG"`
	MaxLine       int64            `yaml:"MAX_LINE_LENGTH"`
	Format        string           `yaml:"FORMAT"`
	Compression   string           `yaml:"COMPRESSION"`
	Delimiter     *string          `yaml:"DELIMITER"`
	Escape        *string          `yaml:"ESCAPE"`
	Quote         *string          `yaml:"QUOTE"`
	NullAs        *string          `yaml:"NULL_AS"`
	Newline       string           `yaml:"NEWLINE"`
	Header        bool             `yaml:"HEADER"`
	Fill          bool             `yaml:"FILL_MISSING_FIELDS"`
	ForceNotNull  []string         `yaml:"FORCE_NOT_NULL"`
	Encoding      string           `yaml:"ENCODING"`
	JSON          orderedMapping   `yaml:"JSON"`
	Fixed         orderedMapping   `yaml:"FIXED"`
	Dump          struct {
		Table     string `yaml:"TABLE"`
		ZeroDates string `yaml:"ZERO_DATES"`
	} `yaml:"MYSQLDUMP"`
	ErrorLimit   string `yaml:"ERROR_LIMIT"`
	ErrorPercent int    `yaml:"ERROR_PERCENT"`
	LogErrors    bool   `yaml:"LOG_ERRORS"`
	ErrorTable   string `yaml:"ERROR_TABLE"`
}

type sourceFile struct {
	URL       []string `yaml:"URL"`
	File      []string `yaml:"FILE"`
	Manifest  string   `yaml:"MANIFEST"`
	Endpoint  string   `yaml:"ENDPOINT"`
	PathStyle *bool    `yaml:"PATH_STYLE"`
	Region    string   `yaml:"REGION"`
	Profile   string   `yaml:"PROFILE"`
	Anonymous bool     `yaml:"ANONYMOUS"`
	CAFile    string   `yaml:"CA_FILE"`
	ServerTLS string   `yaml:"TLS_SERVER_NAME"`
	RoleARN   string   `yaml:"ROLE_ARN"`
	External  string   `yaml:"EXTERNAL_ID"`
	SSECKey   string   `yaml:"SSE_C_KEY_FILE"`
	Requester bool     `yaml:"REQUESTER_PAYS"`
	SSE       string   `yaml:"SSE"`
	KMSKey    string   `yaml:"KMS_KEY"`
	LocalHost []string `yaml:"LOCAL_HOSTNAME"`
	Port      int      `yaml:"PORT"`
	PortRange []int    `yaml:"PORT_RANGE"`
	FQDN      bool     `yaml:"FULLY_QUALIFIED_DOMAIN_NAME"`
	SSL       bool     `yaml:"SSL"`
	CertPath  string   `yaml:"CERTIFICATES_PATH"`
}
