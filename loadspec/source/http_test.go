package source

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/throttle"
)

// web is a web server of one object that can be told to misbehave.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	data     []byte
	etag     string // with its quotes; "" none
	modified time.Time
	ranges   bool
	chunked  bool // no length
	// before, if set, may answer instead.
	before func(w http.ResponseWriter, r *http.Request, n int) bool
	cut    func(n int) int // bytes after which the n-th answer breaks off; 0 never
	asked  int
}

func newWeb(t *testing.T, w *web, secure bool) *web {
	t.Helper()
	if secure {
		w.Server = httptest.NewTLSServer(w)
	} else {
		w.Server = httptest.NewServer(w)
	}
	t.Cleanup(w.Close)
	return w
}

func (s *web) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.mu.Unlock()
	if s.before != nil && s.before(w, r, n) {
		return
	}
	s.mu.Lock()
	data, etag, modified := s.data, s.etag, s.modified
	s.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if s.cut != nil {
		if k := s.cut(n); k > 0 {
			w = &cutWriter{ResponseWriter: w, left: k}
		}
	}
	if s.ranges {
		http.ServeContent(w, r, "", modified, bytes.NewReader(data))
		return
	}
	if !modified.IsZero() {
		w.Header().Set("Last-Modified", modified.UTC().Format(http.TimeFormat))
	}
	if !s.chunked {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	}
	_, _ = w.Write(data)
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if len(p) >= c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		if f, ok := c.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler) // how a handler breaks its connection off
	}
	c.left -= len(p)
	return c.ResponseWriter.Write(p)
}

