package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"cw/fault"
)

// FirstByte implements Host.
func (s *Set) FirstByte(_ context.Context, dir string) error {
	f, err := openDirect(filepath.Join(dir, dataName), os.O_RDONLY)
	if err != nil {
		return fmt.Errorf("the restored volume: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, free, err := newBuffer(4096)
	if err != nil {
		return err
	}
	defer free()
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the restored volume: %w", err)
	}
	return nil
}

// ReadAll implements Host.
func (s *Set) ReadAll(ctx context.Context, dir string) (ReadResult, error) {
	s.mu.Lock()
	size := s.blocks * Block
	s.mu.Unlock()
	began := time.Now()
	var r ReadResult
	err := readWhole(ctx, filepath.Join(dir, dataName), size, func(b []byte, _ int64) { r.Bytes += int64(len(b)) })
	r.Seconds = time.Since(began).Seconds()
	return r, err
}

// Capacity implements Host: one reader from the beginning, again and again.
func (s *Set) Capacity(ctx context.Context, d time.Duration) (float64, error) {
	s.mu.Lock()
	dir, end := s.opened.Volume, s.blocks*Block
	s.mu.Unlock()
	f, err := openDirect(filepath.Join(dir, dataName), os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	b, free, err := newBuffer(ReadBlock)
	if err != nil {
		return 0, err
	}
	defer free()
	var off, sum int64
	began := time.Now()
	for time.Since(began) < d {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if off >= end {
			off = 0
		}
		n, err := f.ReadAt(b, off)
		if err != nil {
			return 0, fmt.Errorf("read the data set: %w", err)
		}
		off, sum = off+int64(n), sum+int64(n)
	}
	rate := float64(sum) / time.Since(began).Seconds()
	if rate <= 0 {
		return 0, errors.New("nothing could be read of the data set")
	}
	return rate, nil
}

// Verify implements Host. The data set did not change while the snapshot was
// taken, so it must be what it was, byte for byte. The probe's writes follow
// one another, each durable before the next begins: of them the copy must
// hold all up to some number, nothing else, and that number must be between
// what was acknowledged before the snapshot and what had begun when it was
// captured.
func (s *Set) Verify(ctx context.Context, dir, name string) (Verified, error) {
	s.mu.Lock()
	m, token, blocks := s.moments[name], s.token, s.blocks
	s.mu.Unlock()
	if m == nil || m.issued < 0 {
		return Verified{}, fault.New(fault.Usage, "", "no snapshot %s was captured", name)
	}
	v := Verified{Acked: m.acked, Issued: m.issued}
	if err := v.data(ctx, filepath.Join(dir, dataName), token, blocks, m.gens); err != nil {
		return v, err
	}
	return v, v.probe(ctx, filepath.Join(dir, probeName), token)
}

// data compares the data set.
func (v *Verified) data(ctx context.Context, path string, token uint64, blocks int64, gens []uint32) error {
	is, was := sha256.New(), sha256.New()
	want := make([]byte, Block)
	bad, first := int64(0), int64(0)
	err := readWhole(ctx, path, blocks*Block, func(b []byte, off int64) {
		is.Write(b)
		v.Bytes += int64(len(b))
		for at := 0; at+Block <= len(b); at += Block {
			index := (off + int64(at)) / Block
			if index >= blocks {
				return
			}
			dataBlock(want, token, index, gens[index])
			was.Write(want)
			if !bytes.Equal(want, b[at:at+Block]) {
				if bad == 0 {
					first = index
				}
				bad++
			}
		}
	})
	v.Hash, v.Expected = hex.EncodeToString(is.Sum(nil)), hex.EncodeToString(was.Sum(nil))
	if err != nil {
		return v.unreadable(ctx, err)
	}
	if bad > 0 || v.Hash != v.Expected {
		v.Problem = fmt.Sprintf("%d of %d blocks are not what they were at the moment of the snapshot, the first at byte %d", bad, blocks, first*Block)
	}
	return nil
}

// unreadable makes a problem of the copy of an error, unless it is ours.
func (v *Verified) unreadable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v.Problem = err.Error()
	return nil
}

// probe compares the probe's file.
func (v *Verified) probe(ctx context.Context, path string, token uint64) error {
	const places = ProbeFile / ProbeBlock
	numbers := make([]int64, places)
	torn := map[int64]bool{}
	scratch := make([]byte, ProbeBlock)
	err := readWhole(ctx, path, ProbeFile, func(b []byte, off int64) {
		v.Bytes += int64(len(b))
		for at := 0; at+ProbeBlock <= len(b); at += ProbeBlock {
			place := (off + int64(at)) / ProbeBlock
			if place >= places {
				return
			}
			n, ok := readProbeBlock(b[at:at+ProbeBlock], scratch, token, place)
			if numbers[place] = n; !ok {
				torn[place] = true
				continue
			}
			v.Last = max(v.Last, n)
		}
	})
	if err != nil {
		return v.unreadable(ctx, err)
	}
	if v.Problem == "" {
		v.Problem = v.order(numbers, torn)
	}
	return nil
}

// order says what is wrong with the numbers of the writes in a copy.
func (v *Verified) order(numbers []int64, torn map[int64]bool) string {
	places := int64(len(numbers))
	switch {
	case v.Last < v.Acked:
		// The write under way may have been torn over the last acknowledged
		// one of its place, never over any other.
		return fmt.Sprintf("write %d was acknowledged before the snapshot, and the last in it is %d", v.Acked, v.Last)
	case v.Last > v.Issued:
		return fmt.Sprintf("write %d is in the snapshot, and began after it was captured: the last before was %d", v.Last, v.Issued)
	}
	underWay := v.Last % places // of the write that may be half there
	for place, n := range numbers {
		if torn[int64(place)] {
			if int64(place) == underWay && v.Last < v.Issued {
				continue
			}
			return fmt.Sprintf("the block of the probe at byte %d is of no write", int64(place)*ProbeBlock)
		}
		if want := lastAt(int64(place), v.Last, places); n != want {
			return fmt.Sprintf("write %d is in the snapshot and write %d, which was acknowledged before it, is not: the snapshot is of no one moment", v.Last, want)
		}
	}
	return ""
}
