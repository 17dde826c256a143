package source

import (
	"context"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

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
	return &s3Store{o: o, Store: &s3api.Store{Access: s3api.Access{
		Endpoint: src.Endpoint, Region: src.Region, Profile: src.Profile, PathStyle: src.PathStyle, Anonymous: src.Anonymous,
		Credentials: o.Credentials, Stall: o.Stall,
	}}}
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
	var token *string
	for {
		page, err := retry(ctx, s, location, func(ctx context.Context, c *s3.Client) (*s3.ListObjectsV2Output, error) {
			return c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix, ContinuationToken: token})
		})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			key, size := aws.ToString(o.Key), aws.ToInt64(o.Size)
			if strings.HasSuffix(key, "/") && size == 0 {
				continue // a folder's place-holder
			}
			near++
			if match.MatchString(key) {
				objects = append(objects, Object{URL: "s3://" + bucket + "/" + key, ETag: strings.Trim(aws.ToString(o.ETag), `"`), Size: size})
			}
		}
		if !aws.ToBool(page.IsTruncated) || page.NextContinuationToken == nil {
			break
		}
		token = page.NextContinuationToken
	}
	if len(objects) == 0 {
		return nil, &NoMatchError{Location: location, Hint: noMatchHint(location, prefix, plain, near)}
	}
	sort.Slice(objects, func(i, j int) bool { return objects[i].URL < objects[j].URL })
	return objects, nil
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
	return newRanges(ctx, &rangeGet{s: s, api: c, o: o, l: l}, o.Size, offset, s.o, l), nil
}

// rangeGet fetches byte ranges of one object.
type rangeGet struct {
	s   *s3Store
	api *s3.Client
	o   Object
	l   *throttle.Limiter
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
