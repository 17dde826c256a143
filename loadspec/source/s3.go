package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/s3api"
	"cw/loadspec/throttle"
)

// s3Store reads objects of one S3-compatible endpoint.
type s3Store struct {
	*s3api.Store
	o Options
}

func newS3Store(src loadspec.Source, o Options) *s3Store {
	a := AccessOf(src)
	a.Credentials, a.Stall = o.Credentials, o.Stall
	return &s3Store{o: o, Store: &s3api.Store{Access: a}}
}

// AccessOf is the way to a store that a SOURCE, or an unload's SINK, describes.
func AccessOf(src loadspec.Source) s3api.Access {
	return s3api.Access{
		Endpoint: src.Endpoint, Region: src.Region, Profile: src.Profile, PathStyle: src.PathStyle, Anonymous: src.Anonymous,
		RoleARN: src.RoleARN, ExternalID: src.ExternalID, CAFile: src.CAFile, ServerName: src.ServerName, CustomerKeyFile: src.CustomerKeyFile, RequesterPays: src.RequesterPays,
		Encryption: src.Encryption, KMSKey: src.KMSKey,
	}
}

func splitURL(u string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(u, "s3://"), "/")
	return bucket, key
}

func (s *s3Store) list(ctx context.Context, location string) ([]Object, error) {
	bucket, pattern := splitURL(location)
	prefix, plain := literalPrefix(pattern)
	match, err := matcher(pattern)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "%s: %w", location, err)
	}
	var objects []Object
	near := 0
	err = s.pages(ctx, location, bucket, prefix, func(contents []types.Object) {
		for _, o := range contents {
			key, size := aws.ToString(o.Key), aws.ToInt64(o.Size)
			if strings.HasSuffix(key, "/") && size == 0 {
				continue // a folder's place-holder
			}
			near++
			if match.MatchString(key) {
				objects = append(objects, Object{URL: "s3://" + bucket + "/" + key, ETag: strings.Trim(aws.ToString(o.ETag), `"`), Size: size})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, &NoMatchError{Location: location, Hint: noMatchHint(location, prefix, plain, near)}
	}
	sort.Slice(objects, func(i, j int) bool { return objects[i].URL < objects[j].URL })
	return objects, nil
}

// stat looks up one object.
func (s *s3Store) stat(ctx context.Context, location string) (Object, error) {
	bucket, key := splitURL(location)
	head, err := retry(ctx, s, location, func(ctx context.Context, c *s3.Client) (*s3.HeadObjectOutput, error) {
		return c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	})
	if errors.Is(err, s3api.ErrPrecondition) {
		return Object{}, &NoMatchError{Location: location, Hint: "keys are case-sensitive"}
	}
	if err != nil {
		return Object{}, err
	}
	return Object{URL: location, ETag: strings.Trim(aws.ToString(head.ETag), `"`), Size: aws.ToInt64(head.ContentLength)}, nil
}

// pages lists a prefix. Old stores know the first version of listing only: they
// say so, or take the second for it and give no token to go on with.
func (s *s3Store) pages(ctx context.Context, location, bucket, prefix string, page func([]types.Object)) error {
	var token *string
	for {
		p, err := retry(ctx, s, location, func(ctx context.Context, c *s3.Client) (*s3.ListObjectsV2Output, error) {
			p, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, ContinuationToken: token})
			if code := s3api.Code(err); code == "NotImplemented" || code == "MethodNotAllowed" {
				return nil, nil //nolint:nilnil // told from a page below
			}
			return p, err
		})
		if err != nil {
			return err
		}
		if p == nil {
			return s.pagesV1(ctx, location, bucket, prefix, "", page)
		}
		page(p.Contents)
		if !aws.ToBool(p.IsTruncated) {
			return nil
		}
		if token = p.NextContinuationToken; token == nil {
			if len(p.Contents) == 0 {
				return nil
			}
			return s.pagesV1(ctx, location, bucket, prefix, aws.ToString(p.Contents[len(p.Contents)-1].Key), page)
		}
	}
}

