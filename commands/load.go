package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cw/loadspec/run"
	"cw/schema"
	"cw/state"
)

func newLoad(a *App) *cobra.Command {
	c := group("load", "Load tables from object storage and files")
	c.AddCommand(
		newLoadInit(a), newLoadConvert(a), newLoadCheck(a), newLoadRun(a), newLoadList(a), newLoadShow(a), newLoadLimit(a), newLoadLogs(a), newLoadPause(a), newLoadContinue(a),
		newLoadCancel(a), newLoadWait(a), newLoadResume(a), newLoadErrors(a),
	)
	return c
}

// jobDoc is a job in JSON: sizes in bytes, rates in bytes per second.
type jobDoc struct {
	ID           string          `json:"id"`
	Kind         string          `json:"kind"` // load, unload
	State        string          `json:"state"`
	Phase        string          `json:"phase,omitempty"`
	Target       string          `json:"target"`
	SpecFile     string          `json:"spec_file"`
	StartedAt    time.Time       `json:"started_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	FinishedAt   *time.Time      `json:"finished_at,omitempty"`
	Bytes        int64           `json:"bytes"`
	BytesTotal   int64           `json:"bytes_total"`
	Rows         int64           `json:"rows"`
	Rejected     int64           `json:"rejected"`
	Objects      int64           `json:"objects"`
	ObjectsTotal int64           `json:"objects_total"`
	Skipped      int64           `json:"skipped"`              // objects that earlier jobs had loaded, not in objects_total
	SkippedBy    []string        `json:"skipped_by,omitempty"` // those jobs
	Rate         int64           `json:"rate"`
	Limit        int64           `json:"limit"`
	LimitReason  string          `json:"limit_reason,omitempty"` // what limits it, when not an operator
	Group        string          `json:"group,omitempty"`
	WantLimit    int64           `json:"limit_wanted"`
	ETASeconds   *int64          `json:"eta_seconds"` // null when unknown
	Owner        string          `json:"owner"`
	Error        string          `json:"error,omitempty"`
	Timing       json.RawMessage `json:"timing,omitempty"`  // of the last run, once it has ended
	Workers      []run.Worker    `json:"workers,omitempty"` // machines that read for it now
}

func newJobDoc(j state.Job) jobDoc {
	d := jobDoc{
		ID: j.ID, Kind: j.Kind, State: j.State, Phase: j.Phase, Target: j.Target, SpecFile: j.SpecFile, StartedAt: j.StartedAt, UpdatedAt: j.UpdatedAt,
		Bytes: j.Bytes, BytesTotal: j.BytesTotal, Rows: j.Rows, Rejected: j.Rejected, Objects: j.Objects, ObjectsTotal: j.ObjectsTotal, Skipped: j.Skipped,
		Rate: j.Rate, Limit: j.Limit, WantLimit: j.WantLimit, Owner: j.Owner, Error: redact(j.Error),
		LimitReason: j.LimitReason, Group: j.Group,
	}
	if j.SkippedBy != "" {
		d.SkippedBy = strings.Split(j.SkippedBy, ",")
	}
	if !j.FinishedAt.IsZero() && !j.Active() {
		d.FinishedAt = &j.FinishedAt
	}
	if j.Timing != "" {
		d.Timing = json.RawMessage(j.Timing)
	}
	if j.ETASeconds >= 0 {
		d.ETASeconds = &j.ETASeconds
	}
	return d
}

func jobTable() table {
	return table{cols: cols("JOB", "STATE", "TABLE", "DONE", "BYTES", "ROWS", "RATE", "LIMIT", "ETA", "STARTED", "+KIND", "+GROUP", "+REJECTED", "+SKIPPED", "+OBJECTS", "+WORKERS", "+OWNER", "+FILE", "+ERROR")}
}

func (t *table) addJob(j state.Job, workers []run.Worker) {
	rate, eta := "", ""
	if j.Active() {
		rate, eta = schema.FormatRate(j.Rate), formatETA(j.ETASeconds)
		if j.Rate == 0 {
			rate = "0B/s"
		}
	}
	firstLine, _, _ := strings.Cut(redact(j.Error), "\n")
	hosts := make([]string, len(workers))
	for i, w := range workers {
		hosts[i] = w.Host
	}
	t.add(j.ID, j.State, j.Target, percent(j.Bytes, j.BytesTotal), schema.FormatSize(j.Bytes), fmt.Sprint(j.Rows), rate, schema.FormatRate(j.WantLimit), eta,
		j.StartedAt.Local().Format(time.RFC3339), j.Kind, j.Group, fmt.Sprint(j.Rejected), fmt.Sprint(j.Skipped), fmt.Sprintf("%d/%d", j.Objects, j.ObjectsTotal), strings.Join(hosts, ","), j.Owner, j.SpecFile, firstLine)
}

func (a *App) printJob(j state.Job, workers ...run.Worker) error {
	t := jobTable()
	t.addJob(j, workers)
	d := newJobDoc(j)
	d.Workers = workers
	return a.print(object("Job", d), t)
}

// skippedText tells what was loaded before.
func skippedText(n int64, by []string) string {
	const shown = 3
	word, more := "jobs", ""
	if len(by) == 1 {
		word = "job"
	}
	if rest := len(by) - shown; rest > 0 {
		by, more = by[:shown], fmt.Sprintf(" and %d more", rest)
	}
	return fmt.Sprintf("skipped: %s, loaded before by %s %s%s", objectCount(n), word, strings.Join(by, ", "), more)
}

// objectCount is "1 object" or "3 objects".
func objectCount(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", part*100/whole)
}

func formatETA(seconds int64) string {
	if seconds < 0 {
		return "?"
	}
	return (time.Duration(seconds) * time.Second).String()
}

// job finds the job a command is about.
func (a *App) job(ctx context.Context, id string) (state.Job, error) {
	st, err := a.openStore(ctx)
	if err != nil {
		return state.Job{}, err
	}
	return st.Job(ctx, id)
}
