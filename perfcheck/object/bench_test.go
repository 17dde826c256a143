package object

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cw/playground/s3test"
)

// TestBenchIndependentClient measures the same store with this package and
// with plain net/http on URLs signed before, by turns, and compares the medians
// of the ratios: behind a line of 100 MiB/s, which is the judge, and without,
// which is only said, since both share their CPUs with the server. CW_BENCH=1
// turns it on.
func TestBenchIndependentClient(t *testing.T) {
	if os.Getenv("CW_BENCH") != "1" {
		t.Skip("set CW_BENCH=1 to measure")
	}
	srv := s3test.Start(t, "bkt")
	for _, c := range []struct {
		rate, within float64
	}{{100 << 20, 0.10}, {0, 0}} {
		o := settings(srv, srv.Endpoint)
		o.Access.Endpoint = "http://" + newGate(t, srv.Endpoint, c.rate).addr()
		s := prepared(t, o)
		for name, pair := range map[string][2]func() float64{
			"get": {
				func() float64 { return own(t, s, Job{Kind: Get, Part: 2 * mib, Streams: 4}) },
				func() float64 { return plainGet(t, s, 2*mib, 4) },
			},
			"put": {
				func() float64 { return own(t, s, Job{Kind: Put, Part: 8 * mib, Streams: 4}) },
				func() float64 { return plainPut(t, s, 8*mib, 4) },
			},
		} {
			var ratios []float64
			for i := range 6 {
				var a, b float64
				if i%2 == 0 {
					a, b = pair[0](), pair[1]()
				} else {
					b, a = pair[1](), pair[0]()
				}
				t.Logf("%s, line %.0f MiB/s: cw %.1f, net/http %.1f MiB/s", name, c.rate/(1<<20), a/(1<<20), b/(1<<20))
				ratios = append(ratios, a/b)
			}
			slices.Sort(ratios)
			middle := (ratios[2] + ratios[3]) / 2
			t.Logf("%s, line %.0f MiB/s: cw is %.3f of net/http, %.3f to %.3f", name, c.rate/(1<<20), middle, ratios[0], ratios[5])
			if c.within > 0 && (middle < 1-c.within || middle > 1+c.within) {
				t.Errorf("%s: not within %g", name, c.within)
			}
		}
	}
}

const benchWarm, benchTime = time.Second, 4 * time.Second

func own(t *testing.T, s *Set, j Job) float64 {
	t.Helper()
	j.Timing = timing(benchWarm, benchTime)
	m, err := s.Run(t.Context(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.Values["throughput"]
}

// plain lets workers make requests and counts the bytes of its measured phase.
func plain(t *testing.T, streams int, work func(worker int, count func(int))) float64 {
	t.Helper()
	var bytes atomic.Int64
	var over atomic.Bool
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			for !over.Load() {
				work(i, func(n int) { bytes.Add(int64(n)) })
			}
		})
	}
	time.Sleep(benchWarm)
	began, before := time.Now(), bytes.Load()
	time.Sleep(benchTime)
	rate := float64(bytes.Load()-before) / time.Since(began).Seconds()
	over.Store(true)
	all.Wait()
	return rate
}

type counting struct {
	io.Reader
	count func(int)
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.count(n)
	return n, err
}

func plainGet(t *testing.T, s *Set, size int64, streams int) float64 {
	t.Helper()
	signer := s3.NewPresignClient(s.s.api)
	var urls []string
	var from []string
	for _, d := range s.data {
		for at := int64(0); at+size <= d.size; at += size {
			span := fmt.Sprintf("bytes=%d-%d", at, at+size-1)
			u, err := signer.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &s.s.bucket, Key: aws.String(d.key), Range: &span})
			if err != nil {
				t.Fatal(err)
			}
			urls, from = append(urls, u.URL), append(from, span)
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	return plain(t, streams, func(_ int, count func(int)) {
		i := int(next.Add(1)) % len(urls)
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, urls[i], nil)
		r.Header.Set("Range", from[i])
		res, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = res.Body.Close() }()
		if _, err := io.Copy(io.Discard, counting{res.Body, count}); err != nil || res.StatusCode != http.StatusPartialContent {
			t.Errorf("%d, %v", res.StatusCode, err)
		}
	})
}

// plainPut uploads the same objects: as many parts, completed and removed, since
// that is work of the store.
func plainPut(t *testing.T, s *Set, size int64, streams int) float64 {
	t.Helper()
	s.seq++
	u := &uploads{s: s, size: size, of: int(objectSize / size), sums: s.c.sumsOf(size)}
	defer func() { _ = u.remove(t.Context()) }()
	signer := s3.NewPresignClient(s.s.api)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, WriteBufferSize: 128 << 10}}
	defer client.CloseIdleConnections()
	return plain(t, streams, func(_ int, count func(int)) {
		to, number, err := u.deal(t.Context())
		if err != nil {
			t.Error(err)
			return
		}
		signed, err := signer.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: &s.s.bucket, Key: &to.key, UploadId: &to.id, PartNumber: &number})
		if err != nil {
			t.Error(err)
			return
		}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, signed.URL, counting{&reader{c: s.c, object: int(number) % variants, size: size}, count})
		r.ContentLength = size
		res, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		etag := res.Header.Get("Etag")
		if res.StatusCode != http.StatusOK {
			t.Errorf("%d", res.StatusCode)
		}
		u.mu.Lock()
		to.done = append(to.done, types.CompletedPart{ETag: &etag, PartNumber: &number})
		last := len(to.done) == u.of
		u.mu.Unlock()
		if !last {
			return
		}
		if err := u.complete(t.Context(), to); err != nil {
			t.Error(err)
		}
		_ = s.s.remove(t.Context(), []string{to.key})
	})
}
