package replace

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"cw/perfcheck"
)

// missedShare is the share of the wanted rate below which it was missed.
const missedShare = 0.95

// readRandom reads blocks anywhere in an open loop: each is due at its time,
// whatever became of those before it, and its response counts from then. As
// many as the rate wants in the time are due, and all of them are waited for.
func readRandom(ctx context.Context, j Job, parts []part, total int64, m *perfcheck.Measurement) error {
	if j.Rate <= 0 || j.Duration <= 0 {
		return errors.New("no rate or no time is given")
	}
	reads, closeAll, err := plan(j, parts, total)
	defer closeAll()
	if err != nil {
		return err
	}
	buffers := make(chan []byte, maxAtOne)
	for range maxAtOne {
		b, free, err := buffer(block)
		if err != nil {
			return err
		}
		defer free()
		buffers <- b
	}
	service, response := perfcheck.NewHistogram(), perfcheck.NewHistogram()
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed error
	buffered := false
	began := time.Now()
	for i, rd := range reads {
		due := began.Add(time.Duration(float64(i) / j.Rate * float64(time.Second)))
		if err := perfcheck.WaitUntil(ctx, due); err != nil {
			break
		}
		b := <-buffers
		all.Go(func() {
			issued := time.Now()
			n, err := rd.f.ReadAt(b, rd.off)
			done := time.Now()
			buffers <- b
			mu.Lock()
			defer mu.Unlock()
			if n == 0 || err != nil && !errors.Is(err, io.EOF) {
				failed = err
				return
			}
			buffered = buffered || !rd.direct
			service.Record(done.Sub(issued))
			response.Record(done.Sub(due))
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if failed != nil {
		return failed
	}
	took := max(time.Since(began), j.Duration).Seconds()
	service.Values("service", m.Values)
	response.Values("response", m.Values)
	m.Values["rate"] = float64(len(reads)) / took
	m.Histograms["service"], m.Histograms["response"] = service, response
	if m.Values["rate"] < missedShare*j.Rate {
		m.Flags = append(m.Flags, perfcheck.FlagRateMissed)
	}
	if buffered {
		m.Flags = append(m.Flags, FlagBuffered)
	}
	return nil
}

// read is one random read.
type read struct {
	f      *os.File
	off    int64
	direct bool
}

// maxFiles is how many files are read in at most.
const maxFiles = 512

// plan draws the reads of a job and opens what they read before the clock
// starts: a database has its files open.
func plan(j Job, parts []part, total int64) (reads []read, closeAll func(), err error) {
	r := rand.New(rand.NewPCG(j.Seed, 1)) //nolint:gosec // places, not secrets
	files := map[string]read{}
	var opened []part
	closeAll = func() {
		for _, f := range files {
			_ = f.f.Close()
		}
	}
	for range max(int(j.Duration.Seconds()*j.Rate), 1) {
		p, off := pick(r, parts, total)
		rd, ok := files[p.path]
		if !ok && len(files) >= maxFiles {
			p = opened[r.IntN(len(opened))]
			rd, ok, off = files[p.path], true, r.Int64N(p.size)/block*block
		}
		if !ok {
			if rd.f, rd.direct, err = open(p); err != nil {
				return nil, closeAll, err
			}
			files[p.path], opened = rd, append(opened, p)
		}
		rd.off = off
		reads = append(reads, rd)
	}
	return reads, closeAll, nil
}
