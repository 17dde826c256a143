package loadspec

import (
	"fmt"
	"net/url"
	"strings"

	"cw/schema"
)

// validator checks what a table of keys cannot say, and fills the model.
type validator struct {
	spec     *Spec
	problems schema.Problems
	reversed bool // an unload: what a load has under INPUT stands under OUTPUT
}

// place is where a key stands in the file.
func (v *validator) place(path string) string {
	if !v.reversed {
		return path
	}
	path = strings.Replace(path, "GPLOAD.INPUT.SOURCE[0]", "GPLOAD.OUTPUT.SINK", 1)
	if path == "GPLOAD.INPUT.TABLE" {
		return path
	}
	return strings.Replace(path, "GPLOAD.INPUT.", "GPLOAD.OUTPUT.", 1)
}

func (v *validator) fail(path, format string, args ...any) {
	path = v.place(path)
	p := v.spec.at(path)
	p.Message = shortPath(path) + ": " + fmt.Sprintf(format, args...)
	v.problems = append(v.problems, p)
}

func (v *validator) warn(path, text string) {
	path = v.place(path)
	p := v.spec.at(path)
	p.Message = shortPath(path) + ": " + text
	v.spec.Warnings = append(v.spec.Warnings, p)
}

func shortPath(path string) string { return strings.TrimPrefix(path, "GPLOAD.") }

func (v *validator) run() {
	s, f := v.spec, &v.spec.file
	s.Conn = Conn{Host: f.Host, Port: f.Port, Database: f.Database, User: f.User, Password: f.Password}
	if f.Port < 0 || f.Port > 65535 {
		v.fail("PORT", "%d is not a port", f.Port)
	}
	if f.Password != "" {
		v.warn("PASSWORD", "a password in a control file is readable by whoever gets the file: better ~/.pgpass or PGPASSFILE")
	}
	v.sources()
	v.format()
	v.convert()
	v.columns()
	v.fixedColumns()
	v.output()
	v.limits()
	v.greenplum()
	v.create()
	s.Truncate, s.Before, s.After = f.Load.Preload.Truncate, f.Load.SQL.Before, f.Load.SQL.After
}

// greenplum fills what only Greenplum makes use of.
func (v *validator) greenplum() {
	s, f := v.spec, &v.spec.file.Load
	s.LogErrors = f.Input.LogErrors
	s.Reuse, s.FastMatch = f.Preload.Reuse, f.Preload.FastMatch
	if f.Input.ErrorTable != "" {
		v.warn("GPLOAD.INPUT.ERROR_TABLE", "is an old key: taken as LOG_ERRORS: true and REUSE_TABLES: true, as gpload does")
		s.LogErrors, s.Reuse = true, true
	}
	if s.LogErrors && !s.Tolerates() {
		v.fail("GPLOAD.INPUT.LOG_ERRORS", "needs ERROR_LIMIT")
	}
	if s.ExternalSchema = f.External.Schema; s.ExternalSchema != TargetSchema {
		s.ExternalSchema = FoldName(s.ExternalSchema)
	}
	s.Staging = FoldName(f.Preload.Staging)
	if s.Staging != "" && !s.Reuse {
		v.warn("GPLOAD.PRELOAD.STAGING_TABLE", "has no effect without REUSE_TABLES: true")
	}
	if s.FastMatch && !s.Reuse {
		v.warn("GPLOAD.PRELOAD.FAST_MATCH", "has no effect without REUSE_TABLES: true")
	}
	s.Transform, s.TransformConfig = f.Input.Transform, f.Input.TransformConf
	if s.Transform != "" && s.TransformConfig == "" {
		v.fail("GPLOAD.INPUT.TRANSFORM", "needs TRANSFORM_CONFIG")
	}
	if f.Parallel.Commit != "" {
		s.Commit, _ = schema.ParseSize(f.Parallel.Commit) // Check has read it already
	}
	s.Hosts = f.Parallel.Hosts
}

