package run

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/playground/pgtest"
	"cw/state"
)

// reports lets a test wait for a report.
type reports struct {
	mu   sync.Mutex
	cond *sync.Cond
	last Progress
	over bool
	err  error
}

func newReports() *reports {
	w := &reports{}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *reports) Progress(p Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = p
	w.cond.Broadcast()
}

func (w *reports) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over, w.err = true, err
	w.cond.Broadcast()
}

// until waits for a report that is right; the job must not end before.
func (w *reports) until(t *testing.T, what string, right func(Progress) bool) Progress {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !right(w.last) {
		if w.over {
			t.Fatalf("the job ended before: %s; %v; last %+v", what, w.err, w.last)
		}
		w.cond.Wait()
	}
	return w.last
}

// running is a job under way.
type running struct {
	*reports
	cancel context.CancelFunc
	done   chan struct{}
	res    *Result
}

func start(t *testing.T, run func(context.Context, Reporter) (*Result, error)) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	r := &running{reports: newReports(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.res, r.err = run(ctx, r)
		r.end(r.err)
	}()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *running) finish(t *testing.T) *Result {
	t.Helper()
	<-r.done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.res
}

func speedEnv(t *testing.T, megabytes int) (e *env, location string) {
	t.Helper()
	e = newEnv(t, pgtest.Start(t), "create table items (id int, name text, amount numeric, note text); create table pain (seconds float8)")
	data := csvRows(0, 1000)
	all := make([]byte, 0, megabytes<<20)
	for len(all)+len(data) < megabytes<<20 {
		all = append(all, data...)
	}
	return e, e.file("a.csv", all)
}

// TestAdaptiveFollowsTheProbe makes the probe slow and fast again by a table.
func TestAdaptiveFollowsTheProbe(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 16)
	e.pg.Exec(t, e.db, "insert into pain values (0.15)")
	s := e.spec(simple(location, "csv", "items")+"  SPEED: {LIMIT: 4MB/s, ADAPTIVE: {PROBE: 'select pg_sleep(seconds) from pain', TARGET: 100ms, MIN: 100kB/s, EVERY: 20ms}}\n", 0)
	var warned []string
	r := start(t, func(ctx context.Context, w Reporter) (*Result, error) {
		o := e.options(s, "adaptive")
		o.Reporter, o.Warn = w, func(text string) { warned = append(warned, text) }
		return Run(ctx, o)
	})
	p := r.until(t, "the probe is slow", func(p Progress) bool { return strings.Contains(p.LimitReason, "missed even at MIN 100kB/s") })
	if p.Limit != 100_000 || p.Phase != PhaseLoad {
		t.Errorf("a slow database: %+v", p)
	}
	e.pg.Exec(t, e.db, "update pain set seconds = 0")
	r.until(t, "the operator's limit is the lowest", func(p Progress) bool { return p.Limit == 4e6 && p.LimitReason == "" })
	e.pg.Exec(t, e.db, "update pain set seconds = 0.2")
	r.until(t, "slow again", func(p Progress) bool {
		return p.Limit < 3e6 && strings.HasPrefix(p.LimitReason, "adaptive: query ")
	})
	e.pg.Exec(t, e.db, "update pain set seconds = 0")
	res := r.finish(t)
	if got := e.scalar("select count(*)::text from items"); got != fmt.Sprint(res.Rows) || res.Rows == 0 {
		t.Errorf("%s rows in the table, %d reported", got, res.Rows)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "without the load the query is ") {
		t.Errorf("warnings %q", warned)
	}
	if res.Timing.Bottleneck != ByLimit {
		t.Errorf("timing %+v %+v", res.Timing, res.Timing.Reading)
	}
}

