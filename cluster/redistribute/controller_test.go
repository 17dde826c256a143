package redistribute

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cw/fault"
)

// toy is a site without a database, whose moves take time by their bytes.
type toy struct {
	mu      sync.Mutex
	tables  map[uint32]*toyTable
	sees    func() []Host
	order   orders
	speed   float64 // bytes per second
	conns   int
	behind  int64
	down    error // of everything
	began   []string
	most    int // moves at once
	now     int
	written map[uint32]Table
	control control
}

type toyTable struct {
	unit
	fails []error // of the next attempts; nil moves it
	moved bool
}

func newToy(sizes ...int64) *toy {
	w := &toy{tables: map[uint32]*toyTable{}, speed: 1 << 20, conns: 100, written: map[uint32]Table{}}
	for i, n := range sizes {
		w.make(uint32(i+1), n)
	}
	return w
}

func (w *toy) make(oid uint32, bytes int64) *toyTable {
	t := &toyTable{unit: unit{Table: Table{Database: "d", Name: fmt.Sprintf("public.t%d", oid), OID: oid, Bytes: bytes}, schema: "public", relation: fmt.Sprintf("t%d", oid)}}
	t.bytes = map[int]int64{0: bytes / 2, 1: bytes / 2}
	t.parts = []relation{{OID: oid, Name: t.Name, Kind: "r", Storage: "h", Policy: "p", Segments: 2}}
	t.least, t.most = 2, 2
	w.tables[oid] = t
	return t
}

func (w *toy) survey(context.Context) (scene, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return scene{}, w.down
	}
	sc := scene{setting: setting{segments: 4}}
	for _, t := range w.tables {
		u := t.unit
		if t.moved {
			u.least, u.most = 4, 4
		}
		u.judge(4, false)
		sc.units = append(sc.units, &u)
	}
	return sc, nil
}

func (w *toy) orders(context.Context) (orders, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.order, w.down
}

func (w *toy) list(context.Context, []Table) error { return nil }
func (w *toy) add(context.Context, []Table) error  { return nil }

func (w *toy) note(_ context.Context, tables []Table, c control) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range tables {
		w.written[t.OID] = t
	}
	w.control = c
	return w.down
}

func (w *toy) free(context.Context) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns, w.down
}

func (w *toy) lag(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.behind, w.down
}

func (w *toy) look(context.Context) ([]Host, error) {
	if w.sees == nil {
		return nil, nil
	}
	return w.sees(), nil
}

func (w *toy) move(ctx context.Context, _ string, units []*unit, each func(int, string, error)) error {
	for i, u := range units {
		w.mu.Lock()
		if w.down != nil {
			defer w.mu.Unlock()
			return w.down
		}
		t := w.tables[u.OID]
		w.began = append(w.began, u.Name)
		w.now++
		w.most = max(w.most, w.now)
		w.mu.Unlock()
		timer := time.NewTimer(time.Duration(float64(u.Bytes)/w.speed*1e9) + time.Millisecond)
		var ended error
		select {
		case <-timer.C:
		case <-ctx.Done():
			ended = context.Cause(ctx)
		}
		w.mu.Lock()
		w.now--
		var err error
		if len(t.fails) > 0 && ended == nil {
			err, t.fails = t.fails[0], t.fails[1:]
		}
		t.moved = t.moved || err == nil && ended == nil
		w.mu.Unlock()
		if ended != nil {
			return ended
		}
		each(i, saidMoved, err)
	}
	return nil
}

// drive runs a controller on a toy in a time of its own, and gives its last
// word, its error and how long it took.
func drive(ctx context.Context, w *toy, o Options, report func(Progress)) (p Progress, took time.Duration, err error) {
	o.Target = 4
	o = o.withDefaults()
	sc, err := w.survey(ctx)
	if err != nil {
		return Progress{}, 0, err
	}
	for _, u := range sc.units {
		u.first = o.place(u)
	}
	var last Progress
	started := time.Now()
	c := newController(o, sc, w, 20, func(p Progress) {
		last = p
		if report != nil {
			report(p)
		}
	})
	err = c.run(ctx)
	if err == nil {
		err = outcome(last)
	}
	return last, time.Since(started), err
}

const mib = 1 << 20

func TestOrderOfTables(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		o     Options
		ranks map[uint32]int
		want  string
	}{
		"smallest": {Options{}, nil, "t2 t4 t1 t3"},
		"largest":  {Options{Order: Largest}, nil, "t3 t1 t4 t2"},
		"first":    {Options{First: []string{"public.t3", "d.public.t[1]"}}, nil, "t3 t1 t2 t4"},
		"ranks":    {Options{First: []string{"public.t3"}}, map[uint32]int{1: -1, 2: 5}, "t3 t1 t4 t2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newToy(30*mib, 10*mib, 40*mib, 20*mib)
				w.order.Ranks = map[key]int{}
				for oid, r := range tc.ranks {
					w.order.Ranks[key{"d", oid}] = r
				}
				p, _, err := drive(t.Context(), w, tc.o, nil)
				if got := strings.ReplaceAll(strings.Join(w.began, " "), "public.", ""); err != nil || got != tc.want || !p.Done() || p.ETA != 0 {
					t.Errorf("%s, not %s: %+v %v", got, tc.want, p, err)
				}
			})
		})
	}
}