// server fills what a SOURCE says about the server that segments read from.
func (v *validator) server(path string, f *sourceFile, s *Source) {
	s.Manifest, s.LocalHostnames, s.Port = f.Manifest, f.LocalHost, f.Port
	s.FQDN = f.FQDN || v.spec.file.Load.Input.FQDN
	s.SSL, s.CertificatesPath = f.SSL, f.CertPath
	if f.Port < 0 || f.Port > 65535 {
		v.fail(path+".PORT", "%d is not a port", f.Port)
	}
	if len(f.PortRange) == 0 {
		return
	}
	if len(f.PortRange) != 2 {
		v.fail(path+".PORT_RANGE", "wants a first and a last port")
		return
	}
	s.PortRange = [2]int{f.PortRange[0], f.PortRange[1]}
	if s.PortRange[0] < 1 || s.PortRange[1] > 65535 || s.PortRange[0] > s.PortRange[1] {
		v.fail(path+".PORT_RANGE", "%d to %d is no range of ports", s.PortRange[0], s.PortRange[1])
	}
}

func (v *validator) sources() {
	for i, f := range v.spec.file.Load.Input.Sources {
		path := fmt.Sprintf("GPLOAD.INPUT.SOURCE[%d]", i)
		s := Source{Endpoint: f.Endpoint, Region: f.Region, Profile: f.Profile, Anonymous: f.Anonymous, PathStyle: f.Endpoint != ""}
		if f.PathStyle != nil {
			s.PathStyle = *f.PathStyle
		}
		if len(f.URL) == 0 && len(f.File) == 0 && f.Manifest == "" {
			v.fail(path, "wants URL, FILE or MANIFEST, else there is nothing to load")
		}
		for j, u := range f.URL {
			v.location(fmt.Sprintf("%s.URL[%d]", path, j), u)
		}
		for j, name := range f.File {
			if name == "" {
				v.fail(fmt.Sprintf("%s.FILE[%d]", path, j), "is empty")
			}
			if name == Stdin && v.reversed {
				v.fail(fmt.Sprintf("%s.FILE[%d]", path, j), "standard output cannot be written to: name a file")
			}
		}
		if strings.Contains(f.Manifest, "://") {
			v.location(path+".MANIFEST", f.Manifest)
		}
		if f.Endpoint != "" {
			u, err := url.Parse(f.Endpoint)
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				v.fail(path+".ENDPOINT", "%q is not the URL of a server: write https://host or http://host:port", f.Endpoint)
			}
		}
		if f.Anonymous && f.Profile != "" {
			v.fail(path+".PROFILE", "cannot stand beside ANONYMOUS: true, which sends no credentials")
		}
		if f.SSL != (f.CertPath != "") {
			v.fail(path+".SSL", "SSL: true and CERTIFICATES_PATH need each other")
		}
		s.Locations = append(append(s.Locations, f.URL...), f.File...)
		v.server(path, &f, &s)
		v.storeAccess(path, &f, &s)
		v.spec.Sources = append(v.spec.Sources, s)
	}
}

func (v *validator) location(path, s string) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case !ok || scheme == "":
		v.fail(path, "%q is not a URL: write s3://bucket/key or file:///path; plain paths belong under FILE", s)
	case scheme == "s3":
		bucket, key, _ := strings.Cut(rest, "/")
		if bucket == "" || strings.ContainsAny(bucket, "*?[") {
			v.fail(path, "%q names no bucket: write s3://bucket/key, wildcards in the key only", s)
		} else if key == "" {
			v.fail(path, "%q names no object: write s3://bucket/key, or s3://bucket/* for all", s)
		}
	case scheme == "file":
		if !strings.HasPrefix(rest, "/") {
			v.fail(path, "%q wants an absolute path: file:///data/x.csv", s)
		}
	case scheme == "http" || scheme == "https":
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Host == "":
			v.fail(path, "%q is no URL: write https://host/path", ShownURL(s))
		case v.reversed:
			v.fail(path, "%q cannot be written: s3:// and file:// can", ShownURL(s))
		case strings.ContainsAny(u.Path, "*["):
			v.fail(path, "%q has wildcards, but a web server has no list of its objects: name them one by one, or in a MANIFEST", ShownURL(s))
		}
	default:
		v.fail(path, "scheme %s:// is not known: s3://, file:// and https:// are", scheme)
	}
}

