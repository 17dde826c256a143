package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// WebhookTimeout is that of one try.
const WebhookTimeout = 15 * time.Second

// RefusedError is not worth another try.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap gives errors.Is and errors.As the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Hook is where a document is sent.
type Hook struct {
	URL   string // may be a secret: it is in no error
	Key   string // Idempotency-Key: the same for every try
	Token string // sent as Authorization: Bearer, "" is none
}

// Post sends a document in JSON. What the server refuses for good is a
// *RefusedError.
func Post(ctx context.Context, client *http.Client, h Hook, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return &RefusedError{WithoutURL(err)}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "cw")
	req.Header.Set("Idempotency-Key", h.Key)
	if h.Token != "" {
		req.Header.Set("Authorization", "Bearer "+h.Token)
	}
	answer, err := client.Do(req)
	if err != nil {
		return WithoutURL(err)
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
	_ = answer.Body.Close()
	code := answer.StatusCode
	if code < 300 {
		return nil
	}
	err = fmt.Errorf("answered %s: %s", answer.Status, strings.TrimSpace(strings.ToValidUTF8(string(text), "?")))
	if code < 500 && code != http.StatusTooManyRequests && code != http.StatusRequestTimeout {
		return &RefusedError{err}
	}
	return err
}

// WithoutURL takes the URL out of an error: it may be a secret.
func WithoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// Command runs a shell command with body on its standard input and env added
// to its environment, in a process group of its own, so that nothing of it
// stays behind when its time is up.
func Command(ctx context.Context, text string, timeout time.Duration, body []byte, env ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", text) //nolint:gosec // the operator's own command
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 2 * time.Second
	c.Stdin = bytes.NewReader(body)
	c.Env = append(os.Environ(), env...)
	out := &head{}
	c.Stdout, c.Stderr = out, out
	err := c.Run()
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not done within %s: %w", timeout, err)
	}
	if s := strings.TrimSpace(out.String()); s != "" {
		err = fmt.Errorf("%w: %s", err, s)
	}
	return err
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