func (s *s3Store) pagesV1(ctx context.Context, location, bucket, prefix, marker string, page func([]types.Object)) error {
	for {
		p, err := retry(ctx, s, location, func(ctx context.Context, c *s3.Client) (*s3.ListObjectsOutput, error) {
			return c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: &bucket, Prefix: &prefix, Marker: &marker})
		})
		if err != nil {
			return err
		}
		page(p.Contents)
		if !aws.ToBool(p.IsTruncated) || len(p.Contents) == 0 {
			return nil
		}
		marker = aws.ToString(p.Contents[len(p.Contents)-1].Key)
	}
}

func noMatchHint(location, prefix string, plain bool, near int) string {
	switch {
	case near > 0 && plain:
		return fmt.Sprintf("%d objects begin with that name; for all of them write %s* or, below a folder, %s/**", near, location, strings.TrimSuffix(location, "/"))
	case near > 0:
		return fmt.Sprintf("%d objects begin with %q; * does not cross a /, ** does", near, prefix)
	default:
		return "nothing in the bucket begins with " + fmt.Sprintf("%q", prefix) + "; keys are case-sensitive"
	}
}

// open starts reading ahead. The first range is asked for before it returns
// to the caller only in the background: errors come from Read.
func (s *s3Store) open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	c, err := s.Client(ctx)
	if err != nil {
		return nil, err
	}
	return newRanges(ctx, &rangeGet{s: s, api: c, o: o}, o.Size, offset, s.o, l), nil
}

// rangeGet fetches byte ranges of one object.
type rangeGet struct {
	s   *s3Store
	api *s3.Client
	o   Object
}

// get opens bytes [from, to) of the object as it was listed.
func (g *rangeGet) get(ctx context.Context, from, to int64) (io.ReadCloser, error) {
	bucket, key := splitURL(g.o.URL)
	out, err := g.api.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &bucket, Key: &key,
		Range:   aws.String(fmt.Sprintf("bytes=%d-%d", from, to-1)),
		IfMatch: aws.String(`"` + g.o.ETag + `"`),
	})
	if err != nil {
		return nil, err
	}
	// Some stores ignore If-Match, some ignore Range.
	if tag := strings.Trim(aws.ToString(out.ETag), `"`); tag != g.o.ETag {
		_ = out.Body.Close()
		return nil, &ChangedError{URL: g.o.URL, Old: g.o.ETag, New: tag}
	}
	if n := aws.ToInt64(out.ContentLength); n != to-from {
		_ = out.Body.Close()
		return nil, fault.New(fault.Failed, "the store must honour HTTP ranges", "%s: asked for %d bytes at %d, the store sends %d", g.o.URL, to-from, from, n)
	}
	return out.Body, nil
}

func (g *rangeGet) url() string { return g.o.URL }

func (g *rangeGet) explain(ctx context.Context, err error) (again bool, explained error) {
	again, err = g.s.explain(g.o.URL, err)
	if errors.Is(err, s3api.ErrPrecondition) {
		err = g.changed(ctx)
	}
	return again, err
}

// changed turns "precondition failed" into what the object is now.
func (g *rangeGet) changed(ctx context.Context) error {
	bucket, key := splitURL(g.o.URL)
	e := &ChangedError{URL: g.o.URL, Old: g.o.ETag}
	head, err := g.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err == nil {
		e.New = strings.Trim(aws.ToString(head.ETag), `"`)
	}
	return e
}

// retry calls f until it succeeds, fails for good, or has failed too often.
func retry[T any](ctx context.Context, s *s3Store, what string, f func(context.Context, *s3.Client) (T, error)) (T, error) {
	var zero T
	c, err := s.Client(ctx)
	if err != nil {
		return zero, err
	}
	// What is asked here is asked at the start, with somebody looking.
	b := backoff{o: s.o}
	b.o.Attempts = min(b.o.Attempts, 4)
	for {
		v, err := f(ctx, c)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return zero, context.Cause(ctx)
		}
		again, err := s.explain(what, err)
		if !again || !b.wait(ctx, what, err) {
			return zero, err
		}
	}
}

// backoff waits longer after each failure in a row.
type backoff struct {
	o     Options
	tries int
}

// wait returns false when it is time to give up.
func (b *backoff) wait(ctx context.Context, url string, err error) bool {
	b.tries++
	if b.tries >= b.o.Attempts {
		return false
	}
	d := min(b.o.Backoff<<(b.tries-1), 50*b.o.Backoff)
	var later *laterError
	if errors.As(err, &later) {
		d = max(d, later.after)
	}
	b.o.OnRetry(url, err, d)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
