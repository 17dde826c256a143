package alert

import (
	"strconv"
	"strings"
	"time"

	"cw/state"
)

// A notice of the store is called by the alert and by what of it is told:
//
//	ALERT/s1700000000000000   that it has this severity, since then (UpdatedAt);
//	                          the first of them is that it fires
//	ALERT/r1                  that it still fires, for the first time
//	ALERT/end                 that it is over
//
// A message to a receiver tells one or several of them.
const (
	nameState  = "s"
	nameRepeat = "r"
	nameEnd    = "end"
)

func stateName(a state.Alert) string {
	return a.ID + "/" + nameState + strconv.FormatInt(a.UpdatedAt.UnixMicro(), 10)
}

func repeatName(a state.Alert, n int) string { return a.ID + "/" + nameRepeat + strconv.Itoa(n) }

func endName(a state.Alert) string { return a.ID + "/" + nameEnd }

// class is the kind of a notice by its name: nameState, nameRepeat or nameEnd.
func class(notice string) (alert, kind string) {
	alert, what, ok := strings.Cut(notice, "/")
	switch {
	case !ok:
		return alert, ""
	case what == nameEnd:
		return alert, nameEnd
	case strings.HasPrefix(what, nameState), strings.HasPrefix(what, nameRepeat):
		return alert, what[:1]
	}
	return alert, ""
}

// ledger is what the store knows of telling: by receiver, alert and notice. It
// is a copy that may lag: whether something is told is decided by the claim.
type ledger map[string]map[string]map[string]state.Delivery

// add takes up what was read of the store.
func (l ledger) add(found []state.Delivery) {
	for _, d := range found {
		alert, kind := class(d.Notice)
		if kind == "" {
			continue
		}
		if l[d.Receiver] == nil {
			l[d.Receiver] = map[string]map[string]state.Delivery{}
		}
		if l[d.Receiver][alert] == nil {
			l[d.Receiver][alert] = map[string]state.Delivery{}
		}
		if old, ok := l[d.Receiver][alert][d.Notice]; !ok || !d.At.Before(old.At) {
			l[d.Receiver][alert][d.Notice] = d
		}
	}
}

// keep drops what is about alerts that nobody asks for any more.
func (l ledger) keep(alerts map[string]state.Alert) {
	for _, of := range l {
		for id := range of {
			if _, ok := alerts[id]; !ok {
				delete(of, id)
			}
		}
	}
}

// history is what a receiver was told of an alert.
type history struct {
	states  int // notices of its severity
	told    bool
	pending bool // something is on its way
	repeats int
	ended   bool      // its end was told, given up, or is on its way
	last    time.Time // when something was told or given up
}

func (l ledger) history(receiver, alert string) history {
	var h history
	for _, d := range l[receiver][alert] {
		_, kind := class(d.Notice)
		over := d.State == state.Sent || d.State == state.GivenUp
		h.pending = h.pending || !over
		h.told = h.told || d.State == state.Sent
		if over && d.At.After(h.last) {
			h.last = d.At
		}
		switch kind {
		case nameState:
			h.states++
		case nameRepeat:
			h.repeats++
		case nameEnd:
			h.ended = true
		}
	}
	return h
}