func TestAttemptsAndQuarantine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		blocked := &StatementError{Code: "55P03", Message: "canceling statement due to lock timeout"}
		w := newToy(mib, mib, mib, 50*mib)
		w.tables[1].fails = []error{blocked, blocked, nil}
		w.tables[2].fails = slices.Repeat([]error{error(blocked)}, 9)
		w.tables[3].fails = []error{&StatementError{Code: "23514", Message: "violates check constraint"}}
		p, took, err := drive(t.Context(), w, Options{Attempts: 4}, nil)
		if fault.KindOf(err) != fault.Partial || p.Moved != 2 || len(p.Quarantined) != 2 {
			t.Fatalf("%+v %v", p, err)
		}
		if a, b := w.written[2], w.written[3]; a.Attempts != 4 || a.State != Quarantined || b.Attempts != 1 || b.State != Quarantined || w.written[1].State != Moved {
			t.Errorf("%+v %+v %+v", a, b, w.written[1])
		}
		// 10 s, 30 s and 90 s between four attempts; the others went on meanwhile.
		if took < 130*time.Second || took > 190*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWindows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight of 2000-01-01, UTC
		w := newToy(60*mib, 1200*mib, 5400*mib)
		windows := []Window{{From: "01:00", To: "02:00"}}
		var waited []string
		begun := map[string]string{}
		p, _, err := drive(t.Context(), w, Options{Windows: windows, Until: time.Now().Add(48 * time.Hour)}, func(p Progress) {
			if p.Waiting != "" && !slices.Contains(waited, p.Waiting) {
				waited = append(waited, p.Waiting)
			}
			for _, m := range p.Moving {
				if begun[m.Name] == "" {
					begun[m.Name] = m.Started.UTC().Format("02 15:04")
				}
			}
		})
		// The largest takes 90 minutes: 39 were left on the first day, and the second
		// window is too short for it, too, as is known by then.
		if fault.KindOf(err) != fault.Partial || p.Moved != 2 || len(p.Moving) != 0 || w.tables[3].moved {
			t.Errorf("%+v %v", p, err)
		}
		if begun["public.t1"] != "01 01:00" || begun["public.t2"] != "01 01:01" || begun["public.t3"] != "" {
			t.Errorf("begun %v", begun)
		}
		text := strings.Join(waited, "\n")
		for _, want := range []string{"the next window begins at 01:00", "public.t3 (5.7GB) would take about 1h"} {
			if !strings.Contains(text, want) {
				t.Errorf("waited for %s, not %q", text, want)
			}
		}
	})
}

func TestWindowEndsWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newToy(5400 * mib) // 90 minutes, which nobody knows before the first try
		p, took, err := drive(t.Context(), w, Options{Windows: []Window{{From: "00:00", To: "01:00"}, {From: "10:00", To: "13:00"}}}, nil)
		if err != nil || !p.Done() || len(w.began) != 2 || w.written[1].Attempts != 0 || took.Round(time.Minute) != 11*time.Hour+30*time.Minute {
			t.Errorf("%v %+v %v %s", w.began, p, err, took)
		}
	})
}

func TestPauseAndContinue(t *testing.T) {
	t.Parallel()
	for _, now := range []bool{false, true} {
		t.Run(fmt.Sprint(now), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newToy(60*mib, 61*mib)
				set := func(o orders) {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.order = o
				}
				time.AfterFunc(30*time.Second, func() { set(orders{Paused: true, Now: now, By: "ann"}) })
				time.AfterFunc(600*time.Second, func() { set(orders{}) })
				at := map[int]int{}
				p, took, err := drive(t.Context(), w, Options{}, func(p Progress) {
					if p.Paused && p.Waiting != "" && p.Waiting != "paused by ann" {
						t.Errorf("waits for %q", p.Waiting)
					}
					at[p.Moved]++
				})
				moves, want := 2, 661*time.Second // the first ended during the pause
				if now {
					moves, want = 3, 721*time.Second
				}
				if err != nil || !p.Done() || len(w.began) != moves || (took-want).Abs() > 3*time.Second {
					t.Errorf("%v in %s: %+v %v", w.began, took, p, err)
				}
				for _, x := range w.written {
					if x.Attempts != 0 {
						t.Errorf("a pause was counted as an attempt: %+v", x)
					}
				}
			})
		})
	}
}

