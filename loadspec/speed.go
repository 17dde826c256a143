package loadspec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cw/schema"
)

// Speed is how fast a job may go; the lowest of what is said holds.
type Speed struct {
	Limit    int64  // bytes per second; 0 none
	Group    string // of jobs that share one limit; "" none
	Schedule []Window
	Zone     string    // of the schedule's times, as in the IANA database; "" the machine's
	Adaptive *Adaptive // nil: none
}

// Window is a time of the day and what holds in it.
type Window struct {
	From, To int // minutes since midnight; To before From is on the next day, equal the whole day
	Days     []time.Weekday
	Limit    int64 // bytes per second; 0 none
	Pause    bool
}

// Adaptive makes the limit follow how the database does: a value is measured
// all the time and kept at or under Target.
type Adaptive struct {
	Signal string
	Probe  string  // SQL, for SignalQuery
	Target float64 // seconds; sessions for SignalWaits
	Every  time.Duration
	Min    int64 // bytes per second
	Max    int64 // bytes per second; 0 none
}

// What an Adaptive measures.
const (
	SignalQuery  = "query"  // how long PROBE takes
	SignalCommit = "commit" // how long a commit takes
	SignalWaits  = "waits"  // how many sessions of others wait
)

// What ADAPTIVE leaves open.
const (
	DefaultAdaptiveMin   = 1_000_000 // bytes per second
	DefaultAdaptiveEvery = 100 * time.Millisecond
	leastAdaptiveEvery   = 10 * time.Millisecond
)

// Texts say it for people, the operator's limit first.
func (s *Speed) Texts() []string {
	out := []string{schema.FormatRate(s.Limit)}
	if s.Group != "" {
		out[0] += ", and a share of group " + s.Group
	}
	for _, w := range s.Schedule {
		out = append(out, w.Text())
	}
	if a := s.Adaptive; a != nil {
		target := fmt.Sprintf("%.0f sessions wait", a.Target)
		if a.Signal != SignalWaits {
			target = "a " + a.Signal + " takes " + time.Duration(a.Target*float64(time.Second)).String()
		}
		most := ""
		if a.Max > 0 {
			most = ", at most " + schema.FormatRate(a.Max)
		}
		out = append(out, fmt.Sprintf("adaptive: as fast as it can while at most %s, at least %s%s", target, schema.FormatRate(a.Min), most))
	}
	return out
}

// Text says what holds when: 50MB/s from 08:00 to 20:00.
func (w *Window) Text() string {
	what := schema.FormatRate(w.Limit)
	if w.Pause {
		what = "pause"
	}
	text := fmt.Sprintf("%s from %02d:%02d to %02d:%02d", what, w.From/60, w.From%60, w.To/60, w.To%60)
	for i, d := range w.Days {
		text += map[bool]string{true: " on ", false: ", "}[i == 0] + strings.ToLower(d.String()[:3])
	}
	return text
}

