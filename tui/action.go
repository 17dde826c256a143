package tui

import (
	"math"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"cw/fault"
	"cw/tui/source"
)

// doneMsg is the end of an action.
type doneMsg struct {
	said  string // what to say when the source says nothing
	text  string
	err   error
	limit *limitChange
}

// planMsg is what recover or rebalance would do.
type planMsg struct {
	action source.Action
	plan   string
	err    error
}

// limitChange is a speed limit on its way: keys come faster than answers, so
// each starts from the one before, and only one request is under way.
type limitChange struct {
	load            string
	was, want, sent int64
	sending         bool
	settledBy       time.Time // until then the snapshot may still be older
}

// disabled says why a key does nothing now; "" when it does.
func (a *App) disabled(b *binding) string {
	if b.acts && a.opts.ReadOnly {
		return "read-only"
	}
	switch b.cmd {
	case cmdLimitDown, cmdLimitUp, cmdLimit, cmdPauseLoad, cmdCancelLoad:
		l := a.theLoad()
		if l == nil {
			return "no load here"
		}
		if !loadActive(l) {
			return "the load has ended"
		}
		if b.cmd == cmdLimitUp && a.limitOf(l) == 0 {
			return "there is no limit"
		}
	case cmdUndo:
		if a.lastLimit == nil {
			return "no limit was changed here"
		}
	case cmdCancelSession, cmdTerminate:
		if why := a.snap.Degraded[string(source.CancelSession)]; why != "" {
			return why
		}
		if len(a.theSessions()) == 0 {
			return "no session here"
		}
	case cmdRecover, cmdRebalance:
		if a.snap.Cluster.Name == "" {
			return "no cluster"
		}
	case cmdProblems:
		if !a.list().hasProblems() {
			return "not in this view"
		}
	}
	return ""
}

// theLoad is the load that keys act on: of the page, or under the cursor.
func (a *App) theLoad() *source.Load {
	if p := a.page(); p != nil {
		if p.kind == pageLoad {
			return a.findLoad(p.id)
		}
		return nil
	}
	switch a.view {
	case 0:
		return a.runs.selected()
	case 3:
		return a.loads.selected()
	}
	return nil
}

func (a *App) theSessions() []*source.Session {
	if p := a.page(); p != nil {
		if s := a.findSession(p.id); s != nil && p.kind == pageSession {
			return []*source.Session{s}
		}
		return nil
	}
	if a.view != 4 {
		return nil
	}
	return a.sess.marked()
}

// act does what changes something outside the screen.
func (a *App) act(cmd command) tea.Cmd {
	switch cmd {
	case cmdLog:
		return a.openLog()
	case cmdRefresh:
		return a.do(source.Action{Kind: source.Refresh}, "asking everybody", nil)
	case cmdSlower, cmdFaster:
		return a.setInterval(nextInterval(a.opts.Interval, cmd == cmdSlower))
	case cmdLimitDown, cmdLimitUp:
		return a.stepLimit(cmd)
	case cmdLimit:
		l := a.theLoad()
		a.openPrompt(promptLimit, "")
		a.prompt.load = l.ID
	case cmdUndo:
		l := a.lastLimit
		return a.setLimit(l.load, l.was)
	case cmdPauseLoad:
		l := a.theLoad()
		if loadPaused(l) {
			return a.do(source.Action{Kind: source.ContinueLoad, Load: l.ID}, l.ID+" continues (p pauses it)", nil)
		}
		return a.do(source.Action{Kind: source.PauseLoad, Load: l.ID}, l.ID+" is paused (p lets it continue)", nil)
	case cmdCancelLoad:
		a.confirmCancelLoad(a.theLoad())
	case cmdCancelSession, cmdTerminate:
		a.confirmSessions(cmd)
	case cmdRecover:
		return a.askPlan(source.Recover)
	case cmdRebalance:
		return a.askPlan(source.Rebalance)
	}
	return nil
}

// do starts an action; its end is a doneMsg.
func (a *App) do(act source.Action, said string, limit *limitChange) tea.Cmd {
	a.doing++
	src, ctx := a.opts.Source, a.ctx
	return func() tea.Msg {
		text, err := src.Do(ctx, act)
		return doneMsg{said: said, text: text, err: err, limit: limit}
	}
}

func (a *App) done(m doneMsg) tea.Cmd {
	a.doing--
	a.dirty = true
	l := m.limit
	if m.err != nil {
		a.sayError(m.err)
		if l != nil {
			delete(a.limits, l.load)
		}
		return nil
	}
	if l == nil {
		if m.text == "" {
			m.text = m.said
		}
		a.say(stGood, m.text)
		return nil
	}
	l.sending = false
	l.settledBy = a.opts.Now().Add(3 * time.Second)
	if l.want != l.sent {
		return a.sendLimit(l)
	}
	a.say(stGood, "limit of "+l.load+" is "+string(appendLimit(nil, l.want))+", was "+string(appendLimit(nil, l.was))+" (u undoes)")
	return nil
}

func (a *App) sayError(err error) {
	text := err.Error()
	if hint := fault.HintOf(err); hint != "" {
		text += " (" + hint + ")"
	}
	a.say(stBad, text)
}

// limitOf is the limit that a load has, or is about to have.
func (a *App) limitOf(l *source.Load) int64 {
	if c := a.limits[l.ID]; c != nil {
		return c.want
	}
	return l.Limit
}

// settleLimits forgets what the snapshot has caught up with.
func (a *App) settleLimits() {
	now := a.opts.Now()
	for id, c := range a.limits {
		if c.sending {
			continue
		}
		if l := a.findLoad(id); l == nil || l.Limit == c.want || now.After(c.settledBy) {
			delete(a.limits, id)
		}
	}
}

