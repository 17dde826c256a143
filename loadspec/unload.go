package loadspec

import (
	"fmt"
	"path"
	"strings"

	"cw/fault"
	"cw/schema"
)

// Unload is a control file of an unload: the load control file with INPUT and
// OUTPUT reversed.
type Unload struct {
	File   string
	Conn   Conn
	Table  Output // schema and name; empty with Query
	Query  string
	Sink   Source // one location
	Format Format
	Merge  bool // one object for all segments instead of one each
	Speed
	Notify []Notify
	// Workers are the sessions that read at the same time (PostgreSQL); 0 is
	// decided by the runner.
	Workers int
	// By is an integer column by whose values the work is divided; "" none.
	By string
	// MaxSize is how many bytes of rows an object may have, before
	// compression; 0 any.
	MaxSize int64
	// PartitionBy are columns whose values are folders of the objects.
	PartitionBy []string
	// RowGroup is how many bytes of rows are a row group of a Parquet file.
	RowGroup int64
	// ForceQuote are csv columns that are quoted whatever they hold.
	ForceQuote []string
	Warnings   schema.Problems

	file unloadFile // as decoded: for what is not done everywhere
	at   func(path string) schema.Problem
}

// DefaultRowGroup is the size of a Parquet file's row groups, in bytes of rows
// as the database sends them.
const DefaultRowGroup = 64 << 20

type unloadFile struct {
	Database string `yaml:"DATABASE"`
	User     string `yaml:"USER"`
	Host     string `yaml:"HOST"`
	Port     int    `yaml:"PORT"`
	Password string `yaml:"PASSWORD"`
	Load     struct {
		Input struct {
			Table string `yaml:"TABLE"`
			Query string `yaml:"QUERY"`
		} `yaml:"INPUT"`
		Output struct {
			Sink       sourceFile `yaml:"SINK"`
			Merge      bool       `yaml:"MERGE"`
			ForceQuote []string   `yaml:"FORCE_QUOTE"`
			MaxSize    string     `yaml:"MAX_SIZE"`
			Partition  []string   `yaml:"PARTITION_BY"`
			RowGroup   string     `yaml:"MAX_ROW_GROUP"`
			input      `yaml:",inline"`
		} `yaml:"OUTPUT"`
		Speed    speedFile `yaml:"SPEED"`
		Parallel struct {
			Workers *int   `yaml:"WORKERS"`
			By      string `yaml:"BY"`
		} `yaml:"PARALLEL"`
		Notify []notifyFile `yaml:"NOTIFY"`
	} `yaml:"GPLOAD"`
}

