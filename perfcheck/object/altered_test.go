package object

import (
	"errors"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"cw/playground/s3test"
)

// flip changes one byte of what is read.
type flip struct {
	io.ReadCloser
	at int
}

// Read reads, and changes the byte when it comes by.
func (f *flip) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

// A part that something changes on its way up is an error.
func TestAlteredUpload(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	target, err := url.Parse(srv.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		if r.In.URL.Query().Has("partNumber") {
			r.Out.Body = &flip{r.Out.Body, 5_000_000}
		}
	}})
	t.Cleanup(front.Close)
	s := prepared(t, settings(srv, front.URL))
	_, err = s.Run(t.Context(), Job{Kind: Put, Part: 8 * mib, Streams: 1, Timing: timing(0, 10*time.Second)}, nil)
	if !errors.Is(err, errContent) || !strings.Contains(err.Error(), "ETag") {
		t.Errorf("%v", err)
	}
	// A store whose ETags say nothing is given the sum, and compares.
	s.opaque.Store(true)
	_, err = s.Run(t.Context(), Job{Kind: Put, Part: 8 * mib, Streams: 1, Timing: timing(0, 10*time.Second)}, nil)
	if err == nil || !strings.Contains(err.Error(), "as it was sent") {
		t.Errorf("%v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, srv); len(left) != 0 {
		t.Errorf("left in the store: %q", left)
	}
}
