package object

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
	"cw/loadspec/s3api"
	"cw/perfcheck"
	"cw/playground/s3test"
)

func settings(srv *s3test.Server, endpoint string) Settings {
	return Settings{
		URL: "s3://bkt/bench", Access: s3api.Access{Endpoint: endpoint, PathStyle: true, Region: "us-east-1"},
		Keys: &aws.Credentials{AccessKeyID: srv.Access, SecretAccessKey: srv.Secret}, Run: "ptest", Host: "h1", Seed: 7, Data: 24 * mib, Parts: []int64{8 * mib},
	}
}

// files are what lies in the server's bucket; the server's own files are not.
func files(t *testing.T, srv *s3test.Server) (out []string) {
	t.Helper()
	err := filepath.WalkDir(srv.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == ".vgwlocks" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

func prepared(t *testing.T, o Settings) *Set {
	t.Helper()
	s, err := Prepare(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		_ = s.Close(ctx)
	})
	return s
}

func timing(warmup, duration time.Duration) perfcheck.Timing {
	return perfcheck.Timing{Warmup: warmup, Duration: duration}
}

// Every test of the catalogue gives every number that it promises, and nothing
// is left in the store.
func TestCatalogueOnARealStore(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	s := prepared(t, settings(srv, srv.Endpoint))
	seen := map[string]bool{}
	for _, test := range Tests() {
		if seen[test.ID] || len(test.Metrics) == 0 || test.Title == "" || len(test.Profiles) == 0 {
			t.Errorf("test %+v", test.Definition)
		}
		seen[test.ID] = true
		if test.Knee || test.Job.Streams > 4 || test.Job.Part > 16*mib {
			continue
		}
		j := test.Job
		j.Timing = timing(100*time.Millisecond, time.Second)
		j.Rate *= 4
		m, err := s.Run(t.Context(), j, nil)
		if err != nil {
			t.Errorf("%s: %v", test.ID, err)
			continue
		}
		got := perfcheck.Combine(test.Definition, []perfcheck.Measurement{m})
		if got.Verdict == perfcheck.Error || m.Values["errors"] != 0 {
			t.Errorf("%s: %s %s, %v", test.ID, got.Verdict, got.Reason, m.Values)
		}
		if j.Kind == Connect && (m.Values["private"] != 1 || !slices.ContainsFunc(m.Events, func(e perfcheck.Event) bool { return strings.Contains(e.Text, "private") })) {
			t.Errorf("%s: where it went is not said: %+v", test.ID, m.Events)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, srv); len(left) != 0 {
		t.Errorf("left in the store: %q", left)
	}
}

// Faults are counted when they pass, and errors when they do not.
func TestFaults(t *testing.T) {
	t.Parallel()
	isPart := func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Has("partNumber") }
	isRange := func(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("Range") != "" }
	var mu sync.Mutex
	every := func(n int, is func(*http.Request) bool, f s3test.Fault) func(*http.Request) s3test.Fault {
		count := 0
		return func(r *http.Request) s3test.Fault {
			mu.Lock()
			defer mu.Unlock()
			if !is(r) {
				return s3test.Fault{}
			}
			if count++; count%n == 0 {
				return f
			}
			return s3test.Fault{}
		}
	}
	get, put := Job{Kind: Get, Part: mib, Streams: 2}, Job{Kind: Put, Part: 8 * mib, Streams: 2}
	for name, c := range map[string]struct {
		job  Job
		rule func(*http.Request) s3test.Fault
		want string // in the error; "" is a result with errors counted
		slow bool
	}{
		"some slow down":        {job: get, rule: every(5, isRange, s3test.Fault{Status: 503}), slow: true},
		"slow down on upload":   {job: put, rule: every(4, isPart, s3test.Fault{Status: 503})}, // the proxy does not read what it refuses: it may be a reset
		"always slow down":      {job: get, rule: every(1, isRange, s3test.Fault{Status: 503}), want: "503"},
		"uploads always refuse": {job: put, rule: every(1, isPart, s3test.Fault{Status: 503}), want: "s3://bkt/bench"}, // or a reset: the proxy does not read what it refuses
		"some bodies truncated": {job: get, rule: every(5, isRange, s3test.Fault{Truncate: 100_000})},
		"all bodies truncated":  {job: get, rule: every(1, isRange, s3test.Fault{Truncate: 100_000}), want: "EOF"},
		"nothing but the head":  {job: get, rule: every(1, isRange, s3test.Fault{Truncate: -1}), want: "s3://bkt/bench"},
		"denied":                {job: get, rule: every(1, isRange, s3test.Fault{Status: 403, Code: "AccessDenied"}), want: "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := s3test.Start(t, "bkt")
			p := srv.Proxy(t)
			s := prepared(t, settings(srv, p.Endpoint))
			p.Set(c.rule)
			c.job.Timing = timing(0, 1500*time.Millisecond)
			m, err := s.Run(t.Context(), c.job, nil)
			p.Set(nil)
			switch {
			case c.want == "" && (err != nil || m.Values["errors"] < 1 || m.Values["throughput"] <= 0 || c.slow && m.Values["slow_down"] < 1):
				t.Errorf("%v, %v", m.Values, err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want one with %q", err, c.want)
			}
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left := files(t, srv); len(left) != 0 {
				t.Errorf("left in the store: %q", left)
			}
		})
	}
}

// What comes back must be what was put there: another object of the same size,
// one that was changed, and one that is gone are found.
func TestWrongContent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, srv *s3test.Server, s *Set){
		"one bit": func(t *testing.T, srv *s3test.Server, s *Set) {
			data := srv.Get(t, "bkt", s.data[0].key)
			data[3*mib+17] ^= 1
			srv.Put(t, "bkt", s.data[0].key, data)
		},
		"another range": func(t *testing.T, srv *s3test.Server, s *Set) {
			data := srv.Get(t, "bkt", s.data[0].key)
			srv.Put(t, "bkt", s.data[0].key, append(data[mib:], data[:mib]...))
		},
		"zeros": func(t *testing.T, srv *s3test.Server, s *Set) {
			srv.Put(t, "bkt", s.data[0].key, make([]byte, s.data[0].size))
		},
		"shorter": func(t *testing.T, srv *s3test.Server, s *Set) {
			srv.Put(t, "bkt", s.data[0].key, srv.Get(t, "bkt", s.data[0].key)[:mib+1])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := s3test.Start(t, "bkt")
			o := settings(srv, srv.Endpoint)
			o.Data = 8 * mib
			s := prepared(t, o)
			change(t, srv, s)
			_, err := s.Run(t.Context(), Job{Kind: Get, Part: 2 * mib, Streams: 4, Timing: timing(0, 2*time.Second)}, nil)
			if err == nil {
				t.Error("it was not found")
			}
			if name != "shorter" && !errors.Is(err, errContent) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestServerDiesMidway(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	for _, j := range []Job{{Kind: Get, Part: mib, Streams: 2}, {Kind: Put, Part: 8 * mib, Streams: 2}, {Kind: FirstByte, Rate: 50}, {Kind: Connect, Rate: 50}} {
		gate := newGate(t, srv.Endpoint, 0)
		s := prepared(t, settings(srv, "http://"+gate.addr()))
		j.Timing = timing(0, 30*time.Second)
		once := sync.OnceFunc(gate.close)
		_, err := s.Run(t.Context(), j, func(perfcheck.Second) { once() })
		if kind := fault.KindOf(err); err == nil || kind != fault.Unreachable {
			t.Errorf("%s: %v (%v)", j.Kind, err, kind)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	for _, j := range []Job{{Kind: Get, Part: mib, Streams: 4}, {Kind: Put, Part: 8 * mib, Streams: 4}, {Kind: FirstByte, Rate: 50}} {
		s := prepared(t, settings(srv, srv.Endpoint))
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("somebody pressed Ctrl-C")
		j.Timing = timing(0, time.Minute)
		began := time.Now()
		_, err := s.Run(ctx, j, func(perfcheck.Second) { cancel(why) })
		if !errors.Is(err, why) || time.Since(began) > 30*time.Second {
			t.Errorf("%s: %v after %s", j.Kind, err, time.Since(began))
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if left := files(t, srv); len(left) != 0 {
			t.Errorf("%s: left in the store: %q", j.Kind, left)
		}
	}
}

// The folders of runs that were killed are named, and removed when asked.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	o := settings(srv, srv.Endpoint)
	o.Run, o.Data = "pdead", mib
	dead := prepared(t, o) // and never closed
	key := dead.folder() + "put-1"
	if _, err := dead.s.api.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("bkt"), Key: &key}); err != nil {
		t.Fatal(err)
	}
	srv.Put(t, "bkt", "bench/mine", []byte("not cw's"))
	o.Run = "plive"
	s := prepared(t, o)
	for _, remove := range []bool{false, true} {
		left, err := s.Leftovers(t.Context(), remove)
		if err != nil || len(left) != 1 || left[0].Run != "pdead" || left[0].Objects != smallCount+1 || left[0].Uploads != 1 || left[0].Bytes < mib {
			t.Fatalf("%+v, %v", left, err)
		}
		if !strings.Contains(left[0].String(), "s3://bkt/bench/cw-perf-pdead/") {
			t.Errorf("%s", left[0])
		}
	}
	if left, err := s.Leftovers(t.Context(), false); err != nil || len(left) != 0 {
		t.Errorf("%+v, %v", left, err)
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if got := files(t, srv); len(got) != 1 || !strings.HasSuffix(got[0], "mine") {
		t.Errorf("what others put: %q", got)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string][2]string{"s3://b": {"b", ""}, "s3://b/": {"b", ""}, "s3://b/p/q/": {"b", "p/q/"}, "http://b/": {}, "s3:///p": {}, "s3://b/*": {}, "": {}} {
		bucket, prefix, err := ParseURL(url)
		if bucket != want[0] && err == nil || prefix != want[1] && err == nil || (err == nil) != (want[0] != "") {
			t.Errorf("%s: %q %q %v", url, bucket, prefix, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("s3://bucket/prefix")
	f.Fuzz(func(t *testing.T, url string) {
		bucket, prefix, err := ParseURL(url)
		if err == nil && (bucket == "" || strings.Contains(bucket, "/") || prefix != "" && !strings.HasSuffix(prefix, "/")) {
			t.Errorf("%q: %q %q", url, bucket, prefix)
		}
	})
}

// gate passes TCP connections on to a server, all of them together at a rate.
type gate struct {
	l    net.Listener
	mu   sync.Mutex
	at   time.Time
	rate float64
	all  map[net.Conn]bool
	done sync.WaitGroup
	log  []passed
}

// passed is what went through at a moment.
type passed struct {
	at    time.Time
	bytes int
}

// between is the rate at which bytes went through in a time: on a machine that
// is busy that is less than was allowed.
func (g *gate) between(from time.Time, d time.Duration) float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.log {
		if p.at.After(from) && p.at.Before(from.Add(d)) {
			n += p.bytes
		}
	}
	return float64(n) / d.Seconds()
}

func newGate(t testing.TB, endpoint string, rate float64) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{l: l, rate: rate, all: map[net.Conn]bool{}}
	g.done.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			// What lies in buffers is not limited: keep it small.
			for _, c := range []net.Conn{in, out} {
				_ = c.(*net.TCPConn).SetReadBuffer(256 << 10)
				_ = c.(*net.TCPConn).SetWriteBuffer(256 << 10)
			}
			g.mu.Lock()
			g.all[in], g.all[out] = true, true
			g.mu.Unlock()
			g.done.Go(func() { g.pass(in, out) })
			g.done.Go(func() { g.pass(out, in) })
		}
	})
	t.Cleanup(g.close)
	return g
}

func (g *gate) addr() string { return g.l.Addr().String() }

func (g *gate) close() {
	_ = g.l.Close()
	g.mu.Lock()
	for c := range g.all {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.done.Wait()
}

func (g *gate) pass(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.wait(n)
		if _, werr := to.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
		g.mu.Lock()
		g.log = append(g.log, passed{time.Now(), n})
		g.mu.Unlock()
	}
}

func (g *gate) wait(n int) {
	if g.rate <= 0 {
		return
	}
	g.mu.Lock()
	now := time.Now()
	if g.at.Before(now.Add(-20 * time.Millisecond)) {
		g.at = now.Add(-20 * time.Millisecond)
	}
	g.at = g.at.Add(time.Duration(float64(n) / g.rate * 1e9))
	d := time.Until(g.at)
	g.mu.Unlock()
	if d > 0 {
		time.Sleep(d)
	}
}

// Behind a line of known speed that speed is found. It runs by itself: others
// would take the CPUs that the line needs.
func TestKnownRate(t *testing.T) {
	srv := s3test.Start(t, "bkt")
	const truth = float64(50 << 20)
	for _, j := range []Job{{Kind: Get, Part: 2 * mib, Streams: 4}, {Kind: Put, Part: 8 * mib, Streams: 4}} {
		o := settings(srv, srv.Endpoint)
		g := newGate(t, srv.Endpoint, truth)
		o.Access.Endpoint = "http://" + g.addr()
		s := prepared(t, o)
		var off []float64
		for range 3 { // of a busy machine one measurement may go wrong
			j.Timing = timing(time.Second, 4*time.Second)
			m, err := s.Run(t.Context(), j, nil)
			if err != nil {
				t.Fatal(err)
			}
			real := g.between(m.Began, j.Duration)
			ratio := m.Values["throughput"] / min(real, truth)
			t.Logf("%s: %.3f of what went through, %.3f of what could have", j.Kind, ratio, m.Values["throughput"]/truth)
			if off = append(off, ratio); ratio > 0.93 && ratio < 1.07 {
				break
			}
		}
		if last := off[len(off)-1]; last < 0.90 || last > 1.10 {
			t.Errorf("%s: %v of the truth", j.Kind, off)
		}
	}
}
