package loadspec

import (
	"fmt"
	"strings"

	"cw/schema"
)

// unsafeEncodings hold ASCII bytes inside their multi-byte characters, so that
// a backslash byte need not be a backslash.
var unsafeEncodings = map[string]bool{ //nolint:gochecknoglobals // constant table
	"sjis": true, "shiftjis": true, "shift_jis_2004": true, "shiftjis2004": true, "mskanji": true, "win932": true, "windows932": true,
	"big5": true, "win950": true, "windows950": true, "gbk": true, "win936": true, "windows936": true,
	"uhc": true, "win949": true, "windows949": true, "gb18030": true, "johab": true,
}

// OnPostgres returns what the file asks for that cw cannot do on engine
// postgres yet, as an error with places, and warnings for keys that mean
// something on Greenplum only. Nothing is ignored without a word.
func (s *Spec) OnPostgres() (schema.Problems, error) {
	v := &validator{spec: &Spec{File: s.File, file: s.file, at: s.at}}
	in, load := &s.file.Load.Input, &s.file.Load
	unsupported := func(path string, set bool, format string, args ...any) {
		if set {
			v.fail(path, "%s is not supported on engine postgres yet", fmt.Sprintf(format, args...))
		}
	}
	ignored := func(path string, set bool) {
		if set {
			v.warn(path, "has no effect on engine postgres: cw reads the source itself and copies over the database connection")
		}
	}
	text := s.Format.Kind == FormatText
	unsupported("GPLOAD.INPUT.TRANSFORM", in.Transform != "" || in.TransformConf != "", "TRANSFORM")
	unsupported("GPLOAD.INPUT.FILL_MISSING_FIELDS", in.Fill && s.Convert == nil, "FILL_MISSING_FIELDS")
	unsupported("GPLOAD.INPUT.ERROR_TABLE", in.ErrorTable != "", "ERROR_TABLE")
	unsupported("GPLOAD.INPUT.ESCAPE", text && (s.Format.EscapeOff || s.Format.Escape != '\\'), "an ESCAPE other than backslash with format text")
	enc := strings.ReplaceAll(strings.ToLower(s.Format.Encoding), "-", "")
	unsupported("GPLOAD.INPUT.ENCODING", unsafeEncodings[enc] && (text || s.Format.Escape != s.Format.Quote || s.Format.Quote >= 0x30),
		"encoding %s with backslash escapes", s.Format.Encoding)
	for i, src := range in.Sources {
		path := fmt.Sprintf("GPLOAD.INPUT.SOURCE[%d]", i)
		unsupported(path+".SSL", src.SSL, "SSL between gpfdist and segments")
		ignored(path+".LOCAL_HOSTNAME", len(src.LocalHost) > 0)
		ignored(path+".PORT", src.Port != 0)
		ignored(path+".PORT_RANGE", len(src.PortRange) > 0)
		ignored(path+".FULLY_QUALIFIED_DOMAIN_NAME", src.FQDN)
	}
	ignored("GPLOAD.INPUT.FULLY_QUALIFIED_DOMAIN_NAME", in.FQDN)
	ignored("GPLOAD.EXTERNAL.SCHEMA", load.External.Schema != "")
	ignored("GPLOAD.PRELOAD.REUSE_TABLES", load.Preload.Reuse)
	ignored("GPLOAD.PRELOAD.STAGING_TABLE", load.Preload.Staging != "")
	ignored("GPLOAD.PRELOAD.FAST_MATCH", load.Preload.FastMatch)
	insert := s.Output.Mode == ModeInsert
	ignored("GPLOAD.OUTPUT.MATCH_COLUMNS", insert && len(load.Output.Match) > 0)
	ignored("GPLOAD.OUTPUT.UPDATE_COLUMNS", insert && len(load.Output.Update) > 0)
	ignored("GPLOAD.OUTPUT.UPDATE_CONDITION", insert && load.Output.Condition != "")
	ignored("GPLOAD.PARALLEL.COMMIT", load.Parallel.Commit != "")
	unsupported("GPLOAD.PARALLEL.HOSTS", len(load.Parallel.Hosts) > 0, "PARALLEL: HOSTS")
	return v.spec.Warnings, v.problems.Err()
}
