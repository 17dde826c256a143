package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cw/loadspec/fdist"
	"cw/playground/s3test"
)

// operator calls cw in this process, with a home of its own.
type operator struct {
	t    *testing.T
	env  map[string]string
	home string
}

func newOperator(t *testing.T) *operator {
	home := t.TempDir()
	return &operator{t: t, home: home, env: map[string]string{"HOME": home}}
}

func (o *operator) call(ctx context.Context, out io.Writer, args ...string) (code int, errOut string) {
	streams, _, e := TestStreams("")
	streams.Out = out
	code = mainWith(ctx, streams, func(name string) string { return o.env[name] }, append([]string{"cw"}, args...))
	return code, e.String()
}

func (o *operator) must(args ...string) string {
	o.t.Helper()
	var out bytes.Buffer
	if code, text := o.call(o.t.Context(), &out, args...); code != 0 {
		o.t.Fatalf("cw %s: exit code %d\n%s", strings.Join(args, " "), code, text)
	}
	return out.String()
}

func (o *operator) fails(code int, want string, args ...string) {
	o.t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	if got, text := o.call(ctx, &out, args...); got != code || !strings.Contains(text, want) {
		o.t.Errorf("cw %s: exit code %d, want %d\n%s\nwant %q", strings.Join(args, " "), got, code, text, want)
	}
}

// firstJSON passes on the first document that is written to it.
type firstJSON struct {
	mu   sync.Mutex
	b    bytes.Buffer
	doc  chan []byte
	done bool
}

func (f *firstJSON) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.b.Write(p)
	if !f.done && json.Valid(f.b.Bytes()) {
		f.done = true
		f.doc <- bytes.Clone(f.b.Bytes())
	}
	return len(p), nil
}

// serve starts cw serve, which ends with the test.
func (o *operator) serve(args ...string) serverDoc {
	o.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	out := &firstJSON{doc: make(chan []byte, 1)}
	ended := make(chan string, 1)
	go func() {
		code, text := o.call(ctx, out, append([]string{"serve", "-o", "json", "--port", "0", "--bind", "127.0.0.1"}, args...)...)
		ended <- fmt.Sprintf("exit code %d\n%s", code, text)
	}()
	o.t.Cleanup(func() {
		cancel(ErrInterrupted)
		if text := <-ended; !strings.HasPrefix(text, "exit code 0\n") {
			o.t.Errorf("cw serve ended with %s", text)
		}
	})
	var d serverDoc
	select {
	case data := <-out.doc:
		if err := json.Unmarshal(data, &d); err != nil {
			o.t.Fatal(err)
		}
	case text := <-ended:
		ended <- text
		o.t.Fatalf("cw serve ended with %s", text)
	}
	return d
}

