package probe

import (
	"fmt"
	"strings"
	"time"

	"cw/monitor"
	"cw/schema"
	"cw/state"
)

// JobRules are the rules that Jobs looks for.
func JobRules() []string { return []string{monitor.LoadFailed, monitor.LoadStalled} }

const (
	// quiet is how long a job reads nothing before that is worth a thought.
	quiet = time.Minute
	// nothing is what a limit lets through while a job would be taken for
	// stalled: one that lets less is meant to.
	nothing = 1 << 20
)

// Jobs remembers how far the jobs of a store were.
type Jobs struct {
	// Since is when watching began: what failed before is old.
	Since time.Time
	// Known are failed jobs of which an alert fires, however old they are.
	Known map[string]bool

	far map[string]progress
}

// progress is how far a job was, and since when.
type progress struct {
	bytes, rows int64
	phase       string
	at          time.Time
	new         bool // it has not moved since it was met
}

// Look finds jobs that failed, and those that run and read nothing. Of one that
// it has just met nobody knows whether it reads.
func (j *Jobs) Look(jobs []state.Job, rules Rules, now time.Time) (found []monitor.Condition, blind []monitor.Blind) {
	next := make(map[string]progress, len(jobs))
	stalled, _ := rules(monitor.LoadStalled)
	failed, _ := rules(monitor.LoadFailed)
	for _, job := range jobs {
		if job.State == state.Failed && (j.Known[job.ID] || !job.FinishedAt.Before(j.Since)) {
			found = append(found, monitor.Condition{
				Rule: monitor.LoadFailed, Severity: failed.Severity, Job: job.ID,
				Message: fmt.Sprintf("%s %s into %s failed: %s", job.Kind, job.ID, job.Target, line(job.Error)),
				Remedy:  fmt.Sprintf("cw load errors %s; then: cw load resume %s", job.ID, job.ID),
			})
		}
		if job.State != state.Running {
			continue
		}
		p := progress{bytes: job.Bytes, rows: job.Rows, phase: job.Phase, at: now}
		was, known := j.far[job.ID]
		if known && was.bytes == p.bytes && was.rows == p.rows && was.phase == p.phase {
			p.at, p.new = was.at, was.new
		} else if !known {
			p.new = true
		}
		next[job.ID] = p
		if p.new && now.Sub(p.at) < quiet {
			blind = append(blind, monitor.Blind{Rule: monitor.LoadStalled, Job: job.ID})
		}
		if now.Sub(p.at) < quiet || limited(job, stalled.Confirm) {
			continue
		}
		found = append(found, monitor.Condition{
			Rule: monitor.LoadStalled, Severity: stalled.Severity, Job: job.ID, Since: p.at,
			Message: fmt.Sprintf("%s %s into %s reads nothing since %s, at %s%s", job.Kind, job.ID, job.Target, p.at.UTC().Format("15:04:05 UTC"), schema.FormatSize(job.Bytes), inPhase(job.Phase)),
			Remedy:  fmt.Sprintf("cw load show %s; look at locks with cw top; to end it: cw load cancel %s", job.ID, job.ID),
		})
	}
	j.far = next
	return found, blind
}

// limited says whether a job may read next to nothing in d.
func limited(job state.Job, d time.Duration) bool {
	limit := job.Limit
	if limit <= 0 {
		limit = job.WantLimit
	}
	return limit > 0 && float64(limit)*d.Seconds() < nothing
}

func inPhase(phase string) string {
	if phase == "" {
		return ""
	}
	return " (" + phase + ")"
}

func line(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