func (v *validator) columns() {
	seen := map[string]bool{}
	for i, m := range v.spec.file.Load.Input.Columns {
		path := fmt.Sprintf("GPLOAD.INPUT.COLUMNS[%d]", i)
		if len(m) != 1 {
			v.fail(path, "wants one name: type")
			continue
		}
		name := FoldName(m[0].Key)
		if seen[name] {
			v.fail(path, "column %s is given twice", name)
		}
		seen[name] = true
		v.spec.Columns = append(v.spec.Columns, Column{Name: name, Type: m[0].Value})
	}
}

func (v *validator) output() {
	f := &v.spec.file.Load.Output
	schemaName, table, err := SplitName(f.Table)
	if err != nil {
		v.fail("GPLOAD.OUTPUT.TABLE", "%v", err)
	}
	v.spec.Output = Output{Schema: schemaName, Table: table, Mode: orDefault(f.Mode, ModeInsert)}
	seen := map[string]bool{}
	for _, p := range f.Mapping {
		target := FoldName(p.Key)
		if seen[target] {
			v.fail("GPLOAD.OUTPUT.MAPPING", "column %s is mapped twice", target)
		}
		if strings.TrimSpace(p.Value) == "" {
			v.fail("GPLOAD.OUTPUT.MAPPING", "column %s is mapped to nothing: write a source column or an expression", target)
		}
		seen[target] = true
		v.spec.Output.Mapping = append(v.spec.Output.Mapping, Mapping{Target: target, Expr: p.Value})
	}
	v.spec.Output.Match, v.spec.Output.Update, v.spec.Output.Condition = foldNames(f.Match), foldNames(f.Update), f.Condition
	if f.Mode != "" && f.Mode != ModeInsert {
		if len(f.Match) == 0 {
			v.fail("GPLOAD.OUTPUT.MATCH_COLUMNS", "is required with MODE %s", f.Mode)
		}
		if len(f.Update) == 0 {
			v.fail("GPLOAD.OUTPUT.UPDATE_COLUMNS", "is required with MODE %s", f.Mode)
		}
		if v.spec.file.Load.Preload.Truncate {
			v.fail("GPLOAD.PRELOAD.TRUNCATE", "goes with MODE insert only: %s works on the rows that are there", f.Mode)
		}
	}
	if strings.Contains(v.spec.file.Load.Preload.Staging, ".") {
		v.fail("GPLOAD.PRELOAD.STAGING_TABLE", "must not name a schema: EXTERNAL: SCHEMA does")
	}
}

func (v *validator) limits() {
	s, f := v.spec, &v.spec.file.Load
	s.Speed, s.Notify = v.speed(&f.Speed), v.notify(f.Notify)
	s.Split = DefaultSplit
	if f.Parallel.Split != "" {
		s.Split, _ = schema.ParseSize(f.Parallel.Split)
		if s.Split < MinSplit || s.Split > MaxSplit {
			v.fail("GPLOAD.PARALLEL.SPLIT", "%s is outside 64KiB to 256MiB", f.Parallel.Split)
		}
	}
	if f.Parallel.Workers != nil {
		s.Workers = *f.Parallel.Workers
		if s.Workers < 1 || s.Workers > MaxWorkers {
			v.fail("GPLOAD.PARALLEL.WORKERS", "%d is outside 1 to %d", s.Workers, MaxWorkers)
		}
	}
	s.MaxRow = DefaultMaxRow
	if f.Input.MaxLine != 0 {
		s.MaxRow = f.Input.MaxLine
		if s.MaxRow < 1 || s.MaxRow > 1<<30 {
			v.fail("GPLOAD.INPUT.MAX_LINE_LENGTH", "%d is outside 1 to %d", f.Input.MaxLine, 1<<30)
		}
	}
	if f.Input.ErrorLimit != "" {
		n, percent, _ := schema.ParseCount(f.Input.ErrorLimit) // Check has read it already
		if s.ErrorLimit, s.ErrorPercent = int(n), percent; n < 0 || n == 1 {
			v.fail("GPLOAD.INPUT.ERROR_LIMIT", "%d: must be 2 or more, or 0 for none", n)
		}
	}
	if f.Input.ErrorPercent != 0 {
		v.warn("GPLOAD.INPUT.ERROR_PERCENT", "has no effect, in gpload neither: ERROR_LIMIT counts rows")
	}
}

func foldNames(names []string) []string {
	var folded []string
	for _, n := range names {
		folded = append(folded, FoldName(n))
	}
	return folded
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}