func TestServe(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte("1,first\n2,second\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := o.serve("--dir", dir, "--metrics", "127.0.0.1:0", "--limit", "100MB/s", "--advertise", "localhost")
	if d.URL != fmt.Sprintf("gpfdist://localhost:%d/", d.Port) || d.Directory != dir || !strings.HasPrefix(d.Control, o.home) {
		t.Errorf("%+v", d)
	}
	var check checkDoc
	if err := json.Unmarshal([]byte(o.must("serve", "-o", "json", "--check", d.URL+"a.csv")), &check); err != nil || check.Bytes != 17 || check.Rows != "1,first" {
		t.Errorf("%+v, %v", check, err)
	}
	if text := o.must("serve", "--check", d.URL); !strings.Contains(text, "requst_time") {
		t.Errorf("status by --check: %s", text)
	}
	o.fails(1, "404", "serve", "--check", d.URL+"none.csv")
	o.fails(5, "connection refused", "serve", "--check", "gpfdist://127.0.0.1:1/x")
	o.fails(2, "is no gpfdist URL", "serve", "--check", "http://127.0.0.1/x")

	w, err := new(fdist.Client).Post(t.Context(), &fdist.Scan{URL: d.URL + "out.csv", XID: "1-2", CID: "3", SN: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Send(t.Context(), []byte("x\ny\n")); err != nil {
		t.Fatal(err)
	}
	o.must("serve", "limit", "20MB/s")
	o.must("serve", "limit", "--user", "loader", "1MB/s", "--port", fmt.Sprint(d.Port))
	o.fails(1, "there is no session 99999", "serve", "limit", "--session", "99999", "none", "--control", d.Control)
}

func TestServeStatus(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	d := o.serve("--dir", t.TempDir(), "--metrics", "127.0.0.1:0")
	w, err := new(fdist.Client).Post(t.Context(), &fdist.Scan{URL: d.URL + "out.csv", XID: "1-2", CID: "3", SN: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Send(t.Context(), []byte("x\ny\n")); err != nil {
		t.Fatal(err)
	}
	var limits struct{ Items []fdist.Limit }
	if err := json.Unmarshal([]byte(o.must("serve", "limit", "--db", "d", "5MB/s", "-o", "json")), &limits); err != nil || len(limits.Items) != 1 || limits.Items[0].Rate != 5_000_000 {
		t.Errorf("%+v, %v", limits, err)
	}
	var s fdist.Status
	if err := json.Unmarshal([]byte(o.must("serve", "status", "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Sessions) != 1 || s.Sessions[0].Path != "out.csv" || s.Sessions[0].Bytes != 4 || s.Sessions[0].Kind != "write" {
		t.Errorf("%+v", s)
	}
	if text := o.must("serve", "status"); !strings.Contains(text, "out.csv") || !strings.Contains(text, "running") {
		t.Error(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.Metrics, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if !strings.Contains(string(text), "cw_serve_received_bytes_total 4\n") {
		t.Errorf("%s", text)
	}
}

// Objects are served from a store and written to it.
func TestServeS3(t *testing.T) { //nolint:paralleltest // the SDK reads the process's environment
	store := s3test.Start(t, "bkt")
	store.Put(t, "bkt", "in/a.csv", []byte("1,a\n2,b\n"))
	t.Setenv("AWS_ACCESS_KEY_ID", store.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", store.Secret)
	o := newOperator(t)
	d := o.serve("--s3", "lake=s3://bkt", "--s3-endpoint", store.Endpoint, "--s3-region", "us-east-1")
	if text := o.must("serve", "--check", d.URL+"lake/in/*.csv", "-o", "csv"); !strings.Contains(text, ",8,") {
		t.Error(text)
	}
	o.fails(1, "only lake/ can be read", "serve", "--check", d.URL+"in/a.csv")
	for seg := range 2 {
		w, err := new(fdist.Client).Post(t.Context(), &fdist.Scan{URL: d.URL + "lake/out/t.csv.gz", XID: "1-2", CID: "3", SN: "0", Segment: seg, Segments: 2})
		if err == nil {
			if err = w.Send(t.Context(), fmt.Appendf(nil, "%d,x\n", seg)); err == nil {
				err = w.Done(t.Context())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if text := o.must("serve", "--check", d.URL+"lake/out/*", "-o", "csv"); !strings.Contains(text, ",8,") {
		t.Error(text)
	}
	if _, err := new(fdist.Client).Post(t.Context(), &fdist.Scan{URL: d.URL + "elsewhere/t", XID: "1-2", CID: "4", SN: "0"}); err == nil || !strings.Contains(err.Error(), "only lake/ can be written to") {
		t.Error(err)
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	dir := t.TempDir()
	for _, c := range []struct {
		code int
		want string
		args string
	}{
		{2, "there is nothing to serve", ""},
		{2, "too much to serve", "--dir /"},
		{2, "no such file", "--dir " + dir + "/none"},
		{2, "exclude each other", "--dir . --port 1 --port-range 1-2"},
		{2, "is no range of ports", "--dir . --port-range 9-8"},
		{2, "is no port", "--dir . --port 70000"},
		{2, "--block", "--dir . --block 1KB"},
		{2, "--limit", "--dir . --limit fast"},
		{2, "does not name a place", "--s3 x"},
		{2, "is no s3:// URL", "--s3 x=http://y"},
		{2, "two stores are named x", "--s3 x=s3://a --s3 x=s3://b"},
		{2, "but no store is named", "--dir . --s3-merge"},
		{2, "cannot be written", "--s3 x=s3://a --s3-compress lzma"},
		{2, "works on files of --dir", "--s3 x=s3://a --transforms t.yml"},
		{2, "is for servers with --tls-dir", "--dir . --tls-verify-peer=false"},
		{1, "unable to load the certificate", "--dir . --tls-dir " + dir},
		{2, "unable to open file", "--dir . --transforms " + dir + "/none"},
		{5, "--advertise", "--dir . --port 0 --advertise no.such.host.invalid"},
		{2, "no address that can be reached", "--dir . --port 0 --advertise 0.0.0.0"},
		{2, "takes no argument", "there"},
		{5, "no server of yours runs here", "status"},
		{5, "no server of yours listens on port 7", "limit none --port 7"},
		{2, "exclude each other", "limit 1MB/s --db a --user b"},
		{2, "rate", "limit x"},
		{5, "control socket", "status --control " + dir + "/none"},
	} {
		o.fails(c.code, c.want, append([]string{"serve"}, strings.Fields(c.args)...)...)
	}
}
