package redistribute

import (
	"fmt"
	"time"

	"cw/fault"
)

// clockTime parses a time of day: 22:00, and 24:00 for the end of the day.
func clockTime(s string) (time.Duration, error) {
	if s == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, fault.New(fault.Usage, "give times of day as 22:00", "%q is no time of day", s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// ParseWindow reads FROM-TO, as in 22:00-06:00.
func ParseWindow(s string) (Window, error) {
	var w Window
	for i := range s {
		if s[i] == '-' {
			w = Window{From: s[:i], To: s[i+1:]}
			break
		}
	}
	return w, w.check()
}

func (w Window) check() error {
	from, err := clockTime(w.From)
	if err != nil {
		return err
	}
	to, err := clockTime(w.To)
	if err != nil {
		return err
	}
	if from == to {
		return fault.New(fault.Usage, "leave the window out for the whole day", "window %s-%s is empty", w.From, w.To)
	}
	return nil
}

// String is FROM-TO.
func (w Window) String() string { return w.From + "-" + w.To }

// at is a time of the day that is days after now's, in now's zone.
func at(now time.Time, days int, d time.Duration) time.Time {
	y, m, day := now.Date()
	return time.Date(y, m, day+days, int(d.Hours()), int(d.Minutes())%60, 0, 0, now.Location())
}

// hours tells whether work may be done now. open: end is when it must be over,
// zero for never. Closed: next is when it may go on, zero for never.
func hours(windows []Window, until, now time.Time) (open bool, end, next time.Time) {
	if !until.IsZero() && !now.Before(until) {
		return false, time.Time{}, time.Time{}
	}
	if len(windows) == 0 {
		return true, until, time.Time{}
	}
	for _, w := range windows {
		from, err1 := clockTime(w.From)
		to, err2 := clockTime(w.To)
		if err1 != nil || err2 != nil {
			continue // was checked before
		}
		over := 0
		if to <= from {
			over = 1
		}
		for day := -1; day <= 1; day++ {
			b, e := at(now, day, from), at(now, day+over, to)
			switch {
			case !now.Before(b) && now.Before(e):
				open = true
				if e.After(end) {
					end = e
				}
			case b.After(now) && (next.IsZero() || b.Before(next)):
				next = b
			}
		}
	}
	if !open {
		if !until.IsZero() && !next.Before(until) {
			next = time.Time{}
		}
		return false, time.Time{}, next
	}
	if !until.IsZero() && until.Before(end) {
		end = until
	}
	return true, end, time.Time{}
}

// left is a duration for people: 1h20m, 45s.
func left(d time.Duration) string {
	switch {
	case d >= 10*time.Hour:
		return fmt.Sprintf("%dh", int(d.Round(time.Hour).Hours()))
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return d.Round(time.Second).String()
}
