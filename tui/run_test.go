package tui

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/tui/source"
)

// screenBuffer tells when a text has been painted.
type screenBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	wants string
	seen  chan struct{}
}

func (s *screenBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf.Write(p)
	if s.wants != "" && strings.Contains(s.buf.String(), s.wants) {
		s.wants = ""
		close(s.seen)
	}
	return len(p), nil
}

func (s *screenBuffer) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

func runDash(t *testing.T, ctx context.Context, in io.Reader) (*screenBuffer, chan error) { //nolint:revive // t is first in tests
	t.Helper()
	out := &screenBuffer{wants: "prod-dw", seen: make(chan struct{})}
	end := make(chan error, 1)
	fake := source.NewFake(source.FakeOptions{Seed: 1, Hosts: 2, SegmentsPerHost: 2, Loads: 2, Start: start})
	go func() { end <- Run(ctx, Options{Source: fake, Theme: ThemeDark}, in, out) }()
	select {
	case <-out.seen:
	case err := <-end:
		t.Fatalf("ended before it painted: %v\n%q", err, out.text())
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing painted: %q", out.text())
	}
	return out, end
}

func ended(t *testing.T, end chan error) error {
	t.Helper()
	select {
	case err := <-end:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not return")
		return nil
	}
}

// restored: what was switched on is switched off again.
func restored(t *testing.T, out string) {
	t.Helper()
	for on, off := range map[string]string{"\x1b[?1049h": "\x1b[?1049l", "\x1b[?25l": "\x1b[?25h", "\x1b[?2004h": "\x1b[?2004l"} {
		if i := strings.LastIndex(out, on); i >= 0 && strings.LastIndex(out, off) < i {
			t.Errorf("%q is left on", on)
		}
	}
}

func TestRunQuits(t *testing.T) {
	t.Parallel()
	in, keys := io.Pipe()
	out, end := runDash(t, t.Context(), in)
	if _, err := keys.Write([]byte("q")); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, end); err != nil {
		t.Errorf("q ends with %v", err)
	}
	restored(t, out.text())
}

func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, _ := io.Pipe()
	out, end := runDash(t, ctx, in)
	cancel()
	if err := ended(t, end); fault.KindOf(err) != fault.Interrupted {
		t.Errorf("a cancelled context ends with %v", err)
	}
	restored(t, out.text())
}
