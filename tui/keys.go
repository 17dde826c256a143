package tui

import (
	"fmt"
	"slices"
	"strings"
)

// command is what a key does.
type command uint8

const (
	cmdNone command = iota
	cmdUp
	cmdDown
	cmdTop
	cmdBottom
	cmdHalfDown
	cmdHalfUp
	cmdPageDown
	cmdPageUp
	cmdEnter
	cmdBack
	cmdView1
	cmdView2
	cmdView3
	cmdView4
	cmdView5
	cmdView6
	cmdNextView
	cmdPrevView
	cmdSortLeft
	cmdSortRight
	cmdReverse
	cmdFilter
	cmdPalette
	cmdProblems
	cmdWide
	cmdMark
	cmdClearMarks
	cmdPause
	cmdSlower
	cmdFaster
	cmdRefresh
	cmdCopy
	cmdCopyJSON
	cmdLog
	cmdFollow
	cmdAll
	cmdWaiting
	cmdBlocking
	cmdLimitDown
	cmdLimitUp
	cmdLimit
	cmdUndo
	cmdPauseLoad
	cmdCancelLoad
	cmdCancelSession
	cmdTerminate
	cmdRecover
	cmdRebalance
	cmdHelp
	cmdSuspend
	cmdQuit
	cmdInterrupt
)

// place is a set of views and pages.
type place uint16

const (
	onOverview place = 1 << iota
	onSegments
	onHosts
	onLoads
	onSessions
	onEvents
	onNodePage
	onHostPage
	onLoadPage
	onSessionPage
	onEventPage
	onLogPage

	onLists    = onSegments | onHosts | onLoads | onSessions | onEvents
	onPages    = onNodePage | onHostPage | onLoadPage | onSessionPage | onEventPage | onLogPage
	onAnyLoad  = onOverview | onLoads | onLoadPage
	onAnySess  = onSessions | onSessionPage
	everywhere = onOverview | onLists | onPages
)

// binding is one line of the key table.
type binding struct {
	cmd   command
	keys  []string // as Bubble Tea names them
	where place
	foot  string // the word in the footer; "" keeps it out
	help  string
	group string
	acts  bool // it changes the world, not only the screen
}

