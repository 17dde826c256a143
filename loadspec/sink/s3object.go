package sink

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"cw/fault"
	"cw/loadspec/s3api"
)

const (
	maxParts = 10_000 // S3's
	firstBuf = 256 << 10
	// slowest is the rate below which the upload of a part counts as stalled.
	slowest = 64 << 10
)

// partSize is the size of part n, from 1: it doubles every 1000 parts, so that
// 8 MiB at first are 8 TiB in 10,000 parts, and objects up to 8 GB need no
// larger buffers than at the start.
func partSize(first int64, n int32) int64 {
	return min(first<<min((n-1)/1000, 9), 5<<30)
}

// s3Object is an object that is a multipart upload once it is larger than one
// part. Parts are sent in the background, several at once.
type s3Object struct {
	s      *s3Store
	key    string
	ctx    context.Context //nolint:containedctx // of the uploads in the background, which outlive the request
	cancel context.CancelCauseFunc
	own    chan struct{} // this object's parts under way
	group  sync.WaitGroup

	use      sync.Mutex // held by whoever works on the object
	buf      []byte
	parts    int32
	size     int64
	uploadID string
	finished bool
	gone     bool // committed or aborted

	mu   sync.Mutex
	done []types.CompletedPart
	err  error
}

func (o *s3Object) url() string { return "s3://" + o.s.bucket + "/" + o.key }

func (o *s3Object) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *s3Object) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		o.cancel(err)
	}
}

