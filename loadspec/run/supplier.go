package run

import (
	"context"
	"errors"
	"sort"
	"strings"

	"golang.org/x/sync/errgroup"

	"cw/loadspec"
	"cw/loadspec/ledger"
)

// supplier serves a share of a load's objects to the segments, from this
// machine or another.
type supplier interface {
	// begin prepares the next wave of about budget bytes and returns the
	// locations that segments read it from; none means that nothing is left.
	begin(ctx context.Context, budget int64) ([]string, error)
	// end tells what the wave has handed out, and what of it was no good;
	// whole is false when not all can have arrived.
	end(ctx context.Context) (handed, error)
	// failure is why reading failed, nil when it has not.
	failure(ctx context.Context) error
	// stop ends everything, also when ctx is over.
	stop(ctx context.Context)
}

// handed is what a wave has handed out.
type handed struct {
	Ranges   []ledger.Range
	Rejected []ledger.Rejected // rows that could not be converted
	Whole    bool
}

// suppliers are all servers of a load together.
type suppliers []supplier

// startSuppliers starts the servers: this machine's, or those of
// PARALLEL.HOSTS, to which the objects are dealt.
func (j *job) startSuppliers(ctx context.Context) (suppliers, error) {
	if len(j.spec.Hosts) == 0 {
		s, err := j.startServer(ctx)
		if err != nil {
			return nil, err
		}
		return suppliers{s}, nil
	}
	shares := deal(j.objects, len(j.spec.Hosts))
	all := make(suppliers, len(shares))
	g, gctx := errgroup.WithContext(ctx)
	for i, share := range shares {
		g.Go(func() error {
			s, err := j.startHost(ctx, gctx, j.spec.Hosts[i], share)
			if err == nil {
				all[i] = s
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		all.stop(ctx)
		return nil, err
	}
	hosts := make([]*host, len(all))
	for i := range all {
		hosts[i], _ = all[i].(*host)
	}
	beats := &beating{done: make(chan struct{})}
	ctx, beats.cancel = context.WithCancel(ctx)
	go func() {
		defer close(beats.done)
		j.beatHosts(ctx, hosts)
	}()
	return append(all, beats), nil
}

// beating stands among the suppliers to be stopped with them.
type beating struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (b *beating) begin(context.Context, int64) ([]string, error) { return nil, nil }

func (b *beating) end(context.Context) (handed, error) { return handed{Whole: true}, nil }

func (b *beating) failure(context.Context) error { return nil }

func (b *beating) stop(context.Context) {
	b.cancel()
	<-b.done
}

// deal gives each of n hosts objects of about the same size together; hosts
// that would get none are left out.
func deal(objects []object, n int) [][]object {
	sorted := append([]object(nil), objects...)
	sort.SliceStable(sorted, func(a, b int) bool { return sorted[a].Size > sorted[b].Size })
	n = min(n, max(len(objects), 1))
	shares, sizes := make([][]object, n), make([]int64, n)
	for _, o := range sorted {
		least := 0
		for i := range sizes {
			if sizes[i] < sizes[least] {
				least = i
			}
		}
		shares[least] = append(shares[least], o)
		sizes[least] += o.Size + 1 // empty objects count, too
	}
	return shares
}

// begin prepares the next wave on all servers that have something left.
func (all suppliers) begin(ctx context.Context, budget int64) ([]string, error) {
	found := make([][]string, len(all))
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range all {
		g.Go(func() (err error) {
			found[i], err = s.begin(ctx, max(budget/int64(len(all)), 1))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var urls []string
	for _, f := range found {
		urls = append(urls, f...)
	}
	return urls, nil
}

func (all suppliers) end(ctx context.Context) (handed, error) {
	sum := handed{Whole: true}
	for _, s := range all {
		h, err := s.end(ctx)
		if err != nil {
			return handed{}, err
		}
		sum.Ranges, sum.Rejected, sum.Whole = append(sum.Ranges, h.Ranges...), append(sum.Rejected, h.Rejected...), sum.Whole && h.Whole
	}
	return sum, nil
}

func (all suppliers) failure(ctx context.Context) error {
	for _, s := range all {
		if err := s.failure(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

func (all suppliers) stop(ctx context.Context) {
	var g errgroup.Group
	for _, s := range all {
		if s != nil {
			g.Go(func() error {
				s.stop(ctx)
				return nil
			})
		}
	}
	_ = g.Wait()
}

// inStores tells whether all locations are objects of a store or a web server, which any machine
// can read.
func inStores(objects []object) (string, bool) {
	for _, o := range objects {
		if !strings.HasPrefix(o.URL, "s3://") && !loadspec.IsHTTP(o.URL) {
			return o.URL, false
		}
	}
	return "", true
}
