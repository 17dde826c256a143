package alert

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cw/loadspec/notify"
	"cw/monitor"
	"cw/state"
)

func TestLifeOfAnAlert(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, stop := w.run(w.config(quick))
		defer stop()
		r1 := w.fire("r1", state.Warning)
		time.Sleep(1500 * time.Millisecond)
		w.want("while the group gathers")
		r2 := w.fire("r2", state.Warning)
		other := w.fire("x1", state.Warning, "cluster=dw2")
		time.Sleep(2 * time.Second)
		w.want("fired", "ops fired r1,r2")
		time.Sleep(2 * time.Second)
		w.want("the other cluster's group", "ops fired x1")
		time.Sleep(30 * time.Second)
		w.want("nothing new")
		w.fire("r1", state.Critical)
		w.fire("r3", state.Warning)
		time.Sleep(4 * time.Second)
		w.want("worse", "ops fired r1,r3")
		time.Sleep(90 * time.Second)
		w.want("the repeats, since the last word of each", "ops repeat r2", "ops repeat x1")
		time.Sleep(30 * time.Second)
		w.want("those of the others", "ops repeat r1,r3")
		w.resolve(r1)
		w.resolve(r2)
		w.resolve(other)
		time.Sleep(4 * time.Second)
		w.want("over", "ops resolved r1,r2", "ops resolved x1")
		time.Sleep(5 * time.Minute)
		w.want("only what fires is repeated", "ops repeat r3", "ops repeat r3")
	})
}

// What is over before it was told is not told.
func TestShortAlert(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, stop := w.run(w.config(quick))
		defer stop()
		a := w.fire("r1", state.Warning)
		time.Sleep(500 * time.Millisecond)
		w.resolve(a)
		time.Sleep(3 * time.Minute)
		w.want("resolved within the group's wait")
	})
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, stop := w.run(w.config(`
receivers:
  - {name: page, exec: {command: x}}
  - {name: mail, exec: {command: x}}
  - {name: each, exec: {command: x}, resolved: false}
routes:
  - {receivers: [page], severities: critical}
  - {receivers: [mail, page], clusters: ["dw*"], rules: ["node.*"], group_by: [host], repeat: 0}
  - {receivers: [each], rules: [disk.full], group_by: [alert], group_wait: 0}
`))
		defer stop()
		crit := w.fire("c", state.Critical, "rule=host.silent", "cluster=other")
		both := w.fire("b", state.Critical, "host=h1")
		warn := w.fire("w", state.Warning, "host=h1")
		w.fire("n", state.Warning, "rule=cluster.down") // no route
		d1, d2 := w.fire("d1", state.Warning, "rule=disk.full"), w.fire("d2", state.Warning, "rule=disk.full")
		time.Sleep(5 * time.Second)
		// b goes to page by its first route, w by the second: two messages.
		w.want("fired", "page fired c", "page fired b", "page fired w", "mail fired b,w", "each fired d1", "each fired d2")
		for _, a := range []state.Alert{crit, both, warn, d1, d2} {
			w.resolve(a)
		}
		time.Sleep(5 * time.Second)
		w.want("over", "page resolved c", "page resolved b", "page resolved w", "mail resolved b,w")
	})
}

// Who was told of a critical alert is told that it is only a warning now, and
// of its end, although warnings are not routed there.
func TestMilder(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, stop := w.run(w.config(ops + "routes: [{receivers: ops, severities: critical, repeat: 2m}]"))
		defer stop()
		a := w.fire("r1", state.Warning)
		time.Sleep(5 * time.Second)
		w.want("no route")
		w.fire("r1", state.Critical)
		time.Sleep(5 * time.Second)
		w.want("worse", "ops fired r1")
		w.fire("r1", state.Warning)
		time.Sleep(5 * time.Second)
		w.want("milder", "ops changed r1")
		time.Sleep(6 * time.Minute)
		w.want("warnings are not repeated there")
		w.resolve(a)
		time.Sleep(5 * time.Second)
		w.want("over", "ops resolved r1")
	})
}

