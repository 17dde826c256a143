package monitor

import (
	"slices"
	"strings"
	"time"

	"cw/state"
)

const (
	// leastSight is how long something has to be seen, however long it is known
	// to be so: one look is none.
	leastSight = 2 * time.Second
	// worseSight is how long something has to be worse than it was told, at most.
	worseSight = 5 * time.Second
	// gapOf is how many looks may be missing before nobody can say that it was so
	// all the time: this process, or its machine, stood still.
	gapOf = 3
	// rewordEvery is how often an alert's words follow what they tell, while it
	// is as bad as it was.
	rewordEvery = time.Minute
)

// Look is what one look at a cluster brought.
type Look struct {
	Cluster string   // "" for what belongs to none
	Rules   []string // what was looked for; one that ends in "." is all that begin so
	Every   time.Duration
	Found   []Condition
	Blind   []Blind // where it could not be seen whether something is wrong
}

// Blind is what a look could not see; empty fields are any.
type Blind struct{ Rule, Host, Object, Job string }

func (l Look) about(c Condition) bool {
	return c.Cluster == l.Cluster && slices.ContainsFunc(l.Rules, func(r string) bool {
		return r == c.Rule || strings.HasSuffix(r, ".") && strings.HasPrefix(c.Rule, r)
	})
}

func (l Look) blind(c Condition) bool {
	fits := func(pattern, is string) bool { return pattern == "" || pattern == is }
	return slices.ContainsFunc(l.Blind, func(b Blind) bool {
		return fits(b.Rule, c.Rule) && fits(b.Host, c.Host) && fits(b.Object, c.Object) && fits(b.Job, c.Job)
	})
}

// gap says whether so many looks are missing that nobody knows what was in
// between.
func (l Look) gap(last, now time.Time) bool { return l.Every > 0 && now.Sub(last) > gapOf*l.Every }

// DecisionKind is what is to be done about an alert.
type DecisionKind int

// The kinds.
const (
	Fire DecisionKind = iota
	Update
	Resolve
)

// Decision is a change of an alert. It is repeated at every look until Done
// says that the store has it.
type Decision struct {
	Kind      DecisionKind
	Condition Condition
	Began     time.Time
	Alert     string // of Update and Resolve: its id
}

// Tracker turns what is seen, look by look, into alerts: what stays for long
// enough is one, what is well for long enough ends it, and what flaps in
// between is still the same one. It has no clock and asks nobody. It is not
// safe for concurrent use.
type Tracker struct {
	rule  func(name string) (Rule, bool)
	marks map[string]*mark
}

// mark is what is known of one thing that was seen.
type mark struct {
	is     Condition // as it was seen last
	first  time.Time // since when it is seen without a break
	looked time.Time // when it was looked for last
	well   time.Time // since when it is seen to be well
	harder time.Time // since when it is seen to be worse than it was told
	milder time.Time // since when it is seen to be less bad than that
	alert  string    // the id of its alert, when that fires
	told   Condition // severity and words as the store has them
	toldAt time.Time
}

// NewTracker makes a tracker that knows nothing; rule gives the rules, by
// name, as the configuration has them.
func NewTracker(rule func(name string) (Rule, bool)) *Tracker {
	return &Tracker{rule: rule, marks: map[string]*mark{}}
}

// Load makes known what fires already, by the word of the store.
func (t *Tracker) Load(alerts []state.Alert) {
	for _, a := range alerts {
		c := Condition{Rule: a.Rule, Severity: a.Severity, Cluster: a.Cluster, Host: a.Host, Object: a.Object, Job: a.Job, Message: a.Message, Remedy: a.Remedy, Since: a.BeganAt}
		t.marks[a.Mark] = &mark{is: c, told: c, alert: a.ID}
	}
}

