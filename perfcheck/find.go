package perfcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cw/fault"
	"cw/schema"
)

// reportName is the report's name in the folder of a run.
const reportName = "report.json"

// FindReport finds a report by what people type: a file, or the id of a run
// (or how one begins) kept below dir, the folder of all runs.
func FindReport(dir, what string) (file string, err error) {
	if st, err := os.Stat(what); err == nil {
		if st.IsDir() {
			return filepath.Join(what, reportName), nil
		}
		return what, nil
	}
	if what == "" || strings.ContainsAny(what, `/\`) || strings.Trim(what, ".") == "" {
		return "", fault.New(fault.Usage, "give a file written by -o json or --report, or a run's id", "there is no report %q", what)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("look for run %s: %w", what, err)
	}
	var ids, like []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), reportName)); err != nil {
			continue
		}
		if e.Name() == what {
			return filepath.Join(dir, what, reportName), nil
		}
		ids = append(ids, e.Name())
		if strings.HasPrefix(e.Name(), what) {
			like = append(like, e.Name())
		}
	}
	switch {
	case len(like) == 1:
		return filepath.Join(dir, like[0], reportName), nil
	case len(like) > 1:
		return "", fault.New(fault.Usage, "one of: "+strings.Join(like, ", "), "several runs begin with %s", what)
	}
	hint := "reports of runs are kept in " + dir
	if near := schema.Nearest(what, ids); near != "" {
		hint = "did you mean " + near + "?"
	}
	return "", fault.New(fault.Usage, hint, "there is neither a file nor a run %q", what)
}

// ReadReport reads the report that FindReport finds.
func ReadReport(dir, what string) (*Report, error) {
	file, err := FindReport(dir, what)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fault.Wrap(fault.Usage, "", fmt.Errorf("read the report: %w", err))
	}
	r, err := ParseReport(data)
	if err != nil {
		return nil, fault.New(fault.Usage, "give a file written by cw perf with -o json or --report", "%s: %w", file, err)
	}
	return r, nil
}

// ParseReport reads a report's document.
func ParseReport(data []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("this is no report: %w", err)
	}
	if r.APIVersion != fileVersion || r.Kind != "PerfReport" {
		return nil, fmt.Errorf("this is no report: apiVersion %q, kind %q in place of %s, PerfReport", r.APIVersion, r.Kind, fileVersion)
	}
	verdicts := []Verdict{"", Pass, Skipped, Warn, Inconclusive, Fail, Error}
	for i := range r.Tests {
		t := &r.Tests[i]
		if t.ID == "" || !slices.Contains(verdicts, t.Verdict) {
			return nil, fmt.Errorf("this is no report: test %d has id %q and verdict %q", i+1, t.ID, t.Verdict)
		}
	}
	return &r, nil
}
