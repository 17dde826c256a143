package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec/fdist"
)

// OutputOptions says what the objects of write sessions are.
type OutputOptions struct {
	// Name makes a request's path the name of its objects, without what is
	// put before the extension; nil: the path as it is.
	Name func(path string) string
	// Merge writes the rows of all segments into one object, in the order
	// they come, instead of one object per segment.
	Merge bool
	// Compression is none or a codec; "": what the name ends in.
	Compression string
	// Epoch tells the statement's objects from those of others; "": the
	// statement's transaction and command.
	Epoch string
	// Explicit leaves publishing to Commit: what segments say at their end is
	// not what tells that their statement committed.
	Explicit bool
	// Header begins every object.
	Header []byte
	// MaxSize is how many bytes an object may have before compression; what
	// comes then goes into another one. 0: any. Segments send whole rows.
	MaxSize int64
	// Count makes what counts the rows of an object; nil: nobody asks.
	Count func() RowCounter
}

// RowCounter counts rows in bytes that are fed to it.
type RowCounter interface {
	Feed(rows []byte)
	Rows() int64
}

// Published is an object that is visible now.
type Published struct {
	URL         string `json:"url"`
	Segment     int    `json:"segment"` // of Greenplum; -1: all of them, or there are none
	Rows        int64  `json:"rows"`
	Bytes       int64  `json:"bytes"`        // before compression
	StoredBytes int64  `json:"stored_bytes"` // of the object
	SHA256      string `json:"sha256"`       // of the object
}

// Outputs writes the write sessions of a gpfdist server into a store.
type Outputs struct {
	store Store
	o     OutputOptions

	mu       sync.Mutex
	names    map[string]int // how often a name was used
	sessions []*output      // with Explicit: all there were
}

// NewOutputs makes the outputs of one server or one job.
func NewOutputs(store Store, o OutputOptions) (*Outputs, error) {
	if _, err := suffixOf(o.Compression); err != nil {
		return nil, err
	}
	return &Outputs{store: store, o: o, names: map[string]int{}}, nil
}

// Create begins the output of one write session. A merged object is opened at
// once, and a store that refuses tells so before the first row.
func (s *Outputs) Create(ctx context.Context, r *fdist.Request) (fdist.Output, error) {
	name := r.Path
	if s.o.Name != nil {
		name = s.o.Name(name)
	}
	if strings.ContainsAny(name, "* ") {
		return nil, &fdist.StatusError{Code: 400, Reason: "a writable table takes one name without wildcards, found " + name}
	}
	if name == "" || strings.HasSuffix(name, "/") {
		return nil, &fdist.StatusError{Code: 400, Reason: "a writable table needs the name of an object, found " + strconv.Quote(name)}
	}
	out := &output{s: s, name: name, epoch: s.epoch(r), objects: map[int]*entry{}}
	if err := s.store.Check(ctx); err != nil {
		return nil, statusOf(err)
	}
	if s.o.Explicit {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sessions = append(s.sessions, out)
	}
	return out, nil
}

func (s *Outputs) epoch(r *fdist.Request) string {
	epoch := s.o.Epoch
	if epoch == "" && r.XID != "" {
		epoch = r.XID + "-" + r.CID
	}
	if epoch == "" {
		epoch = strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' {
			return c
		}
		return '_'
	}, epoch)
}

// object opens the object of one segment, or of all with segment -1.
func (s *Outputs) object(ctx context.Context, base, epoch string, segment int) (*entry, error) {
	n := newNaming(base, s.o.Compression)
	marks := []string{"", epoch}
	if segment >= 0 {
		marks[0] = strconv.Itoa(segment)
	}
	s.mu.Lock()
	plain := n.name("", marks...)
	s.names[plain]++
	if k := s.names[plain]; k > 1 {
		marks[1] += "-" + strconv.Itoa(k) // one more of a segment: it came late, or the object before was full
	}
	s.mu.Unlock()
	name := n.name("", marks...)
	raw, err := s.store.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	e := &entry{sum: newSummed(raw), url: s.store.URL(name), segment: segment}
	if e.o, err = Compress(e.sum, n.compression); err != nil {
		return nil, err
	}
	if s.o.Count != nil {
		e.count = s.o.Count()
	}
	if len(s.o.Header) > 0 {
		_, e.err = e.o.Write(s.o.Header)
		e.head = int64(len(s.o.Header))
		e.bytes = e.head
	}
	return e, nil
}

// Rows is how many rows all objects have, if somebody counts them.
func (s *Outputs) Rows() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.sessions {
		for _, e := range out.entries() {
			if e.count != nil {
				n += e.count.Rows()
			}
		}
	}
	return n
}

