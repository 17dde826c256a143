package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
	"cw/playground/mytest"
	"cw/playground/pgtest"
)

func timing(warmup, duration time.Duration) perfcheck.Timing {
	return perfcheck.Timing{Warmup: warmup, Duration: duration}
}

// engine is a server of one kind for the tests that are the same for both.
type engine struct {
	name    string
	dsn     string
	address string
	exec    func(statements ...string)
	stop    func()
	// sessions counts those of cw perf that work.
	sessions func() int
}

func engines(t *testing.T) []func(t *testing.T) engine {
	t.Helper()
	return []func(t *testing.T) engine{
		func(t *testing.T) engine {
			s := pgtest.Start(t)
			return engine{
				name: "postgres", dsn: s.DSN("postgres"), address: fmt.Sprintf("127.0.0.1:%d", s.Port),
				exec: func(statements ...string) { s.Exec(t, "postgres", strings.Join(statements, ";")) },
				stop: func() { s.StopServer(t, "immediate") },
				sessions: func() (n int) {
					if err := s.Connect(t, "postgres").QueryRow(t.Context(), "select count(*) from pg_stat_activity where application_name = 'cw perf'").Scan(&n); err != nil {
						t.Fatal(err)
					}
					return n
				},
			}
		},
		func(t *testing.T) engine {
			s := mytest.Start(t)
			return engine{
				name: "mariadb", dsn: s.DSN("warehouse"), address: fmt.Sprintf("127.0.0.1:%d", s.Port), stop: s.Stop,
				exec: func(statements ...string) { s.Exec(t, append([]string{"USE warehouse"}, statements...)...) },
				sessions: func() int {
					return s.Count(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT 1*d0%'")
				},
			}
		},
	}
}

// Every test of the catalogue gives every number that it promises, and no
// session stays behind.
func TestCatalogueOnRealServers(t *testing.T) {
	t.Parallel()
	for _, start := range engines(t) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			e := start(t)
			for _, test := range Tests() {
				if test.Knee {
					continue
				}
				j := test.Job
				j.Timing, j.Target = timing(100*time.Millisecond, time.Second), Target{DSN: e.dsn}
				m, err := Run(t.Context(), j, nil)
				if err != nil {
					t.Errorf("%s: %s: %v", e.name, test.ID, err)
					continue
				}
				got := perfcheck.Combine(test.Definition, []perfcheck.Measurement{m})
				if got.Verdict == perfcheck.Error || m.Values["private"] != 1 {
					t.Errorf("%s: %s: %s %s", e.name, test.ID, got.Verdict, got.Reason)
				}
				if j.Kind == Read {
					// Every row has a text of 200 bytes and little more.
					if size := m.Values["throughput"] / m.Values["rows"]; size < payloadSize || size > payloadSize+30 {
						t.Errorf("%s: %s: %.1f bytes a row", e.name, test.ID, size)
					}
					t.Logf("%s: %s: %.0f rows/s", e.name, test.ID, m.Values["rows"])
				}
			}
			for deadline := time.Now().Add(20 * time.Second); e.sessions() > 0; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("%s: %d sessions are still at it", e.name, e.sessions())
					break
				}
			}
		})
	}
}