func (o *s3Object) Write(p []byte) (int, error) {
	o.use.Lock()
	defer o.use.Unlock()
	if o.finished {
		return 0, fmt.Errorf("write %s: it is finished already", o.url())
	}
	written := 0
	for len(p) > 0 {
		if err := o.failed(); err != nil {
			return written, err
		}
		full := int(partSize(o.s.o.PartSize, o.parts+1))
		n := min(len(p), full-len(o.buf))
		if free := cap(o.buf) - len(o.buf); free < n {
			// In few steps: append's own growth would copy a part many times.
			grown := make([]byte, len(o.buf), min(max(4*cap(o.buf), firstBuf, len(o.buf)+n), full))
			copy(grown, o.buf)
			o.buf = grown
		}
		o.buf = append(o.buf, p[:n]...)
		p = p[n:]
		written += n
		o.size += int64(n)
		if len(o.buf) == full {
			if err := o.send(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// send puts the buffer on its way as the next part.
func (o *s3Object) send() error {
	if o.parts >= maxParts {
		return fault.New(fault.Failed, "write more, smaller objects", "%s: larger than S3 takes in %d parts", o.url(), maxParts)
	}
	if o.uploadID == "" {
		id, err := o.s.begin(o.ctx, o.key)
		if err != nil {
			o.fail(err)
			return err
		}
		o.uploadID = id
	}
	for _, slots := range []chan struct{}{o.own, o.s.slots} {
		select {
		case slots <- struct{}{}:
		case <-o.ctx.Done():
			return context.Cause(o.ctx)
		}
	}
	o.parts++
	n, data := o.parts, o.buf
	o.buf = nil
	o.group.Go(func() {
		defer func() { <-o.own; <-o.s.slots }()
		part, err := o.s.part(o.ctx, o.key, o.uploadID, n, data)
		if err != nil {
			o.fail(err)
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.done = append(o.done, part)
	})
	return nil
}

func (s *s3Store) part(ctx context.Context, key, id string, n int32, data []byte) (types.CompletedPart, error) {
	sum := checksum(data)
	out, err := retry(ctx, s, key, func(ctx context.Context, c *s3.Client) (*s3.UploadPartOutput, error) {
		ctx, cancel := context.WithTimeout(ctx, s.patience(len(data)))
		defer cancel()
		return c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.bucket, Key: &key, UploadId: &id, PartNumber: &n, Body: bytes.NewReader(data),
			ContentLength: aws.Int64(int64(len(data))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumCRC32C: &sum,
		}, s.unsigned)
	})
	if err != nil {
		return types.CompletedPart{}, fmt.Errorf("part %d: %w", n, err)
	}
	return types.CompletedPart{ETag: out.ETag, PartNumber: &n, ChecksumCRC32C: &sum}, nil
}

func (s *s3Store) patience(n int) time.Duration {
	return s.o.Stall + time.Duration(n/slowest)*time.Second
}

// checksum is CRC32C as S3 writes it.
func checksum(data []byte) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	return base64.StdEncoding.EncodeToString(b[:])
}

// Finish sends the last part and waits for all. An object of less than one
// part stays here until Commit, which is one request then.
func (o *s3Object) Finish(ctx context.Context) error {
	o.use.Lock()
	defer o.use.Unlock()
	return o.finish(ctx)
}

func (o *s3Object) finish(ctx context.Context) error {
	if o.finished {
		return o.failed()
	}
	o.finished = true
	if o.uploadID != "" && len(o.buf) > 0 {
		if err := o.send(); err != nil {
			return err
		}
	}
	return o.wait(ctx)
}

// wait is for the parts under way.
func (o *s3Object) wait(ctx context.Context) error {
	waited := make(chan struct{})
	go func() { o.group.Wait(); close(waited) }()
	select {
	case <-waited:
		return o.failed()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Park sends what Finish has left here, where many small objects would fill
// the memory.
func (o *s3Object) Park(ctx context.Context) error {
	o.use.Lock()
	defer o.use.Unlock()
	if o.gone || o.uploadID != "" || len(o.buf) == 0 {
		return o.failed()
	}
	if err := o.send(); err != nil {
		return err
	}
	return o.wait(ctx)
}

// Commit makes the object visible. It is safe to call again after an error.
func (o *s3Object) Commit(ctx context.Context) error {
	o.use.Lock()
	defer o.use.Unlock()
	if o.gone {
		return o.failed()
	}
	if err := o.finish(ctx); err != nil {
		return err
	}
	var err error
	if o.uploadID == "" {
		err = o.put(ctx)
	} else {
		o.group.Wait()
		err = o.complete(ctx)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", o.url(), err)
	}
	o.gone = true
	return nil
}

func (o *s3Object) put(ctx context.Context) error {
	sum := checksum(o.buf)
	_, err := retry(ctx, o.s, o.key, func(ctx context.Context, c *s3.Client) (*s3.PutObjectOutput, error) {
		ctx, cancel := context.WithTimeout(ctx, o.s.patience(len(o.buf)))
		defer cancel()
		return c.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &o.s.bucket, Key: &o.key, Body: bytes.NewReader(o.buf),
			ContentLength: aws.Int64(int64(len(o.buf))), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c, ChecksumCRC32C: &sum,
		}, o.s.unsigned)
	})
	return err
}

func (o *s3Object) complete(ctx context.Context) error {
	if err := o.failed(); err != nil {
		return err
	}
	sort.Slice(o.done, func(i, j int) bool { return *o.done[i].PartNumber < *o.done[j].PartNumber })
	tried := false
	_, err := retry(ctx, o.s, o.key, func(ctx context.Context, c *s3.Client) (*s3.CompleteMultipartUploadOutput, error) {
		out, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &o.s.bucket, Key: &o.key, UploadId: &o.uploadID,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: o.done},
		})
		if tried && s3api.Code(err) == "NoSuchUpload" && o.isThere(ctx, c) {
			return out, nil // the first try had worked, its answer was lost
		}
		tried = true
		return out, err
	})
	return err
}

func (o *s3Object) isThere(ctx context.Context, c *s3.Client) bool {
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.s.bucket, Key: &o.key})
	return err == nil && aws.ToInt64(head.ContentLength) == o.size
}

// errAborted is the cause that ends uploads nobody wants any more.
var errAborted = errors.New("the object was given up")

// Abort ends the uploads under way and removes the parts that are there.
func (o *s3Object) Abort(ctx context.Context) error {
	o.cancel(errAborted) // whoever works on it stops
	o.use.Lock()
	defer o.use.Unlock()
	if o.gone {
		return nil
	}
	o.gone, o.finished = true, true
	o.fail(errAborted)
	o.group.Wait()
	o.buf = nil
	if o.uploadID == "" {
		return nil
	}
	return o.s.abort(context.WithoutCancel(ctx), o.key, o.uploadID)
}
