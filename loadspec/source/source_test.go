package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/throttle"
	"cw/playground/s3test"
)

func random(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh,\n"[rng.IntN(10)]
	}
	return b
}

func gz(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zs(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w, _ := zstd.NewWriter(&b)
		_, _ = w.Write(p)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func files(locations ...string) *Set {
	return New([]loadspec.Source{{Locations: locations}}, Options{})
}

func urls(objects []Object) []string {
	var u []string
	for _, o := range objects {
		u = append(u, o.URL)
	}
	return u
}

func TestListFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, n := range []string{"a1.csv", "a2.csv", "b.csv", "d/x", "d/y", "d/.hidden", "star*.csv", "nested/deep/x"} {
		write(t, filepath.Join(dir, n), []byte("x"))
	}
	for _, c := range []struct {
		patterns []string
		want     []string
	}{
		{[]string{"a*.csv"}, []string{"a1.csv", "a2.csv"}},
		{[]string{"b.csv", "*.csv"}, []string{"b.csv", "a1.csv", "a2.csv", "star*.csv"}},
		{[]string{"d"}, []string{"d/x", "d/y"}},
		{[]string{"star*.csv"}, []string{"star*.csv"}},
	} {
		var in, want []string
		for _, p := range c.patterns {
			in = append(in, "file://"+dir+"/"+p)
		}
		for _, w := range c.want {
			want = append(want, "file://"+dir+"/"+w)
		}
		got, err := files(in...).List(t.Context())
		if err != nil || !slices.Equal(urls(got), want) {
			t.Errorf("%v: %v, %v; want %v", c.patterns, urls(got), err, want)
		}
	}
	for pattern, want := range map[string]string{"none*": "no object matches", "none": "no object matches", "nested": "folder inside a folder", "[": "syntax error"} {
		_, err := files(dir + "/" + pattern).List(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
}

func readAll(ctx context.Context, s *Set, o Object, compression string, offset int64) ([]byte, error) {
	st, err := s.Stream(ctx, o, compression, offset, throttle.New(0, nil))
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return io.ReadAll(st)
}

func one(t testing.TB, s *Set) Object {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return all[0]
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	a, b := random(300_000, 1), random(500_000, 2)
	both := append(slices.Clone(a), b...)
	for _, c := range []struct {
		name, compression string
		data              []byte
	}{
		{"plain.csv", "auto", both},
		{"x.csv.gz", "auto", gz(t, a, b)},
		{"unnamed-gzip", "auto", gz(t, a, b)},
		{"x.zst", "auto", zs(t, a, b)},
		{"unnamed-zstd", "auto", zs(t, a, b)},
		{"said.bin", "gzip", gz(t, both)},
		{"not.gz", "none", both},
	} {
		s := files(write(t, filepath.Join(t.TempDir(), c.name), c.data))
		o := one(t, s)
		for _, offset := range []int64{0, 1, 299_999, 300_001, int64(len(both))} {
			got, err := readAll(t.Context(), s, o, c.compression, offset)
			if err != nil || !bytes.Equal(got, both[offset:]) {
				t.Errorf("%s from %d: %d bytes, %v", c.name, offset, len(got), err)
			}
		}
	}
}

func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	whole := gz(t, random(200_000, 3))
	wholeZ := zs(t, random(200_000, 3))
	flipped := slices.Clone(whole)
	flipped[len(flipped)/2] ^= 0x55
	for _, c := range []struct {
		name, compression string
		data              []byte
		want              string
	}{
		{"cut.gz", "auto", whole[:len(whole)/2], fmt.Sprintf("gzip data is truncated: it ends at byte %d in", len(whole)/2)},
		{"cut-in-checksum.gz", "auto", whole[:len(whole)-3], "gzip data is truncated"},
		{"cut-in-second-header.gz", "auto", append(slices.Clone(whole), whole[:5]...), "gzip data is truncated"},
		{"cut.zst", "auto", wholeZ[:len(wholeZ)/2], fmt.Sprintf("zstd data is truncated: it ends at byte %d in", len(wholeZ)/2)},
		{"flipped.gz", "auto", flipped, "gzip data is damaged near byte"},
		{"plain.gz", "auto", []byte("1,a\n"), "does not begin as gzip data, which its name promises"},
		{"empty.gz", "auto", nil, "does not begin as gzip"},
		{"plain.txt", "zstd", []byte("1,a\n"), "does not begin as zstd data"},
	} {
		s := files(write(t, filepath.Join(t.TempDir(), c.name), c.data))
		_, err := readAll(t.Context(), s, one(t, s), c.compression, 0)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if err != nil && fault.HintOf(err) == "" {
			t.Errorf("%s: no hint", c.name)
		}
	}
}

func TestChangedFileIsNoticed(t *testing.T) {
	t.Parallel()
	name := write(t, filepath.Join(t.TempDir(), "x"), random(600_000, 4))
	s := files(name)
	o := one(t, s)
	st, err := s.Stream(t.Context(), o, "none", 0, throttle.New(0, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, st, 1000); err != nil {
		t.Fatal(err)
	}
	write(t, name, random(700_000, 5)) // in place, longer
	_, err = io.Copy(io.Discard, st)
	st.Close()
	var changed *ChangedError
	if !errors.As(err, &changed) || changed.Old != o.ETag || changed.New == o.ETag || changed.New == "" {
		t.Errorf("grown: %v", err)
	}
	if _, err = readAll(t.Context(), s, o, "none", 0); !errors.As(err, &changed) {
		t.Errorf("changed before opening: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err = readAll(t.Context(), s, o, "none", 0); !errors.As(err, &changed) || changed.New != "" {
		t.Errorf("removed: %v", err)
	}
}

func s3set(srv *s3test.Server, endpoint string, o Options, locations ...string) *Set {
	if o.Credentials == nil {
		o.Credentials = srv.Credentials()
	}
	o.Backoff = time.Millisecond
	return New([]loadspec.Source{{Locations: locations, Endpoint: endpoint, PathStyle: true}}, o)
}

func TestListS3(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	for _, k := range []string{"p/a.csv", "p/b.csv.gz", "p/sub/c.csv", "p/sub/deep/d.csv", "abc/x", "abcdef/x", "odd/a b+ü[1].csv", "p/e1.txt", "p/e2.txt"} {
		srv.Put(t, "bucket", k, []byte("x\n"))
	}
	for pattern, want := range map[string][]string{
		"p/*.csv":            {"p/a.csv"},
		"p/*":                {"p/a.csv", "p/b.csv.gz", "p/e1.txt", "p/e2.txt"},
		"p/**.csv":           {"p/a.csv", "p/sub/c.csv", "p/sub/deep/d.csv"},
		"p/**/*.csv":         {"p/a.csv", "p/sub/c.csv", "p/sub/deep/d.csv"},
		"p/sub/":             {"p/sub/c.csv", "p/sub/deep/d.csv"},
		"abc/*":              {"abc/x"},
		"p/e[13].txt":        {"p/e1.txt"},
		"p/e[!1].txt":        {"p/e2.txt"},
		"p/e?.txt":           {"p/e1.txt", "p/e2.txt"},
		`odd/a b+ü\[1].csv`:  {"odd/a b+ü[1].csv"},
		"p/a.csv":            {"p/a.csv"},
		"odd/a b+?[[]1].csv": {"odd/a b+ü[1].csv"},
	} {
		got, err := s3set(srv, srv.Endpoint, Options{}, "s3://bucket/"+pattern).List(t.Context())
		for i := range want {
			want[i] = "s3://bucket/" + want[i]
		}
		if err != nil || !slices.Equal(urls(got), want) {
			t.Errorf("%s: %v, %v; want %v", pattern, urls(got), err, want)
		}
	}
	for pattern, hint := range map[string]string{"p/sub": "2 objects begin with that name", "p/sub*": "* does not cross a /", "zzz/*": "nothing in the bucket begins with"} {
		_, err := s3set(srv, srv.Endpoint, Options{}, "s3://bucket/"+pattern).List(t.Context())
		var none *NoMatchError
		if !errors.As(err, &none) || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("%s: %v, hint %q; want %q", pattern, err, fault.HintOf(err), hint)
		}
	}
}

func TestListIsPaged(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	for i := range 1005 {
		write(t, filepath.Join(srv.Dir, "bucket", "many", fmt.Sprintf("%04d", i)), []byte("x"))
	}
	got, err := s3set(srv, srv.Endpoint, Options{}, "s3://bucket/many/*").List(t.Context())
	if err != nil || len(got) != 1005 {
		t.Errorf("%d objects, %v", len(got), err)
	}
}

func TestS3Errors(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "x", []byte("1\n"))
	p := srv.Proxy(t)
	for _, c := range []struct {
		name     string
		set      *Set
		rule     func(*http.Request) s3test.Fault
		kind     fault.Kind
		want     string
		wantHint string
	}{
		{"missing bucket", s3set(srv, p.Endpoint, Options{}, "s3://nobucket/x"), nil, fault.Failed, "bucket nobucket does not exist", "check the bucket's name"},
		{"wrong secret", s3set(srv, p.Endpoint, Options{Credentials: credentials.NewStaticCredentialsProvider(srv.Access, "wrong", "")}, "s3://bucket/x"), nil, fault.Auth, "credentials are refused", "AWS_ACCESS_KEY_ID"},
		{"unknown key id", s3set(srv, p.Endpoint, Options{Credentials: credentials.NewStaticCredentialsProvider("who", "wrong", "")}, "s3://bucket/x"), nil, fault.Auth, "credentials are refused", "AWS_ACCESS_KEY_ID"},
		{"skew", s3set(srv, p.Endpoint, Options{}, "s3://bucket/x"), func(*http.Request) s3test.Fault { return s3test.Fault{Status: 403, Code: "RequestTimeTooSkewed"} }, fault.Auth, "clock of this machine is wrong by", "chronyc"},
		{"denied", s3set(srv, p.Endpoint, Options{}, "s3://bucket/x"), func(*http.Request) s3test.Fault { return s3test.Fault{Status: 403, Code: "AccessDenied"} }, fault.Auth, "access to bucket bucket is denied", "s3:GetObject"},
		{"always 503", s3set(srv, p.Endpoint, Options{Attempts: 3}, "s3://bucket/x"), func(*http.Request) s3test.Fault { return s3test.Fault{Status: 503} }, fault.Unreachable, "the store answers 503", ""},
		{"refused", s3set(srv, "http://127.0.0.1:1", Options{Attempts: 2}, "s3://bucket/x"), nil, fault.Unreachable, "http://127.0.0.1:1: connection refused", "check ENDPOINT"},
	} {
		p.Set(c.rule)
		_, err := c.set.List(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.set.sources[0].Endpoint) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if fault.KindOf(err) != c.kind || !strings.Contains(fault.HintOf(err), c.wantHint) {
			t.Errorf("%s: kind %v, hint %q", c.name, fault.KindOf(err), fault.HintOf(err))
		}
	}
	lookup := &net.DNSError{Err: "no such host", Name: "nosuch.invalid", IsNotFound: true}
	if again, err := newS3Store(loadspec.Source{}, Options{}).explain("s3://bucket/x", fmt.Errorf("dial: %w", lookup)); again || fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "host nosuch.invalid is not known") {
		t.Errorf("unknown host: again %v, %v", again, err)
	}
	noProfile := New([]loadspec.Source{{Locations: []string{"s3://bucket/x"}, Endpoint: srv.Endpoint, PathStyle: true, Profile: "no-such-profile"}}, Options{})
	if _, err := noProfile.List(t.Context()); fault.KindOf(err) != fault.Auth || !strings.Contains(err.Error(), "PROFILE no-such-profile is not in") {
		t.Errorf("profile: %v", err)
	}
}

// TestS3Faults reads an object in many ranges while requests fail in every
// way, and wants every byte all the same.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	data := random(3_000_000, 9)
	srv.Put(t, "bucket", "x", data)
	p := srv.Proxy(t)
	for name, fault := range map[string]func(n int64, rng *rand.Rand) s3test.Fault{
		"none":      func(int64, *rand.Rand) s3test.Fault { return s3test.Fault{} },
		"500":       func(int64, *rand.Rand) s3test.Fault { return s3test.Fault{Status: 500} },
		"503":       func(int64, *rand.Rand) s3test.Fault { return s3test.Fault{Status: 503} },
		"truncated": func(_ int64, rng *rand.Rand) s3test.Fault { return s3test.Fault{Truncate: 1 + rng.Int64N(200_000)} },
		"nothing":   func(int64, *rand.Rand) s3test.Fault { return s3test.Fault{Truncate: -1} },
		"stalled":   func(_ int64, rng *rand.Rand) s3test.Fault { return s3test.Fault{Stall: 1 + rng.Int64N(100_000)} },
	} {
		var n atomic.Int64
		p.Set(func(r *http.Request) s3test.Fault {
			if r.Header.Get("Range") == "" || n.Add(1)%3 == 0 {
				return s3test.Fault{}
			}
			return fault(n.Load(), rand.New(rand.NewPCG(uint64(n.Load()), 1)))
		})
		var retries atomic.Int64
		s := s3set(srv, p.Endpoint, Options{RangeSize: 300_000, Attempts: 30, Stall: 300 * time.Millisecond, OnRetry: func(string, error, time.Duration) { retries.Add(1) }}, "s3://bucket/x")
		o := one(t, s)
		for _, offset := range []int64{0, 1_234_567} {
			got, err := readAll(t.Context(), s, o, "none", offset)
			if err != nil || !bytes.Equal(got, data[offset:]) {
				t.Errorf("%s from %d: %d bytes of %d, %v", name, offset, len(got), len(data), err)
			}
		}
		if (name == "none") != (retries.Load() == 0) {
			t.Errorf("%s: %d retries", name, retries.Load())
		}
	}
}