func noise(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

func webSet(src loadspec.Source) *Set {
	return New([]loadspec.Source{src}, Options{Backoff: time.Millisecond, Stall: 300 * time.Millisecond, RangeSize: 50_000, Attempts: 8})
}

func readWeb(t *testing.T, set *Set, url string, offset int64) ([]byte, Object, error) {
	t.Helper()
	all, err := set.List(t.Context())
	if err != nil {
		return nil, Object{}, err
	}
	r, err := set.Open(t.Context(), all[0], offset, throttle.New(0, nil))
	if err != nil {
		return nil, all[0], err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(r)
	return data, all[0], err
}

func TestHTTPReads(t *testing.T) {
	t.Parallel()
	data := noise(400_000)
	when := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	cuts := func(n int) int { return map[bool]int{true: 1 + n*7919%60_000}[n > 1 && n%2 == 0] }
	faults := func(w http.ResponseWriter, r *http.Request, n int) bool {
		switch n % 5 {
		case 2:
			w.WriteHeader(500)
		case 3:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		case 4:
			select { // silent for longer than is tolerated
			case <-r.Context().Done():
			case <-time.After(2 * time.Second):
			}
		default:
			return false
		}
		return true
	}
	for _, c := range []struct {
		name string
		w    *web
		tag  string // what the object's begins with
		size int64
	}{
		{"ranges and ETag", &web{ranges: true, etag: `"v1"`}, "v1", 400_000},
		{"ranges, weak ETag", &web{ranges: true, etag: `W/"v1"`}, `W/"v1`, 400_000},
		{"ranges and Last-Modified", &web{ranges: true, modified: when}, "modified Tue", 400_000},
		{"ranges alone", &web{ranges: true}, "unknown ", 400_000},
		{"ranges, broken off", &web{ranges: true, etag: `"v1"`, cut: cuts}, "v1", 400_000},
		{"ranges, faults", &web{ranges: true, modified: when, before: faults}, "modified ", 400_000},
		{"no ranges", &web{etag: `"v1"`}, "unranged; v1", 400_000},
		{"no ranges, broken off", &web{etag: `"v1"`, cut: func(n int) int { return map[bool]int{true: n * 50_000}[n > 1 && n < 7] }}, "unranged; v1", 400_000},
		{"no ranges, no version, broken off", &web{cut: func(n int) int { return map[bool]int{true: n * 50_000}[n > 1 && n < 7] }}, "unranged; unknown ", 400_000},
		{"no length", &web{modified: when, chunked: true}, "unranged; modified ", 0},
	} {
		for _, offset := range []int64{0, 123_457} {
			t.Run(fmt.Sprint(c.name, " from ", offset), func(t *testing.T) {
				t.Parallel()
				w := newWeb(t, &web{data: data, etag: c.w.etag, modified: c.w.modified, ranges: c.w.ranges, chunked: c.w.chunked, before: c.w.before, cut: c.w.cut}, false)
				url := w.URL + "/x.csv"
				got, o, err := readWeb(t, webSet(loadspec.Source{Locations: []string{url}}), url, offset)
				if err != nil || !bytes.Equal(got, data[offset:]) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if !strings.HasPrefix(o.ETag, c.tag) || o.Size != c.size || o.URL != url {
					t.Errorf("%+v", o)
				}
			})
		}
	}
}

func TestHTTPEmpty(t *testing.T) {
	t.Parallel()
	for _, ranges := range []bool{true, false} {
		w := newWeb(t, &web{ranges: ranges, etag: `"v"`}, false)
		got, o, err := readWeb(t, webSet(loadspec.Source{Locations: []string{w.URL + "/x"}}), "", 0)
		if err != nil || len(got) != 0 || o.Size != 0 {
			t.Errorf("ranges %v: %q, %+v, %v", ranges, got, o, err)
		}
	}
}

// An object that changes while it is read is never mixed.
func TestHTTPChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		w       *web
		version bool // the server tells
	}{
		{"ranges", &web{ranges: true, etag: `"v1"`}, true},
		{"ranges, weak", &web{ranges: true, etag: `W/"v1"`}, true},
		{"no ranges", &web{etag: `"v1"`, cut: func(n int) int { return map[bool]int{true: 100_000}[n == 2] }}, true},
		{"no ranges, no version", &web{cut: func(n int) int { return map[bool]int{true: 100_000}[n == 2] }}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb(t, &web{data: noise(300_000), etag: c.w.etag, ranges: c.w.ranges, cut: c.w.cut}, false)
			w.before = func(_ http.ResponseWriter, _ *http.Request, n int) bool {
				if n == 3 {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.data = append([]byte("!"), w.data[1:]...)
					w.etag = strings.Replace(w.etag, "v1", "v2", 1)
				}
				return false
			}
			set := webSet(loadspec.Source{Locations: []string{w.URL + "/x"}})
			_, _, err := readWeb(t, set, "", 0)
			var changed *ChangedError
			if err == nil || c.version && !errors.As(err, &changed) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHTTPSecrets(t *testing.T) {
	t.Parallel()
	const secret = "geheim"
	data := []byte("1,a\n")
	w := newWeb(t, &web{data: data, ranges: true, etag: `"v"`}, false)
	target := newWeb(t, &web{data: data, ranges: true, etag: `"v"`}, false)
	var seen []string
	w.before = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		user, password, _ := r.BasicAuth()
		seen = append(seen, user+":"+password+"?"+r.URL.RawQuery)
		switch r.URL.Path {
		case "/denied":
			rw.WriteHeader(403)
		case "/away":
			http.Redirect(rw, r, target.URL+"/x?sig="+secret, http.StatusFound)
		case "/gone":
			rw.WriteHeader(404)
		case "/teapot":
			rw.WriteHeader(418)
		case "/busy":
			rw.WriteHeader(500)
		default:
			return false
		}
		return true
	}
	base := strings.Replace(w.URL, "http://", "http://user:"+secret+"@", 1)
	for path, kind := range map[string]fault.Kind{"/ok": -1, "/away": -1, "/denied": fault.Auth, "/gone": fault.Failed, "/teapot": fault.Failed, "/busy": fault.Unreachable} {
		got, o, err := readWeb(t, webSet(loadspec.Source{Locations: []string{base + path + "?part=1&token=" + secret}}), "", 0)
		if err == nil && (kind != -1 || !bytes.Equal(got, data) || o.URL != w.URL+path+"?part=1") {
			t.Errorf("%s: %q %+v", path, got, o)
		}
		if err != nil && fault.KindOf(err) != kind || strings.Contains(fmt.Sprint(err, fault.HintOf(err), o), secret) {
			t.Errorf("%s: %v; %s", path, err, fault.HintOf(err))
		}
	}
	for _, s := range seen {
		if s != "user:"+secret+"?part=1&token="+secret {
			t.Errorf("asked as %s", s)
		}
	}
	w.Close()
	_, _, err := readWeb(t, webSet(loadspec.Source{Locations: []string{base + "/ok?token=" + secret}}), "", 0)
	if fault.KindOf(err) != fault.Unreachable || strings.Contains(fmt.Sprint(err, fault.HintOf(err)), secret) {
		t.Errorf("%v; %s", err, fault.HintOf(err))
	}
}

func TestHTTPSWithOwnAuthority(t *testing.T) {
	t.Parallel()
	w := newWeb(t, &web{data: []byte("x"), ranges: true, etag: `"v"`}, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	src := loadspec.Source{Locations: []string{w.URL + "/x"}}
	if _, _, err := readWeb(t, webSet(src), "", 0); err == nil || !strings.Contains(fault.HintOf(err), "CA_FILE") {
		t.Errorf("%v; %s", err, fault.HintOf(err))
	}
	src.CAFile = ca
	if got, _, err := readWeb(t, webSet(src), "", 0); err != nil || string(got) != "x" {
		t.Errorf("%q %v", got, err)
	}
}

func TestRetryAfterIsHeeded(t *testing.T) {
	t.Parallel()
	w := newWeb(t, &web{data: []byte("x"), ranges: true, etag: `"v"`}, false)
	w.before = func(rw http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(429)
		}
		return n == 1
	}
	var waits []time.Duration
	set := New([]loadspec.Source{{Locations: []string{w.URL + "/x"}}}, Options{Backoff: time.Millisecond, OnRetry: func(_ string, _ error, d time.Duration) { waits = append(waits, d) }})
	if _, _, err := readWeb(t, set, "", 0); err != nil || len(waits) != 1 || waits[0] != time.Second {
		t.Errorf("%v %v", waits, err)
	}
}

func TestStdin(t *testing.T) {
	t.Parallel()
	src := []loadspec.Source{{Locations: []string{loadspec.Stdin}}}
	set := New(src, Options{Stdin: strings.NewReader("1,a\n2,b\n")})
	got, o, err := readWeb(t, set, "", 0)
	if err != nil || string(got) != "1,a\n2,b\n" || o.URL != StdinURL {
		t.Errorf("%q %+v %v", got, o, err)
	}
	if _, err := set.Open(t.Context(), o, 0, throttle.New(0, nil)); err == nil {
		t.Error("read twice")
	}
	other := New(src, Options{Stdin: strings.NewReader("3,c\n")})
	if _, err := other.Open(t.Context(), o, 4, throttle.New(0, nil)); err == nil || !strings.Contains(err.Error(), "second time") {
		t.Errorf("%v", err)
	}
	if _, err := New(src, Options{}).List(t.Context()); err == nil {
		t.Error("no input")
	}
	// Who waits for input that does not come can be interrupted.
	in, out := io.Pipe()
	defer func() { _ = out.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	set = New(src, Options{Stdin: in})
	all, err := set.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r, err := set.Open(ctx, all[0], 0, throttle.New(0, nil))
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
