package object

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/playground/s3test"
)

// A store over TLS: its authority travels, its handshakes are measured.
func TestTLS(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bkt")
	target, err := url.Parse(srv.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}})
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	front.StartTLS()
	t.Cleanup(front.Close)
	o := settings(srv, front.URL)
	o.Data = 8 * mib
	if _, err := Prepare(t.Context(), o, nil); fault.KindOf(err) != fault.Failed || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
	o.Authorities = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})
	s := prepared(t, o)
	m, err := s.Run(t.Context(), Job{Kind: Connect, Rate: 20, Timing: timing(0, time.Second)}, nil)
	if err != nil || m.Values["tls_p50"] <= 0 || m.Values["service_p50"] < m.Values["tls_p50"] {
		t.Errorf("%v, %v", m.Values, err)
	}
	for _, j := range []Job{{Kind: Get, Part: mib, Streams: 2}, {Kind: Put, Part: 8 * mib, Streams: 2}} {
		j.Timing = timing(100*time.Millisecond, time.Second)
		if m, err := s.Run(t.Context(), j, nil); err != nil || m.Values["throughput"] <= 0 || m.Values["own_cpu"] <= 0 {
			t.Errorf("%s: %v, %v", j.Kind, m.Values, err)
		}
	}
}

func TestHintsNameFlags(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"write REGION: eu-test-7 beside the URL (cw serve: --s3-region)", "add --region eu-test-7"},
		{"name its authority's certificate with CA_FILE beside the URL, or add it", "name its authority's certificate with --ca-file, or add it"},
		{"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write PROFILE: name (or ANONYMOUS: true for a public bucket) beside the URL", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use --s3-profile name"},
		{"check the bucket's name, and ENDPOINT and REGION", "check the bucket's name, and --endpoint and --region"},
	} {
		if got := fault.HintOf(asFlags(fault.New(fault.Auth, c[0], "x"))); got != c[1] {
			t.Errorf("%q, want %q", got, c[1])
		}
	}
}