// UnloadRoot is the table of the unload control file's keys.
func UnloadRoot() schema.Key {
	root := Root()
	keep := func(keys []schema.Key, names ...string) (out []schema.Key) {
		for _, name := range names {
			for _, k := range keys {
				if k.Name == name {
					k.Repeat = false
					out = append(out, k)
				}
			}
		}
		return out
	}
	source := keep(inputKeys(), keySource)[0]
	sink := schema.Key{
		Name: "SINK", Type: schema.Map, Required: true, Doc: "Where rows go.",
		Keys: append([]schema.Key{
			{Name: "URL", Type: schema.List, Elem: &schema.Key{}, Doc: "Object: s3://bucket/key or file:///path; segment or part, and job, are put before its extension. One that ends in / is a folder.", Example: "s3://bucket/out/orders.csv.gz"},
			{Name: "FILE", Type: schema.List, Elem: &schema.Key{}, Doc: "Local file, the same way.", Example: "/data/orders.csv"},
		}, keep(source.Keys, "ENDPOINT", "PATH_STYLE", "REGION", "PROFILE", "LOCAL_HOSTNAME", "PORT", "PORT_RANGE", "FULLY_QUALIFIED_DOMAIN_NAME", "SSL", "CERTIFICATES_PATH",
			"ROLE_ARN", "EXTERNAL_ID", "CA_FILE", "TLS_SERVER_NAME", "SSE_C_KEY_FILE")...),
	}
	sink.Keys = append(sink.Keys, sinkKeys()...)
	output := append([]schema.Key{sink}, keep(inputKeys(), "FORMAT", "COMPRESSION", "DELIMITER", "ESCAPE", "QUOTE", "NULL_AS", "NEWLINE", "HEADER", "ENCODING")...)
	for i := range output {
		switch output[i].Name {
		case "FORMAT":
			output[i].Enum = []string{FormatText, FormatCSV, FormatJSON, FormatParquet}
			output[i].Doc = "How rows are written. json: one object a line. parquet: columns with their types; what has no like there is text (PostgreSQL)."
		case "COMPRESSION":
			output[i].Enum, output[i].Doc = []string{CompressionAuto, "none", "gzip", "zstd", "lz4", "snappy"}, "How objects are compressed; auto looks at the name. Of parquet: its pages, auto is zstd."
		case "NEWLINE":
			output[i].Doc = "How rows end; default LF."
		case "HEADER":
			output[i].Doc = "Every object begins with the columns' names (csv)."
		}
	}
	output = append(output,
		schema.Key{Name: "MERGE", Type: schema.Bool, Default: "false", Doc: "One object for all segments or workers, rows in the order they come, instead of one object each.", Example: "true"},
		schema.Key{Name: "FORCE_QUOTE", Type: schema.List, Elem: &schema.Key{}, Doc: "Columns that are quoted whatever they hold (csv).", Example: "[name]"},
		schema.Key{Name: "MAX_SIZE", Type: schema.Size, Doc: "Bytes of rows in one object, before compression, at least 64kB; the next row begins another. Only a row that is larger itself is more.", Example: "256MB"},
		schema.Key{Name: "PARTITION_BY", Type: schema.List, Elem: &schema.Key{}, Doc: "Columns whose values are folders, day=2026-11-21/, as Hive has them; NULL and the empty text are __HIVE_DEFAULT_PARTITION__. The columns stay in the rows (PostgreSQL).", Example: "[day]"},
		schema.Key{Name: "MAX_ROW_GROUP", Type: schema.Size, Default: "64MiB", Doc: "Bytes of rows in one row group of parquet, which each worker holds in memory; 1MB to 1GB.", Example: "128MB"})
	for i := range root.Keys {
		if root.Keys[i].Name != "GPLOAD" {
			continue
		}
		root.Keys[i].Doc = "The unload."
		root.Keys[i].Keys = []schema.Key{
			{Name: keyInput, Type: schema.Sections, Required: true, Doc: "What is read.", Keys: []schema.Key{
				{Name: "TABLE", Doc: "Table that is unloaded, schema.table; parts may be quoted.", Example: "public.orders"},
				{Name: "QUERY", Doc: "Query whose rows are unloaded, instead of TABLE.", Example: "select * from orders where day = current_date"},
			}},
			{Name: "OUTPUT", Type: schema.Sections, Required: true, Doc: "What is written and how.", Keys: output},
			{Name: "SPEED", Type: schema.Map, Doc: "How fast rows may be taken from the database.", Keys: speedKeys()},
			{Name: "PARALLEL", Type: schema.Map, Doc: "How the work is divided.", Keys: []schema.Key{
				{Name: "WORKERS", Type: schema.Int, Doc: "Database sessions that read parts of a table at the same time (PostgreSQL); default the machine's cores, at least 2 and at most 4.", Example: "4"},
				{Name: "BY", Doc: "Integer column by whose values a query, a view or a table is divided between the workers, where its blocks cannot be; it should have an index, and the query must give the same rows each time it is run (PostgreSQL).", Example: "id"},
			}},
			notifyKey(),
		}
	}
	root.Doc = "An unload control file."
	return root
}

// IsUnload tells the control file of an unload from that of a load.
func IsUnload(data []byte) bool {
	_, problems := schema.Check("", data, UnloadRoot())
	return len(problems) == 0
}