// What is known of a table is found: its rows and their bytes.
func TestTablesAndQueries(t *testing.T) {
	t.Parallel()
	for _, start := range engines(t) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			e := start(t)
			e.exec("CREATE TABLE wide (x varchar(100))", "INSERT INTO wide VALUES (repeat('y', 100)), (repeat('z', 100)), (NULL)", "CREATE TABLE none (x int)")
			run := func(target Target) (perfcheck.Measurement, error) {
				target.DSN = e.dsn
				return Run(t.Context(), Job{Kind: Read, Streams: 2, Timing: timing(0, 500*time.Millisecond), Target: target}, nil)
			}
			for _, target := range []Target{{Table: "wide"}, {Query: "select * from wide;"}} {
				m, err := run(target)
				if err != nil {
					t.Fatalf("%s: %v", e.name, err)
				}
				// Two rows of 100 bytes and one of none: PostgreSQL's have 2 bytes more, and 4 for each column.
				size := m.Values["throughput"] / m.Values["rows"]
				if size < 60 || size > 80 || m.Values["queries"] < 4 {
					t.Errorf("%s: %+v: %.1f bytes a row, %v", e.name, target, size, m.Values)
				}
			}
			for _, c := range []struct {
				target Target
				kind   fault.Kind
				want   string
			}{
				{Target{Table: "none"}, fault.Usage, "no row"},
				{Target{Table: "missing"}, fault.Usage, "missing"},
				{Target{Table: "a.b.c"}, fault.Usage, "too many"},
				{Target{Query: "selekt"}, fault.Usage, "selekt"},
				{Target{Query: "select 1", Table: "wide"}, fault.Usage, "one of them"},
			} {
				if _, err := run(c.target); err == nil || fault.KindOf(err) != c.kind || !strings.Contains(strings.ToLower(err.Error()), c.want) {
					t.Errorf("%s: %+v: %v (%v)", e.name, c.target, err, fault.KindOf(err))
				}
			}
			for _, write := range []string{"insert into wide values ('w')", "with x as (insert into wide values ('w') returning x) select * from x", "insert into wide values ('w') returning x"} {
				if _, err := run(Target{Query: write}); err == nil {
					t.Errorf("%s: %s: it wrote", e.name, write)
				}
			}
			if m, err := run(Target{Query: "select count(*) from wide where x = 'w' having count(*) > 0"}); err == nil {
				t.Errorf("%s: what was written is there: %v", e.name, m.Values)
			}
		})
	}
}

func TestPasswordsAndAddresses(t *testing.T) {
	t.Parallel()
	for _, start := range engines(t) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			e := start(t)
			bare := strings.Replace(e.dsn, "cw:cw@", "cw@", 1)
			j := Job{Kind: Read, Streams: 1, Timing: timing(0, 2*time.Second), Target: Target{DSN: bare, Password: "cw"}}
			if _, err := Run(t.Context(), j, nil); err != nil {
				t.Errorf("%s: with a password of its own: %v", e.name, err)
			}
			j.Target.Password = "tops3cret"
			if _, err := Run(t.Context(), j, nil); fault.KindOf(err) != fault.Auth || strings.Contains(err.Error(), "tops3cret") {
				t.Errorf("%s: %v (%v)", e.name, err, fault.KindOf(err))
			}
			e.stop()
			j.Target.Password = "cw"
			if _, err := Run(t.Context(), j, nil); fault.KindOf(err) != fault.Unreachable || strings.Contains(err.Error(), "cw:cw") {
				t.Errorf("%s: %v (%v)", e.name, err, fault.KindOf(err))
			}
		})
	}
}

// A server that dies, a line that is cut and an interruption end the test.
func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, start := range engines(t) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			e := start(t)
			for _, kind := range []Kind{Read, Connect} {
				j := Job{Kind: kind, Streams: 2, Rate: 20, Timing: timing(0, time.Minute), Target: Target{DSN: e.dsn}}
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("somebody pressed Ctrl-C")
				if _, err := Run(ctx, j, func(perfcheck.Second) { cancel(why) }); !errors.Is(err, why) {
					t.Errorf("%s: %s: %v", e.name, kind, err)
				}
			}
			once := sync.OnceFunc(e.stop)
			j := Job{Kind: Read, Streams: 2, Timing: timing(0, time.Minute), Target: Target{DSN: e.dsn}}
			if _, err := Run(t.Context(), j, func(perfcheck.Second) { once() }); err == nil {
				t.Errorf("%s: nobody noticed that it died", e.name)
			}
		})
	}
}