func TestS3GivesUp(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "x", random(1_000_000, 1))
	p := srv.Proxy(t)
	s := s3set(srv, p.Endpoint, Options{RangeSize: 300_000, Attempts: 3}, "s3://bucket/x")
	o := one(t, s)
	p.Set(func(*http.Request) s3test.Fault { return s3test.Fault{Truncate: -1} })
	_, err := readAll(t.Context(), s, o, "none", 0)
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "s3://bucket/x") {
		t.Errorf("got %v", err)
	}
}

func TestS3ObjectChangedDuringRead(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "x", random(2_000_000, 1))
	s := s3set(srv, srv.Endpoint, Options{RangeSize: 100_000, Ahead: 1}, "s3://bucket/x")
	o := one(t, s)
	st, err := s.Stream(t.Context(), o, "none", 0, throttle.New(0, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := io.CopyN(io.Discard, st, 150_000); err != nil {
		t.Fatal(err)
	}
	srv.Put(t, "bucket", "x", random(2_000_000, 2))
	_, err = io.Copy(io.Discard, st)
	now := one(t, s)
	var changed *ChangedError
	if !errors.As(err, &changed) || changed.Old != o.ETag || changed.New != now.ETag || changed.Old == changed.New {
		t.Errorf("got %v, want the change from %s to %s", err, o.ETag, now.ETag)
	}
	if _, err := readAll(t.Context(), s, o, "none", 0); !errors.As(err, &changed) {
		t.Errorf("opened later: %v", err)
	}
}

func TestReadingAheadStopsWithTheContext(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "x", random(2_000_000, 1))
	p := srv.Proxy(t)
	s := s3set(srv, p.Endpoint, Options{RangeSize: 100_000}, "s3://bucket/x")
	o := one(t, s)
	p.Set(func(*http.Request) s3test.Fault { return s3test.Fault{Stall: 50_000} })
	cause := errors.New("cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	st, err := s.Stream(ctx, o, "none", 0, throttle.New(0, nil))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, st)
		st.Close()
		done <- err
	}()
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

// TestLimitIsKeptOnTheWire counts what passes the proxy, not what is handed on.
func TestLimitIsKeptOnTheWire(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	srv.Put(t, "bucket", "x", random(6_000_000, 1))
	p := srv.Proxy(t)
	s := s3set(srv, p.Endpoint, Options{}, "s3://bucket/x")
	o := one(t, s)
	st, err := s.Stream(t.Context(), o, "none", 0, throttle.New(2_000_000, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	start := time.Now()
	if _, err := io.CopyN(io.Discard, st, 3_000_000); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 1400*time.Millisecond || took > 2500*time.Millisecond {
		t.Errorf("3 MB at 2 MB/s took %v", took)
	}
}
