package redistribute

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseSaid(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":               "",
		"1\n2":           "1\n2",
		"ERROR: no code": "ERROR: no code",
		"ERROR:  42P01: relation \"x\" does not exist\nLINE 1: select\n  ^\nLOCATION:  f, g.c:1":                  "42P01 relation \"x\" does not exist",
		"row\nERROR:  23514: new row violates check constraint\nDETAIL:  Failing row contains (1).\nLOCATION:  x": "23514 new row violates check constraint (Failing row contains (1).)",
	} {
		out, err := parseSaid(strings.Split(in, "\n"))
		got := out
		var e *StatementError
		if errors.As(err, &e) {
			got = e.Code + " " + e.Message
		}
		if got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func FuzzParseSaid(f *testing.F) {
	f.Add("ERROR:  42P01: x\nDETAIL:  y")
	f.Add("ERROR:  ")
	f.Fuzz(func(t *testing.T, in string) {
		out, err := parseSaid(strings.Split(in, "\n"))
		if err == nil && out != in {
			t.Errorf("%q became %q", in, out)
		}
	})
}

func FuzzParseUnits(f *testing.F) {
	f.Add(`{"oid":1,"root":0,"schema":"s","relation":"r","name":"s.r","segments":2}`, "1|0|77")
	f.Add(`{"oid":2,"root":1,"segments":3}`+"\n"+`{"oid":1,"root":1,"segments":2}`, "2|5|7\n1|1|1")
	f.Fuzz(func(t *testing.T, rows, sizes string) {
		units, err := parseUnits("d", rows, sizes)
		if err != nil {
			return
		}
		for _, u := range units {
			var sum int64
			for _, b := range u.bytes {
				sum += b
			}
			if len(u.parts) == 0 || u.least > u.most || sum != u.Bytes {
				t.Errorf("%+v", u)
			}
		}
	})
}

func FuzzLiteral(f *testing.F) {
	f.Add(`it's`)
	f.Add(`a\'b`)
	f.Fuzz(func(t *testing.T, in string) {
		q := strings.TrimPrefix(literal(in), " ")
		escaped := strings.HasPrefix(q, "E'")
		body := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(q, "E"), "'"), "'")
		plain := strings.ReplaceAll(body, "''", "")
		if escaped {
			plain = strings.ReplaceAll(plain, `\\`, "")
		}
		if strings.ContainsAny(plain, `'\`) || strings.Contains(q, "\x00") {
			t.Errorf("%q became %s", in, q)
		}
	})
}

func TestHours(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC)
	at := func(h, m int) time.Time { return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute) }
	night := []Window{{"22:00", "06:00"}}
	for _, tc := range []struct {
		windows   []Window
		until     time.Time
		now       time.Time
		open      bool
		end, next time.Time
	}{
		{nil, time.Time{}, at(12, 0), true, time.Time{}, time.Time{}},
		{nil, at(13, 0), at(12, 0), true, at(13, 0), time.Time{}},
		{nil, at(12, 0), at(12, 0), false, time.Time{}, time.Time{}},
		{night, time.Time{}, at(12, 0), false, time.Time{}, at(22, 0)},
		{night, time.Time{}, at(22, 0), true, at(30, 0), time.Time{}},
		{night, time.Time{}, at(5, 59), true, at(6, 0), time.Time{}},
		{night, time.Time{}, at(6, 0), false, time.Time{}, at(22, 0)},
		{night, at(23, 0), at(22, 30), true, at(23, 0), time.Time{}},
		{night, at(20, 0), at(12, 0), false, time.Time{}, time.Time{}},
		{[]Window{{"01:00", "03:00"}, {"02:00", "24:00"}}, time.Time{}, at(2, 30), true, at(24, 0), time.Time{}},
		{[]Window{{"01:00", "03:00"}, {"02:00", "04:00"}}, time.Time{}, at(4, 30), false, time.Time{}, at(25, 0)},
	} {
		open, end, next := hours(tc.windows, tc.until, tc.now)
		if open != tc.open || !end.Equal(tc.end) || !next.Equal(tc.next) {
			t.Errorf("%v until %v at %v: %t %v %v", tc.windows, tc.until, tc.now, open, end, next)
		}
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{},
		{Target: -1},
		{Target: 2, Parallel: -1},
		{Target: 2, MaxBusy: 7},
		{Target: 2, Order: "random"},
		{Target: 2, Tables: []string{"a["}},
		{Target: 2, Windows: []Window{{"22:00", "25:00"}}},
		{Target: 2, Windows: []Window{{"22:00", "22:00"}}},
		{Target: 2, First: []string{""}},
	} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	for _, text := range []string{"", "22:00", "x-y", "22:00-", "1-2"} {
		if w, err := ParseWindow(text); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
	if w, err := ParseWindow("22:00-06:30"); err != nil || w.String() != "22:00-06:30" {
		t.Errorf("%v %v", w, err)
	}
}

func TestWantedTables(t *testing.T) {
	t.Parallel()
	u := func(db, schema, relation string) *unit {
		return &unit{Table: Table{Database: db, Name: schema + "." + relation}, schema: schema, relation: relation}
	}
	for _, tc := range []struct {
		o    Options
		u    *unit
		want bool
	}{
		{Options{}, u("d", "s", "t"), true},
		{Options{Databases: []string{"e"}}, u("d", "s", "t"), false},
		{Options{Schemas: []string{"sal*"}}, u("d", "sales", "t"), true},
		{Options{Schemas: []string{"sal?"}}, u("d", "sales", "t"), false},
		{Options{Tables: []string{"s.t"}}, u("d", "s", "t"), true},
		{Options{Tables: []string{"d.s.*"}}, u("d", "s", "a/b"), true},
		{Options{Tables: []string{"e.s.*"}}, u("d", "s", "t"), false},
		{Options{Tables: []string{"s.*"}, Exclude: []string{"s.t*"}}, u("d", "s", "t9"), false},
	} {
		if got := tc.o.wants(tc.u); got != tc.want {
			t.Errorf("%+v wants %s.%s: %t", tc.o, tc.u.Database, tc.u.Name, got)
		}
	}
}

func TestNeededSpace(t *testing.T) {
	t.Parallel()
	u := &unit{bytes: map[int]int64{0: 100, 1: 300}}
	if got := fmt.Sprint(u.need(4, false)); got != "map[0:150 1:300 2:150 3:150]" {
		t.Errorf("growing: %s", got)
	}
	u.bytes = map[int]int64{0: 100, 1: 100, 2: 40, 3: 80}
	if got := fmt.Sprint(u.need(2, true)); got != "map[0:60 1:60 2:40 3:80]" {
		t.Errorf("shrinking: %s", got)
	}
	u.parts = []relation{{Legacy: true}}
	if got := fmt.Sprint(u.need(2, true)); got != "map[0:260 1:260 2:40 3:80]" {
		t.Errorf("shrinking what is written anew: %s", got)
	}
}

// echo is a psql that answers every statement with itself, and does not end
// "hang" before it is terminated.
func echo(_ context.Context, in io.Reader, out io.Writer, terminated chan struct{}) error {
	buf := make([]byte, 1<<16)
	var text string
	for {
		n, err := in.Read(buf)
		text += string(buf[:n])
		for {
			line, rest, ok := strings.Cut(text, "\n")
			if !ok {
				break
			}
			text = rest
			switch {
			case strings.HasPrefix(line, `\echo `):
				_, _ = io.WriteString(out, strings.TrimPrefix(line, `\echo `)+"\n")
			case strings.HasPrefix(line, `\`):
			case strings.Contains(line, "pg_backend_pid"):
				_, _ = io.WriteString(out, "4711\n")
			case line == "die":
				_, _ = io.WriteString(out, "FATAL:  57P01: terminating connection\n")
				return errors.New("exit status 2")
			case line == "hang":
				<-terminated
				return errors.New("exit status 2")
			default:
				_, _ = io.WriteString(out, line+"\n")
			}
		}
		if err != nil {
			return nil
		}
	}
}

func startEcho(t *testing.T) (*Psql, chan struct{}) {
	t.Helper()
	terminated := make(chan struct{})
	p, err := StartPsql(t.Context(), func(ctx context.Context, in io.Reader, out io.Writer) error { return echo(ctx, in, out, terminated) },
		func(_ context.Context, pid int) error {
			if pid != 4711 {
				t.Errorf("process %d was to be ended", pid)
			}
			close(terminated)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return p, terminated
}

func TestSessionOverPipes(t *testing.T) {
	t.Parallel()
	p, _ := startEcho(t)
	defer p.Close()
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("statement %d", i)
	}
	many[17] = "ERROR:  42601: syntax"
	var errs, next int
	err := p.Exec(t.Context(), many, func(i int, out string, err error) {
		if err != nil {
			errs++
		} else if out != many[i] || i < next {
			t.Errorf("%d: %q", i, out)
		}
		next = i + 1
	})
	if err != nil || errs != 1 || next != len(many) {
		t.Errorf("%d errors, %d answers, %v", errs, next, err)
	}
	told := 0
	err = p.Exec(t.Context(), []string{"a", "die", "b"}, func(int, string, error) { told++ })
	if err == nil || told != 1 || classify(err) != lost || !strings.Contains(err.Error(), "terminating connection") {
		t.Errorf("%d told, %v", told, err)
	}
	if _, err := one(t.Context(), p, "a"); err == nil {
		t.Error("a session that is over was used")
	}
}

func TestSessionIsEndedInTheDatabaseToo(t *testing.T) {
	t.Parallel()
	p, terminated := startEcho(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	err := p.Exec(ctx, []string{"a", "hang", "b"}, func(i int, _ string, _ error) {
		if i > 0 {
			t.Error("a later statement began")
		}
		cancel(stop)
	})
	select {
	case <-terminated:
	default:
		t.Error("the server's process goes on")
	}
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	p.Close()
}

func FuzzParseOrders(f *testing.F) {
	f.Add(`{"paused":true,"now":false,"by":"ann"}` + "\n" + `{"database":"d","oid":7,"rank":-2}`)
	f.Add(`{"oid":99999999999}`)
	f.Fuzz(func(t *testing.T, in string) {
		o, err := parseOrders(in)
		if err == nil && len(o.Ranks) > strings.Count(in, "\n")+1 {
			t.Errorf("%q has %d ranks", in, len(o.Ranks))
		}
	})
}

func FuzzParseWindow(f *testing.F) {
	f.Add("22:00-06:00", int64(0))
	f.Add("00:00-24:00", int64(86399))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		w, err := ParseWindow(text)
		if err != nil {
			return
		}
		now := time.Unix(at%(1<<35), 0).UTC()
		open, end, next := hours([]Window{w}, time.Time{}, now)
		if open && !end.After(now) || !open && !next.After(now) || end.Sub(now) > 24*time.Hour || next.Sub(now) > 24*time.Hour {
			t.Errorf("%s at %s: %t until %s, next %s", w, now, open, end, next)
		}
	})
}