func TestSilences(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		_, stop := w.run(w.config(quick))
		defer stop()
		before := w.fire("before", state.Warning, "host=h1")
		time.Sleep(5 * time.Second)
		w.want("before", "ops fired before")
		for _, q := range []state.Silence{{Cluster: "dw?", Host: "h[12]", Rule: "node.*", Reason: "work"}, {Cluster: "other", Reason: "no concern of ours"}} {
			if _, err := w.st.AddSilence(w.t.Context(), q, 3*time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		within := w.fire("within", state.Warning, "host=h2")
		w.fire("elsewhere", state.Warning, "host=h3")
		w.fire("stays", state.Warning, "host=h1")
		time.Sleep(5 * time.Second)
		w.want("silenced", "ops fired elsewhere")
		w.resolve(within)
		time.Sleep(125 * time.Second)
		w.want("no repeat of what is silenced", "ops repeat elsewhere")
		w.resolve(before)
		time.Sleep(5 * time.Second)
		w.want("what was opened is closed", "ops resolved before")
		time.Sleep(50 * time.Second)
		w.want("the silence is over, and it still fires", "ops fired stays")
	})
}

// A receiver that is down for an hour is told when it is back, under the same
// name and with how late that is; others are told in time, and what it got
// once it does not get again.
func TestDown(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		up := false
		w.a.fail = func(ctx context.Context, receiver string, _ monitor.Notice) error {
			if receiver == "hangs" {
				<-ctx.Done()
				return ctx.Err()
			}
			if receiver == "down" && !up {
				return errors.New("connection refused")
			}
			return nil
		}
		c := w.config(`receivers: [{name: down, exec: {command: x}}, {name: hangs, webhook: {url: "http://h/"}}, {name: ops, exec: {command: x}}]
routes: [{receivers: [down, hangs, ops], group_wait: 0}]`)
		w.a.mu.Lock()
		inner := w.a.fail
		w.a.fail = func(ctx context.Context, receiver string, n monitor.Notice) error {
			ctx, cancel := context.WithTimeout(ctx, notify.WebhookTimeout) // as Send has it
			defer cancel()
			return inner(ctx, receiver, n)
		}
		w.a.mu.Unlock()
		w.every = 20 * time.Second
		a := w.fire("r1", state.Critical)
		d, stop := w.run(c)
		defer stop()
		time.Sleep(13 * time.Second)
		synctest.Wait()
		inTime := false
		for _, h := range w.a.heard {
			inTime = inTime || h.receiver == "ops" && h.after < 13*time.Second
		}
		if !inTime {
			t.Errorf("ops had to wait: %v", w.a.heard)
		}
		w.resolve(a)
		time.Sleep(time.Hour)
		synctest.Wait()
		names, tries := map[string]bool{}, 0
		for _, h := range w.a.heard {
			if h.receiver == "down" {
				names[h.n.ID], tries = true, tries+1
			}
		}
		if len(names) != 1 || tries < 20 || tries > 200 {
			t.Errorf("%d names in %d tries", len(names), tries)
		}
		w.a.mu.Lock()
		up, w.a.heard = true, nil
		w.a.mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		var lines []string
		for _, h := range w.a.heard {
			if h.receiver != "down" {
				continue
			}
			lines = append(lines, h.String())
			if late := time.Duration(h.n.LateSeconds) * time.Second; h.n.Reason == monitor.ReasonFired && (late < time.Hour || late > 65*time.Minute || !names[h.n.ID]) {
				t.Errorf("%s late, as %s", late, h.n.ID)
			}
		}
		if !slices.Equal(lines, []string{"down fired r1", "down resolved r1"}) {
			t.Errorf("back again: %q", lines)
		}
		got := map[string]int64{}
		for _, c := range d.Counts() {
			got[c.Receiver+" "+c.Result] = c.N
		}
		if got["ops sent"] != 2 || got["down sent"] != 2 || got["down later"] != int64(tries) || got["hangs later"] < 10 {
			t.Errorf("counts %v", got)
		}
	})
}