func speedKeys() []schema.Key {
	return []schema.Key{
		{Name: "LIMIT", Type: schema.Rate, Default: "none", Doc: "Bytes read from the source per second, all workers together.", Example: "200MB/s"},
		{Name: "GROUP", Doc: "Name of a group of jobs that share one limit, which cw load limit --group NAME RATE sets.", Example: "nightly"},
		{Name: "SCHEDULE", Type: schema.List, Doc: "Limits by time of day; where times overlap, the lowest holds.", Elem: &schema.Key{Type: schema.Map, Keys: []schema.Key{
			{Name: "FROM", Required: true, Doc: "Begin, HH:MM.", Example: `"08:00"`},
			{Name: "TO", Required: true, Doc: "End, HH:MM; before FROM it is on the next day, 24:00 is midnight.", Example: `"20:00"`},
			{Name: "DAYS", Type: schema.List, Elem: &schema.Key{}, Doc: "Days on which FROM is: mon to sun, or mon-fri; default all.", Example: "[mon-fri]"},
			{Name: "LIMIT", Type: schema.Rate, Doc: "Limit meanwhile.", Example: "50MB/s"},
			{Name: "PAUSE", Type: schema.Bool, Default: "false", Doc: "Stand still meanwhile, instead of LIMIT.", Example: "true"},
		}}},
		{Name: "ZONE", Doc: "Time zone of SCHEDULE; default this machine's.", Example: "Europe/Berlin"},
		{Name: "ADAPTIVE", Type: schema.Map, Doc: "Limit that follows how the database does: raised in steps while it is well, cut when it is not.", Keys: []schema.Key{
			{Name: "PROBE", Doc: "Query whose time is kept under TARGET; one of PROBE, COMMIT and WAITS.", Example: "select count(*) from orders where id = 4711"},
			{Name: "COMMIT", Type: schema.Bool, Default: "false", Doc: "The time of a commit is kept under TARGET (PostgreSQL).", Example: "true"},
			{Name: "WAITS", Type: schema.Int, Doc: "Sessions of others that may wait for locks, latches or disks at the same time.", Example: "4"},
			{Name: "TARGET", Type: schema.Duration, Doc: "Time that 95 % of the probes stay under.", Example: "50ms"},
			{Name: "MIN", Type: schema.Rate, Default: "1MB/s", Doc: "Speed that is never fallen below.", Example: "10MB/s"},
			{Name: "MAX", Type: schema.Rate, Default: "none", Doc: "Speed that is never gone beyond.", Example: "500MB/s"},
			{Name: "EVERY", Type: schema.Duration, Default: "100ms", Doc: "Time between two probes.", Example: "200ms"},
		}},
	}
}

type speedFile struct {
	Limit    string `yaml:"LIMIT"`
	Group    string `yaml:"GROUP"`
	Schedule []struct {
		From  string   `yaml:"FROM"`
		To    string   `yaml:"TO"`
		Days  []string `yaml:"DAYS"`
		Limit string   `yaml:"LIMIT"`
		Pause bool     `yaml:"PAUSE"`
	} `yaml:"SCHEDULE"`
	Zone     string `yaml:"ZONE"`
	Adaptive *struct {
		Probe  string `yaml:"PROBE"`
		Commit bool   `yaml:"COMMIT"`
		Waits  *int   `yaml:"WAITS"`
		Target string `yaml:"TARGET"`
		Min    string `yaml:"MIN"`
		Max    string `yaml:"MAX"`
		Every  string `yaml:"EVERY"`
	} `yaml:"ADAPTIVE"`
}

// speed reads SPEED; Check has read the rates, sizes and durations already.
func (v *validator) speed(f *speedFile) Speed {
	s := Speed{Group: f.Group, Zone: f.Zone}
	s.Limit = rateOf(f.Limit)
	if f.Group != "" && !GroupName(f.Group) {
		v.fail("GPLOAD.SPEED.GROUP", "%q is no name: letters, digits, dots, dashes and underscores, 64 at most", f.Group)
	}
	if _, err := time.LoadLocation(f.Zone); err != nil || strings.EqualFold(f.Zone, "local") {
		v.fail("GPLOAD.SPEED.ZONE", "%q is not a time zone: write one as Europe/Berlin, or UTC", f.Zone)
	}
	if f.Zone != "" && len(f.Schedule) == 0 {
		v.warn("GPLOAD.SPEED.ZONE", "has no effect without SCHEDULE")
	}
	for i, w := range f.Schedule {
		path := fmt.Sprintf("GPLOAD.SPEED.SCHEDULE[%d]", i)
		window := Window{Limit: rateOf(w.Limit), Pause: w.Pause}
		var err error
		if window.From, err = clock(w.From); err != nil {
			v.fail(path+".FROM", "%v", err)
		}
		if window.To, err = clock(w.To); err != nil {
			v.fail(path+".TO", "%v", err)
		}
		if window.Days, err = weekdays(w.Days); err != nil {
			v.fail(path+".DAYS", "%v", err)
		}
		if (w.Limit == "") != w.Pause {
			v.fail(path, "wants LIMIT or PAUSE: true, one of the two")
		}
		s.Schedule = append(s.Schedule, window)
	}
	s.Adaptive = v.adaptive(f)
	return s
}

