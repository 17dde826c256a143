package loadspec

import (
	"fmt"

	"cw/schema"
)

// OnGreenplum returns what the file asks for that cw cannot do on engine
// greenplum or cloudberry yet, as an error with places, and warnings for keys
// that mean something on PostgreSQL only. Nothing is ignored without a word.
func (s *Spec) OnGreenplum() (schema.Problems, error) {
	v := &validator{spec: &Spec{File: s.File, file: s.file, at: s.at}}
	load := &s.file.Load
	unsupported := func(path string, set bool, format string, args ...any) {
		if set {
			v.fail(path, "%s is not supported on engine greenplum yet", fmt.Sprintf(format, args...))
		}
	}
	unsupported("GPLOAD.INPUT.TRANSFORM", s.Transform != "" || s.TransformConfig != "", "TRANSFORM (cw gpload has it)")
	if p := s.ErrorPercent; p != float64(int(p)) {
		v.fail("GPLOAD.INPUT.ERROR_LIMIT", "%s: Greenplum knows whole percentages only, from 1%% to 100%%", s.ErrorLimitText())
	}
	for _, key := range []struct {
		path string
		set  bool
	}{
		{"GPLOAD.EXTERNAL.SCHEMA", s.ExternalSchema != ""},
		{"GPLOAD.PRELOAD.REUSE_TABLES", load.Preload.Reuse},
		{"GPLOAD.PRELOAD.STAGING_TABLE", s.Staging != ""},
		{"GPLOAD.PRELOAD.FAST_MATCH", s.FastMatch},
	} {
		if key.set {
			v.warn(key.path, "has no effect in cw load, whose tables live as long as their statement; cw gpload keeps them")
		}
	}
	if load.Parallel.Workers != nil {
		v.warn("GPLOAD.PARALLEL.WORKERS", "has no effect on engine greenplum: its segments read in parallel, PARALLEL: HOSTS adds servers")
	}
	unsupported("GPLOAD.SPEED.ADAPTIVE.COMMIT", s.Adaptive != nil && s.Adaptive.Signal == SignalCommit, "ADAPTIVE: COMMIT")
	return v.spec.Warnings, v.problems.Err()
}
