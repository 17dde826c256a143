package object

import (
	"context"
	"crypto/md5" //nolint:gosec // the ETag of S3
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cw/perfcheck"
)

// uploads deals the parts of objects to workers, one object after another.
type uploads struct {
	s    *Set
	size int64 // of a part
	of   int   // parts of an object
	sums [variants]sum

	mu   sync.Mutex
	cur  *upload
	all  []*upload
	next int
}

type upload struct {
	key, id  string
	dealt    int
	done     []types.CompletedPart
	complete bool
	removed  bool
	cut      bool // a part was on its way when it was given up
}

// objectSize is about how large the objects of an upload test are.
const objectSize = 256 * mib

// put uploads objects in parts. Bytes count when they are sent, and are taken
// back when their part is refused: the store has acknowledged all that counts
// but what is unfinished when the time to drain is over, which is said.
func (s *Set) put(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	s.seq++
	u := &uploads{s: s, size: j.Part, of: int(min(max(objectSize/j.Part, 2), 64)), sums: s.c.sumsOf(j.Part)}
	var mu sync.Mutex
	var unfinished int64
	m, err := s.move(ctx, j, on, func(ctx context.Context, _ int, t *tally, h *perfcheck.Histogram) error {
		to, number, err := u.deal(ctx)
		if err != nil {
			return err
		}
		return s.s.try(ctx, to.key, t, func(ctx context.Context) error {
			began := time.Now()
			f := &flow{t: t}
			err := u.part(ctx, to, number, f)
			switch {
			case err != nil && t.over.Load() && ctx.Err() != nil:
				mu.Lock()
				defer mu.Unlock()
				unfinished += f.window
				u.cutOff(to)
				return err
			case err != nil:
				if ctx.Err() != nil {
					u.cutOff(to)
				}
				f.revert()
				return err
			}
			t.requests.Add(1)
			if t.begun.Load() {
				h.Record(time.Since(began))
			}
			return nil
		})
	})
	if err == nil {
		m.Values["unfinished"] = float64(unfinished)
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	return m, errors.Join(err, u.remove(tidy))
}

// deal gives out the next part.
func (u *uploads) deal(ctx context.Context) (*upload, int32, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.cur == nil || u.cur.dealt == u.of {
		u.next++
		key := fmt.Sprintf("%sput-%03d-%04d", u.s.folder(), u.s.seq, u.next)
		next := &upload{key: key}
		err := u.s.s.try(ctx, key, nil, func(ctx context.Context) error {
			// The id of an upload must be learnt, or nobody can give it up.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stall)
			defer cancel()
			out, err := u.s.s.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.s.s.bucket, Key: &key})
			if err == nil {
				next.id = aws.ToString(out.UploadId)
			}
			return err
		})
		if err != nil {
			return nil, 0, err
		}
		u.cur = next
		u.all = append(u.all, next)
	}
	u.cur.dealt++
	return u.cur, int32(u.cur.dealt), nil
}

// part puts one part; the last that is done completes the object.
func (u *uploads) part(ctx context.Context, to *upload, number int32, f *flow) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(2*stall, func() { cancel(errStalled) })
	defer watch.Stop()
	v := int(number) % variants
	body := &reader{c: u.s.c, object: v, size: u.size, onRead: func(n int) {
		watch.Reset(2 * stall)
		f.add(n)
	}}
	out, err := u.s.s.api.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.s.bucket, Key: &to.key, UploadId: &to.id, PartNumber: &number, Body: body, ContentLength: aws.Int64(u.size), ContentMD5: u.s.carried(u.sums[v]),
	}, unsigned)
	if err != nil {
		return stalledOr(ctx, err)
	}
	if err := u.sums[v].agrees(out.ETag); err != nil && !u.s.opaque.Load() && !opaque(out.ServerSideEncryption, out.SSECustomerAlgorithm) {
		return err
	}
	u.mu.Lock()
	to.done = append(to.done, types.CompletedPart{ETag: out.ETag, PartNumber: &number})
	last := len(to.done) == u.of
	u.mu.Unlock()
	if !last {
		return nil
	}
	if err := u.complete(ctx, to); err != nil {
		return err
	}
	// At once: a long test would fill the store. Who cannot remove it now
	// tries again at the end.
	if u.s.s.remove(ctx, []string{to.key}) == nil {
		u.mu.Lock()
		to.removed = true
		u.mu.Unlock()
	}
	return nil
}

// complete makes an object of its parts.
func (u *uploads) complete(ctx context.Context, to *upload) error {
	slices.SortFunc(to.done, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	all := md5.New() //nolint:gosec // the ETag of S3
	for _, p := range to.done {
		sum := u.sums[int(*p.PartNumber)%variants]
		all.Write(sum.md5[:])
	}
	return u.s.s.try(ctx, to.key, nil, func(ctx context.Context) error {
		out, err := u.s.s.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &u.s.s.bucket, Key: &to.key, UploadId: &to.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: to.done},
		})
		if err != nil {
			return err
		}
		u.mu.Lock()
		to.complete = true
		u.mu.Unlock()
		want := fmt.Sprintf("%s-%d", hex.EncodeToString(all.Sum(nil)), u.of)
		if got := trimmed(out.ETag); strings.HasSuffix(got, fmt.Sprintf("-%d", u.of)) && len(got) == len(want) && got != want && !u.s.opaque.Load() && !opaque(out.ServerSideEncryption, nil) {
			return fmt.Errorf("%w: ETag %s in place of %s", errContent, got, want)
		}
		return nil
	})
}

func (u *uploads) cutOff(to *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	to.cut = true
}

// A part that was cut off may still be taken by the store after its upload was
// given up, which then has to be given up again, as Amazon's manual says too;
// that there is something does not always show in lists.
const (
	abortAgain = 8
	abortPause = 400 * time.Millisecond
)

// remove takes away what was put.
func (u *uploads) remove(ctx context.Context) error {
	err := each(u.all, 16, func(to *upload) error {
		if to.removed {
			return nil
		}
		if to.complete {
			return u.s.s.remove(ctx, []string{to.key})
		}
		return u.s.s.abort(ctx, to.key, to.id)
	})
	cut := slices.DeleteFunc(slices.Clone(u.all), func(to *upload) bool { return !to.cut || to.complete })
	for n := 0; n < abortAgain && len(cut) > 0 && err == nil; n++ {
		if err = perfcheck.WaitUntil(ctx, time.Now().Add(abortPause)); err == nil {
			err = each(cut, 16, func(to *upload) error { return u.s.s.abort(ctx, to.key, to.id) })
		}
	}
	return err
}

// opaque says that an ETag is no MD5.
func opaque(encryption types.ServerSideEncryption, customer *string) bool {
	return encryption != "" && encryption != types.ServerSideEncryptionAes256 || aws.ToString(customer) != ""
}

// agrees compares the store's ETag with what was sent. Where ETags are no MD5
// the request carries the sum, and the store compares.
func (x sum) agrees(etag *string) error {
	got, want := trimmed(etag), hex.EncodeToString(x.md5[:])
	if got == want {
		return nil
	}
	return fmt.Errorf("%w: ETag %s in place of %s", errContent, got, want)
}
