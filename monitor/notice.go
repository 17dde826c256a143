package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cw/schema"
	"cw/state"
)

// The status of a Notice, and of the alerts in it.
const (
	Firing   = "firing"
	Resolved = "resolved"
)

// Why a Notice is told.
const (
	ReasonFired    = "fired"
	ReasonChanged  = "changed" // of severity
	ReasonRepeat   = "repeat"
	ReasonResolved = "resolved"
	ReasonTest     = "test"
)

// Notice is what a receiver is told: the document that webhooks and commands
// get, and what templates are made of.
type Notice struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"` // AlertNotice
	// ID is the same for every try of one notice, whichever monitor tries.
	ID       string            `json:"id"`
	Status   string            `json:"status"`
	Reason   string            `json:"reason"`
	Receiver string            `json:"receiver"`
	Group    map[string]string `json:"group"`    // what its alerts have in common
	Severity string            `json:"severity"` // the worst of its alerts
	Title    string            `json:"title"`    // one line
	Text     string            `json:"text"`
	At       time.Time         `json:"at"`
	// LateSeconds is how much later than it should it is told; 0 in time.
	LateSeconds int64         `json:"late_seconds"`
	Alerts      []NoticeAlert `json:"alerts"`
}

// NoticeAlert is an alert in a Notice.
type NoticeAlert struct {
	state.Alert
	Status  string `json:"status"`
	Seconds int64  `json:"seconds"` // from when it was seen first until its end, or until now
}

// NoticeCount is how many tries to tell a receiver ended in some way.
type NoticeCount struct {
	Receiver string
	Result   string // state.Sent, state.GivenUp or state.TryLater
	N        int64
}

// NewNotice makes the document of alerts, with title and text in cw's own
// words. Late is how long ago it should have been told.
func NewNotice(id, status, reason, receiver string, group map[string]string, now time.Time, late time.Duration, alerts []state.Alert) Notice {
	n := Notice{
		APIVersion: "cw/v1", Kind: "AlertNotice", ID: id, Status: status, Reason: reason, Receiver: receiver,
		Group: group, At: now.UTC().Truncate(time.Second), LateSeconds: int64(max(late, 0) / time.Second), Alerts: []NoticeAlert{},
	}
	if n.Group == nil {
		n.Group = map[string]string{}
	}
	rank := func(severity string) int { return slices.Index(state.Severities(), severity) }
	alerts = slices.SortedStableFunc(slices.Values(alerts), func(a, b state.Alert) int { // the worst first, then as they came
		return cmp.Or(rank(b.Severity)-rank(a.Severity), a.FiredAt.Compare(b.FiredAt), cmp.Compare(a.Mark, b.Mark))
	})
	for _, a := range alerts {
		end, status := now, Firing
		if !a.ResolvedAt.IsZero() {
			end, status = a.ResolvedAt, Resolved
		}
		n.Alerts = append(n.Alerts, NoticeAlert{Alert: a, Status: status, Seconds: int64(max(end.Sub(a.BeganAt), 0) / time.Second)})
		if rank(a.Severity) > rank(n.Severity) {
			n.Severity = a.Severity
		}
	}
	n.Title, n.Text = n.title(), n.text()
	return n
}

// title is the line in cw's own words.
func (n Notice) title() string {
	word := map[string]string{ReasonChanged: "now " + n.Severity, ReasonRepeat: "still " + n.Severity, ReasonResolved: "resolved", ReasonTest: "test"}[n.Reason]
	if word == "" {
		word = n.Severity
	}
	if len(n.Alerts) == 1 {
		return OneLine("cw: "+word+": "+n.Alerts[0].Message, titleMost)
	}
	var rules []string
	for _, a := range n.Alerts {
		if !slices.Contains(rules, a.Rule) {
			rules = append(rules, a.Rule)
		}
	}
	where := ""
	if c := n.Group["cluster"]; c != "" {
		where = " of " + c
	}
	return OneLine(fmt.Sprintf("cw: %s: %d alerts%s: %s", word, len(n.Alerts), where, strings.Join(rules, ", ")), titleMost)
}

const (
	titleMost = 180
	textMost  = 50 // alerts with their sentences; how many more there are is a line
)

func (n Notice) text() string {
	var b strings.Builder
	if n.LateSeconds > 0 {
		fmt.Fprintf(&b, "This is told %s late: it could not be delivered before.\n\n", schema.FormatSpan(time.Duration(n.LateSeconds)*time.Second))
	}
	for i, a := range n.Alerts {
		if i == textMost {
			fmt.Fprintf(&b, "and %d more: cw monitor status\n", len(n.Alerts)-i)
			break
		}
		fmt.Fprintf(&b, "%s %s: %s\n", a.Severity, a.Rule, a.Message)
		place := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&b, "  %-8s %s\n", name, value)
			}
		}
		place("cluster", a.Cluster)
		place("host", a.Host)
		place("object", a.Object)
		place("job", a.Job)
		place("since", a.BeganAt.UTC().Format(time.RFC3339))
		if a.Status == Resolved {
			place("until", fmt.Sprintf("%s (%s)", a.ResolvedAt.UTC().Format(time.RFC3339), schema.FormatSpan(time.Duration(a.Seconds)*time.Second)))
		} else {
			place("remedy", a.Remedy)
		}
		place("alert", a.ID)
	}
	return b.String()
}

// OneLine makes one line of at most n characters of a text that may hold
// anything.
func OneLine(text string, n int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool {
		return r <= ' ' || r == 0x7f || r >= 0x80 && r < 0xa1 || r == '\u2028' || r == '\u2029'
	}), " ")
	if runes := []rune(text); len(runes) > n {
		text = string(runes[:n-1]) + "…"
	}
	return text
}

// TestNotice is what a receiver gets to see whether it can be told.
func TestNotice(id, receiver, who string, now time.Time) Notice {
	return NewNotice(id, Firing, ReasonTest, receiver, map[string]string{"cluster": "none"}, now, 0, []state.Alert{{
		ID: id, Mark: "test", Rule: "test", Severity: state.Warning, Cluster: "none", Message: "this is a test of receiver " + receiver + " by " + who + ": nothing is wrong",
		Remedy: "nothing is to be done", BeganAt: now, FiredAt: now, UpdatedAt: now,
	}})
}