// Behind a line of known speed that speed is found.
// It runs by itself: others would take the CPUs that the line needs.
func TestKnownRate(t *testing.T) {
	const truth = 5e6
	for _, start := range engines(t) {
		t.Run("", func(t *testing.T) {
			e := start(t)
			at, between := slowLine(t, e.address, truth)
			dsn := strings.Replace(e.dsn, e.address, at, 1)
			var ratios []float64
			for range 3 {
				const duration = 4 * time.Second
				m, err := Run(t.Context(), Job{Kind: Read, Streams: 2, Timing: timing(time.Second, duration), Target: Target{DSN: dsn}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				// Each row has some bytes of the protocol on the line.
				perRow := 5.0
				if e.name == "mariadb" {
					perRow = 4 + 2 + 12 - 8 // the number is text there, and its length
				}
				got := m.Values["throughput"] + perRow*m.Values["rows"]
				got /= min(truth, between(m.Began, duration)) // a busy machine's line carries less
				ratios = append(ratios, got)
				if got > 0.95 && got < 1.05 {
					break
				}
			}
			t.Logf("%s: %.3f of the truth", e.name, ratios)
			if last := ratios[len(ratios)-1]; last < 0.90 || last > 1.10 {
				t.Errorf("%s: %v of the truth", e.name, ratios)
			}
		})
	}
}

// slowLine passes connections on, what comes back at a rate for all together.
// between is the rate at which it did in a time.
func slowLine(t *testing.T, to string, rate float64) (address string, between func(from time.Time, d time.Duration) float64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var next time.Time
	var conns []net.Conn
	type passed struct {
		at    time.Time
		bytes int
	}
	var log []passed
	pace := func(n int) {
		mu.Lock()
		if now := time.Now(); next.Before(now.Add(-20 * time.Millisecond)) {
			next = now.Add(-20 * time.Millisecond)
		}
		next = next.Add(time.Duration(float64(n) / rate * 1e9))
		d := time.Until(next)
		mu.Unlock()
		time.Sleep(d)
	}
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			_ = in.(*net.TCPConn).SetWriteBuffer(64 << 10)
			all.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
			all.Go(func() {
				defer func() { _, _ = in.Close(), out.Close() }()
				buffer := make([]byte, 16<<10)
				for {
					n, err := out.Read(buffer)
					pace(n)
					if _, werr := in.Write(buffer[:n]); err != nil || werr != nil {
						return
					}
					mu.Lock()
					log = append(log, passed{time.Now(), n})
					mu.Unlock()
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String(), func(from time.Time, d time.Duration) float64 {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, p := range log {
			if p.at.After(from) && p.at.Before(from.Add(d)) {
				n += p.bytes
			}
		}
		return float64(n) / d.Seconds()
	}
}

func TestParseDSN(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]Server{
		"postgres://u:p@h:5432/d?sslmode=disable": Postgres, "postgresql://h/d": Postgres, "host=h user=u password='p w' dbname=d": Postgres,
		"mysql://u:p@h/d": MySQL, "mariadb://u@h:3307/d?tls=skip-verify": MySQL, "u:p@tcp(h:3306)/d": MySQL,
		"": "", "oracle://h/d": "", "h": "", "mysql://u:s3cr%zz@h/d": "", "postgres://u:s3cr%zz@h/d": "", "mysql://u:s3cr@h/d?what=1": "", "postgres://u:s3cr@h:port/d": "",
	} {
		got, err := ParseDSN(dsn)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", dsn, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cr") || fault.HintOf(err) == "") {
			t.Errorf("%v; %s", err, fault.HintOf(err))
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	for _, s := range []string{"postgres://u:p@h/d", "mysql://u:p@h/d", "u:p@tcp(h)/d", "host=h password=p"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		server, err := ParseDSN(dsn)
		if (server == "") != (err != nil) {
			t.Errorf("%q: %q, %v", dsn, server, err)
		}
	})
}
