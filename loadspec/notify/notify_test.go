package notify

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/loadspec"
)

// receiver answers with its codes, one after the other, the last for ever.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	codes  []int
	bodies []string
	keys   map[string]bool
}

func newReceiver(t *testing.T, codes ...int) *receiver {
	t.Helper()
	r := &receiver{codes: codes, keys: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies = append(r.bodies, string(body))
		r.keys[req.Header.Get("Idempotency-Key")] = true
		code := r.codes[0]
		if len(r.codes) > 1 {
			r.codes = r.codes[1:]
		}
		if code == 0 {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "no such hook")
	}))
	t.Cleanup(r.Close)
	return r
}

func result(state string) Result {
	return Result{Job: "l1", JobKind: "load", State: state, Target: "public.t", Rows: 7, Rejected: 2, Error: "it's 2 rows", FinishedAt: time.Unix(1e9, 0)}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		codes []int
		calls int
		err   string
	}{
		{"at once", []int{204}, 1, ""},
		{"later", []int{500, 0, 429, 200}, 4, ""},
		{"never", []int{503}, 3, "answered 503 Service Unavailable"},
		{"refused", []int{404}, 1, "answered 404 Not Found: no such hook"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t, c.codes...)
			tries := 3
			if c.err == "" {
				tries = 6
			}
			err := Send(t.Context(), []loadspec.Notify{{Webhook: r.URL + "/secret-token"}}, result("failed"), Options{Tries: tries, Backoff: time.Millisecond})
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "secret-token") {
				t.Errorf("the URL is in the error: %v", err)
			}
			if len(r.bodies) != c.calls || len(r.keys) != 1 {
				t.Fatalf("%d calls with %d keys, want %d with one", len(r.bodies), len(r.keys), c.calls)
			}
			var got Result
			if err := json.Unmarshal([]byte(r.bodies[0]), &got); err != nil || got.Kind != "JobResult" || got.Rows != 7 || got.Error != "it's 2 rows" {
				t.Errorf("body %s: %v", r.bodies[0], err)
			}
		})
	}
}

func TestWebhookGone(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, 200)
	url := r.URL + "/secret-token"
	r.Close()
	retried := 0
	err := Send(t.Context(), []loadspec.Notify{{Webhook: url}}, result("done"), Options{Tries: 2, Backoff: time.Millisecond, OnRetry: func(string, error) { retried++ }})
	if err == nil || strings.Contains(err.Error(), "secret-token") || retried != 1 {
		t.Errorf("%d retries, error %v", retried, err)
	}
	file := filepath.Join(t.TempDir(), "hook")
	err = Send(t.Context(), []loadspec.Notify{{WebhookFile: file}}, result("done"), Options{Tries: 2, Backoff: time.Hour})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := []loadspec.Notify{
		{Exec: `cat > ` + dir + `/in; echo "$CW_JOB $CW_STATE $CW_ROWS $CW_REJECTED $CW_ERROR" > ` + dir + `/env`},
		{Exec: "touch " + dir + "/done", On: []string{loadspec.EndDone}},
		{Exec: "touch " + dir + "/failed", On: []string{loadspec.EndFailed, loadspec.EndPartial}},
	}
	if err := Send(t.Context(), list, result("partial"), Options{}); err != nil {
		t.Fatal(err)
	}
	env, _ := os.ReadFile(filepath.Join(dir, "env"))
	if string(env) != "l1 partial 7 2 it's 2 rows\n" {
		t.Errorf("environment %q", env)
	}
	in, _ := os.ReadFile(filepath.Join(dir, "in"))
	if !json.Valid(in) {
		t.Errorf("standard input %q", in)
	}
	if _, err := os.Stat(filepath.Join(dir, "failed")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		t.Error("told of an end that it does not want")
	}
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := Send(t.Context(), []loadspec.Notify{{Exec: "echo x >> " + dir + "/tries; echo it broke >&2; exit 3"}}, result("done"), Options{Tries: 3, Backoff: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "exit status 3: it broke") {
		t.Errorf("error %v", err)
	}
	if tries, _ := os.ReadFile(filepath.Join(dir, "tries")); string(tries) != "x\nx\nx\n" {
		t.Errorf("tries %q", tries)
	}
	// One that hangs ends with the context, with all that it has started.
	ctx, cancel := context.WithCancel(t.Context())
	fifo := filepath.Join(dir, "started")
	go func() {
		for {
			if _, err := os.Stat(fifo); err == nil || ctx.Err() != nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	err = Send(ctx, []loadspec.Notify{{Exec: "sleep 1000 & touch " + fifo + "; wait"}}, result("done"), Options{})
	if err == nil {
		t.Error("a command that hangs")
	}
}
