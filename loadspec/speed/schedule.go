package speed

import (
	"slices"
	"time"

	"cw/loadspec"
)

// Schedule is a timetable of limits in a time zone.
type Schedule struct {
	windows []loadspec.Window
	zone    *time.Location
}

// NewSchedule prepares a timetable; zone is a name of the IANA database, "" the
// machine's own.
func NewSchedule(windows []loadspec.Window, zone string) (*Schedule, error) {
	s := &Schedule{windows: windows, zone: time.Local} //nolint:gosmopolitan // timetables are in the operator's time
	if zone == "" {
		return s, nil
	}
	var err error
	s.zone, err = time.LoadLocation(zone)
	return s, err
}

// Rule is what a timetable says at some moment.
type Rule struct {
	Limit int64  // bytes per second; 0 none
	Pause bool   // stand still
	Name  string // the window that says so, for people; "" none
}

// At is what holds at now. Of windows that overlap the slowest counts. Times
// are read off the wall: an hour that a change to summer time leaves out, or
// gives twice, is left out or there twice.
func (s *Schedule) At(now time.Time) Rule {
	now = now.In(s.zone)
	minute := 60*now.Hour() + now.Minute()
	var rule Rule
	for _, w := range s.windows {
		if !holds(w, now.Weekday(), minute) || w.Limit == 0 && !w.Pause {
			continue
		}
		if rule.Pause || !w.Pause && rule.Limit > 0 && rule.Limit <= w.Limit {
			continue
		}
		rule = Rule{Limit: w.Limit, Pause: w.Pause, Name: w.Text()}
	}
	return rule
}

func holds(w loadspec.Window, day time.Weekday, minute int) bool {
	on := func(d time.Weekday) bool { return len(w.Days) == 0 || slices.Contains(w.Days, d) }
	if w.From < w.To {
		return on(day) && minute >= w.From && minute < w.To
	}
	yesterday := (day + 6) % 7
	return on(day) && minute >= w.From || on(yesterday) && minute < w.To
}