// bindings is the one key table: the keys, the footer, the help page and the
// documents all come from it. In the footer the first ones are the last to go.
var bindings = []binding{ //nolint:gochecknoglobals // constant table
	{cmdEnter, []string{"enter"}, onOverview | onLists, "detail", "the page about the row", "Move", false},
	{cmdBack, []string{"esc", "backspace"}, everywhere, "", "back; clear the filter", "Move", false},
	{cmdLimitDown, []string{"{"}, onAnyLoad, "-10%", "speed limit 10 % down", "Loads", true},
	{cmdLimitUp, []string{"}"}, onAnyLoad, "+10%", "speed limit 10 % up", "Loads", true},
	{cmdLimit, []string{"L"}, onAnyLoad, "limit", "set the speed limit: 200MB/s, none", "Loads", true},
	{cmdPauseLoad, []string{"p"}, onAnyLoad, "pause", "pause the load, or let it continue", "Loads", true},
	{cmdCancelLoad, []string{"x"}, onAnyLoad, "cancel", "cancel the load", "Loads", true},
	{cmdUndo, []string{"u"}, onAnyLoad, "", "set the speed limit back to what it was", "Loads", true},
	{cmdCancelSession, []string{"C"}, onAnySess, "cancel", "cancel the query of the session, or of those marked", "Sessions", true},
	{cmdTerminate, []string{"K"}, onAnySess, "end", "terminate the session, or those marked", "Sessions", true},
	{cmdAll, []string{"f1"}, onSessions, "", "all sessions", "Sessions", false},
	{cmdWaiting, []string{"f2"}, onSessions, "waiting", "sessions that wait for another one", "Sessions", false},
	{cmdBlocking, []string{"f3"}, onSessions, "blocking", "sessions that others wait for", "Sessions", false},
	{cmdRecover, []string{"r"}, onOverview | onSegments | onNodePage, "recover", "bring back what is down; shows its plan first", "Cluster", true},
	{cmdRebalance, []string{"b"}, onOverview | onSegments | onNodePage, "", "back to the preferred roles; shows its plan first", "Cluster", true},
	{cmdLog, []string{"t"}, onSegments | onNodePage, "log", "the last lines of the node's log", "Cluster", false},
	{cmdFollow, []string{"f"}, onEvents | onLogPage, "follow", "stay at the newest line", "Screen", false},
	{cmdProblems, []string{"e"}, onSegments | onHosts | onLoads | onSessions | onEvents, "problems", "problems only", "Screen", false},
	{cmdFilter, []string{"/"}, onLists, "filter", "filter: words or regular expressions, !inverse, column:value", "Screen", false},
	{cmdPause, []string{"space"}, everywhere, "hold", "hold the screen still, or go on", "Screen", false},
	{cmdSortLeft, []string{"left", "h"}, onLists, "", "sort by the column to the left", "Screen", false},
	{cmdSortRight, []string{"right", "l"}, onLists, "", "sort by the column to the right", "Screen", false},
	{cmdReverse, []string{"S"}, onLists, "", "reverse the order", "Screen", false},
	{cmdWide, []string{"w"}, onLists | onPages, "wide", "more columns; on pages: wrap lines or not", "Screen", false},
	{cmdPalette, []string{":"}, everywhere, "", "command line with completion (tab)", "Screen", false},
	{cmdMark, []string{"m"}, onSegments | onHosts | onLoads | onSessions, "", "mark the row", "Screen", false},
	{cmdClearMarks, []string{"M"}, onSegments | onHosts | onLoads | onSessions, "", "clear all marks", "Screen", false},
	{cmdSlower, []string{"-"}, everywhere, "", "ask less often", "Screen", false},
	{cmdFaster, []string{"+", "="}, everywhere, "", "ask more often", "Screen", false},
	{cmdRefresh, []string{"R"}, everywhere, "", "ask everybody now", "Screen", false},
	{cmdCopy, []string{"y"}, everywhere, "", "copy the row, or the page (OSC 52)", "Screen", false},
	{cmdCopyJSON, []string{"Y"}, onOverview | onLists, "", "copy the row as JSON", "Screen", false},
	{cmdUp, []string{"k", "up"}, everywhere, "", "up", "Move", false},
	{cmdDown, []string{"j", "down"}, everywhere, "", "down", "Move", false},
	{cmdTop, []string{"g", "home"}, everywhere, "", "to the first row", "Move", false},
	{cmdBottom, []string{"G", "end"}, everywhere, "", "to the last row", "Move", false},
	{cmdHalfDown, []string{"ctrl+d"}, everywhere, "", "half a page down", "Move", false},
	{cmdHalfUp, []string{"ctrl+u"}, everywhere, "", "half a page up", "Move", false},
	{cmdPageDown, []string{"pgdown", "ctrl+f"}, everywhere, "", "a page down", "Move", false},
	{cmdPageUp, []string{"pgup", "ctrl+b"}, everywhere, "", "a page up", "Move", false},
	{cmdView1, []string{"1"}, everywhere, "", "Overview", "Views", false},
	{cmdView2, []string{"2"}, everywhere, "", "Segments", "Views", false},
	{cmdView3, []string{"3"}, everywhere, "", "Hosts", "Views", false},
	{cmdView4, []string{"4"}, everywhere, "", "Loads", "Views", false},
	{cmdView5, []string{"5"}, everywhere, "", "Sessions", "Views", false},
	{cmdView6, []string{"6"}, everywhere, "", "Events", "Views", false},
	{cmdNextView, []string{"tab"}, everywhere, "", "the next view", "Views", false},
	{cmdPrevView, []string{"shift+tab"}, everywhere, "", "the view before", "Views", false},
	{cmdHelp, []string{"?"}, everywhere, "help", "this help", "Views", false},
	{cmdQuit, []string{"q"}, everywhere, "quit", "back; on a view: quit", "Views", false},
	{cmdInterrupt, []string{"ctrl+c"}, everywhere, "", "quit; twice while an action is under way", "Views", false},
	{cmdSuspend, []string{"ctrl+z"}, everywhere, "", "suspend cw", "Views", false},
}

// keyGroups is the order of the help page.
var keyGroups = []string{"Views", "Move", "Screen", "Loads", "Sessions", "Cluster"} //nolint:gochecknoglobals // constant table

// lookup finds what a key does in a place.
func lookup(key string, at place) *binding {
	for i := range bindings {
		b := &bindings[i]
		if b.where&at != 0 && slices.Contains(b.keys, key) {
			return b
		}
	}
	return nil
}

// keyName is a key as people read it.
func keyName(key string) string {
	switch key {
	case "up":
		return "↑"
	case "down":
		return "↓"
	case "left":
		return "←"
	case "right":
		return "→"
	}
	return strings.ReplaceAll(key, "ctrl+", "ctrl-")
}

func (b *binding) names() string {
	out := make([]string, len(b.keys))
	for i, k := range b.keys {
		out[i] = keyName(k)
	}
	return strings.Join(out, " ")
}

// KeyHelp is a row of the key table.
type KeyHelp struct {
	Group string
	Keys  string // separated by blanks
	Does  string
	Acts  bool // not with --read-only
}

// KeyList is the key table for the manual, in the order of the help screen.
func KeyList() []KeyHelp {
	var list []KeyHelp
	for _, g := range keyGroups {
		for i := range bindings {
			if k := &bindings[i]; k.group == g {
				list = append(list, KeyHelp{g, k.names(), k.help, k.acts})
			}
		}
	}
	return list
}

// KeysMarkdown is the key table for documents and the manual page.
func KeysMarkdown() string {
	var b strings.Builder
	for _, g := range keyGroups {
		fmt.Fprintf(&b, "### %s\n\n| key | what it does |\n|---|---|\n", g)
		for i := range bindings {
			if k := &bindings[i]; k.group == g {
				note := ""
				if k.acts {
					note = " (not with `--read-only`)"
				}
				fmt.Fprintf(&b, "| `%s` | %s%s |\n", strings.ReplaceAll(k.names(), " ", "` `"), k.help, note)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
