package sink

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
	"cw/playground/s3test"
)

func rows(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefgh,\n"[rng.IntN(10)]
	}
	b[n-1] = '\n'
	return b
}

// visible lists the files below a bucket's folder that are objects.
func visible(t *testing.T, s *s3test.Server, bucket string) []string {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &s.Endpoint, UsePathStyle: true, Credentials: s.Credentials()})
	out, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, aws.ToString(o.Key))
	}
	return keys
}

func uploads(t *testing.T, s *s3test.Server, bucket string) int {
	t.Helper()
	c := s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &s.Endpoint, UsePathStyle: true, Credentials: s.Credentials()})
	out, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

func store(t *testing.T, endpoint string, s *s3test.Server, location string) Store {
	t.Helper()
	st, err := Open(location, Options{
		Endpoint: endpoint, PathStyle: true, Region: "us-east-1", Credentials: s.Credentials(),
		PartSize: 5 << 20, Backoff: 5 * time.Millisecond, Stall: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestPartsSuffice(t *testing.T) {
	t.Parallel()
	var total int64
	for n := int32(1); n <= maxParts; n++ {
		size := partSize(8<<20, n)
		if size < 5<<20 || size > 5<<30 {
			t.Fatalf("part %d has %d bytes", n, size)
		}
		total += size
	}
	if total < 5<<40 {
		t.Errorf("%d bytes in all parts, S3 takes objects of 5 TiB", total)
	}
	if partSize(8<<20, 1000) != 8<<20 || partSize(8<<20, 1001) != 16<<20 {
		t.Error("parts do not double after 1000")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"s3://", "ftp://host/x", "file://host/x"} {
		if _, err := Open(location, Options{}); fault.KindOf(err) != fault.Usage {
			t.Errorf("%s: %v", location, err)
		}
	}
	st, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../x", "a/../../x", "a//b", "."} {
		if _, err := st.Create(t.Context(), name); err == nil {
			t.Errorf("%q is taken as a name", name)
		}
	}
}

func TestFilesAppearWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := Open("file://"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := st.Create(t.Context(), "sub/a.csv")
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(dir, "sub", "a.csv")
	_, _ = o.Write([]byte("1,2\n"))
	if _, err := os.Stat(target); err == nil {
		t.Error("visible before Commit")
	}
	if err := o.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "1,2\n" {
		t.Errorf("%q, %v", data, err)
	}
	o, _ = st.Create(t.Context(), "b.csv")
	_, _ = o.Write([]byte("x"))
	if err := o.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	missing, _ := Open(filepath.Join(dir, "nowhere"), Options{})
	if err := missing.Check(t.Context()); err == nil || !strings.Contains(fault.HintOf(err), "mkdir") {
		t.Errorf("a missing folder: %v", err)
	}
}

// Objects of one and of several parts arrive whole through a store that fails
// every third request, and are not seen before Commit.
func TestS3ThroughFaults(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t, "bkt")
	p := s.Proxy(t)
	var n atomic.Int64
	p.Set(func(*http.Request) s3test.Fault {
		switch n.Add(1) % 6 {
		case 2:
			return s3test.Fault{Status: http.StatusInternalServerError}
		case 4:
			return s3test.Fault{Status: http.StatusServiceUnavailable}
		case 5:
			return s3test.Fault{Delay: 30 * time.Millisecond}
		}
		return s3test.Fault{}
	})
	st := store(t, p.Endpoint, s, "s3://bkt/out/")
	for i, size := range []int{1, 5<<20 - 1, 5 << 20, 18 << 20} {
		data := rows(size, uint64(i))
		name := string(rune('a'+i)) + ".csv"
		o, err := st.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			k := min(len(rest), 777_777)
			if _, err := o.Write(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		if err := o.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(visible(t, s, "bkt")); got != i {
			t.Errorf("%d objects are visible before Commit, want %d", got, i)
		}
		if err := o.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.Get(t, "bkt", "out/"+name); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(data))
		}
	}
	if n := uploads(t, s, "bkt"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

// The answer to the completing request is lost: the object is there, and no
// error.
func TestS3LostAnswer(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t, "bkt")
	p := s.Proxy(t)
	var lost atomic.Bool
	p.Set(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") && lost.CompareAndSwap(false, true) {
			return s3test.Fault{Truncate: -1}
		}
		return s3test.Fault{}
	})
	o, err := store(t, p.Endpoint, s, "s3://bkt").Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	data := rows(6<<20, 1)
	if _, err := o.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(t.Context()); err != nil || !lost.Load() {
		t.Fatal(err, lost.Load())
	}
	if !bytes.Equal(s.Get(t, "bkt", "x"), data) {
		t.Error("the object differs")
	}
}

// A store that stays away is an error that names it, and nothing is left.
func TestS3GivesUp(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t, "bkt")
	p := s.Proxy(t)
	st, err := Open("s3://bkt", Options{Endpoint: p.Endpoint, PathStyle: true, Credentials: s.Credentials(), PartSize: 5 << 20, Attempts: 3, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	o, err := st.Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	p.Set(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Fault{Status: http.StatusServiceUnavailable}
		}
		return s3test.Fault{}
	})
	_, err = o.Write(rows(11<<20, 1))
	if err == nil {
		err = o.Commit(t.Context())
	}
	if fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), p.Endpoint) {
		t.Errorf("%v", err)
	}
	if err := o.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := uploads(t, s, "bkt"); n != 0 || len(visible(t, s, "bkt")) != 0 {
		t.Errorf("%d uploads are left, objects %v", n, visible(t, s, "bkt"))
	}
}

// Abort ends a write that waits for the store.
func TestS3AbortWhileWriting(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t, "bkt")
	p := s.Proxy(t)
	reached := make(chan struct{})
	var once atomic.Bool
	p.Set(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			if once.CompareAndSwap(false, true) {
				close(reached)
			}
			return s3test.Fault{Status: http.StatusInternalServerError}
		}
		return s3test.Fault{}
	})
	o, err := store(t, p.Endpoint, s, "s3://bkt").Create(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := o.Write(rows(60<<20, 1))
		wrote <- err
	}()
	<-reached
	if err := o.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-wrote; !errors.Is(err, errAborted) {
		t.Errorf("the write ended with %v", err)
	}
	if n := uploads(t, s, "bkt"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestS3ErrorsTell(t *testing.T) {
	t.Parallel()
	s := s3test.Start(t, "bkt")
	p := s.Proxy(t)
	wrong := *s
	wrong.Secret = "wrong"
	for _, c := range []struct {
		name, location string
		server         *s3test.Server
		kind           fault.Kind
		want           string
	}{
		{"no bucket", "s3://nowhere/x", s, fault.Failed, "bucket nowhere does not exist"},
		{"wrong key", "s3://bkt/x", &wrong, fault.Auth, "credentials are refused"},
	} {
		err := store(t, p.Endpoint, c.server, c.location).Check(t.Context())
		if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v (hint %s)", c.name, err, fault.HintOf(err))
		}
	}
	dead, err := Open("s3://bkt", Options{Endpoint: "http://127.0.0.1:1", PathStyle: true, Credentials: s.Credentials(), Attempts: 2, Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.Check(t.Context()); fault.KindOf(err) != fault.Unreachable || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%v", err)
	}
}
