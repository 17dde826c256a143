// Package notify tells others how a job ended: a webhook gets the result as
// JSON by POST, a command gets it on its standard input. Both are tried again
// for about a minute; a job does not fail because nobody listened.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
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

// Timeouts of one try.
const (
	webhookTimeout = 15 * time.Second
	commandTimeout = 5 * time.Minute
)

// Send tells all who want to know about that end, one after the other, and
// returns the errors of those who could not be told.
func Send(ctx context.Context, list []loadspec.Notify, r Result, o Options) error {
	if o.Client == nil {
		o.Client = &http.Client{Timeout: webhookTimeout}
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
		var final *refusedError
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
		return command(ctx, n.Exec, r, body)
	}
	hook, err := n.Hook()
	if err != nil {
		return &refusedError{err}
	}
	return post(ctx, hook, r, body, o.Client)
}

// refusedError is not worth another try.
type refusedError struct{ error }

func (e *refusedError) Unwrap() error { return e.error }

func post(ctx context.Context, hook string, r Result, body []byte, client *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return &refusedError{withoutURL(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "cw")
	// The same for every try, so that the receiver can tell a repeated one.
	req.Header.Set("Idempotency-Key", r.Job+"-"+r.State+"-"+strconv.FormatInt(r.FinishedAt.UnixMicro(), 36))
	answer, err := client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	_ = answer.Body.Close()
	code := answer.StatusCode
	if code < 300 {
		return nil
	}
	err = fmt.Errorf("answered %s: %s", answer.Status, strings.TrimSpace(strings.ToValidUTF8(string(text), "?")))
	if code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout {
		return &refusedError{err}
	}
	return err
}

// withoutURL takes the URL out of an error: it may be a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// command runs a shell command in a process group of its own, so that nothing
// of it stays behind when its time is up.
func command(ctx context.Context, text string, r Result, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", text) //nolint:gosec // the operator's own command
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 2 * time.Second
	c.Stdin = bytes.NewReader(body)
	c.Env = append(os.Environ(), "CW_JOB="+r.Job, "CW_STATE="+r.State, "CW_TARGET="+r.Target,
		"CW_ROWS="+strconv.FormatInt(r.Rows, 10), "CW_REJECTED="+strconv.FormatInt(r.Rejected, 10), "CW_ERROR="+r.Error)
	out := &head{}
	c.Stdout, c.Stderr = out, out
	if err := c.Run(); err != nil {
		if s := strings.TrimSpace(out.String()); s != "" {
			err = fmt.Errorf("%w: %s", err, s)
		}
		return err
	}
	return nil
}

// head keeps the first bytes of what a command prints, enough to see what went
// wrong.
type head struct{ bytes.Buffer }

const headMost = 500

// Write drops what is too much.
func (t *head) Write(p []byte) (int, error) {
	if room := headMost - t.Len(); room > 0 {
		_, _ = t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
