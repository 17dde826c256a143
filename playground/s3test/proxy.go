package s3test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what the proxy does to one request; the zero value is nothing.
type Fault struct {
	Status   int           // answer this status with Code instead of asking the server
	Code     string        // S3 error code of Status; default InternalError, SlowDown for 503
	Truncate int64         // end the body's connection after this many bytes; negative: before the first
	Delay    time.Duration // before the answer
	Rate     int64         // bytes per second of the body
	Stall    int64         // after this many bytes send nothing until the client gives up; negative: at once
	Before   func()        // called before the server is asked
}

// Proxy stands between a client and the server. Its address is the endpoint
// to give to the client.
type Proxy struct {
	Endpoint string
	requests atomic.Int64
	bytes    atomic.Int64
	rule     atomic.Pointer[func(r *http.Request) Fault]
}

// Proxy starts a proxy before the server, without faults.
func (s *Server) Proxy(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	tr := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, target, tr) }))
	p.Endpoint = srv.URL
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		tr.CloseIdleConnections()
	})
	return p
}

// Set makes rule decide about every request from now on; nil ends faults.
func (p *Proxy) Set(rule func(r *http.Request) Fault) {
	if rule == nil {
		p.rule.Store(nil)
		return
	}
	p.rule.Store(&rule)
}

// Requests and Bytes count what has passed so far.
func (p *Proxy) Requests() int64 { return p.requests.Load() }

// Bytes is the number of body bytes sent to the client.
func (p *Proxy) Bytes() int64 { return p.bytes.Load() }

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, target *url.URL, tr http.RoundTripper) {
	p.requests.Add(1)
	var f Fault
	if rule := p.rule.Load(); rule != nil {
		f = (*rule)(r)
	}
	wait(r.Context(), f.Delay)
	if f.Status != 0 {
		answer(w, f)
		return
	}
	if f.Before != nil {
		f.Before()
	}
	req := r.Clone(r.Context())
	req.URL.Scheme, req.URL.Host, req.RequestURI = target.Scheme, target.Host, "" // Host stays: it is signed
	res, err := tr.RoundTrip(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	for k, v := range res.Header {
		w.Header()[k] = v
	}
	if res.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(res.ContentLength))
	}
	w.WriteHeader(res.StatusCode)
	p.body(w, r, res.Body, f)
}

// body copies; returning early makes the server close the connection, since
// less than Content-Length was written.
func (p *Proxy) body(w http.ResponseWriter, r *http.Request, body io.Reader, f Fault) {
	buf := make([]byte, 32<<10)
	var sent int64
	for {
		limit := int64(len(buf))
		for _, stop := range []int64{f.Truncate, f.Stall} {
			if stop != 0 {
				limit = min(limit, max(stop, 0)-sent)
			}
		}
		if limit <= 0 {
			_ = http.NewResponseController(w).Flush()
			if f.Stall != 0 {
				<-r.Context().Done()
			}
			return
		}
		n, err := body.Read(buf[:limit])
		if _, werr := w.Write(buf[:n]); werr != nil {
			return
		}
		sent += int64(n)
		p.bytes.Add(int64(n))
		if f.Rate > 0 {
			_ = http.NewResponseController(w).Flush()
			wait(r.Context(), time.Duration(float64(n)/float64(f.Rate)*float64(time.Second)))
		}
		if err != nil {
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func answer(w http.ResponseWriter, f Fault) {
	code := f.Code
	if code == "" {
		code = "InternalError"
		if f.Status == http.StatusServiceUnavailable {
			code = "SlowDown"
		}
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, strings.NewReplacer("@", code).Replace(`<?xml version="1.0"?><Error><Code>@</Code><Message>injected @</Message></Error>`))
}