// Observe takes a look and says what follows.
func (t *Tracker) Observe(now time.Time, l Look) []Decision {
	var out []Decision
	found := map[string]Condition{}
	var order []string
	for _, c := range l.Found {
		if r, ok := t.rule(c.Rule); !ok || r.Off {
			continue
		}
		key := c.Mark()
		if known, twice := found[key]; !twice {
			order = append(order, key)
		} else if !worse(c.Severity, known.Severity) {
			continue
		}
		found[key] = c
	}
	for _, key := range order {
		out = append(out, t.seen(now, l, key, found[key])...)
	}
	var rest []string
	for key, m := range t.marks {
		if _, ok := found[key]; !ok && l.about(m.is) {
			rest = append(rest, key)
		}
	}
	slices.Sort(rest)
	for _, key := range rest {
		out = append(out, t.gone(now, l, key)...)
	}
	return out
}

// seen is about a condition that is there.
func (t *Tracker) seen(now time.Time, l Look, key string, c Condition) []Decision {
	rule, _ := t.rule(c.Rule)
	m := t.marks[key]
	if m == nil {
		m = &mark{first: now}
		t.marks[key] = m
	} else if m.first.IsZero() || l.gap(m.looked, now) {
		m.first = now
	}
	m.is, m.looked, m.well = c, now, time.Time{}
	if m.alert != "" {
		return m.change(now, rule)
	}
	began := m.first
	if !c.Since.IsZero() && c.Since.Before(began) {
		began = c.Since
	}
	if now.Sub(began) < rule.Confirm || now.Sub(m.first) < min(rule.Confirm, leastSight) {
		return nil
	}
	return []Decision{{Kind: Fire, Condition: c, Began: began}}
}

// change is about one that fires. It becomes worse soon, and less bad when it
// was so for a while.
func (m *mark) change(now time.Time, rule Rule) []Decision {
	c := m.is
	if !worse(c.Severity, m.told.Severity) {
		m.harder = time.Time{}
	} else {
		if m.harder.IsZero() {
			m.harder = now
		}
		if now.Sub(m.harder) < min(rule.Confirm, worseSight) {
			return nil
		}
	}
	if !worse(m.told.Severity, c.Severity) {
		m.milder = time.Time{}
	} else {
		if m.milder.IsZero() {
			m.milder = now
		}
		if now.Sub(m.milder) < rule.Clear {
			return nil // its words would say less than its severity
		}
	}
	if c.Severity == m.told.Severity && (c.Message == m.told.Message || now.Sub(m.toldAt) < rewordEvery) {
		return nil
	}
	return []Decision{{Kind: Update, Condition: c, Began: m.is.Since, Alert: m.alert}}
}

// gone is about one that is not seen any more, or cannot be seen.
func (t *Tracker) gone(now time.Time, l Look, key string) []Decision {
	m := t.marks[key]
	gap := l.gap(m.looked, now)
	m.looked, m.first = now, time.Time{}
	switch {
	case m.alert == "":
		delete(t.marks, key) // seen without a break is what it is not
		return nil
	case l.blind(m.is):
		m.well = time.Time{}
		return nil
	case m.well.IsZero() || gap:
		m.well = now
	}
	rule, _ := t.rule(m.is.Rule)
	if now.Sub(m.well) < rule.Clear {
		return nil
	}
	return []Decision{{Kind: Resolve, Condition: m.is, Alert: m.alert}}
}

// Done says that the store has a decision; alert is the id of what fires.
func (t *Tracker) Done(now time.Time, d Decision, alert string) {
	key := d.Condition.Mark()
	m := t.marks[key]
	if d.Kind == Resolve {
		delete(t.marks, key)
		return
	}
	if m == nil {
		return // forgotten meanwhile
	}
	m.alert, m.told, m.toldAt, m.harder, m.milder = alert, d.Condition, now, time.Time{}, time.Time{}
}

// Forget drops all of a cluster. Its alerts are the caller's business.
func (t *Tracker) Forget(cluster string) {
	for key, m := range t.marks {
		if m.is.Cluster == cluster {
			delete(t.marks, key)
		}
	}
}

// Pending says whether something of a cluster is seen that is no alert yet.
func (t *Tracker) Pending(cluster string) bool {
	for _, m := range t.marks {
		if m.is.Cluster == cluster && m.alert == "" {
			return true
		}
	}
	return false
}

func worse(a, b string) bool {
	all := state.Severities()
	return slices.Index(all, a) > slices.Index(all, b)
}
