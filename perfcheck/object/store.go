package object

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/fault"
	"cw/loadspec/s3api"
	"cw/perfcheck"
)

// store is the client of a set, with what is learnt on the way.
type store struct {
	named     *s3api.Store // its Explain
	api       *s3.Client
	transport *http.Transport
	bucket    string
	prefix    string // of the URL, with / at its end unless ""

	mu     sync.Mutex
	target string // host:port of the store
	secure bool
	local  net.IP // of the last connection
	peers  map[string]bool
}

// ParseURL takes the URL of a test apart.
func ParseURL(url string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(url, "s3://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" || strings.ContainsAny(rest, "*?[# ") {
		return "", "", fault.New(fault.Usage, "write it as s3://bucket/prefix", "%q is no place in a store", url)
	}
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix, nil
}

func openStore(ctx context.Context, s Settings) (*store, error) {
	out := &store{peers: map[string]bool{}}
	var err error
	if out.bucket, out.prefix, err = ParseURL(s.URL); err != nil {
		return nil, err
	}
	access := s.Access
	access.Stall = stall
	if s.Keys != nil {
		access.Profile, access.RoleARN, access.ExternalID = "", "", ""
		access.Credentials = credentials.NewStaticCredentialsProvider(s.Keys.AccessKeyID, s.Keys.SecretAccessKey, s.Keys.SessionToken)
	}
	out.named = &s3api.Store{Access: access}
	base, err := out.named.Client(ctx)
	if err != nil {
		return nil, err
	}
	if out.transport, err = s3api.Transport(access); err != nil {
		return nil, err
	}
	if len(s.Authorities) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(s.Authorities) {
			return nil, fault.New(fault.Usage, "give a PEM file: --s3-ca-file", "there is no certificate in the file of authorities")
		}
		if out.transport.TLSClientConfig == nil {
			out.transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		out.transport.TLSClientConfig.RootCAs = pool
	}
	out.transport.MaxIdleConnsPerHost = 512
	dialer := net.Dialer{Timeout: stall}
	out.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			out.connected(conn)
		}
		return conn, err
	}
	o := base.Options()
	o.HTTPClient = &http.Client{Transport: &noted{out}}
	out.api = s3.New(o)
	return out, nil
}

// noted remembers where requests go.
type noted struct{ s *store }

// RoundTrip sends a request.
func (n *noted) RoundTrip(r *http.Request) (*http.Response, error) {
	n.s.mu.Lock()
	if n.s.target == "" {
		n.s.secure = r.URL.Scheme == "https"
		n.s.target = r.URL.Host
		if r.URL.Port() == "" {
			port := "80"
			if n.s.secure {
				port = "443"
			}
			n.s.target = net.JoinHostPort(r.URL.Hostname(), port)
		}
	}
	n.s.mu.Unlock()
	return n.s.transport.RoundTrip(r)
}

func (s *store) connected(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		s.peers[a.IP.String()] = true
	}
	if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		s.local = a.IP
	}
}

func (s *store) close() { s.transport.CloseIdleConnections() }

// unsigned leaves the body out of the signature: a sum that goes along would be
// work of the store that is measured with the road to it. What arrived is
// compared by the ETag of the answer.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// try calls f until it succeeds, fails for good, or has failed too often. t
// counts what went wrong; it may be nil.
func (s *store) try(ctx context.Context, key string, t *tally, f func(ctx context.Context) error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, errContent) {
			return fault.New(fault.Failed, "the store or something before it changes data: do not use it", "s3://%s/%s: %w", s.bucket, key, err)
		}
		again, explained := s.named.Explain("s3://"+s.bucket+"/"+key, err)
		if errors.Is(explained, s3api.ErrPrecondition) {
			explained = fault.New(fault.Failed, "", "s3://%s/%s: %w: somebody else changes it", s.bucket, key, explained)
		}
		t.failed(explained, s3api.Code(err) == "SlowDown")
		if !again || n >= attempts {
			return asFlags(explained)
		}
		if err := perfcheck.WaitUntil(ctx, time.Now().Add(pause)); err != nil {
			return err
		}
		pause *= 2
		t.retried()
	}
}

// asFlags says in the flags of cw perf object what a hint says in the keys of a
// load control file.
func asFlags(err error) error {
	hint := strings.NewReplacer(
		" beside the URL", "", " (cw serve: --s3-region)", "", " (cw serve: --s3-endpoint)", "", " (or ANONYMOUS: true for a public bucket)", "",
		"write PROFILE: name", "use --s3-profile name", "write REGION: ", "add --region ", "write ENDPOINT", "add --endpoint", "CA_FILE", "--ca-file", "ENDPOINT", "--endpoint", "REGION", "--region",
	).Replace(fault.HintOf(err))
	return fault.Wrap(fault.KindOf(err), hint, err)
}

func (s *store) url(key string) string { return "s3://" + s.bucket + "/" + key }

// remove deletes objects; those that are not there are no error.
func (s *store) remove(ctx context.Context, keys []string) error {
	return each(keys, 32, func(key string) error {
		return s.try(ctx, key, nil, func(ctx context.Context) error {
			_, err := s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
			if code := s3api.Code(err); code == "NoSuchKey" || code == "NotFound" {
				return nil
			}
			return err
		})
	})
}

// abort gives an upload up; one that is not there is no error.
func (s *store) abort(ctx context.Context, key, id string) error {
	return s.try(ctx, key, nil, func(ctx context.Context) error {
		_, err := s.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: &id})
		if s3api.Code(err) == "NoSuchUpload" {
			return nil
		}
		return err
	})
}

// each runs f for all items, so many at a time, and joins the errors.
func each[T any](items []T, most int, f func(T) error) error {
	slots := make(chan struct{}, most)
	errs := make([]error, len(items))
	var all sync.WaitGroup
	for i, item := range items {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(item)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func trimmed(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
