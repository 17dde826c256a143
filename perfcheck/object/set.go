package object

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cw/fault"
	"cw/loadspec/s3api"
	"cw/perfcheck"
)

// Set is what one host works on: its folder in the store and the objects that
// it reads.
type Set struct {
	s     *store
	c     *content
	o     Settings
	data  []stored
	small []stored
	seq   int // of objects that are put

	opaque atomic.Bool // the store's ETags are no MD5

	busy sync.Mutex // held by a measurement, and by what removes: never at once
}

// stored is an object whose content is known.
type stored struct {
	key    string
	object int // its number
	size   int64
}

// Prepare puts the objects that will be read. on, which may be nil, hears how
// many bytes of how many are there.
func Prepare(ctx context.Context, o Settings, on func(done, total int64)) (*Set, error) {
	st, err := openStore(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Set{s: st, c: newContent(o.Seed), o: o}
	for _, size := range o.Parts {
		s.c.sumsOf(size)
	}
	there, err := s.fill(ctx, on)
	if err == nil {
		return s, nil
	}
	cut := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	for n := 0; cut && n < lateLooks; n++ {
		// What the store was still taking when it was cut off appears later.
		if s.Clear(ctx) != nil || perfcheck.WaitUntil(ctx, time.Now().Add(lateLook)) != nil {
			break
		}
	}
	if left := s.Close(ctx); there > 0 {
		err = errors.Join(err, left) // else there is nothing to be removed, and its error is the same once more
	}
	return nil, err
}

// lateLook and lateLooks are how often it is looked again for what a request
// that was cut off has left.
const (
	lateLook  = 100 * time.Millisecond
	lateLooks = 10
)

// closeTime is how long removing may take.
const closeTime = time.Minute

func (s *Set) folder() string { return s.s.prefix + FolderPrefix + s.o.Run + "/" + s.o.Host + "/" }

// fill puts the objects and returns how many bytes arrived. The first goes
// alone: a store that refuses it is not asked for all the others.
func (s *Set) fill(ctx context.Context, on func(done, total int64)) (int64, error) {
	left := max(s.o.Data, smallSize)
	for left > 0 {
		n := min(left, dataObject)
		s.data = append(s.data, stored{fmt.Sprintf("%sdata-%04d", s.folder(), len(s.data)), len(s.data), n})
		left -= n
	}
	for i := range smallCount {
		s.small = append(s.small, stored{fmt.Sprintf("%ssmall-%02d", s.folder(), i), 1<<20 + i, smallSize})
	}
	all := append(append([]stored{}, s.data...), s.small...)
	var done int64
	tell := make(chan int64, len(all))
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for n := range tell {
			if done += n; on != nil {
				on(done, s.o.Data)
			}
		}
	}()
	put := func(d stored) error {
		err := s.putWhole(ctx, d)
		if err == nil {
			tell <- d.size
		}
		return err
	}
	err := put(all[0])
	if err == nil {
		err = each(all[1:], 8, put)
	}
	close(tell)
	<-heard
	if ctx.Err() != nil {
		return done, context.Cause(ctx)
	}
	if err != nil {
		return done, fmt.Errorf("put the objects that are to be read: %w", err)
	}
	return done, nil
}

// putWhole puts an object in one request.
func (s *Set) putWhole(ctx context.Context, d stored) error {
	sum := s.c.sumOf(d.object, 0, d.size)
	return s.s.try(ctx, d.key, nil, func(ctx context.Context) error {
		out, err := s.s.api.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.s.bucket, Key: &d.key, Body: &reader{c: s.c, object: d.object, size: d.size}, ContentLength: aws.Int64(d.size), ContentMD5: sum.header(),
		}, unsigned)
		if err != nil {
			return err
		}
		// The store has compared the sum: an ETag that is another is none. It
		// encrypts by itself, or makes them in a way of its own.
		if opaque(out.ServerSideEncryption, out.SSECustomerAlgorithm) || sum.agrees(out.ETag) != nil {
			s.opaque.Store(true)
		}
		return nil
	})
}