// Commit publishes what all sessions have written; with Explicit it is for
// the one who ran the statement, after that has committed. Objects that could
// not be published are named in the error, and may be tried again.
func (s *Outputs) Commit(ctx context.Context) ([]Published, error) {
	s.mu.Lock()
	sessions := s.sessions
	s.mu.Unlock()
	for _, out := range sessions {
		if err := out.state(); err != nil {
			return nil, err
		}
	}
	var all []Published
	var failed []error
	for _, out := range sessions {
		published, err := out.commit(ctx)
		all = append(all, published...)
		if err != nil {
			failed = append(failed, err)
		}
	}
	return all, errors.Join(failed...)
}

// Abort throws away what is not published.
func (s *Outputs) Abort(ctx context.Context) error {
	s.mu.Lock()
	sessions := s.sessions
	s.sessions = nil
	s.mu.Unlock()
	var errs []error
	for _, out := range sessions {
		errs = append(errs, out.abort(ctx))
	}
	return errors.Join(errs...)
}

// statusOf is what a segment's user gets to read.
func statusOf(err error) error {
	return &fdist.StatusError{Code: 500, Reason: err.Error(), Err: err}
}

// output is one write session.
type output struct {
	s           *Outputs
	name, epoch string

	mu        sync.Mutex
	objects   map[int]*entry
	full      []*entry // that get no more rows
	closing   sync.WaitGroup
	published bool // its segments are done
	aborted   error
}

// Append stores rows of one segment.
func (out *output) Append(ctx context.Context, segment int, rows []byte) error {
	e, err := out.entry(ctx, segment, len(rows))
	if err == nil {
		err = e.write(rows)
	}
	if err != nil {
		return statusOf(err)
	}
	return nil
}

// entry is the object that the next rows of a segment go into.
func (out *output) entry(ctx context.Context, segment, rows int) (*entry, error) {
	if out.s.o.Merge {
		segment = -1
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.aborted != nil {
		return nil, out.aborted
	}
	if e := out.objects[segment]; e != nil {
		if !e.full(rows, out.s.o.MaxSize) {
			return e, nil
		}
		out.full = append(out.full, e)
		delete(out.objects, segment)
		// The request that filled it may be over before the store has it all.
		late := context.WithoutCancel(ctx)
		out.closing.Go(func() { e.close(late) })
	}
	e, err := out.s.object(ctx, out.name, out.epoch, segment)
	if err == nil {
		out.objects[segment] = e
	}
	return e, err
}

func (out *output) entries() []*entry {
	out.mu.Lock()
	defer out.mu.Unlock()
	all := slices.Clone(out.full)
	for _, e := range out.objects {
		all = append(all, e)
	}
	return all
}

// Publish makes the objects visible, or with Explicit complete but for that.
func (out *output) Publish(ctx context.Context) error {
	out.closing.Wait()
	group, inner := errgroup.WithContext(ctx)
	for _, e := range out.entries() {
		group.Go(func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.err != nil {
				return e.err
			}
			return e.o.Finish(inner)
		})
	}
	if err := group.Wait(); err != nil {
		return statusOf(err)
	}
	if !out.s.o.Explicit {
		if _, err := out.commit(ctx); err != nil {
			return statusOf(err)
		}
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	out.published = true
	return nil
}

// state says why a session's rows cannot be committed, if so.
func (out *output) state() error {
	out.mu.Lock()
	defer out.mu.Unlock()
	switch {
	case out.aborted != nil:
		return out.aborted
	case !out.published:
		return fault.New(fault.Failed, "", "%s: a segment has not ended its rows", out.name)
	}
	return nil
}

func (out *output) commit(ctx context.Context) ([]Published, error) {
	entries := out.entries()
	done := make([]*Published, len(entries))
	errs := make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(16)
	for i, e := range entries {
		group.Go(func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			if errs[i] = e.o.Commit(ctx); errs[i] == nil {
				done[i] = e.published()
			}
			return nil
		})
	}
	_ = group.Wait()
	var published []Published
	for _, p := range done {
		if p != nil {
			published = append(published, *p)
		}
	}
	return published, errors.Join(errs...)
}

// Abort throws the session's objects away.
func (out *output) Abort(ctx context.Context) error {
	return out.abort(ctx)
}

func (out *output) abort(ctx context.Context) error {
	out.mu.Lock()
	if out.aborted == nil {
		out.aborted = fmt.Errorf("%s: the write session was given up: a segment ended without saying that it was done", out.name)
	}
	out.mu.Unlock()
	var errs []error
	for _, e := range out.entries() {
		// Not under the entry's lock: a write may be waiting for the store.
		errs = append(errs, e.o.Abort(ctx))
	}
	return errors.Join(errs...)
}
