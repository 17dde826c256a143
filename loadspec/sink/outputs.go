package sink

import (
	"context"
	"errors"
	"fmt"
	"path"
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
	// Compression is none, gzip or zstd; "": what the name ends in.
	Compression string
	// Epoch tells the statement's objects from those of others; "": the
	// statement's transaction and command.
	Epoch string
	// Explicit leaves publishing to Commit: what segments say at their end is
	// not what tells that their statement committed.
	Explicit bool
}

// Published is an object that is visible now.
type Published struct {
	URL     string `json:"url"`
	Segment int    `json:"segment"` // -1: all of them
	Bytes   int64  `json:"bytes"`   // of rows, before compression
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
	dir, file := path.Split(base)
	compression := s.o.Compression
	var packing string // extension of the compression
	for _, c := range []string{"gzip", "zstd"} {
		if suffix, _ := suffixOf(c); strings.HasSuffix(file, suffix) && file != suffix {
			file, packing = strings.TrimSuffix(file, suffix), suffix
			if compression == "" {
				compression = c
			}
		}
	}
	if s.o.Compression != "" {
		packing, _ = suffixOf(s.o.Compression)
	}
	ext := path.Ext(file)
	stem := strings.TrimSuffix(file, ext)
	if stem == "" {
		stem, ext = file, ""
	}
	stem = dir + stem
	if segment >= 0 {
		stem += "." + strconv.Itoa(segment)
	}
	stem += "." + epoch
	s.mu.Lock()
	s.names[stem+ext]++
	if n := s.names[stem+ext]; n > 1 {
		stem += "-" + strconv.Itoa(n) // a segment that came late, when all others had ended
	}
	s.mu.Unlock()
	name := stem + ext + packing
	o, err := s.store.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	if o, err = Compress(o, compression); err != nil {
		return nil, err
	}
	return &entry{o: o, url: s.store.URL(name), segment: segment}, nil
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

// entry is one object of a session.
type entry struct {
	mu      sync.Mutex
	o       Object
	url     string
	segment int
	bytes   int64
	err     error
}

func (e *entry) write(rows []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		// Half a body may be in the object: nothing of it is published then.
		_, e.err = e.o.Write(rows)
		e.bytes += int64(len(rows))
	}
	return e.err
}

// output is one write session.
type output struct {
	s           *Outputs
	name, epoch string

	mu        sync.Mutex
	objects   map[int]*entry
	published bool // its segments are done
	aborted   error
}

// Append stores rows of one segment.
func (out *output) Append(ctx context.Context, segment int, rows []byte) error {
	e, err := out.entry(ctx, segment)
	if err == nil {
		err = e.write(rows)
	}
	if err != nil {
		return statusOf(err)
	}
	return nil
}

func (out *output) entry(ctx context.Context, segment int) (*entry, error) {
	if out.s.o.Merge {
		segment = -1
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.aborted != nil {
		return nil, out.aborted
	}
	if e := out.objects[segment]; e != nil {
		return e, nil
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
	all := make([]*entry, 0, len(out.objects))
	for _, e := range out.objects {
		all = append(all, e)
	}
	return all
}

// Publish makes the objects visible, or with Explicit complete but for that.
func (out *output) Publish(ctx context.Context) error {
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
				done[i] = &Published{URL: e.url, Segment: e.segment, Bytes: e.bytes}
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
