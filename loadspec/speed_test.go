package loadspec

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSpeed(t *testing.T) {
	t.Parallel()
	s, err := Parse("x", []byte(minimal+`  SPEED:
    LIMIT: 200MB/s
    GROUP: nightly
    ZONE: Europe/Berlin
    SCHEDULE:
      - {FROM: "08:00", TO: "20:00", DAYS: [mon-wed, Saturday, wed], LIMIT: 50MB/s}
      - {FROM: "22:30", TO: "24:00", PAUSE: true}
    ADAPTIVE: {PROBE: "select 1;", TARGET: 50ms, MIN: 10MB/s, MAX: 400MB/s, EVERY: 1s}
  NOTIFY:
    - {WEBHOOK: "https://h/x", ON: failed}
    - EXEC: ./done.sh
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Speed{
		Limit: 200e6, Group: "nightly", Zone: "Europe/Berlin",
		Schedule: []Window{
			{From: 480, To: 1200, Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Saturday}, Limit: 50e6},
			{From: 1350, To: 0, Pause: true},
		},
		Adaptive: &Adaptive{Signal: SignalQuery, Probe: "select 1", Target: 0.05, Every: time.Second, Min: 10e6, Max: 400e6},
	}
	if !reflect.DeepEqual(s.Speed, want) {
		t.Errorf("got  %+v\nwant %+v", s.Speed, want)
	}
	if n := []Notify{{Webhook: "https://h/x", On: []string{EndFailed}}, {Exec: "./done.sh"}}; !reflect.DeepEqual(s.Notify, n) {
		t.Errorf("got %+v, want %+v", s.Notify, n)
	}
	if s.Notify[0].Wants(EndDone) || !s.Notify[0].Wants(EndFailed) || !s.Notify[1].Wants(EndDone) {
		t.Error("who wants to know")
	}
}

func TestSpeedMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ speed, want string }{
		{`SPEED: {GROUP: "a b"}`, "x:9:18: SPEED.GROUP: \"a b\" is no name"},
		{`SPEED: {ZONE: Mars/Olympus, SCHEDULE: [{FROM: "08:00", TO: "09:00", LIMIT: 1MB/s}]}`, `"Mars/Olympus" is not a time zone`},
		{`SPEED: {SCHEDULE: [{FROM: "8", TO: "09:00", LIMIT: 1MB/s}]}`, `SPEED.SCHEDULE[0].FROM: "8" is not a time`},
		{`SPEED: {SCHEDULE: [{FROM: "08:00", TO: "24:01", LIMIT: 1MB/s}]}`, `SPEED.SCHEDULE[0].TO: "24:01" is not a time`},
		{`SPEED: {SCHEDULE: [{FROM: "08:00", TO: "09:00", DAYS: [mo], LIMIT: 1MB/s}]}`, `"mo" is not a day`},
		{`SPEED: {SCHEDULE: [{FROM: "08:00", TO: "09:00"}]}`, "wants LIMIT or PAUSE: true"},
		{`SPEED: {SCHEDULE: [{FROM: "08:00", TO: "09:00", LIMIT: 1MB/s, PAUSE: true}]}`, "wants LIMIT or PAUSE: true"},
		{`SPEED: {ADAPTIVE: {TARGET: 5ms}}`, "wants one of PROBE, COMMIT: true and WAITS"},
		{`SPEED: {ADAPTIVE: {PROBE: select 1, WAITS: 3, TARGET: 5ms}}`, "wants one of PROBE, COMMIT: true and WAITS"},
		{`SPEED: {ADAPTIVE: {PROBE: select 1}}`, "SPEED.ADAPTIVE.TARGET: is required"},
		{`SPEED: {ADAPTIVE: {WAITS: 3, TARGET: 5ms}}`, "WAITS is its own target"},
		{`SPEED: {ADAPTIVE: {WAITS: -3}}`, "-3 is not a number of sessions"},
		{`SPEED: {ADAPTIVE: {COMMIT: true, TARGET: 5ms, MIN: 5MB/s, MAX: 4MB/s}}`, "4MB/s is less than MIN, 5MB/s"},
		{`SPEED: {ADAPTIVE: {COMMIT: true, TARGET: 5ms, MIN: none}}`, "none is no speed to fall back to"},
		{`SPEED: {ADAPTIVE: {COMMIT: true, TARGET: 5ms, EVERY: 1ms}}`, "1ms would load the database by itself"},
		{`NOTIFY: [{WEBHOOK: "https://h", EXEC: x}]`, "NOTIFY[0]: wants one of"},
		{`NOTIFY: [{WEBHOOK: hooks.example.com}]`, "NOTIFY[0].WEBHOOK: is not a URL"},
		{`NOTIFY: [{EXEC: x, ON: [finished]}]`, "finished"},
	} {
		_, err := Parse("x", []byte(minimal+"  "+c.speed+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.speed, err, c.want)
		}
	}
}

func TestForStoreMakesProgramsAbsolute(t *testing.T) {
	t.Parallel()
	got, err := ForStore([]byte("GPLOAD:\n  NOTIFY:\n    - EXEC: ./done.sh now\n    - EXEC: mail dba\n    - WEBHOOK_FILE: hook.url\n"), "/etc/cw")
	if want := "GPLOAD:\n  NOTIFY:\n    - EXEC: /etc/cw/done.sh now\n    - EXEC: mail dba\n    - WEBHOOK_FILE: /etc/cw/hook.url\n"; err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s\n%v", got, want, err)
	}
}
