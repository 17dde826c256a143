package sink

import (
	"context"
	"sync"
)

// entry is one object of a session.
type entry struct {
	mu      sync.Mutex
	o       Object
	sum     *summed
	count   RowCounter
	url     string
	segment int
	head    int64 // bytes of the header
	bytes   int64
	err     error
}

// full tells that rows belong into another object.
func (e *entry) full(rows int, most int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return most > 0 && e.bytes > e.head && e.bytes+int64(rows) > most
}

// close brings a full object to the store, where its memory is free again.
func (e *entry) close(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = settle(ctx, e.o, e.sum.Object)
	}
}

func (e *entry) published() *Published {
	p := &Published{URL: e.url, Segment: e.segment, Bytes: e.bytes, StoredBytes: e.sum.n, SHA256: e.sum.sum()}
	if e.count != nil {
		p.Rows = e.count.Rows()
	}
	return p
}

func (e *entry) write(rows []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		// Half a body may be in the object: nothing of it is published then.
		_, e.err = e.o.Write(rows)
		e.bytes += int64(len(rows))
		if e.count != nil {
			e.count.Feed(rows)
		}
	}
	return e.err
}