// LoadUnload reads and validates the unload control file at path.
func LoadUnload(file string) (*Unload, error) {
	data, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ParseUnload(file, data)
}

// ParseUnload validates data as an unload control file; the error is
// schema.Problems and lists everything that is wrong.
func ParseUnload(name string, data []byte) (*Unload, error) {
	tree, problems := schema.Check(name, data, UnloadRoot())
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	var f unloadFile
	if err := tree.Decode(&f); err != nil {
		return nil, fault.New(fault.Usage, "", "%s: %w", name, err)
	}
	at := locator(name, tree)
	s := &Spec{File: name, at: at}
	// What the rows look like and how the server is reached is said with the
	// keys of a load's INPUT, and checked by the same code.
	s.file.Load.Input = f.Load.Output.input
	s.file.Load.Input.Sources = sourceList{f.Load.Output.Sink}
	v := &validator{spec: s, reversed: true}
	u := &Unload{file: f, at: at, File: name, Query: strings.TrimSpace(f.Load.Input.Query), Merge: f.Load.Output.Merge, ForceQuote: foldNames(f.Load.Output.ForceQuote)}
	u.Conn = Conn{Host: f.Host, Port: f.Port, Database: f.Database, User: f.User, Password: f.Password}
	v.sources()
	v.format()
	v.unload(u, &f)
	v.unloadOutput(u, &f)
	if len(v.problems) > 0 {
		return nil, v.problems.Err()
	}
	u.Sink, u.Format, u.Warnings = s.Sources[0], s.Format, s.Warnings
	return u, nil
}

func (v *validator) unload(u *Unload, f *unloadFile) {
	table := f.Load.Input.Table
	switch {
	case (table == "") == (u.Query == ""):
		v.fail("GPLOAD.INPUT", "wants TABLE or QUERY, one of the two")
	case table != "":
		var err error
		if u.Table.Schema, u.Table.Table, err = SplitName(table); err != nil {
			v.fail("GPLOAD.INPUT.TABLE", "%v", err)
		}
	}
	if f.Password != "" {
		v.warn("PASSWORD", "a password in a control file is readable by whoever gets the file: better ~/.pgpass or PGPASSFILE")
	}
	where := "GPLOAD.INPUT.SOURCE[0]"
	locations := append(append([]string{}, f.Load.Output.Sink.URL...), f.Load.Output.Sink.File...)
	switch {
	case len(locations) != 1:
		v.fail(where, "wants one URL or one FILE")
	case strings.ContainsAny(path.Base(locations[0]), "*?[ "):
		v.fail(where, "%q is the name of what is written: no wildcards or blanks in it", locations[0])
	}
	if len(u.ForceQuote) > 0 && f.Load.Output.Format != FormatCSV {
		v.fail("GPLOAD.OUTPUT.FORCE_QUOTE", "goes with FORMAT: csv only")
	}
	u.Speed, u.Notify = v.speed(&f.Load.Speed), v.notify(f.Load.Notify)
}

// Place splits the sink's location into the store (a folder or a prefix) and
// the name of its objects in there.
func (u *Unload) Place() (store, name string) {
	at := u.Sink.Locations[0]
	i := strings.LastIndexByte(at, '/')
	store, name = at[:i+1], at[i+1:]
	if store == "" {
		store = "."
	}
	if name == "" {
		name = orDefault(u.Table.Table, "query") + map[string]string{FormatCSV: ".csv", FormatText: ".txt", FormatJSON: ".jsonl", FormatParquet: ".parquet"}[u.Format.Kind]
	}
	return store, name
}

// Subject names what is unloaded, for people.
func (u *Unload) Subject() string {
	if u.Query != "" {
		return "query"
	}
	if u.Table.Schema != "" {
		return fmt.Sprintf("%s.%s", u.Table.Schema, u.Table.Table)
	}
	return u.Table.Table
}
