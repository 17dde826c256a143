package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// quickFlags are what the jobs measure here instead of an hour's tests.
const quickFlags = "--only cpu.crc.t1 --duration 50ms --warmup 0s --reps 1"

// githubJob is what is looked at of a workflow.
type githubJob struct {
	On   map[string]any
	Jobs map[string]struct {
		RunsOn  any `yaml:"runs-on"`
		Timeout int `yaml:"timeout-minutes"`
		Env     map[string]string
		Steps   []struct{ Name, Uses, Run, If string }
	}
}

// gitlabJob is what is looked at of a job.
type gitlabJob struct {
	Stage     string
	Timeout   string
	Variables map[string]string
	Script    []string
	Kept      struct {
		When    string
		Paths   []string
		Reports map[string]string
	} `yaml:"artifacts"` //nolint:misspell // a word of GitLab's
}

// TestGitHub runs the steps of the example as they are written.
func TestGitHub(t *testing.T) {
	t.Parallel()
	var w githubJob
	readYAML(t, "ci/github-actions.yml", &w)
	job, ok := w.Jobs["qualify"]
	if !ok || job.RunsOn == nil || job.Timeout == 0 || w.On["schedule"] == nil || job.Env["PERF_FLAGS"] != "--profile qualify -d /data1" {
		t.Fatalf("%+v", w)
	}
	var lines []string
	for _, s := range job.Steps {
		if (s.Run == "") == (s.Uses == "") {
			t.Errorf("step %+v: neither or both of run and uses", s)
		}
		if s.Run != "" {
			lines = append(lines, s.Run)
		}
	}
	s := jobSandbox(t)
	mustRun(t, s, "export GITHUB_STEP_SUMMARY=$PWD/summary.md")
	for _, l := range lines {
		mustRun(t, s, "(set -eo pipefail; "+l+")") // as the runner's shell does
	}
	if out := mustRun(t, s, "ls perf.* && cat summary.md"); !strings.Contains(out, "perf.xml") || !strings.Contains(out, "## Performance: ") {
		t.Error(out)
	}
}

// TestGitLab does the same with the other example, and holds that what is kept
// of the job is what it has written.
func TestGitLab(t *testing.T) {
	t.Parallel()
	var w map[string]gitlabJob
	readYAML(t, "ci/gitlab-ci.yml", &w)
	job, ok := w["qualify"]
	if !ok || job.Kept.When != "always" || job.Variables["PERF_FLAGS"] != "--profile qualify -d /data1" {
		t.Fatalf("%+v", w)
	}
	s := jobSandbox(t)
	for _, l := range job.Script {
		mustRun(t, s, l)
	}
	mustRun(t, s, "test -s "+strings.Join(append(job.Kept.Paths, job.Kept.Reports["junit"]), " && test -s "))
}

// TestJobFails: a machine that is far below its baseline ends the job with
// exit code 6, and the JUnit file has the failure.
func TestJobFails(t *testing.T) {
	t.Parallel()
	s := jobSandbox(t)
	mustRun(t, s, "sed -i s/cpu.sort.t1/cpu.crc.t1/ baselines/c4.xlarge.yaml")
	out, code, err := s.run("cw perf all $PERF_FLAGS --baseline baselines/c4.xlarge.yaml --junit perf.xml")
	if err != nil || code != 6 {
		t.Fatalf("exit code %d, %v\n%s", code, err, out)
	}
	if got := mustRun(t, s, "cat perf.xml"); !strings.Contains(got, "<failure") {
		t.Error(got)
	}
}

func readYAML(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// highBaseline is one that no machine reaches. Of a test that is not measured
// it says nothing: so the job passes on every machine, however busy it is.
const highBaseline = `apiVersion: cw/v1
kind: PerfBaseline
name: c4.xlarge
created: "2026-11-22T00:00:00Z"
engine: "1"
profiles: [quick]
runs: [pjzxsgul]
hosts: [vm]
tests:
  cpu.sort.t1:
    params: {threads: t1, work: crc}
    metrics:
      throughput: {unit: B/s, better: higher, median: 3.0e+12, mad: 4.3e+07, "n": 2, low: 2.9e+12, high: 3.1e+12, noise: 0.07, spread: 0}
`

// jobSandbox is a checkout with a baseline in it.
func jobSandbox(t *testing.T) *sandbox {
	t.Helper()
	s := newSandbox(t, false)
	mustRun(t, s, "mkdir job && cd job && mkdir baselines && export PERF_FLAGS='"+quickFlags+"' && cat >baselines/c4.xlarge.yaml <<'END'\n"+highBaseline+"END")
	return s
}

func mustRun(t *testing.T, s *sandbox, line string) string {
	t.Helper()
	out, code, err := s.run(line)
	if err != nil || code != 0 {
		t.Fatalf("%s\nexit code %d, %v\n%s", line, code, err, out)
	}
	return out
}
