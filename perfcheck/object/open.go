package object

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
	"cw/perfcheck"
)

// mostOpen is how many requests of an open loop may be under way.
const mostOpen = 256

// openLoop asks on schedule. once makes one request and returns how long it
// took by itself.
func (s *Set) openLoop(ctx context.Context, j Job, on func(perfcheck.Second), once func(ctx context.Context, i int, measured bool, t *tally) (took time.Duration, err error)) (perfcheck.Measurement, error) {
	t := &tally{}
	loop := perfcheck.OpenLoop{Timing: j.Timing, Rate: j.Rate, Most: mostOpen}
	m, own, err := loop.Run(ctx, on, func(ctx context.Context, i int, measured bool) (time.Duration, func(), error) {
		took, err := once(ctx, i, measured, t)
		return took, nil, err
	})
	if err != nil {
		return m, err
	}
	if m.Histograms == nil {
		return m, t.nothing()
	}
	t.values(&m)
	s.s.markLimit(&m, own)
	return m, nil
}

// firstByte waits for the first byte of a small object, and compares all.
func (s *Set) firstByte(ctx context.Context, i int, _ bool, t *tally) (time.Duration, error) {
	d := s.small[i%len(s.small)]
	var took time.Duration
	err := s.s.try(ctx, d.key, t, func(ctx context.Context) error {
		var first atomic.Int64
		began := time.Now()
		ctx, cancel := context.WithTimeoutCause(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotFirstResponseByte: func() { first.Store(int64(time.Since(began))) },
		}), stall, errStalled)
		defer cancel()
		out, err := s.s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.s.bucket, Key: &d.key})
		if err != nil {
			return stalledOr(ctx, err)
		}
		defer func() { _ = out.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(out.Body, d.size+1))
		switch {
		case err != nil:
			return stalledOr(ctx, err)
		case int64(len(body)) != d.size:
			return fmt.Errorf("%w: %d bytes in place of %d", errContent, len(body), d.size)
		}
		took = time.Duration(first.Load())
		return s.c.check(d.object, 0, body)
	})
	return took, err
}

// connect makes new connections and closes them. The addresses of the store
// are looked up, and whether they are private ones said.
func (s *Set) connect(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	host, port, err := net.SplitHostPort(s.s.target)
	if err != nil {
		return perfcheck.Measurement{}, fmt.Errorf("the store's address %q: %w", s.s.target, err)
	}
	began := time.Now()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addresses) == 0 {
		return perfcheck.Measurement{}, fault.New(fault.Unreachable, "look at it: getent ahosts "+host, "the store's name %s has no address: %w", host, errors.Join(err))
	}
	dns := time.Since(began)
	tcp, secure := perfcheck.NewHistogram(), perfcheck.NewHistogram()
	var mu sync.Mutex
	dialer := net.Dialer{Timeout: stall}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c := s.s.transport.TLSClientConfig; c != nil {
		config = c.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	m, err := s.openLoop(ctx, j, on, func(ctx context.Context, i int, measured bool, t *tally) (time.Duration, error) {
		var took time.Duration
		err := s.s.try(ctx, "", t, func(ctx context.Context) error {
			began := time.Now()
			conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(addresses[i%len(addresses)].Unmap().String(), port))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			opened := time.Since(began)
			if s.s.secure {
				if err := tls.Client(conn, config).HandshakeContext(ctx); err != nil {
					return err
				}
			}
			took = time.Since(began)
			if !measured {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			tcp.Record(opened)
			if s.s.secure {
				secure.Record(took - opened)
			}
			return nil
		})
		return took, err
	})
	if err != nil {
		return m, err
	}
	tcp.Values("tcp", m.Values)
	secure.Values("tls", m.Values)
	m.Values["dns"] = dns.Seconds()
	event, private := perfcheck.Addresses(host, addresses)
	if !s.s.secure {
		event.Text += "; without TLS"
	}
	if proxy := proxied(s.s); proxy != "" {
		event.Text += "; but requests go by the proxy " + proxy
	}
	m.Events = append(m.Events, event)
	if m.Values["private"] = 1; !private {
		m.Values["private"] = 0
		m.Flags = append(m.Flags, perfcheck.FlagPublicAddress)
	}
	return m, nil
}
