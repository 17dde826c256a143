package commands

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/tui/source"
)

// script is a source that sends what it is given, and then waits or ends.
type script struct {
	source.Source
	send []*source.Snapshot
	ends bool
}

func (s *script) Start(ctx context.Context) (<-chan *source.Snapshot, error) {
	ch := make(chan *source.Snapshot)
	go func() {
		defer close(ch)
		for _, snap := range s.send {
			select {
			case ch <- snap:
			case <-ctx.Done():
				return
			}
		}
		if !s.ends {
			<-ctx.Done()
		}
	}()
	return ch, nil
}

// snap is a snapshot of a cluster of one host that was sampled at second n; 0
// is never.
func snap(n int64, all bool, hostErr string) *source.Snapshot {
	at := time.Unix(1_800_000_000+n, 0)
	s := &source.Snapshot{At: at, Cluster: source.ClusterInfo{Name: "dw1", State: "up"}}
	h := source.Host{Name: "h1", Err: hostErr}
	if n > 0 {
		h.SampledAt = at
	}
	s.Hosts.Items = []source.Host{h}
	s.Loads.CollectedAt = at
	if all {
		s.Nodes.CollectedAt, s.Sessions.CollectedAt = at, at
	}
	return s
}

// A single snapshot has two samples of each host, or says why not.
func TestRipe(t *testing.T) {
	t.Parallel()
	loads := &source.Snapshot{}
	loads.Loads.Err = "store is away"
	for _, c := range []struct {
		name string
		send []*source.Snapshot
		ends bool
		want int // which one is shown
	}{
		{"two samples", []*source.Snapshot{snap(0, false, ""), snap(1, true, ""), snap(1, true, ""), snap(2, true, ""), snap(3, true, "")}, false, 3},
		{"the database is slow", []*source.Snapshot{snap(1, false, ""), snap(2, false, ""), snap(3, true, "")}, false, 2},
		{"a dead host", []*source.Snapshot{snap(0, true, ""), snap(0, true, "no answer"), snap(1, true, "")}, false, 1},
		{"a recording that ends", []*source.Snapshot{snap(1, false, "")}, true, 0},
		{"loads alone", []*source.Snapshot{loads}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := &script{send: c.send, ends: c.ends}
			ctx, stop := context.WithCancel(t.Context())
			ch, _ := src.Start(ctx)
			got, open := ripe(ctx, ch)
			if got != c.send[c.want] || open == c.ends {
				t.Errorf("got %+v, open %v", got, open)
			}
			drain(ch, stop)
		})
	}
}

func TestTopSnapshots(t *testing.T) {
	t.Parallel()
	degradedOne := snap(2, true, "")
	degradedOne.Cluster.State = "degraded"
	down := snap(2, true, "")
	down.Cluster.State = "down"
	secret := snap(2, true, "")
	secret.Sessions.Items = []source.Session{{PID: 1, Query: "alter role x password 's3cret'"}}
	for _, c := range []struct {
		name string
		send []*source.Snapshot
		o    topOptions
		kind fault.Kind
	}{
		{"up", []*source.Snapshot{snap(1, true, ""), snap(2, true, "")}, topOptions{exitCode: true}, -1},
		{"degraded", []*source.Snapshot{snap(1, true, ""), degradedOne}, topOptions{exitCode: true}, fault.Degraded},
		{"degraded, not asked", []*source.Snapshot{snap(1, true, ""), degradedOne}, topOptions{}, -1},
		{"down", []*source.Snapshot{snap(1, true, ""), down}, topOptions{exitCode: true}, fault.Failed},
		{"watched to its end", []*source.Snapshot{snap(1, true, ""), snap(2, true, ""), degradedOne}, topOptions{exitCode: true, watch: time.Hour}, fault.Degraded},
		{"a secret in a query", []*source.Snapshot{snap(1, true, ""), secret}, topOptions{}, -1},
		{"nothing at all", nil, topOptions{}, fault.Failed},
	} {
		for _, format := range outputFormats() {
			t.Run(c.name+" "+format, func(t *testing.T) {
				t.Parallel()
				streams, out, _ := TestStreams("")
				a := &App{IO: streams}
				a.flags.output = format
				err := a.topSnapshots(t.Context(), &script{send: c.send, ends: true}, c.o)
				if c.kind < 0 && err != nil || c.kind >= 0 && (err == nil || fault.KindOf(err) != c.kind) {
					t.Errorf("%v", err)
				}
				if len(c.send) > 0 && !strings.Contains(out.String(), "dw1") || strings.Contains(out.String(), "s3cret") {
					t.Errorf("%s", out)
				}
				if format == "json" && len(c.send) > 0 {
					var doc struct{ Kind string }
					if err := json.NewDecoder(out).Decode(&doc); err != nil || doc.Kind != "Snapshot" {
						t.Errorf("%+v %v", doc, err)
					}
				}
			})
		}
	}
}

// An interrupt ends a watch with its own exit code and without a word.
func TestTopWatchInterrupted(t *testing.T) {
	t.Parallel()
	streams, out, _ := TestStreams("")
	a := &App{IO: streams}
	a.flags.output = "json"
	ctx, stop := context.WithCancel(t.Context())
	src := &script{send: []*source.Snapshot{snap(1, true, ""), snap(2, true, "")}}
	streams.Out = writerFunc(func(p []byte) (int, error) {
		stop()
		return out.Write(p)
	})
	err := a.topSnapshots(ctx, src, topOptions{watch: time.Hour})
	if fault.KindOf(err) != fault.Interrupted || !errors.Is(err, errSilent) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestNoScreen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, out bool
		term    string
		noTUI   bool
		want    string
	}{
		{true, true, "xterm-256color", false, ""},
		{true, true, "dumb", false, `TERM is "dumb"`},
		{true, true, "", false, `TERM is ""`},
		{true, false, "xterm", false, "standard output is not a terminal"},
		{false, true, "xterm", false, "standard input is not a terminal"},
		{true, true, "xterm", true, "--no-tui"},
	} {
		a := &App{IO: &Streams{InTTY: c.in, OutTTY: c.out}, Getenv: func(string) string { return c.term }}
		if got := a.noScreen(topOptions{noTUI: c.noTUI}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestUTF8Locale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "en_GB.UTF-8"}, true},
		{map[string]string{"LANG": "de_DE.utf8"}, true},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
		{map[string]string{"LC_ALL": "C", "LANG": "en_GB.UTF-8"}, false},
		{map[string]string{"LC_CTYPE": "C.UTF-8", "LANG": "C"}, true},
	} {
		a := &App{Getenv: func(k string) string { return c.env[k] }}
		if got := a.utf8Locale(); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}