func (a *App) stepLimit(cmd command) tea.Cmd {
	l := a.theLoad()
	limit, factor := a.limitOf(l), 1.1
	if cmd == cmdLimitDown {
		factor = 0.9
		if limit == 0 {
			limit = l.Rate
		}
		if limit == 0 {
			a.say(stWarn, l.ID+" has neither limit nor speed: L sets one")
			return nil
		}
	}
	return a.setLimit(l.ID, roundRate(float64(limit)*factor, limit))
}

// roundRate keeps three figures, and moves at least a little.
func roundRate(v float64, from int64) int64 {
	if v < 1000 {
		return 1000 // a limit near zero would stop the load: pause is for that
	}
	unit := math.Pow(10, math.Floor(math.Log10(v))-2)
	n := int64(math.Round(v/unit) * unit)
	if n == from && v > float64(from) {
		n += int64(unit)
	}
	return n
}

func (a *App) setLimit(load string, want int64) tea.Cmd {
	c := a.limits[load]
	if c == nil {
		c = &limitChange{load: load}
		if l := a.findLoad(load); l != nil {
			c.was = l.Limit
		}
		a.limits[load] = c
	} else if !c.sending {
		c.was = c.want
	}
	c.want = want
	a.lastLimit = c
	if c.sending {
		return nil // its end sends the newest wish
	}
	return a.sendLimit(c)
}

func (a *App) sendLimit(c *limitChange) tea.Cmd {
	c.sending, c.sent = true, c.want
	a.say(stDim, "limit of "+c.load+": "+string(appendLimit(nil, c.want))+a.g.ellipsis)
	return a.do(source.Action{Kind: source.SetLimit, Load: c.load, Limit: c.want}, "", c)
}

func nextInterval(d time.Duration, slower bool) time.Duration {
	steps := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	if slower {
		for _, s := range steps {
			if s > d {
				return s
			}
		}
		return steps[len(steps)-1]
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i] < d {
			return steps[i]
		}
	}
	return steps[0]
}

func (a *App) setInterval(d time.Duration) tea.Cmd {
	a.opts.Interval = min(time.Minute, max(500*time.Millisecond, d))
	return a.do(source.Action{Kind: source.Interval, Every: a.opts.Interval}, string(appendEvery([]byte("asking every "), a.opts.Interval)), nil)
}

func (a *App) confirmCancelLoad(l *source.Load) {
	a.dialog = &dialog{
		title: "Cancel load " + l.ID + "?",
		lines: []string{l.Target + ", " + string(loadDone(nil, nil, l)) + " done", "What is committed stays; cw load resume " + l.ID + " goes on later."},
		ok:    "Cancel the load", said: l.ID + " is being cancelled",
		actions: []source.Action{{Kind: source.CancelLoad, Load: l.ID}},
	}
}

// confirmSessions pins the sessions by pid and start, so that what is hit is
// what was on the screen.
func (a *App) confirmSessions(cmd command) {
	sessions := a.theSessions()
	kind, verb, word := source.CancelSession, "Cancel the query of ", "Cancel the query"
	if cmd == cmdTerminate {
		kind, verb, word = source.TerminateSession, "Terminate ", "Terminate"
	}
	d := &dialog{title: verb + strconv.Itoa(len(sessions)) + " sessions?", ok: word}
	if len(sessions) == 1 {
		d.title = verb + "session " + strconv.Itoa(sessions[0].PID) + "?"
	}
	for i, s := range sessions {
		d.actions = append(d.actions, source.Action{Kind: kind, PID: s.PID, BackendStart: s.Backend})
		if i < 8 {
			d.lines = append(d.lines, strconv.Itoa(s.PID)+"  "+s.User+"@"+s.Database+"  "+s.State+"  "+string(oneLine(nil, s.Query)))
		}
	}
	if n := len(sessions) - 8; n > 0 {
		d.lines = append(d.lines, "and "+strconv.Itoa(n)+" more")
	}
	if len(sessions) > 1 && cmd == cmdTerminate {
		d.typed = a.confirmWord()
	}
	d.said = strings.ToLower(word) + ": sent to " + strconv.Itoa(len(sessions))
	a.dialog = d
	a.input.set("")
}

// confirmWord is what has to be typed for what cannot be taken back.
func (a *App) confirmWord() string {
	if n := a.snap.Cluster.Name; n != "" {
		return n
	}
	return "yes"
}

// askPlan gets the plan that a severe action has to show first.
func (a *App) askPlan(kind source.ActionKind) tea.Cmd {
	act := source.Action{Kind: kind, Cluster: a.snap.Cluster.Name, DryRun: true}
	a.doing++
	a.say(stDim, "working out what "+string(kind)+" would do"+a.g.ellipsis)
	src, ctx := a.opts.Source, a.ctx
	return func() tea.Msg {
		text, err := src.Do(ctx, act)
		return planMsg{action: act, plan: text, err: err}
	}
}

func (a *App) plan(m planMsg) {
	a.doing--
	a.dirty = true
	if m.err != nil {
		a.sayError(m.err)
		return
	}
	a.msg = ""
	act := m.action
	act.DryRun = false
	plan := strings.TrimSpace(m.plan)
	if plan == "" {
		a.say(stGood, "nothing to "+string(act.Kind))
		return
	}
	if a.dialog != nil || a.prompt != nil { // the user is at something else by now
		a.say(stWarn, "the plan of "+string(act.Kind)+" has arrived: ask for it again")
		return
	}
	name := string(act.Kind)
	a.dialog = &dialog{
		title: strings.ToUpper(name[:1]) + name[1:] + " " + act.Cluster, lines: strings.Split(plan, "\n"),
		typed: act.Cluster, said: name + " of " + act.Cluster + " done", actions: []source.Action{act},
	}
	a.input.set("")
}