// Run measures once. on hears every second; it may be nil.
func (s *Set) Run(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	if err := j.check(); err != nil {
		return perfcheck.Measurement{}, err
	}
	s.busy.Lock()
	defer s.busy.Unlock()
	var m perfcheck.Measurement
	var err error
	switch j.Kind {
	case Put:
		m, err = s.put(ctx, j, on)
	case Get:
		m, err = s.get(ctx, j, on)
	case FirstByte:
		m, err = s.openLoop(ctx, j, on, s.firstByte)
	case Connect:
		m, err = s.connect(ctx, j, on)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return m, err
}

// Clear removes all that this host has put, and gives up its uploads.
// A measurement that was interrupted has ended first.
func (s *Set) Clear(ctx context.Context) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.s.sweep(ctx, s.folder())
}

// Close is Clear, after which the set is of no use any more.
func (s *Set) Close(ctx context.Context) error {
	defer s.s.close()
	return s.Clear(ctx)
}

// Sweep removes what the run put from all hosts, also from those that were
// lost on the way.
func (s *Set) Sweep(ctx context.Context) error {
	return s.s.sweep(ctx, s.s.prefix+FolderPrefix+s.o.Run+"/")
}

// Store says what was learnt of the store: where connections went.
func (s *Set) Store() []string {
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	var out []string
	for p := range s.s.peers {
		out = append(out, p)
	}
	return out
}

// sweepTries is how often a sweep looks again for what a part that was still
// on its way has brought back.
const sweepTries = 10

// sweep removes all objects and uploads below a prefix. A part that the store
// was still taking when its upload was given up brings it back: it looks until
// there is nothing.
func (s *store) sweep(ctx context.Context, prefix string) error {
	for n := 1; ; n++ {
		keys, _, err := s.objects(ctx, prefix)
		uploads, uerr := s.uploads(ctx, prefix)
		if err = errors.Join(err, uerr); err != nil || len(keys)+len(uploads) == 0 {
			return err
		}
		err = errors.Join(s.remove(ctx, keys), each(uploads, 16, func(u types.MultipartUpload) error {
			return s.abort(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId))
		}))
		if n == sweepTries {
			return fault.New(fault.Failed, "cw perf object --clean with the same URL, later", "%s: there is always something left: %w", s.url(prefix), errors.Join(err, errLeft))
		}
		if err := perfcheck.WaitUntil(ctx, time.Now().Add(time.Duration(n)*sweepPause)); err != nil {
			return err
		}
	}
}

// sweepPause is how long a sweep waits before it looks again, the first time.
const sweepPause = 20 * time.Millisecond

var errLeft = errors.New("objects or unfinished uploads remain")

// objects lists a prefix, with the time of the newest.
func (s *store) objects(ctx context.Context, prefix string) (keys []string, list []types.Object, err error) {
	var token *string
	for {
		var page *s3.ListObjectsV2Output
		err := s.try(ctx, prefix, nil, func(ctx context.Context) (err error) {
			page, err = s.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix, ContinuationToken: token})
			return err
		})
		if err != nil {
			return keys, list, fmt.Errorf("list what is there: %w", err)
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
		list = append(list, page.Contents...)
		if token = page.NextContinuationToken; !aws.ToBool(page.IsTruncated) || token == nil {
			return keys, list, nil
		}
	}
}

// uploads lists the unfinished uploads below a prefix. A store that cannot
// list them has none that anybody could find.
func (s *store) uploads(ctx context.Context, prefix string) ([]types.MultipartUpload, error) {
	var out []types.MultipartUpload
	var key, id *string
	for {
		var page *s3.ListMultipartUploadsOutput
		err := s.try(ctx, prefix, nil, func(ctx context.Context) (err error) {
			page, err = s.api.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: &prefix, KeyMarker: key, UploadIdMarker: id})
			if code := s3api.Code(err); code == "NotImplemented" || code == "MethodNotAllowed" {
				page, err = &s3.ListMultipartUploadsOutput{}, nil
			}
			return err
		})
		if err != nil {
			return out, fmt.Errorf("list unfinished uploads: %w", err)
		}
		out = append(out, page.Uploads...)
		if key, id = page.NextKeyMarker, page.NextUploadIdMarker; !aws.ToBool(page.IsTruncated) || key == nil {
			return out, nil
		}
	}
}
