package run

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cw/loadspec/source"
	"cw/playground/gptest"
	"cw/playground/s3test"
)

// TestGreenplumStoreFails loads from S3 while requests fail in all ways.
func TestGreenplumStoreFails(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	srv := s3test.Start(t, "bucket")
	e := newGPEnv(t, gp)
	a, b := csvRows(0, 30_000), csvRows(30_000, 30_000)
	srv.Put(t, "bucket", "a.csv", a)
	srv.Put(t, "bucket", "b.csv.gz", gz(b))
	p := srv.Proxy(t)
	p.Set(allFaults())
	e.o = source.Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, Stall: 200 * time.Millisecond, RangeSize: 100_000, Attempts: 20}
	body := strings.Replace(simple("X", "csv", "items"), "{FILE: ['X']}", "{URL: ['s3://bucket/*'], ENDPOINT: '"+p.Endpoint+"'}", 1)
	if _, err := Run(t.Context(), e.options(e.spec(body+"  PARALLEL: {COMMIT: 300kB, SPLIT: 64KiB}\n"))); err != nil {
		t.Fatal(err)
	}
	e.same(append(a, b...))

	// One that stays away ends the load with its own words, not the segments'.
	e.gp.Exec(t, e.db, "truncate items")
	p.Set(func(r *http.Request) s3test.Fault {
		if r.Header.Get("Range") != "" && !strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			return s3test.Fault{Status: 500}
		}
		return s3test.Fault{}
	})
	e.o.Attempts = 3
	o := e.options(e.spec(body))
	o.Job, o.Again = "j2", true
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "s3://bucket/") || strings.Contains(err.Error(), "gpfdist") {
		t.Errorf("%v", err)
	}
	if got := e.query("select count(*)::text from items"); got != "0" {
		t.Errorf("%s rows of a statement that failed", got)
	}
	e.clean()
}

// TestGreenplumTLS loads over gpfdists.
func TestGreenplumTLS(t *testing.T) {
	t.Parallel()
	gp := gptest.Start(t, 2)
	valid, expired := gp.Certificates(t)
	e := newGPEnv(t, gp)
	data := csvRows(0, 20_000)
	body := strings.Replace(simple(e.file("x.csv", data), "csv", "items"), "{FILE:", "{SSL: true, CERTIFICATES_PATH: '%s', LOCAL_HOSTNAME: [localhost], FILE:", 1)
	var warned []string
	o := e.options(e.spec(fmt.Sprintf(body, expired)))
	o.Warn = func(text string) { warned = append(warned, text) }
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(strings.Join(warned, " ")+err.Error(), "expired") {
		t.Errorf("an expired certificate: %v, warned %q", err, warned)
	}
	o = e.options(e.spec(fmt.Sprintf(body, valid)))
	o.Job = "j2"
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	e.same(data)
}