func TestSpaceOfConcurrentTables(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newToy(100*mib, 100*mib, 100*mib, 4000*mib)
		free := int64(130 * mib)
		w.sees = func() []Host {
			w.mu.Lock()
			defer w.mu.Unlock()
			return []Host{{Name: "sdw1", Disks: []Disk{{Mount: "/data1", Free: free, Contents: []int{0, 1, 2, 3}}, {Mount: "/data2", Free: 1 << 40, Contents: []int{0}}}}}
		}
		time.AfterFunc(time.Hour, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			free = 1 << 40
		})
		said := ""
		p, took, err := drive(t.Context(), w, Options{Parallel: 3, FreeFactor: 1.1}, func(p Progress) {
			if p.Waiting != "" && p.Moved == 0 {
				said = p.Waiting
			}
		})
		// A table takes 50 MiB on the two old segments and 25 on the new ones here.
		if err != nil || !p.Done() || w.most > 3 || took < time.Hour {
			t.Errorf("%d at once in %s: %+v %v", w.most, took, p, err)
		}
		if !strings.Contains(said, "must wait: /data1 on host sdw1 has 136MB free, of ") {
			t.Errorf("it said %q", said)
		}
	})
}

func TestPaceFollowsDisksMirrorsAndConnections(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	p := newPace(Options{Parallel: 8, MaxBusy: 0.8, MaxLag: 100}, 0, now)
	busy := func(b float64) []Host { return []Host{{Name: "h", Disks: []Disk{{Mount: "/d", Busy: b}}}} }
	if n, _ := p.limit(100); n != 2 {
		t.Errorf("begins with %d", n)
	}
	for range 20 {
		now = now.Add(5 * time.Second)
		p.look(now, busy(0.3), 5)
	}
	if n, why := p.limit(100); n != 8 || why != "" {
		t.Errorf("%d after calm: %s", n, why)
	}
	p.look(now, busy(0.95), 5)
	if n, why := p.limit(100); n != 4 || !strings.Contains(why, "/d on host h is busy 95 %") {
		t.Errorf("%d when busy: %s", n, why)
	}
	p.look(now, busy(0.1), 101)
	if n, why := p.limit(100); n != 2 || !strings.Contains(why, "mirror") {
		t.Errorf("%d when late: %s", n, why)
	}
	if n, why := p.limit(4); n != 1 || !strings.Contains(why, "4 free connections") {
		t.Errorf("%d with 4 connections: %s", n, why)
	}
	if n, _ := p.limit(2); n != 0 {
		t.Errorf("%d with 2 connections", n)
	}
	now = now.Add(time.Minute)
	p.look(now, busy(-1), 0)
	if n, _ := p.limit(100); n != 3 {
		t.Errorf("%d after a calm while", n)
	}
}

func TestManySmallTablesGoInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newToy(slices.Repeat([]int64{1000}, 1000)...)
		p, took, err := drive(t.Context(), w, Options{Parallel: 4}, nil)
		if err != nil || p.Moved != 1000 || w.most != 4 || took > 5*time.Second {
			t.Errorf("%d at once, %s: %+v %v", w.most, took, p, err)
		}
	})
}

func TestTablesThatComeAndGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newToy(60*mib, 70*mib)
		time.AfterFunc(20*time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.make(9, 5*mib)
			delete(w.tables, 2)
			w.make(2, 70*mib).fails = []error{&StatementError{Code: "42P01", Message: "gone"}}
		})
		time.AfterFunc(90*time.Second, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.tables, 2)
		})
		p, _, err := drive(t.Context(), w, Options{}, nil)
		if err != nil || p.Tables != 2 || p.Moved != 2 || !w.tables[9].moved {
			t.Errorf("%+v %v", p, err)
		}
	})
}

func TestDatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]time.Duration{"for a minute": time.Minute, "for good": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newToy(20*mib, 30*mib)
				set := func(err error) func() {
					return func() {
						w.mu.Lock()
						defer w.mu.Unlock()
						w.down = err
					}
				}
				gone := fault.New(fault.Unreachable, "", "cdw: no answer")
				time.AfterFunc(5*time.Second, set(gone))
				time.AfterFunc(5*time.Second+away, set(nil))
				p, took, err := drive(t.Context(), w, Options{}, nil)
				if away < time.Hour && (err != nil || !p.Done()) {
					t.Errorf("%+v %v", p, err)
				}
				if away > time.Hour && (fault.KindOf(err) != fault.Unreachable || took > 10*time.Minute) {
					t.Errorf("%s %v", took, err)
				}
			})
		})
	}
}

func TestInterruptedController(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newToy(20*mib, 30*mib)
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("interrupted")
		time.AfterFunc(25*time.Second, func() { cancel(stop) })
		p, took, err := drive(ctx, w, Options{}, nil)
		if !errors.Is(err, stop) || p.Moved != 1 || len(p.Moving) != 0 || took > 27*time.Second || w.written[2].State != Pending || w.written[2].Attempts != 0 {
			t.Errorf("%s: %+v %v %+v", took, p, err, w.written[2])
		}
	})
}
