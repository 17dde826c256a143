package alert

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cw/monitor"
	"cw/state"
)

// told is one try to tell somebody.
type told struct {
	receiver string
	n        monitor.Notice
	after    time.Duration // since the test began
}

func (x told) String() string {
	var ids []string
	for _, a := range x.n.Alerts {
		ids = append(ids, a.Object)
	}
	return fmt.Sprintf("%s %s %s", x.receiver, x.n.Reason, strings.Join(ids, ","))
}

// audience keeps what is told; fail says how a try ends.
type audience struct {
	mu    sync.Mutex
	began time.Time
	heard []told
	fail  func(ctx context.Context, receiver string, n monitor.Notice) error
}

func (a *audience) send(ctx context.Context, r monitor.Receiver, n monitor.Notice) error {
	a.mu.Lock()
	a.heard = append(a.heard, told{r.Name, n, time.Since(a.began)})
	fail := a.fail
	a.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(ctx, r.Name, n)
}

// take is what was told since the last take, in order of text.
func (a *audience) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []string{}
	for _, h := range a.heard {
		out = append(out, h.String())
	}
	a.heard = nil
	slices.Sort(out)
	return out
}

// world is a store with a dispatcher in a bubble of its own time.
type world struct {
	t     *testing.T
	st    *state.Store
	dsn   string
	a     *audience
	every time.Duration
	alive sync.WaitGroup
}

// inWorld runs a test in fake time.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dsn: filepath.Join(t.TempDir(), "state.db"), a: &audience{began: time.Now()}}
		st, err := state.Open(t.Context(), w.dsn)
		if err != nil {
			t.Fatal(err)
		}
		w.st = st
		defer func() {
			w.alive.Wait()
			_ = st.Close()
			synctest.Wait()
		}()
		test(w)
	})
}

// run starts a dispatcher; the function it returns stops it and waits.
func (w *world) run(c monitor.Config) (*Dispatcher, func()) {
	w.t.Helper()
	d := New(Options{Store: w.st, Config: c, Send: w.a.send, Every: w.every})
	ctx, stop := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	w.alive.Go(func() {
		defer close(done)
		if err := d.Run(ctx); err != nil {
			w.t.Error(err)
		}
	})
	return d, func() {
		stop()
		<-done
	}
}

func (w *world) config(yaml string) monitor.Config {
	w.t.Helper()
	c, err := monitor.Parse("m.yaml", []byte("apiVersion: cw/v1\nkind: Monitor\n"+yaml))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// fire makes an alert fire, or changes its severity; its object names it.
func (w *world) fire(object, severity string, more ...string) state.Alert {
	w.t.Helper()
	a := state.Alert{Mark: object, Rule: monitor.NodeDown, Severity: severity, Cluster: "dw1", Object: object, Message: object + " is " + severity}
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		switch k {
		case "cluster":
			a.Cluster = v
		case "host":
			a.Host = v
		case "rule":
			a.Rule = v
		}
	}
	is, _, err := w.st.FireAlert(w.t.Context(), a)
	if err != nil {
		w.t.Fatal(err)
	}
	return is
}

func (w *world) resolve(a state.Alert) {
	w.t.Helper()
	if ok, err := w.st.ResolveAlert(w.t.Context(), a.ID, "well"); err != nil || !ok {
		w.t.Fatalf("resolve: %v, %v", ok, err)
	}
}

// want compares what was told since the last look.
func (w *world) want(when string, lines ...string) {
	w.t.Helper()
	synctest.Wait()
	got := w.a.take()
	slices.Sort(lines)
	if !slices.Equal(got, lines) {
		w.t.Errorf("%s: told %q, want %q", when, got, lines)
	}
}

const ops = "receivers: [{name: ops, exec: {command: x}}]\n"

// quick repeats soon: each second of a bubble costs the store a look.
const quick = ops + "routes: [{receivers: ops, repeat: 2m}]\n"
