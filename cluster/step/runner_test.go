package step

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
)

// world is what test steps change.
type world struct {
	mu      sync.Mutex
	done    map[string]bool
	applied []string
	fail    map[string]error
	onApply func(ctx context.Context, id string) error
	undone  []string
}

func newWorld() *world { return &world{done: map[string]bool{}, fail: map[string]error{}} }

func (w *world) step(id string, needs ...string) Step {
	_, host, _ := strings.Cut(id, "@")
	return Step{
		ID: id, Host: host, Title: "do " + id, Needs: needs,
		Check: func(context.Context) (Observed, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return Observed{Done: w.done[id], Note: fmt.Sprint(w.done[id])}, nil
		},
		Apply: func(ctx context.Context) error {
			if w.onApply != nil {
				if err := w.onApply(ctx, id); err != nil {
					return err
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.applied = append(w.applied, id)
			if err := w.fail[id]; err != nil {
				return err
			}
			w.done[id] = true
			return nil
		},
		Undo: func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.undone = append(w.undone, id)
			return nil
		},
	}
}

// memory is a Journal for tests.
type memory struct {
	mu    sync.Mutex
	lines []string
	fail  error
}

func (m *memory) Write(_ context.Context, r Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.lines = append(m.lines, r.Step+" "+r.State)
	return nil
}

func TestRunGoesOnPastAFailureExceptWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.fail["b"] = fault.New(fault.Unreachable, "", "no answer")
	after := w.step("e")
	after.After = []string{"b"}
	plan := Plan{Steps: []Step{w.step("a"), w.step("b", "a"), w.step("c", "b"), w.step("d", "a"), after}}
	j := &memory{}
	sum, err := (&Runner{Journal: j}).Run(t.Context(), plan)
	if err == nil || fault.KindOf(err) != fault.Unreachable {
		t.Fatalf("err = %v, kind %v", err, fault.KindOf(err))
	}
	if !reflect.DeepEqual(sum.Blocked, []string{"c"}) {
		t.Errorf("blocked = %v", sum.Blocked)
	}
	if !w.done["d"] || !w.done["e"] || w.done["c"] {
		t.Errorf("done = %v", w.done)
	}
	if !reflect.DeepEqual(w.undone, []string{"b"}) {
		t.Errorf("undone = %v, want only the failed step", w.undone)
	}
	if !strings.Contains(err.Error(), "b: no answer") || !strings.Contains(err.Error(), "1 step that needs it was not begun") {
		t.Errorf("error = %q", err)
	}

	// Running again does only what is missing.
	w.applied, w.fail = nil, map[string]error{}
	sum, err = (&Runner{Journal: j}).Run(t.Context(), plan)
	if err != nil || len(sum.Skipped) != 3 || !reflect.DeepEqual(w.applied, []string{"b", "c"}) {
		t.Errorf("second run: applied %v, skipped %v, err %v", w.applied, sum.Skipped, err)
	}
}

func TestJournalIsWrittenBeforeApply(t *testing.T) {
	t.Parallel()
	w, j := newWorld(), &memory{}
	w.onApply = func(context.Context, string) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		if len(j.lines) == 0 || j.lines[len(j.lines)-1] != "a running" {
			t.Errorf("journal at Apply: %v", j.lines)
		}
		return nil
	}
	if _, err := (&Runner{Journal: j}).Run(t.Context(), Plan{Steps: []Step{w.step("a")}}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(j.lines, []string{"a running", "a done"}) {
		t.Errorf("journal = %v", j.lines)
	}
	j.fail = errors.New("disk full")
	w.applied = nil
	if _, err := (&Runner{Journal: j}).Run(t.Context(), Plan{Steps: []Step{w.step("z")}}); err == nil || len(w.applied) > 0 {
		t.Errorf("a step ran without its journal line: %v, %v", w.applied, err)
	}
}

func TestCancelStartsNothingNew(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := newWorld()
	w.onApply = func(ctx context.Context, id string) error {
		if id == "a" {
			cancel()
		}
		<-ctx.Done()
		return ctx.Err()
	}
	sum, err := (&Runner{Journal: &memory{}}).Run(ctx, Plan{Steps: []Step{w.step("a"), w.step("b", "a"), w.step("c", "b")}})
	if fault.KindOf(err) != fault.Interrupted {
		t.Fatalf("kind = %v, err %v", fault.KindOf(err), err)
	}
	if len(w.applied) != 0 || !reflect.DeepEqual(sum.NotBegun, []string{"b", "c"}) || !reflect.DeepEqual(w.undone, []string{"a"}) {
		t.Errorf("applied %v, not begun %v, undone %v", w.applied, sum.NotBegun, w.undone)
	}
	if err.Error() != "stopped after 0 of 3 steps; undone: a" {
		t.Errorf("error = %q", err)
	}
}

func TestLimitsAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var mu sync.Mutex
	now, peak := map[string]int{}, map[string]int{}
	w.onApply = func(_ context.Context, id string) error {
		_, host, _ := strings.Cut(id, "@")
		mu.Lock()
		for _, k := range []string{host, "all"} {
			now[k]++
			peak[k] = max(peak[k], now[k])
		}
		mu.Unlock()
		time.Sleep(time.Millisecond) // lets others overlap; the limits hold without it too
		mu.Lock()
		now[host]--
		now["all"]--
		mu.Unlock()
		return nil
	}
	var steps []Step
	for i := range 30 {
		steps = append(steps, w.step(fmt.Sprintf("s%d@h%d", i, i%3)))
	}
	if _, err := (&Runner{Journal: &memory{}, Limit: 5, PerHost: 2}).Run(t.Context(), Plan{Steps: steps}); err != nil {
		t.Fatal(err)
	}
	if peak["all"] > 5 || peak["h0"] > 2 || peak["all"] < 2 {
		t.Errorf("peaks = %v", peak)
	}
}

func TestVerifyFailsAStepThatDidNotTake(t *testing.T) {
	t.Parallel()
	s := Step{
		ID: "a", Check: func(context.Context) (Observed, error) { return Observed{Note: "still missing"}, nil },
		Apply: func(context.Context) error { return nil },
	}
	_, err := (&Runner{Journal: &memory{}}).Run(t.Context(), Plan{Steps: []Step{s}})
	if err == nil || !strings.Contains(err.Error(), "still missing") {
		t.Errorf("err = %v", err)
	}
	s.Apply = nil
	if _, err := (&Runner{Journal: &memory{}}).Run(t.Context(), Plan{Steps: []Step{s}}); err == nil {
		t.Error("a step without Apply passed")
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	s := func(id string, needs ...string) Step { return Step{ID: id, Needs: needs} }
	tests := []struct {
		name string
		in   []Step
		want string // ids, or the error
	}{
		{"declared order", []Step{s("b"), s("a")}, "b a"},
		{"needs first", []Step{s("c", "b"), s("a"), s("b", "a")}, "a b c"},
		{"missing", []Step{s("a", "x")}, "step a waits for x, which is not in the plan"},
		{"twice", []Step{s("a"), s("a")}, "step a is in the plan twice"},
		{"circle", []Step{s("a", "b"), s("b", "a")}, "steps wait for each other: a, b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := Order(tt.in)
			var ids []string
			for _, o := range out {
				ids = append(ids, o.ID)
			}
			got := strings.Join(ids, " ")
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLookChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.done["a@h1"] = true
	gone := w.step("c@h2")
	gone.Destructive = true
	gone.Check = func(context.Context) (Observed, error) { return Observed{}, errors.New("no answer") }
	v, err := Look(t.Context(), Plan{Cluster: "dw1", Verb: "create", Steps: []Step{w.step("a@h1"), w.step("b@h1", "a@h1"), gone}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.applied) > 0 || v.Done != 1 || v.Pending != 2 {
		t.Errorf("applied %v, view %+v", w.applied, v)
	}
	var buf bytes.Buffer
	if err := v.WriteText(&buf); err != nil {
		t.Fatal(err)
	}
	want := "Plan: create dw1, 2 steps to do, 1 done already\n" +
		"    1  h1    do b@h1 (now: false)\n" +
		"!   2  h2    do c@h2 (unclear: no answer)\n"
	if buf.String() != want {
		t.Errorf("text:\n%s\nwant:\n%s", buf.String(), want)
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	var said []string
	leaked := make(chan func(), 1)
	s := Step{
		ID: "a", Title: "a", Check: func(context.Context) (Observed, error) { return Observed{}, nil }, Verify: func(context.Context) error { return nil },
		Apply: func(ctx context.Context) error {
			for i := range 100 {
				Say(ctx, "line %d", i)
			}
			leaked <- func() { Say(ctx, "after the end") }
			return nil
		},
	}
	r := Runner{Journal: &memory{}, Report: func(e Event) {
		if e.State == Said {
			said = append(said, e.Observed)
		}
	}}
	if _, err := r.Run(t.Context(), Plan{Steps: []Step{s}}); err != nil {
		t.Fatal(err)
	}
	(<-leaked)() // must not block
	Say(t.Context(), "to nobody")
	if len(said) != 100 || said[99] != "line 99" {
		t.Errorf("%d lines, %v", len(said), said)
	}
}
