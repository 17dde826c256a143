package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"cw/loadspec/ledger"
	"cw/playground/pgtest"
)

// Many jobs over the same growing folder, interrupted at random moments,
// resumed or left, at the same time: every row is there once, whoever loads it.
func TestAnyJobsLoadOnce(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	e := onPostgres(t, pg)
	body := simple(e.dir+"/*.csv", "csv", "items") + "  PARALLEL: {WORKERS: 2, SPLIT: 64KiB}\n  SPEED: {LIMIT: 4MB/s}\n"
	const perFile = 8000
	files := 0
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 2))
	var unfinished []string
	interrupted := 0
	for i := range 14 {
		for range 1 + rng.IntN(2) {
			e.file(fmt.Sprintf("%03d.csv", files), csvRows(files*perFile, perFile))
			files++
		}
		jobs := []string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)}
		if len(unfinished) > 0 && rng.IntN(3) > 0 {
			jobs[1] = unfinished[rng.IntN(len(unfinished))]
		}
		var all sync.WaitGroup
		results := make([]error, len(jobs))
		for k, job := range jobs {
			d := time.Duration(50+rng.IntN(500)) * time.Millisecond
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, results[k] = Run(ctx, e.options(body, job))
			})
		}
		all.Wait()
		for k, err := range results {
			unfinished = slices.DeleteFunc(unfinished, func(s string) bool { return s == jobs[k] })
			switch {
			case err == nil:
				continue
			case errors.Is(err, context.DeadlineExceeded):
				interrupted++
			case !errors.Is(err, ledger.ErrClaimed):
				t.Fatalf("job %s: %v", jobs[k], err)
			}
			unfinished = append(unfinished, jobs[k])
		}
	}
	// Then what was begun is finished, as the hints say, and the rest loaded.
	for i := 0; ; i++ {
		_, err := Run(t.Context(), e.options(body, fmt.Sprint("z", i)))
		if err == nil {
			break
		}
		var claimed *ledger.ClaimedError
		if !errors.As(err, &claimed) || i > 100 {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), e.options(body, claimed.Job)); err != nil {
			t.Fatalf("job %s, which was to be resumed: %v", claimed.Job, err)
		}
	}
	e.rows(t, files*perFile)
	if got := e.query("select count(distinct id)::text from items"); got != fmt.Sprint(files*perFile) {
		t.Errorf("%s different rows of %d", got, files*perFile)
	}
	if interrupted == 0 {
		t.Error("nothing was interrupted")
	}
	t.Logf("%d files, %d interruptions", files, interrupted)
}