func (v *validator) adaptive(f *speedFile) *Adaptive {
	if f.Adaptive == nil {
		return nil
	}
	const path = "GPLOAD.SPEED.ADAPTIVE"
	in := f.Adaptive
	a := &Adaptive{Signal: SignalQuery, Probe: strings.TrimSuffix(strings.TrimSpace(in.Probe), ";"), Min: rateOf(in.Min), Max: rateOf(in.Max), Every: DefaultAdaptiveEvery}
	if in.Min == "" {
		a.Min = DefaultAdaptiveMin
	}
	if in.Every != "" {
		a.Every, _ = time.ParseDuration(in.Every)
	}
	signals := 0
	for _, given := range []bool{in.Probe != "", in.Commit, in.Waits != nil} {
		if given {
			signals++
		}
	}
	switch {
	case signals != 1:
		v.fail(path, "wants one of PROBE, COMMIT: true and WAITS")
	case in.Waits != nil:
		a.Signal, a.Target = SignalWaits, float64(*in.Waits)
		if *in.Waits < 0 {
			v.fail(path+".WAITS", "%d is not a number of sessions", *in.Waits)
		}
		if in.Target != "" {
			v.fail(path+".TARGET", "goes with PROBE and COMMIT; WAITS is its own target")
		}
	default:
		if in.Commit {
			a.Signal = SignalCommit
		}
		d, _ := time.ParseDuration(in.Target)
		if a.Target = d.Seconds(); d <= 0 {
			v.fail(path+".TARGET", "is required: the time to stay under, as 50ms")
		}
	}
	if in.Min != "" && a.Min == 0 {
		v.fail(path+".MIN", "none is no speed to fall back to")
	}
	if a.Max != 0 && a.Max < a.Min {
		v.fail(path+".MAX", "%s is less than MIN, %s", schema.FormatRate(a.Max), schema.FormatRate(a.Min))
	}
	if a.Every < leastAdaptiveEvery {
		v.fail(path+".EVERY", "%s would load the database by itself: %s at least", in.Every, leastAdaptiveEvery)
	}
	return a
}

func rateOf(s string) int64 {
	n, _ := schema.ParseRate(s) // nothing gives 0
	return n
}

// GroupName tells whether s may be the name of a group of jobs.
func GroupName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}

// clock reads HH:MM as minutes since midnight.
func clock(s string) (int, error) {
	hours, minutes, ok := strings.Cut(s, ":")
	h, herr := strconv.Atoi(hours)
	m, merr := strconv.Atoi(minutes)
	if !ok || herr != nil || merr != nil || len(minutes) != 2 || h < 0 || m < 0 || m > 59 || h > 24 || h == 24 && m > 0 {
		return 0, fmt.Errorf(`%q is not a time: write it as "08:00", in quotes`, s)
	}
	return (60*h + m) % (24 * 60), nil
}

// weekdays reads mon, tue-fri and so on; none are all.
func weekdays(list []string) ([]time.Weekday, error) {
	var days []time.Weekday
	for _, item := range list {
		from, to, isRange := strings.Cut(item, "-")
		first, ok := weekday(from)
		last := first
		if isRange {
			var known bool
			last, known = weekday(to)
			ok = ok && known
		}
		if !ok {
			return nil, fmt.Errorf("%q is not a day: write mon, tue, wed, thu, fri, sat, sun or a range as mon-fri", item)
		}
		for d := first; ; d = (d + 1) % 7 {
			if !slices.Contains(days, d) {
				days = append(days, d)
			}
			if d == last {
				break
			}
		}
	}
	return days, nil
}

func weekday(s string) (time.Weekday, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := strings.ToLower(d.String()); s == name || s == name[:3] {
			return d, true
		}
	}
	return 0, false
}