func TestAdaptiveSignals(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 1)
	for name, c := range map[string]struct{ adaptive, err string }{
		"commit":  {"COMMIT: true, TARGET: 1s", ""},
		"waits":   {"WAITS: 0", ""},
		"writes":  {"PROBE: 'insert into pain values (1)', TARGET: 1s", "cannot execute INSERT in a read-only transaction"},
		"mistake": {"PROBE: 'select nonesuch', TARGET: 1s", `SPEED.ADAPTIVE: the probe fails: ERROR: column "nonesuch" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			s := e.spec(simple(location, "csv", "items")+"  SPEED: {ADAPTIVE: {"+c.adaptive+", EVERY: 10ms}}\n", 0)
			o := e.options(s, "signal-"+name)
			o.Again = true
			res, err := Run(t.Context(), o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if err != nil || res.Rows == 0 {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
}

// TestAdaptiveWaits has a session wait for a lock.
func TestAdaptiveWaits(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 4)
	holder, waiter := e.pg.Connect(t, e.db), e.pg.Connect(t, e.db)
	for _, sql := range []string{"begin", "lock table pain"} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	waited := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(t.Context(), "select * from pain")
		waited <- err
	}()
	s := e.spec(simple(location, "csv", "items")+"  SPEED: {ADAPTIVE: {WAITS: 0, MIN: 200kB/s, EVERY: 10ms}}\n", 0)
	r := start(t, func(ctx context.Context, w Reporter) (*Result, error) {
		o := e.options(s, "waits")
		o.Reporter = w
		return Run(ctx, o)
	})
	r.until(t, "somebody waits", func(p Progress) bool {
		return strings.Contains(p.LimitReason, "adaptive: waits 1, target 0") && p.Limit == 200_000
	})
	if _, err := holder.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	r.finish(t)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 1)
	now := time.Now().UTC()
	window := fmt.Sprintf("FROM: '%s', TO: '%s'", now.Add(-time.Hour).Format("15:04"), now.Add(time.Hour).Format("15:04"))
	s := e.spec(simple(location, "csv", "items")+"  SPEED: {LIMIT: 5MB/s, ZONE: UTC, SCHEDULE: [{"+window+", LIMIT: 500kB/s}]}\n", 0)
	r := start(t, func(ctx context.Context, w Reporter) (*Result, error) {
		o := e.options(s, "schedule")
		o.Reporter = w
		return Run(ctx, o)
	})
	r.until(t, "the schedule holds", func(p Progress) bool {
		return p.Limit == 500_000 && strings.HasPrefix(p.LimitReason, "schedule: 500kB/s from ")
	})
	if res := r.finish(t); res.Rows == 0 || res.ThisRun < 1500*time.Millisecond {
		t.Errorf("%d rows in %s: faster than the schedule allows", res.Rows, res.ThisRun)
	}

	s = e.spec(simple(location, "csv", "items")+"  SPEED: {ZONE: UTC, SCHEDULE: [{"+window+", PAUSE: true}]}\n", 0)
	r = start(t, func(ctx context.Context, w Reporter) (*Result, error) {
		o := e.options(s, "pause")
		o.Reporter = w
		return Run(ctx, o)
	})
	r.until(t, "paused by the schedule", func(p Progress) bool {
		return p.Paused && p.Phase == PhaseLoad && strings.HasPrefix(p.LimitReason, "schedule: pause from ")
	})
	r.cancel()
}

// TestGroupsShareALimit runs two jobs of a group, ends one, and changes the
// group's limit.
func TestGroupsShareALimit(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 64) // on a busy machine it takes a while until both read as fast as they may
	st, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	if err := st.SetGroupLimit(t.Context(), "night", 1e6); err != nil {
		t.Fatal(err)
	}
	begin := func() (*running, string) {
		s := e.spec(simple(location, "csv", "items"), 0)
		j, err := st.CreateJob(t.Context(), state.Job{Kind: "load", Target: "items", Control: state.Control{Group: "night"}})
		if err != nil {
			t.Fatal(err)
		}
		return start(t, func(ctx context.Context, w Reporter) (*Result, error) {
			o := e.options(s, "")
			o.Reporter, o.Again = w, true
			return Recorded(ctx, st, j.ID, o)
		}), j.ID
	}
	a, _ := begin()
	a.until(t, "alone", func(p Progress) bool { return p.Limit == 1e6 && p.LimitReason == "share of group night" })
	b, _ := begin()
	for _, r := range []*running{a, b} {
		r.until(t, "two share", func(p Progress) bool { return p.Limit == 500_000 })
	}
	if err := st.SetGroupLimit(t.Context(), "night", 4e6); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*running{a, b} {
		r.until(t, "two share more", func(p Progress) bool { return p.Limit == 2e6 })
	}
	a.cancel()
	<-a.done
	b.until(t, "alone again", func(p Progress) bool { return p.Limit == 4e6 })
	groups, err := st.Groups(t.Context())
	if err != nil || len(groups) != 1 || groups[0] != (state.Group{Name: "night", Limit: 4e6, Jobs: 1}) {
		t.Errorf("groups %+v, %v", groups, err)
	}
	if err := st.SetGroupLimit(t.Context(), "night", 0); err != nil {
		t.Fatal(err)
	}
	b.finish(t)
}

// TestTellsTheEnd wants a webhook and a command to be told once, by a job that
// was recorded.
func TestTellsTheEnd(t *testing.T) {
	t.Parallel()
	e, location := speedEnv(t, 1)
	var mu sync.Mutex
	calls := 0
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls++
	}))
	t.Cleanup(hook.Close)
	st, err := state.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	j, err := st.CreateJob(t.Context(), state.Job{Kind: "load", Target: "items"})
	if err != nil {
		t.Fatal(err)
	}
	s := e.spec(simple(location, "csv", "items")+"  NOTIFY: [{WEBHOOK: '"+hook.URL+"'}, {EXEC: 'false', ON: [failed]}]\n", 0)
	if _, err := Recorded(t.Context(), st, j.ID, e.options(s, "")); err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Errorf("told %d times", calls)
	}
	done, err := st.Job(t.Context(), j.ID)
	if err != nil || !strings.Contains(done.Timing, `"bottleneck":"`) {
		t.Errorf("timing %q, %v", done.Timing, err)
	}
	in, err := Inspect(t.Context(), state.Job{ID: j.ID, SpecFile: "x", Spec: fmt.Sprintf("VERSION: 1.0.0.1\nHOST: 127.0.0.1\nPORT: %d\nUSER: cw\nPASSWORD: cw\nDATABASE: %s\nGPLOAD:\n%s", e.pg.Port, e.db, simple(location, "csv", "items"))})
	if err != nil || len(in.Objects) != 1 || !in.Objects[0].Done || in.Objects[0].Rows != done.Rows || in.Objects[0].Bytes != done.Bytes {
		t.Errorf("objects %+v, %v", in, err)
	}
}
