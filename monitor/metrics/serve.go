package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"cw/fault"
)

// lookLimit is how long a monitor that acts may not have looked before it
// counts as ill.
const lookLimit = 30 * time.Second

// Board shows the newest view to whoever asks.
type Board struct {
	Now func() time.Time // nil is the clock

	mu      sync.Mutex
	view    View
	at      time.Time // when it came
	started time.Time
}

// NewBoard makes a board without a view.
func NewBoard() *Board { return &Board{Now: time.Now, started: time.Now()} }

// Set puts a view on the board.
func (b *Board) Set(v View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.view, b.at = v, b.Now()
}

func (b *Board) get() (View, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view, b.at
}

// Health is what /healthz says.
type Health struct {
	OK      bool    `json:"ok"`
	Role    string  `json:"role"` // leading, standby
	Seconds float64 `json:"role_seconds"`
	// LookSeconds is how long ago the clusters were looked at; left out by one
	// that stands by.
	LookSeconds *float64 `json:"look_seconds,omitempty"`
	Problem     string   `json:"problem,omitempty"`
}

// Health judges the newest view.
func (b *Board) Health() Health {
	v, at := b.get()
	now := b.Now()
	h := Health{Role: "standby", Problem: v.StoreErr}
	if !v.Since.IsZero() {
		h.Seconds = now.Sub(v.Since).Seconds()
	}
	if v.Leading {
		h.Role = "leading"
		looked := v.LookedAt
		if looked.Before(v.Since) {
			looked = v.Since // it has just begun
		}
		age := now.Sub(looked)
		seconds := age.Seconds()
		h.LookSeconds = &seconds
		if age > lookLimit && h.Problem == "" {
			h.Problem = fmt.Sprintf("the clusters were not looked at for %s", age.Round(time.Second))
		}
	}
	switch {
	case at.IsZero():
		if h.Problem == "" && now.Sub(b.started) > lookLimit {
			h.Problem = "the monitor does not begin"
		}
	case now.Sub(at) > lookLimit && h.Problem == "":
		h.Problem = fmt.Sprintf("the monitor has not said anything for %s", now.Sub(at).Round(time.Second))
	}
	h.OK = h.Problem == ""
	return h
}

// Handler answers /metrics and /healthz.
func (b *Board) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		v, _ := b.get()
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = write(w, families(v, b.Now(), b.started)) // the reader is gone
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := b.Health()
		w.Header().Set("Content-Type", "application/json")
		if !h.OK {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(h)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "cw monitor: /metrics, /healthz")
	})
	return mux
}

// Listen opens the address that metrics are served on.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fault.Wrap(fault.Failed, "name another with --listen, as 127.0.0.1:9188", fmt.Errorf("serve /metrics on %s: %w", address, err))
	}
	return l, nil
}

// Serve answers until ctx ends.
func (b *Board) Serve(ctx context.Context, l net.Listener, logger *slog.Logger) error {
	s := &http.Server{
		Handler: b.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve /metrics on %s: %w", l.Addr(), err)
	}
	return nil
}
