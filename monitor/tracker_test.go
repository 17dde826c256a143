package monitor

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"cw/state"
)

func at(seconds float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

var down = Condition{Rule: NodeDown, Severity: state.Warning, Cluster: "dw", Host: "db2", Object: "n2", Message: "n2 is down"}

// look is a look that sees the conditions.
func look(found ...Condition) Look {
	return Look{Cluster: "dw", Rules: []string{NodeDown, HostSilent, NodeLag, InspectPrefix}, Every: time.Second, Found: found}
}

func blind(b ...Blind) Look { l := look(); l.Blind = b; return l }

// play shows the tracker looks, keeps what it decides, and tells it that the
// store has it.
type play struct {
	t   *testing.T
	tr  *Tracker
	ids int
	log []string
}

func newPlay(t *testing.T, c Config) *play {
	return &play{t: t, tr: NewTracker(c.Rule)}
}

func (p *play) show(now time.Time, l Look) []Decision {
	all := p.tr.Observe(now, l)
	for _, d := range all {
		p.log = append(p.log, fmt.Sprintf("%s %s", []string{"fire", "update", "resolve"}[d.Kind], d.Condition.Severity))
		id := d.Alert
		if d.Kind == Fire {
			p.ids++
			id = fmt.Sprint("a", p.ids)
		}
		p.tr.Done(now, d, id)
	}
	return all
}

func TestTracker(t *testing.T) {
	t.Parallel()
	worse := down
	worse.Severity, worse.Message = state.Critical, "n2 is down, and more"
	reworded := down
	reworded.Message = "n2 is down: no space"
	silent := Condition{Rule: HostSilent, Severity: state.Warning, Cluster: "dw", Host: "db2", Since: at(-7)}
	type span struct {
		from, to float64 // every second, to excluded
		look     Look
	}
	for name, c := range map[string]struct {
		spans []span
		want  string
	}{
		"stays":                 {[]span{{0, 4, look(down)}}, "[]"},
		"stays long enough":     {[]span{{0, 5, look(down)}}, "[fire warning]"},
		"a break":               {[]span{{0, 3, look(down)}, {3, 4, look()}, {4, 8, look(down)}}, "[]"},
		"not seen is a break":   {[]span{{0, 3, look(down)}, {3, 4, blind(Blind{Host: "db2"})}, {4, 8, look(down)}}, "[]"},
		"the process stood":     {[]span{{0, 2, look(down)}, {60, 64, look(down)}}, "[]"},
		"is over":               {[]span{{0, 8, look(down)}, {8, 14, look()}}, "[fire warning resolve warning]"},
		"flaps":                 {[]span{{0, 8, look(down)}, {8, 11, look()}, {11, 12, look(down)}, {12, 16, look()}, {16, 17, look(down)}}, "[fire warning]"},
		"cannot be seen":        {[]span{{0, 8, look(down)}, {8, 60, blind(Blind{Rule: NodeDown})}}, "[fire warning]"},
		"well, then not seen":   {[]span{{0, 8, look(down)}, {8, 11, look()}, {11, 12, blind(Blind{Object: "n2"})}, {12, 16, look()}}, "[fire warning]"},
		"other eyes are blind":  {[]span{{0, 8, look(down)}, {8, 14, blind(Blind{Host: "db3"}, Blind{Rule: NodeLag})}}, "[fire warning resolve warning]"},
		"gets worse":            {[]span{{0, 6, look(down)}, {6, 12, look(worse)}}, "[fire warning update critical]"},
		"a moment worse":        {[]span{{0, 6, look(down)}, {6, 9, look(worse)}, {9, 20, look(down)}}, "[fire warning]"},
		"a moment better":       {[]span{{0, 12, look(worse)}, {12, 15, look(down)}, {15, 20, look(worse)}}, "[fire critical]"},
		"gets better":           {[]span{{0, 6, look(worse)}, {6, 20, look(down)}}, "[fire critical update warning]"},
		"other words":           {[]span{{0, 6, look(down)}, {6, 100, look(reworded)}}, "[fire warning update warning]"},
		"since the last sign":   {[]span{{0, 3, look(silent)}}, "[fire warning]"},
		"one look is none":      {[]span{{5, 6, look(silent)}}, "[]"},
		"twice in one look":     {[]span{{0, 6, look(down, worse)}}, "[fire critical]"},
		"of another cluster":    {[]span{{0, 8, look(down)}, {8, 60, Look{Cluster: "other", Rules: []string{NodeDown}, Every: time.Second}}}, "[fire warning]"},
		"of another look":       {[]span{{0, 8, look(down)}, {8, 60, Look{Cluster: "dw", Rules: []string{DiskFull, InspectPrefix}, Every: time.Second}}}, "[fire warning]"},
		"no such rule":          {[]span{{0, 60, look(Condition{Rule: "x", Cluster: "dw"})}}, "[]"},
		"inspections by prefix": {[]span{{0, 60, look(Condition{Rule: "inspect.age", Severity: state.Warning, Cluster: "dw"})}, {60, 180, look()}}, "[fire warning resolve warning]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, Config{})
			for _, s := range c.spans {
				for now := s.from; now < s.to; now++ {
					p.show(at(now), s.look)
				}
			}
			if got := fmt.Sprint(p.log); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestTrackerTakeover(t *testing.T) {
	t.Parallel()
	p := newPlay(t, Config{})
	p.tr.Load([]state.Alert{
		{ID: "a9", Mark: down.Mark(), Rule: down.Rule, Severity: down.Severity, Cluster: "dw", Host: "db2", Object: "n2", Message: down.Message},
		{ID: "a8", Mark: "node.down|dw|db3|n3|", Rule: NodeDown, Severity: state.Warning, Cluster: "dw", Host: "db3", Object: "n3"},
		{ID: "a7", Mark: "auto-recovery.stopped|dw|||", Rule: HealingStopped, Cluster: "dw"},
	})
	for now := range 5 { // nothing is known yet
		p.show(at(float64(now)), blind(Blind{}))
	}
	for now := range 20 { // n2 is still down, n3 got well meanwhile
		for _, d := range p.show(at(float64(5+now)), look(down)) {
			if d.Kind != Resolve || d.Alert != "a8" {
				t.Errorf("%+v", d)
			}
		}
	}
	if len(p.log) != 1 {
		t.Errorf("%v", p.log)
	}
}

// What the store did not take is decided again.
func TestTrackerRepeatsUntilDone(t *testing.T) {
	t.Parallel()
	tr := NewTracker(Config{}.Rule)
	fired, resolved := 0, 0
	for now := range 8 {
		fired += len(tr.Observe(at(float64(now)), look(down)))
	}
	d := tr.Observe(at(8), look(down))
	if fired != 4 || len(d) != 1 {
		t.Fatalf("fired %d, then %+v", fired, d)
	}
	if !tr.Pending("dw") {
		t.Error("nothing is pending")
	}
	tr.Done(at(8), d[0], "a1")
	if tr.Pending("dw") {
		t.Error("still pending")
	}
	for now := 9; now < 17; now++ {
		resolved += len(tr.Observe(at(float64(now)), look()))
	}
	if resolved != 3 {
		t.Errorf("resolved %d times", resolved)
	}
	tr.Forget("dw")
	if d := tr.Observe(at(17), look()); len(d) != 0 {
		t.Errorf("%+v of a cluster that is forgotten", d)
	}
}

func TestRuleChanges(t *testing.T) {
	t.Parallel()
	ninety, second := 0.9, time.Second
	c := Config{Rules: map[string]RuleChange{DiskFull: {Warn: &ninety, Confirm: &second}, NodeDown: {Off: true}, "inspect.x": {Clear: &second}}}
	if r, ok := c.Rule(DiskFull); !ok || r.Warn != 0.9 || r.Critical != 0.95 || r.Confirm != second || r.Judge(0.89) != "" || r.Judge(0.9) != state.Warning || r.Judge(0.96) != state.Critical {
		t.Errorf("%+v", r)
	}
	if r, ok := c.Rule("inspect.x"); !ok || r.Clear != second || r.Confirm == 0 {
		t.Errorf("%+v", r)
	}
	if _, ok := c.Rule("nothing"); ok {
		t.Error("there is no such rule")
	}
	if r, _ := c.Rule(CertExpiry); r.Judge(22*daySeconds) != "" || r.Judge(20*daySeconds) != state.Warning || r.Judge(-5) != state.Critical {
		t.Errorf("%+v", r)
	}
	p := newPlay(t, c)
	p.tr.Load([]state.Alert{{ID: "a1", Mark: down.Mark(), Rule: NodeDown, Severity: state.Warning, Cluster: "dw", Host: "db2", Object: "n2"}})
	for now := range 10 {
		p.show(at(float64(now)), look(down))
	}
	if fmt.Sprint(p.log) != "[resolve warning]" {
		t.Errorf("a rule that is off: %v", p.log)
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if seen[r.Name] || r.Meaning == "" || r.Severity == "" && r.Warn == 0 && r.Critical == 0 {
			t.Errorf("%+v", r)
		}
		seen[r.Name] = true
		if r.Warn != 0 && r.Critical != 0 && (r.Warn > r.Critical) != r.Below {
			t.Errorf("%s: critical comes before warning", r.Name)
		}
	}
}

// Random looks, judged by their whole history: an alert fires when, and not
// before, it was seen in every look of its Confirm, and ends when it was seen
// to be well in every look of its Clear.
func TestTrackerProperty(t *testing.T) {
	t.Parallel()
	const present, well, unseen = 0, 1, 2
	rule, _ := Config{}.Rule(NodeDown)
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 10))
		p := newPlay(t, Config{})
		type past struct {
			at   time.Time
			what int
		}
		var history []past
		// all says whether what was seen in every look for d before now, without
		// gaps.
		all := func(now time.Time, what int, d time.Duration) bool {
			last := now
			for i := len(history) - 1; i >= 0; i-- {
				h := history[i]
				if h.what != what || last.Sub(h.at) > gapOf*time.Second {
					return false
				}
				if now.Sub(h.at) >= d {
					return true
				}
				last = h.at
			}
			return false
		}
		firing, now, what := false, at(0), well
		for range 300 {
			now = now.Add(time.Duration(200+rnd.IntN(1200)) * time.Millisecond)
			if rnd.IntN(40) == 0 {
				now = now.Add(time.Duration(rnd.IntN(20)) * time.Second)
			}
			if rnd.IntN(6) == 0 {
				what = rnd.IntN(3)
			}
			history = append(history, past{now, what})
			l := look()
			switch what {
			case present:
				l = look(down)
			case unseen:
				l = blind(Blind{Rule: NodeDown, Object: "n2"})
			}
			before := firing
			for _, d := range p.show(now, l) {
				switch {
				case d.Kind == Fire && firing:
					t.Fatalf("seed %d: fired twice", seed)
				case d.Kind == Fire && !all(now, present, rule.Confirm):
					t.Fatalf("seed %d: fired too early", seed)
				case d.Kind == Resolve && (!firing || !all(now, well, rule.Clear)):
					t.Fatalf("seed %d: resolved too early, firing %v", seed, firing)
				case d.Kind == Update:
					t.Fatalf("seed %d: nothing has changed", seed)
				}
				firing = d.Kind == Fire
			}
			if !before && !firing && all(now, present, rule.Confirm) {
				t.Fatalf("seed %d: did not fire", seed)
			}
			if before && firing && all(now, well, rule.Clear) {
				t.Fatalf("seed %d: did not resolve", seed)
			}
		}
	}
}

// Words that change all the time are written now and then.
func TestTrackerRewords(t *testing.T) {
	t.Parallel()
	p := newPlay(t, Config{})
	c := down
	for now := range 200 {
		c.Message = fmt.Sprint("n2 is down for ", now)
		p.show(at(float64(now)), look(c))
	}
	if got := fmt.Sprint(p.log); got != "[fire warning update warning update warning update warning]" {
		t.Errorf("in 200 s: %s", got)
	}
}
