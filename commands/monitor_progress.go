package commands

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"cw/monitor"
	"cw/monitor/metrics"
	"cw/state"
)

// tryTime is how long a monitor that has just begun may take to see whether
// another one acts.
const tryTime = 3 * time.Second

// monitorProgress says on standard error what a monitor sees and does, a line
// for each change: what journald keeps.
type monitorProgress struct {
	show *progress

	mu      sync.Mutex
	role    string
	told    map[string]state.Alert // those that fire
	trouble string
}

// monitorLine is a line in JSON.
type monitorLine struct {
	Event    string       `json:"event"`
	Message  string       `json:"message"`
	Alert    *state.Alert `json:"alert,omitempty"`
	Receiver string       `json:"receiver,omitempty"`
}

func (p *monitorProgress) say(text string, line *monitorLine) {
	text = oneLine(redact(text))
	if line == nil {
		line = &monitorLine{Event: "monitor"}
	}
	line.Message = text
	p.show.Event(text, line)
}

// view says what is different from the view before.
func (p *monitorProgress) view(v metrics.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	role := "stands by: another monitor acts"
	if v.Leading {
		role = "acts"
	}
	if v.StoreErr != p.trouble {
		if v.StoreErr != "" {
			p.say("the store cannot be used: "+v.StoreErr, nil)
		} else {
			p.say("the store can be used again", nil)
		}
		p.trouble = v.StoreErr
	}
	if role != p.role {
		if !v.Leading && p.role == "" && time.Since(v.Since) < tryTime {
			return // it has not tried yet
		}
		p.say("this monitor "+role, nil)
		p.role = role
	}
	if !v.Leading {
		clear(p.told)
		return
	}
	now := map[string]bool{}
	for _, a := range v.Alerts {
		now[a.ID] = true
		if old, known := p.told[a.ID]; !known || old.Severity != a.Severity {
			p.alert("fires", a)
		}
		p.told[a.ID] = a
	}
	for id, a := range p.told {
		if !now[id] {
			delete(p.told, id)
			p.alert("resolved", a)
		}
	}
}

func (p *monitorProgress) alert(what string, a state.Alert) {
	a.Message, a.Remedy = redact(a.Message), redact(a.Remedy)
	text := fmt.Sprintf("alert %s %s: %s %s: %s", a.ID, what, a.Severity, a.Rule, a.Message)
	if what == "resolved" {
		text = fmt.Sprintf("alert %s resolved: %s: %s", a.ID, a.Rule, a.Message)
	}
	p.say(text, &monitorLine{Event: "alert-" + what, Alert: &a})
}

// notice says how telling somebody ended.
func (p *monitorProgress) notice(r monitor.Receiver, n monitor.Notice, how string, err error) {
	text := fmt.Sprintf("%s told: %s", r.Name, n.Title)
	switch how {
	case state.TryLater:
		text = fmt.Sprintf("%s could not be told and will be tried again: %v", r.Name, err)
	case state.GivenUp:
		text = fmt.Sprintf("%s was not told %q: %v", r.Name, n.Title, err)
	}
	p.say(text, &monitorLine{Event: "notice-" + how, Receiver: r.Name})
}

// monitorLog is the log, whose warnings are said as well.
func (a *App) monitorLog(p *monitorProgress) *slog.Logger {
	return slog.New(sayingHandler{a.Log.Handler(), p, ""})
}

// sayingHandler passes records on and says those that are warnings.
type sayingHandler struct {
	slog.Handler
	p     *monitorProgress
	attrs string
}

// Enabled implements slog.Handler.
func (h sayingHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || h.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h sayingHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && !told(r) {
		var b strings.Builder
		b.WriteString("warning: " + r.Message + h.attrs)
		r.Attrs(func(at slog.Attr) bool {
			b.WriteString(attrText(at))
			return true
		})
		h.p.say(b.String(), &monitorLine{Event: "warning"})
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// told tells whether a record is said as a notice already.
func told(r slog.Record) bool {
	found := false
	r.Attrs(func(at slog.Attr) bool {
		found = found || at.Key == "result" && slices.Contains([]string{state.TryLater, state.GivenUp, state.Sent}, at.Value.String())
		return true
	})
	return found
}

func attrText(at slog.Attr) string {
	at = redactAttr(nil, at)
	return fmt.Sprintf(" %s=%v", at.Key, at.Value)
}

// WithAttrs implements slog.Handler.
func (h sayingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	text := h.attrs
	for _, at := range attrs {
		text += attrText(at)
	}
	return sayingHandler{h.Handler.WithAttrs(attrs), h.p, text}
}

// WithGroup implements slog.Handler.
func (h sayingHandler) WithGroup(name string) slog.Handler {
	return sayingHandler{h.Handler.WithGroup(name), h.p, h.attrs}
}
