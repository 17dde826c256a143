package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/state"
)

// lineWriter hands over whole lines as they are written.
type lineWriter struct {
	mu    sync.Mutex
	rest  []byte
	lines chan string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	for {
		line, rest, ok := bytes.Cut(w.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		w.rest = rest
		w.lines <- string(line)
	}
}

func TestFollowEvents(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	st, err := state.Open(t.Context(), filepath.Join(home, ".local/state/cw/state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	add := func(kind, cluster string) {
		t.Helper()
		if err := st.AddEvent(t.Context(), state.Event{Kind: kind, Cluster: cluster, Message: kind + " of " + cluster}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 15 {
		add(state.EventStarted, fmt.Sprintf("old%d", i))
	}
	streams, _, errOut := TestStreams("")
	out := &lineWriter{lines: make(chan string, 100)}
	streams.Out = out
	ctx, interrupt := context.WithCancelCause(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- mainWith(ctx, streams, func(k string) string { return map[string]string{"HOME": home}[k] },
			[]string{"cw", "events", "--follow", "-o", "json", "--type", "started,fault"})
	}()
	next := func() state.Event {
		t.Helper()
		select {
		case line := <-out.lines:
			var e state.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			return e
		case <-time.After(20 * time.Second):
			t.Fatal("no event came")
		}
		return state.Event{}
	}
	for i := range 10 { // the end of what there was
		if e := next(); e.Cluster != fmt.Sprintf("old%d", i+5) {
			t.Fatalf("%d: %+v", i, e)
		}
	}
	began := time.Now()
	add(state.EventStopped, "other type")
	add(state.EventFault, "new")
	if e := next(); e.Kind != state.EventFault || e.Cluster != "new" || e.Severity != state.Critical || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	t.Logf("seen after %s", time.Since(began))
	add(state.EventStarted, "last")
	if e := next(); e.Cluster != "last" {
		t.Errorf("%+v", e)
	}
	interrupt(ErrInterrupted)
	select {
	case c := <-code:
		if c != 130 || errOut.String() != "" {
			t.Errorf("exit code %d, %q", c, errOut)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if len(out.lines) > 0 || len(out.rest) > 0 {
		t.Errorf("more came: %q %q", out.rest, <-out.lines)
	}
}

// Events that become visible in another order than they took their ids are
// all seen, once.
func TestFollowWindow(t *testing.T) {
	t.Parallel()
	w := window{seen: map[int64]bool{}}
	var got []int64
	for _, id := range []int64{10, 12, 11, 12, 10, 13, 90, 26, 27, 91, 27} {
		if w.add(id) {
			got = append(got, id)
		}
	}
	if want := []int64{10, 12, 11, 13, 90, 27, 91}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(w.seen) > followWindow {
		t.Errorf("%d ids are remembered", len(w.seen))
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1h":                   now.Add(-time.Hour),
		"90s":                  now.Add(-90 * time.Second),
		"2d":                   now.AddDate(0, 0, -2),
		"0.5d":                 now.Add(-12 * time.Hour),
		"2026-11-21":           time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC),
		"2026-11-21 08:30":     time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC),
		"2026-11-21T08:00:00Z": time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, want %s (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"", "-1h", "-2d", "d", "xd", "NaNd", "Infd", "1e300d", "2026-13-01", "soon"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q was taken as %s", text, got)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("plain")
	f.Add("two\nlines\tand \x1b[31mred\x1b]0;title\a\u009b1m\r")
	f.Add("数据仓库 naïve \xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		got := oneLine(text)
		for _, r := range got {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q: %q holds %q", text, got, r)
			}
		}
		if strings.ContainsAny(got, "\n\x1b") {
			t.Fatalf("%q", got)
		}
	})
}

// What a line of --follow shows stays readable whatever is in it.
func TestFollowLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ format, want string }{
		{"table", "critical  fault               two lines \\x1b[31mred"},
		{"wide", "dw1       l1        db2       7       {\"n\":1}  two lines"},
		{"csv", ",critical,fault,dw1,l1,db2,two lines"},
		{"yaml", "---\nid: 7\n"},
	} {
		streams, out, _ := TestStreams("")
		a := &App{IO: streams}
		a.flags.output = c.format
		p := &eventPrinter{a: a}
		e := state.Event{ID: 7, At: time.Now(), Kind: "fault", Severity: "critical", Cluster: "dw1", Job: "l1", Host: "db2", Message: "two\nlines \x1b[31mred", Data: map[string]any{"n": 1}}
		if err := p.print(e); err != nil {
			t.Fatal(err)
		}
		if err := p.print(e); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), c.want) || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %s", c.format, out)
		}
		if c.format == "csv" && strings.Count(out.String(), "time,severity") != 1 {
			t.Errorf("the heading came twice: %s", out)
		}
	}
}
