package fdist

import (
	"bytes"
	"context"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	b := NewBudget(0)
	r := &Request{Database: "d", User: "u", session: 7}
	if b.Quantum(r) != 0 || len(b.List()) != 0 {
		t.Errorf("without a limit: %d, %v", b.Quantum(r), b.List())
	}
	b.Set(Limit{ScopeServer, "", 1 << 20})
	b.Set(Limit{ScopeUser, "u", 100_000})
	b.Set(Limit{ScopeDatabase, "other", 10_000})
	b.Set(Limit{ScopeSession, "7", 50_000})
	want := []Limit{{ScopeServer, "", 1 << 20}, {ScopeDatabase, "other", 10_000}, {ScopeSession, "7", 50_000}, {ScopeUser, "u", 100_000}}
	if got := b.List(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		i    SessionInfo
		want int64
	}{{SessionInfo{ID: 7, User: "u"}, 50_000}, {SessionInfo{User: "u"}, 100_000}, {SessionInfo{Database: "other"}, 10_000}, {SessionInfo{}, 1 << 20}} {
		if got := b.Rate(c.i); got != c.want {
			t.Errorf("%+v: %d, want %d", c.i, got, c.want)
		}
	}
	// Who waits under a limit that is taken away goes on at once.
	b.Set(Limit{ScopeSession, "7", 1})
	_ = b.Wait(t.Context(), r, 1)
	_ = b.Wait(t.Context(), r, 1<<20)
	waited := make(chan error, 1)
	go func() { waited <- b.Wait(t.Context(), r, 1) }()
	select {
	case <-waited:
		t.Fatal("nobody waits under 1 B/s")
	case <-time.After(50 * time.Millisecond):
	}
	for _, l := range want {
		l.Rate = 0
		b.Set(l)
	}
	if err := <-waited; err != nil || b.Quantum(r) != 0 || len(b.List()) != 0 {
		t.Errorf("%v, %v", err, b.List())
	}
	b.Set(Limit{ScopeServer, "", 1})
	ctx, cancel := context.WithCancel(t.Context())
	_ = b.Wait(ctx, r, 1<<20)
	cancel()
	if err := b.Wait(ctx, r, 1); err == nil {
		t.Error("a wait outlives its context")
	}
}

// Writes are slowed by late answers: the rate holds, and one session's limit
// does not slow another.
func TestBudgetOfWrites(t *testing.T) {
	t.Parallel()
	const rate, segments = 2_000_000, 4
	out := &slowOutput{}
	b := NewBudget(rate)
	_, addr := writeServer(t, Options{Outputs: out, Limits: b})
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	began := time.Now()
	for seg := range segments {
		group.Go(func() {
			w, err := (&Client{Tries: 1}).Post(ctx, scanOf(addr, "t", seg))
			for err == nil {
				err = w.Send(ctx, bytes.Repeat([]byte("0123456\n"), 4_000))
			}
			if ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	_, rows := out.get()
	total := 0
	for _, r := range rows {
		total += len(r)
	}
	// Each segment has one body stored whose answer waits.
	got := float64(total-segments*32_000) / time.Since(began).Seconds()
	if got < 0.85*rate || got > 1.15*rate {
		t.Errorf("%.0f bytes per second, want %d", got, rate)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := NewBudget(0)
	s, addr := writeServer(t, Options{Outputs: &FileOutputs{Dir: dir}, Limits: b})
	path := filepath.Join(dir, "run", "c.sock")
	l, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- (&Control{Server: s, Budget: b, URL: "gpfdist://x/", Dir: dir}).Serve(ctx, l) }()
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v (%v)", st.Mode(), err)
	}
	if _, err := ListenControl(path); fault.KindOf(err) != fault.Locked {
		t.Errorf("a second server on one socket: %v", err)
	}
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(2), "12345\n")
	client := ControlClient{Path: path}
	st, err := client.Status(t.Context())
	if err != nil || len(st.Sessions) != 1 || st.Received != 6 || st.PID != os.Getpid() || st.URL != "gpfdist://x/" {
		t.Fatalf("%+v, %v", st, err)
	}
	one := st.Sessions[0]
	if one.Kind != "write" || one.State != "running" || one.Bytes != 6 || one.Path != "t" || one.XID != "1700000000-0000000007" {
		t.Errorf("%+v", one)
	}
	limits, err := client.SetLimit(t.Context(), Limit{ScopeSession, "1", 1000})
	if err != nil || len(limits) != 1 || b.Rate(SessionInfo{ID: 1}) != 1000 {
		t.Errorf("%v, %v", limits, err)
	}
	if _, err := client.SetLimit(t.Context(), Limit{ScopeSession, "99", 1000}); err == nil || !strings.Contains(err.Error(), "no session 99") {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if exists(path) {
		t.Error("the socket is left behind")
	}
	if _, err := client.Status(t.Context()); fault.KindOf(err) != fault.Unreachable {
		t.Error(err)
	}
}

// A socket that a killed server has left is taken over, anything else is not.
func TestControlSocketLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()
	l, err := ListenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenControl(path); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
	if _, err := ListenControl("/tmp/" + strings.Repeat("x", 120)); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	b := NewBudget(5)
	b.Set(Limit{ScopeUser, "a\"b\\c", 7})
	s, addr := writeServer(t, Options{Outputs: &slowOutput{}, Limits: noLimits{}})
	rawPost(t, dialTo(t, addr), "t", seq(1), "")
	rawPost(t, dialTo(t, addr), "t", seq(2), "12345\n")
	w := httptest.NewRecorder()
	Metrics(s, b).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		"cw_serve_received_bytes_total 6\n", "cw_serve_sessions{direction=\"write\"} 1\n", "cw_serve_sessions{direction=\"read\"} 0\n",
		"cw_serve_limit_bytes_per_second{scope=\"server\",name=\"\"} 5\n", "{scope=\"user\",name=\"a\\\"b\\\\c\"} 7\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	line := regexp.MustCompile(`^(# (HELP cw_\w+ .+|TYPE cw_\w+ (counter|gauge))|cw_\w+(\{\w+="([^"\\]|\\.)*"(,\w+="([^"\\]|\\.)*")*\})? [-+0-9.e]+)$`)
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("not in the format: %q", l)
		}
	}
}

func TestStatusAndLogLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLineLog(&out)
	s, addr := writeServer(t, Options{Outputs: &slowOutput{}, Log: log.Log})
	conn := dialTo(t, addr)
	_, _ = conn.Write([]byte("GET /gpfdist/status HTTP/1.1\r\n\r\n"))
	var got bytes.Buffer
	_, _ = got.ReadFrom(conn)
	if !regexp.MustCompile(`(?s)^HTTP/1\.0 200 ok\r\n.*\r\n\r\nrequst_time \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\r\nread_bytes 0\r\ntotal_bytes 0\r\ntotal_sessions 0\r\n$`).Match(got.Bytes()) {
		t.Errorf("%q", got.String())
	}
	rawPost(t, dialTo(t, addr), "t", seq(3), "x\n")
	s.LogStatus()
	log.mu.Lock()
	defer log.mu.Unlock()
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d+ (INFO|WARN) (\[\d+:\d+:\d+:\d+\] )?\S.*$`)
	for _, l := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	if !strings.Contains(out.String(), "WARN [0:") || !strings.Contains(out.String(), "STATUS: total session(s) 0") {
		t.Error(out.String())
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		simple, veryVerbose bool
		want                string
	}{{false, false, "get info warn "}, {true, false, "warn "}, {false, true, "debug get post info warn "}} {
		var out bytes.Buffer
		l := NewLineLog(&out)
		l.Simple, l.VeryVerbose = c.simple, c.veryVerbose
		l.Log(LevelDebug, Where{}, "debug")
		l.Log(LevelVerbose, Where{Request: 1}, "get")
		l.Log(LevelVerbose, Where{Request: 1, Write: true}, "post")
		l.Log(LevelInfo, Where{}, "info")
		l.Log(LevelWarn, Where{}, "warn")
		got := ""
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			got += line[strings.LastIndexByte(line, ' ')+1:] + " "
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	first, port, err := Listen(t.Context(), "127.0.0.1", 0, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first[0].Close() }()
	if _, _, err := Listen(t.Context(), "127.0.0.1", port, port, nil); err == nil || !strings.Contains(err.Error(), "cannot create socket on port") {
		t.Error(err)
	}
	// In use on IPv4 alone is in use.
	if _, _, err := Listen(t.Context(), "", port, port, nil); err == nil {
		t.Error("a port that is in use on IPv4 was taken")
	}
	next, got, err := Listen(t.Context(), "127.0.0.1", port, min(port+50, 65535), nil)
	if err != nil || got <= port {
		t.Fatalf("%d, %v", got, err)
	}
	_ = next[0].Close()
	if _, _, err := Listen(t.Context(), "no.such.host.invalid", 0, 0, nil); err == nil {
		t.Error("an unknown name is listened on")
	}
}

func TestOutputMounts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := &slowOutput{}, &slowOutput{}
	m := &OutputMounts{Mounts: []OutputMount{{"lake", a}, {"lake/deep", b}}}
	for path, want := range map[string]Output{"lake/x": a, "lake/deep/x": b} {
		if got, err := m.Create(t.Context(), &Request{Path: path}); err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if _, err := m.Create(t.Context(), &Request{Path: "lakes/x"}); err == nil || !strings.Contains(err.Error(), "only lake/") {
		t.Error(err)
	}
	m.Files = &FileOutputs{Dir: dir}
	out, err := m.Create(t.Context(), &Request{Path: "x", Method: "POST"})
	if err != nil {
		t.Fatal(err)
	}
	_ = out.Abort(t.Context())
	only := Only{Inputs: &FileInputs{Dir: dir}, Prefixes: []string{"lake"}}
	if _, err := only.Open(t.Context(), &Request{Path: "lake/x y"}); err == nil || !strings.Contains(err.Error(), "only lake/ can be read") {
		t.Error(err)
	}
}
