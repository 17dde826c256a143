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
	Limit  int64
	// ForceQuote are csv columns that are quoted whatever they hold.
	ForceQuote []string
	Warnings   schema.Problems
}

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
			input      `yaml:",inline"`
		} `yaml:"OUTPUT"`
		Speed struct {
			Limit string `yaml:"LIMIT"`
		} `yaml:"SPEED"`
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
			{Name: "URL", Type: schema.List, Elem: &schema.Key{}, Doc: "Object: s3://bucket/key or file:///path; segment and job are put before its extension. One that ends in / is a folder.", Example: "s3://bucket/out/orders.csv.gz"},
			{Name: "FILE", Type: schema.List, Elem: &schema.Key{}, Doc: "Local file, the same way.", Example: "/data/orders.csv"},
		}, keep(source.Keys, "ENDPOINT", "PATH_STYLE", "REGION", "PROFILE", "LOCAL_HOSTNAME", "PORT", "PORT_RANGE", "FULLY_QUALIFIED_DOMAIN_NAME", "SSL", "CERTIFICATES_PATH",
			"ROLE_ARN", "EXTERNAL_ID", "CA_FILE", "TLS_SERVER_NAME", "SSE_C_KEY_FILE")...),
	}
	sink.Keys = append(sink.Keys, sinkKeys()...)
	output := append([]schema.Key{sink}, keep(inputKeys(), "FORMAT", "COMPRESSION", "DELIMITER", "ESCAPE", "QUOTE", "NULL_AS", "NEWLINE", "ENCODING")...)
	for i := range output {
		switch output[i].Name {
		case "FORMAT":
			output[i].Enum = []string{FormatText, FormatCSV}
		case "COMPRESSION":
			output[i].Enum, output[i].Doc = []string{CompressionAuto, "none", "gzip", "zstd"}, "How objects are compressed; auto looks at the name."
		case "NEWLINE":
			output[i].Doc = "How rows end; default LF."
		}
	}
	output = append(output,
		schema.Key{Name: "MERGE", Type: schema.Bool, Default: "false", Doc: "One object for all segments, rows in the order they come, instead of one object each.", Example: "true"},
		schema.Key{Name: "FORCE_QUOTE", Type: schema.List, Elem: &schema.Key{}, Doc: "Columns that are quoted whatever they hold (csv).", Example: "[name]"})
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
			{Name: "SPEED", Type: schema.Map, Doc: "How fast rows may be taken from the database.", Keys: keep(speedKeys(), "LIMIT")},
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
	u := &Unload{File: name, Query: strings.TrimSpace(f.Load.Input.Query), Merge: f.Load.Output.Merge, ForceQuote: foldNames(f.Load.Output.ForceQuote)}
	u.Conn = Conn{Host: f.Host, Port: f.Port, Database: f.Database, User: f.User, Password: f.Password}
	v.sources()
	v.format()
	v.unload(u, &f)
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
	if f.Load.Speed.Limit != "" {
		u.Limit, _ = schema.ParseRate(f.Load.Speed.Limit) // Check has read it already
	}
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
		name = orDefault(u.Table.Table, "query") + map[string]string{FormatCSV: ".csv", FormatText: ".txt"}[u.Format.Kind]
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
