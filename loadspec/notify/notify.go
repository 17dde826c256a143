// Package notify tells others how a job ended: a webhook gets the result as
// JSON by POST, a command gets it on its standard input. Both are tried again
// for about a minute; a job does not fail because nobody listened.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"cw/loadspec"
)

// Result is what is told. Sizes are bytes, rates bytes per second.
type Result struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Job        string    `json:"job"`
	JobKind    string    `json:"job_kind"` // load, unload
	State      string    `json:"state"`
	Target     string    `json:"target"`
	SpecFile   string    `json:"spec_file"`
	Owner      string    `json:"owner"`
	Rows       int64     `json:"rows"`
	Bytes      int64     `json:"bytes"`
	Rejected   int64     `json:"rejected"`
	Skipped    int64     `json:"skipped"` // objects
	Seconds    float64   `json:"seconds"`
	Error      string    `json:"error,omitempty"`
	FinishedAt time.Time `json:"finished_at"`
}

// Options tunes a Send; the zero value is for production.
type Options struct {
	Client  *http.Client                // nil: one with a timeout
	Tries   int                         // 0: 6
	Backoff time.Duration               // before the second try, doubled each time; 0: 2 s
	OnRetry func(who string, err error) // nil: silent
}

// commandTimeout is that of one try.
const commandTimeout = 5 * time.Minute

// Send tells all who want to know about that end, one after the other, and
// returns the errors of those who could not be told.
func Send(ctx context.Context, list []loadspec.Notify, r Result, o Options) error {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: WebhookTimeout}
	}
	if o.Tries == 0 {
		o.Tries = 6
	}
	if o.Backoff == 0 {
		o.Backoff = 2 * time.Second
	}
	if o.OnRetry == nil {
		o.OnRetry = func(string, error) {}
	}
	r.APIVersion, r.Kind = "cw/v1", "JobResult"
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	var failed []error
	for _, n := range list {
		if !n.Wants(r.State) {
			continue
		}
		if err := send(ctx, n, r, body, o); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", n.Name(), err))
		}
	}
	return errors.Join(failed...)
}

func send(ctx context.Context, n loadspec.Notify, r Result, body []byte, o Options) error {
	wait := o.Backoff
	for try := 1; ; try++ {
		err := once(ctx, n, r, body, o)
		var final *RefusedError
		if err == nil || errors.As(err, &final) || try >= o.Tries || ctx.Err() != nil {
			return err
		}
		o.OnRetry(n.Name(), err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
		wait *= 2
	}
}

func once(ctx context.Context, n loadspec.Notify, r Result, body []byte, o Options) error {
	if n.Exec != "" {
		return Command(ctx, n.Exec, commandTimeout, body, "CW_JOB="+r.Job, "CW_STATE="+r.State, "CW_TARGET="+r.Target,
			"CW_ROWS="+strconv.FormatInt(r.Rows, 10), "CW_REJECTED="+strconv.FormatInt(r.Rejected, 10), "CW_ERROR="+r.Error)
	}
	hook, err := n.Hook()
	if err != nil {
		return &RefusedError{err}
	}
	// The key is the same for every try, so that the receiver can tell a
	// repeated one.
	return Post(ctx, o.Client, Hook{URL: hook, Key: r.Job + "-" + r.State + "-" + strconv.FormatInt(r.FinishedAt.UnixMicro(), 36)}, body)
}