// What is refused is not tried again; it is an event, without the secret, and
// the repeat tries anew.
func TestRefused(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.a.fail = func(context.Context, string, monitor.Notice) error {
			return &notify.RefusedError{Err: errors.New("answered 404 Not Found\r\nfor s3cret")}
		}
		d := New(Options{Store: w.st, Config: w.config(quick), Send: w.a.send, Redact: func(s string) string { return strings.ReplaceAll(s, "s3cret", "***") }})
		ctx, stop := context.WithCancel(w.t.Context())
		w.alive.Go(func() { _ = d.Run(ctx) })
		defer stop()
		a := w.fire("r1", state.Critical)
		time.Sleep(time.Minute)
		w.want("refused", "ops fired r1")
		events, err := w.st.Events(w.t.Context(), state.EventFilter{Kinds: []string{state.EventNotTold}})
		if err != nil || len(events) != 1 || !strings.Contains(events[0].Message, "receiver ops was not told") || !strings.Contains(events[0].Message, "404 Not Found for ***") {
			t.Errorf("%+v, %v", events, err)
		}
		all, err := w.st.Deliveries(w.t.Context(), time.Time{})
		if err != nil || len(all) != 1 || all[0].State != state.GivenUp || strings.Contains(all[0].Error, "s3cret") {
			t.Errorf("%+v, %v", all, err)
		}
		time.Sleep(65 * time.Second)
		w.want("the repeat", "ops repeat r1")
		w.resolve(a)
		time.Sleep(time.Minute)
		w.want("the end of what was never told")
	})
}

// What could not be told for a day is given up.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		w.a.fail = func(context.Context, string, monitor.Notice) error { return errors.New("no route to host") }
		d := New(Options{Store: w.st, Config: w.config(ops + "routes: [{receivers: ops, repeat: 0}]"), Send: w.a.send, Every: 5 * time.Minute})
		ctx, stop := context.WithCancel(w.t.Context())
		w.alive.Go(func() { _ = d.Run(ctx) })
		defer stop()
		w.fire("r1", state.Critical)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		events, err := w.st.Events(w.t.Context(), state.EventFilter{Kinds: []string{state.EventNotTold}})
		if err != nil || len(events) != 1 || !strings.Contains(events[0].Message, "for 24h0m0s it could not be told: no route to host") {
			t.Errorf("%+v, %v", events, err)
		}
		w.a.take()
		time.Sleep(time.Hour)
		w.want("given up")
	})
}

// A monitor that dies between sending and recording is one whose message comes
// again under the same name, and what was told by then stays told. The dead
// one, if it was only slow, changes nothing afterwards.
func TestTakeover(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		c := w.config(ops + "routes: [{receivers: ops, repeat: 4m}]")
		w.every = 2 * time.Second
		hold, frozen := make(chan struct{}), make(chan struct{}, 10)
		w.a.fail = func(context.Context, string, monitor.Notice) error {
			frozen <- struct{}{}
			<-hold
			return errors.New("too late to say")
		}
		_, stopFirst := w.run(c)
		w.fire("r1", state.Critical)
		w.fire("r2", state.Critical)
		<-frozen
		first := w.a.heard[0].n
		w.want("the first one", "ops fired r1,r2")
		w.a.mu.Lock()
		w.a.fail = nil
		w.a.mu.Unlock()
		// Another one comes while a third alert fires.
		_, stop := w.run(c)
		defer stop()
		r3 := w.fire("r3", state.Critical)
		time.Sleep(5 * time.Second)
		w.want("what is new", "ops fired r3")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.a.heard) != 1 || w.a.heard[0].n.ID != first.ID || w.a.heard[0].String() != "ops fired r1,r2" {
			t.Errorf("taken over as %v, was %s", w.a.heard, first.ID)
		}
		w.a.take()
		close(hold)
		stopFirst()
		time.Sleep(time.Minute)
		w.want("all is told")
		w.resolve(r3)
		time.Sleep(5 * time.Second)
		w.want("the end", "ops resolved r3")
		time.Sleep(24 * time.Minute)
		if n := len(w.a.take()); n != 6 {
			t.Errorf("%d repeats in 24 minutes", n)
		}
	})
}

// A restarted monitor remembers nothing and tells nothing twice.
func TestRestart(t *testing.T) {
	t.Parallel()
	inWorld(t, func(w *world) {
		c := w.config(quick)
		w.fire("r1", state.Critical)
		for range 3 {
			_, stop := w.run(c)
			time.Sleep(5 * time.Second)
			stop()
		}
		w.want("three lives", "ops fired r1")
		time.Sleep(2 * time.Minute)
		for range 3 {
			_, stop := w.run(c)
			time.Sleep(5 * time.Second)
			stop()
		}
		w.want("and three more", "ops repeat r1")
	})
}
