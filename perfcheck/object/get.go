package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"cw/perfcheck"
)

// get reads ranges of the prepared objects, each in a place drawn by lot, and
// compares them with what was put.
func (s *Set) get(ctx context.Context, j Job, on func(perfcheck.Second)) (perfcheck.Measurement, error) {
	type worker struct {
		rng    *rand.Rand
		buffer []byte
	}
	workers := make([]worker, j.Streams)
	for i := range workers {
		workers[i] = worker{rand.New(rand.NewPCG(s.o.Seed, uint64(i))), make([]byte, 256<<10)} //nolint:gosec // which range is read is no secret
	}
	m, err := s.move(ctx, j, on, func(ctx context.Context, i int, t *tally, h *perfcheck.Histogram) error {
		w := workers[i]
		d := s.data[w.rng.IntN(len(s.data))]
		size := min(j.Part, d.size)
		from := w.rng.Int64N(d.size/size) * size
		return s.s.try(ctx, d.key, t, func(ctx context.Context) error {
			began := time.Now()
			f := &flow{t: t}
			if err := s.getRange(ctx, d, from, size, w.buffer, f); err != nil {
				if ctx.Err() == nil { // a body that the end cut off counts: it was compared
					f.revert()
				}
				return err
			}
			t.requests.Add(1)
			if t.begun.Load() {
				h.Record(time.Since(began))
			}
			return nil
		})
	})
	return m, err
}

var errStalled = errors.New("the store sent nothing for too long")

// getRange reads and compares one range.
func (s *Set) getRange(ctx context.Context, d stored, from, size int64, buffer []byte, f *flow) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()
	out, err := s.s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.s.bucket, Key: &d.key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+size-1))})
	if err != nil {
		return stalledOr(ctx, err)
	}
	defer func() { _ = out.Body.Close() }()
	if n := aws.ToInt64(out.ContentLength); n != size {
		return fmt.Errorf("%w: of %d bytes at %d the store sends %d", errContent, size, from, n)
	}
	for at := int64(0); at < size; {
		n, err := out.Body.Read(buffer[:min(int64(len(buffer)), size-at)])
		if n > 0 {
			watch.Reset(stall)
			if err := s.c.check(d.object, from+at, buffer[:n]); err != nil {
				return fmt.Errorf("%w, between byte %d and %d", err, from+at, from+at+int64(n))
			}
			f.add(n)
			at += int64(n)
		}
		if err != nil && at < size {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return stalledOr(ctx, err)
		}
	}
	return nil
}

func stalledOr(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}
