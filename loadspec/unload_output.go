package loadspec

import (
	"fmt"
	"strings"

	"cw/schema"
)

const (
	minMaxSize  = 64_000
	minRowGroup = 1_000_000
	maxRowGroup = 1 << 30
)

// unloadOutput checks what an unload says about its objects.
func (v *validator) unloadOutput(u *Unload, f *unloadFile) {
	out := &f.Load.Output
	const at = "GPLOAD.OUTPUT."
	kind := orDefault(out.Format, FormatText)
	size := func(key, text string, least, most int64) int64 {
		if text == "" {
			return 0
		}
		n, _ := schema.ParseSize(text) // Check has read it already
		if n < least || most > 0 && n > most {
			v.fail(at+key, "%s is too small or too large", text)
		}
		return n
	}
	u.MaxSize = size("MAX_SIZE", out.MaxSize, minMaxSize, 0)
	u.RowGroup = size("MAX_ROW_GROUP", out.RowGroup, minRowGroup, maxRowGroup)
	u.PartitionBy = foldNames(out.Partition)
	if p := f.Load.Parallel.Workers; p != nil {
		u.Workers = *p
		if u.Workers < 1 || u.Workers > MaxWorkers {
			v.fail("GPLOAD.PARALLEL.WORKERS", "%d is outside 1 to %d", u.Workers, MaxWorkers)
		}
	}
	u.By = FoldName(f.Load.Parallel.By)
	for _, key := range []struct {
		name  string
		set   bool
		kinds string
	}{
		{"HEADER", out.Header, FormatCSV},
		{"NULL_AS", out.NullAs != nil, FormatText + " " + FormatCSV},
		{"NEWLINE", out.Newline != "", FormatText + " " + FormatCSV + " " + FormatJSON},
		{"MAX_ROW_GROUP", out.RowGroup != "", FormatParquet},
	} {
		if key.set && !strings.Contains(key.kinds, kind) {
			v.fail(at+key.name, "goes with FORMAT: %s only", strings.ReplaceAll(key.kinds, " ", " and "))
		}
	}
	if u.Merge && u.MaxSize > 0 {
		v.fail(at+"MAX_SIZE", "cannot stand beside MERGE: true, which makes one object")
	}
	if u.Merge && len(u.PartitionBy) > 0 {
		v.fail(at+"PARTITION_BY", "cannot stand beside MERGE: true, which makes one object")
	}
	seen := map[string]bool{}
	for i, name := range u.PartitionBy {
		if seen[name] {
			v.fail(fmt.Sprintf("%sPARTITION_BY[%d]", at, i), "column %s is given twice", name)
		}
		seen[name] = true
	}
	if len(u.PartitionBy) > 0 && (alphanumeric(v.spec.Format.Delimiter) || alphanumeric(v.spec.Format.Quote)) {
		v.fail(at+"PARTITION_BY", "cannot stand beside a DELIMITER or QUOTE that is a letter or digit")
	}
	if converted := kind == FormatJSON || kind == FormatParquet; converted && out.Encoding != "" && !strings.EqualFold(strings.ReplaceAll(out.Encoding, "-", ""), "utf8") {
		v.fail(at+"ENCODING", "%s is always UTF8", kind)
	}
	if kind == FormatParquet && out.Compression == "lz4" {
		v.fail(at+"COMPRESSION", "of parquet is zstd, gzip, snappy or none")
	}
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// onEngine collects what an engine cannot do, with its place.
func (u *Unload) onEngine(engine string) (v *validator, unsupported func(path string, set bool, what string)) {
	v = &validator{spec: &Spec{File: u.File, at: u.at}, reversed: true}
	return v, func(path string, set bool, what string) {
		if set {
			v.fail(path, "%s is not supported on engine %s yet", what, engine)
		}
	}
}

// OnPostgres returns what the file asks for that an unload from PostgreSQL
// cannot do, as an error with places, and warnings for keys that mean
// something on Greenplum only.
func (u *Unload) OnPostgres() (schema.Problems, error) {
	v, unsupported := u.onEngine("postgres")
	out := &u.file.Load.Output
	text := u.Format.Kind == FormatText
	unsupported("GPLOAD.OUTPUT.ESCAPE", text && (u.Format.EscapeOff || u.Format.Escape != '\\'), "an ESCAPE other than backslash with format text")
	for _, key := range []struct {
		name string
		set  bool
	}{
		{"LOCAL_HOSTNAME", len(out.Sink.LocalHost) > 0},
		{"PORT", out.Sink.Port != 0},
		{"PORT_RANGE", len(out.Sink.PortRange) > 0},
		{"FULLY_QUALIFIED_DOMAIN_NAME", out.Sink.FQDN},
		{"SSL", out.Sink.SSL},
	} {
		if key.set {
			v.warn("GPLOAD.OUTPUT.SINK."+key.name, "has no effect on engine postgres: rows come over the database connection")
		}
	}
	return v.spec.Warnings, v.problems.Err()
}

// OnGreenplum returns what the file asks for that an unload from Greenplum or
// Cloudberry cannot do, as an error with places, and warnings for keys that
// mean something on PostgreSQL only.
func (u *Unload) OnGreenplum() (schema.Problems, error) {
	v, unsupported := u.onEngine("greenplum")
	unsupported("GPLOAD.OUTPUT.FORMAT", u.Format.Kind == FormatParquet, "format parquet")
	unsupported("GPLOAD.OUTPUT.PARTITION_BY", len(u.PartitionBy) > 0, "PARTITION_BY")
	unsupported("GPLOAD.PARALLEL.BY", u.By != "", "PARALLEL: BY")
	if u.Workers > 0 {
		v.warn("GPLOAD.PARALLEL.WORKERS", "has no effect on engine greenplum: its segments write in parallel")
	}
	return v.spec.Warnings, v.problems.Err()
}
