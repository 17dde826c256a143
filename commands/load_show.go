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

func newLoadShow(a *App) *cobra.Command {
	var objects, workers bool
	c := &cobra.Command{
		Use: "show JOB", Short: "Show one load: how far it is, how it ended, where its time went", Args: args(1, 1),
		Long: `Show one load: how far it is, how fast it goes and what limits that, and how it
ended. With --objects how far it is with each object, with --workers what its
sessions are doing, both as the target database knows it.` + exitHelp(4, 5),
		Example: `  cw load show l7q2mx4 -o json
  cw load show l7q2mx4 --objects`,
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := a.job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if objects || workers {
				return a.loadInspect(cmd.Context(), j, objects, workers)
			}
			return a.loadShow(cmd.Context(), j)
		},
	}
	c.Flags().BoolVar(&objects, "objects", false, "how far it is with each object")
	c.Flags().BoolVar(&workers, "workers", false, "what its sessions in the database are doing")
	c.MarkFlagsMutuallyExclusive("objects", "workers")
	return c
}

func (a *App) loadShow(ctx context.Context, j state.Job) error {
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	all, err := run.Workers(ctx, st)
	if err != nil {
		return err
	}
	workers := all[j.ID]
	if err := a.printJob(j, workers...); err != nil || a.flags.output != "table" {
		return err
	}
	say := func(what, text string) {
		if text != "" {
			_, _ = fmt.Fprintln(a.IO.Out, what+": "+text)
		}
	}
	say("limited by", j.LimitReason)
	for _, w := range workers {
		text := schema.FormatRate(w.Rate)
		if w.Rate == 0 {
			text = "0B/s"
		}
		if w.Silent {
			text = "does not answer"
		}
		say("read by", w.Host+", "+text)
	}
	var t run.Timing
	if j.Timing != "" && json.Unmarshal([]byte(j.Timing), &t) == nil {
		say("time", t.Text())
	}
	if j.Skipped > 0 {
		_, _ = fmt.Fprintln(a.IO.Out, skippedText(j.Skipped, strings.Split(j.SkippedBy, ",")))
	}
	say("error", redact(j.Error))
	return nil
}

// objectProgressDoc is an object of a job in JSON; sizes are bytes.
type objectProgressDoc struct {
	URL      string `json:"url"`
	Size     int64  `json:"size"`
	Bytes    int64  `json:"bytes"` // committed
	Rows     int64  `json:"rows"`
	Rejected int64  `json:"rejected"`
	Done     bool   `json:"done"`
}

// workerDoc is a session of a job in JSON.
type workerDoc struct {
	PID   int32     `json:"pid"`
	State string    `json:"state"`
	Wait  string    `json:"wait,omitempty"`
	Since time.Time `json:"since"`
	Doing string    `json:"doing"`
}

func (a *App) loadInspect(ctx context.Context, j state.Job, objects, workers bool) error {
	if j.Kind == kindUnload && objects {
		return usagef("its objects are in the manifest beside them", "%s is an unload", j.ID)
	}
	in, err := run.Inspect(ctx, j)
	if err != nil {
		return err
	}
	if workers {
		t, docs := table{cols: cols("PID", "STATE", "WAIT", "SINCE", "DOING")}, []workerDoc{}
		for _, s := range in.Sessions {
			t.add(fmt.Sprint(s.PID), s.State, s.Wait, s.Since.Local().Format(time.RFC3339), s.Doing)
			docs = append(docs, workerDoc(s))
		}
		return a.print(list("WorkerList", docs), t)
	}
	t, docs := table{cols: cols("OBJECT", "DONE", "BYTES", "SIZE", "ROWS", "REJECTED")}, []objectProgressDoc{}
	for _, o := range in.Objects {
		done := percent(o.Bytes, o.Size)
		if o.Done {
			done = "100%"
		}
		t.add(redact(o.URL), done, schema.FormatSize(o.Bytes), schema.FormatSize(o.Size), fmt.Sprint(o.Rows), fmt.Sprint(o.Rejected))
		docs = append(docs, objectProgressDoc{redact(o.URL), o.Size, o.Bytes, o.Rows, o.Rejected, o.Done})
	}
	return a.print(list("ObjectList", docs), t)
}
