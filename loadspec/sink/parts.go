package sink

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// PartOptions says what the objects of an unload are.
type PartOptions struct {
	Name        string // of the objects, without part and epoch
	Compression string // none or a codec; "": what the name ends in
	Epoch       string // tells them from the objects of others
	Single      bool   // there is one: it has no number
}

// Parts are the objects of one unload, made by any number of workers and
// published together.
type Parts struct {
	store Store
	n     naming
	o     PartOptions

	mu  sync.Mutex
	all []*Part
}

// NewParts makes the parts of one unload.
func NewParts(store Store, o PartOptions) (*Parts, error) {
	if _, err := suffixOf(o.Compression); err != nil {
		return nil, err
	}
	return &Parts{store: store, o: o, n: newNaming(o.Name, o.Compression)}, nil
}

// Part is one object. One goroutine at a time writes it.
type Part struct {
	raw, o Object
	sum    *summed
	url    string
	rows   int64
	bytes  int64
	closed bool
}

// Create begins the next object, in a folder of the store if that is not
// empty; folders end in a slash.
func (p *Parts) Create(ctx context.Context, folder string) (*Part, error) {
	p.mu.Lock()
	number := ""
	if !p.o.Single {
		// Names sort as the parts were begun.
		number = fmt.Sprintf("%05d", len(p.all))
	}
	part := &Part{}
	p.all = append(p.all, part)
	p.mu.Unlock()
	name := p.n.name(folder, number, p.o.Epoch)
	raw, err := p.store.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	sum := newSummed(raw)
	o, err := Compress(sum, p.n.compression)
	if err != nil {
		_ = raw.Abort(ctx)
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	part.raw, part.sum, part.o, part.url = raw, sum, o, p.store.URL(name)
	return part, nil
}

// Write stores rows.
func (p *Part) Write(b []byte) (int, error) { return p.o.Write(b) }

// Close ends the object, which had that many rows and bytes before
// compression. Nothing is visible yet.
func (p *Part) Close(ctx context.Context, rows, bytes int64) error {
	p.rows, p.bytes, p.closed = rows, bytes, true
	return settle(ctx, p.o, p.raw)
}

// settle finishes an object and frees its memory.
func settle(ctx context.Context, o, raw Object) error {
	if err := o.Finish(ctx); err != nil {
		return err
	}
	if parker, ok := raw.(interface{ Park(context.Context) error }); ok {
		return parker.Park(ctx)
	}
	return nil
}

// Commit publishes all objects, in no order. All must be closed. It may be
// called again for those that could not be published.
func (p *Parts) Commit(ctx context.Context) ([]Published, error) {
	p.mu.Lock()
	all := p.all
	p.mu.Unlock()
	for _, part := range all {
		if !part.closed {
			return nil, errors.New("an object was begun and not ended")
		}
	}
	out := make([]Published, len(all))
	errs := make([]error, len(all))
	var group errgroup.Group
	group.SetLimit(16)
	for i, part := range all {
		group.Go(func() error {
			errs[i] = part.o.Commit(ctx)
			out[i] = Published{URL: part.url, Segment: -1, Rows: part.rows, Bytes: part.bytes, StoredBytes: part.sum.n, SHA256: part.sum.sum()}
			return nil
		})
	}
	_ = group.Wait()
	return out, errors.Join(errs...)
}

// Abort throws away what is not published. Whoever writes is stopped.
func (p *Parts) Abort(ctx context.Context) error {
	p.mu.Lock()
	all := p.all
	p.all = nil
	p.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(16)
	errs := make([]error, len(all))
	for i, part := range all {
		if part.raw != nil {
			group.Go(func() error {
				errs[i] = part.raw.Abort(ctx)
				return nil
			})
		}
	}
	_ = group.Wait()
	return errors.Join(errs...)
}
