package replace

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"cw/perfcheck"
)

// readAll reads everything once.
func readAll(ctx context.Context, parts []part, m *perfcheck.Measurement, on func(perfcheck.Second)) error {
	began := time.Now()
	work := make(chan struct {
		part
		off int64
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var bytes atomic.Int64
	var buffered atomic.Bool
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			b, free, err := buffer(chunk)
			if err != nil {
				cancel(err)
				return
			}
			defer free()
			var f *os.File
			var at string
			defer func() {
				if f != nil {
					_ = f.Close()
				}
			}()
			for w := range work {
				if at != w.path {
					if f != nil {
						_ = f.Close()
					}
					var direct bool
					f, direct, err = open(w.part)
					if at = w.path; errors.Is(err, fs.ErrNotExist) {
						f = nil // the database that runs by now has removed it
					} else if err != nil {
						cancel(err)
						return
					}
					if f != nil && !direct {
						buffered.Store(true)
					}
				}
				if f == nil {
					continue
				}
				n, err := f.ReadAt(b, w.off)
				bytes.Add(int64(n))
				if err != nil && !errors.Is(err, io.EOF) {
					cancel(err)
					return
				}
			}
		})
	}
	series := perfcheck.Series{Name: "throughput", Unit: perfcheck.BytesPerSecond, Interval: 1}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		last := int64(0)
		for {
			select {
			case <-tick.C:
				now := bytes.Load()
				series.Values = append(series.Values, float64(now-last))
				last = now
				if on != nil {
					on(perfcheck.Second{At: time.Since(began).Seconds(), Value: series.Values[len(series.Values)-1]})
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	err := deal(ctx, parts, func(p part, off int64) bool {
		select {
		case work <- struct {
			part
			off int64
		}{p, off}:
			return true
		case <-ctx.Done():
			return false
		}
	})
	close(work)
	all.Wait()
	took := time.Since(began).Seconds()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	<-stopped
	m.Values["bytes"], m.Values["throughput"] = float64(bytes.Load()), float64(bytes.Load())/took
	m.Series = []perfcheck.Series{series}
	if buffered.Load() {
		m.Flags = append(m.Flags, FlagBuffered)
	}
	return err
}

// deal hands out the chunks of all parts in their order.
func deal(ctx context.Context, parts []part, give func(part, int64) bool) error {
	for _, p := range parts {
		for off := int64(0); off < p.size; off += chunk {
			if !give(p, off) {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}
