package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"cw/loadspec/s3api"
)

// s3Store is a prefix of a bucket.
type s3Store struct {
	*s3api.Store
	bucket, prefix string
	o              Options
	slots          chan struct{} // one per part that may be under way
}

func newS3Store(bucket, prefix string, o Options) *s3Store {
	a := *o.Access
	a.Credentials, a.Stall = o.Credentials, o.Stall
	return &s3Store{bucket: bucket, prefix: prefix, o: o, slots: make(chan struct{}, o.Uploads), Store: &s3api.Store{Access: a}}
}

func (s *s3Store) key(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + "/" + name
}

func (s *s3Store) URL(name string) string { return "s3://" + s.bucket + "/" + s.key(name) }

// Check begins an upload and gives it up: the least that tells whether the key
// may write here.
func (s *s3Store) Check(ctx context.Context) error {
	key := s.key(".cw-check")
	id, err := s.begin(ctx, key)
	if err != nil {
		return err
	}
	inner, done := lingering(ctx)
	defer done()
	return s.abort(inner, key, id)
}

// linger is how long a request is waited for that nobody wants any more, but
// that leaves something behind which only its answer names.
const linger = 5 * time.Second

// lingering is ctx, ended later than ctx.
func lingering(ctx context.Context) (context.Context, func()) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(linger, cancel) })
	return inner, func() { stop(); cancel() }
}

func (s *s3Store) Create(ctx context.Context, name string) (Object, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	if _, err := s.Client(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return &s3Object{s: s, key: s.key(name), ctx: ctx, cancel: cancel, own: make(chan struct{}, 4)}, nil
}

func (s *s3Store) begin(ctx context.Context, key string) (id string, err error) {
	out, err := retry(ctx, s, key, func(ctx context.Context, c *s3.Client) (*s3.CreateMultipartUploadOutput, error) {
		ctx, done := lingering(ctx)
		defer done()
		return c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.bucket, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.UploadId), nil
}

func (s *s3Store) abort(ctx context.Context, key, id string) error {
	_, err := retry(ctx, s, key, func(ctx context.Context, c *s3.Client) (*s3.AbortMultipartUploadOutput, error) {
		out, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: &id})
		if s3api.Code(err) == "NoSuchUpload" {
			return out, nil // an earlier try whose answer was lost
		}
		return out, err
	})
	if err != nil {
		return fmt.Errorf("give up the upload of s3://%s/%s (%s): %w", s.bucket, key, id, err)
	}
	return nil
}

// unsigned leaves the body out of the signature where TLS protects it already;
// its CRC is checked by the store.
func (s *s3Store) unsigned(o *s3.Options) {
	if s.o.Endpoint == "" || len(s.o.Endpoint) > 8 && s.o.Endpoint[:8] == "https://" {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware(stack)
		})
	}
}

// retry calls f until it succeeds, fails for good, or has failed too often.
func retry[T any](ctx context.Context, s *s3Store, key string, f func(context.Context, *s3.Client) (T, error)) (T, error) {
	var zero T
	c, err := s.Client(ctx)
	if err != nil {
		return zero, err
	}
	what := "s3://" + s.bucket + "/" + key
	for try := 1; ; try++ {
		v, err := f(ctx, c)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return zero, context.Cause(ctx)
		}
		again, explained := s.Explain(what, err)
		if !again || try >= s.o.Attempts {
			return zero, explained
		}
		wait := min(s.o.Backoff<<(try-1), 50*s.o.Backoff)
		s.o.OnRetry(what, explained, wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return zero, context.Cause(ctx)
		}
	}
}
