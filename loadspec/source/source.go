// Package source finds and reads what a load reads: local files and objects
// of S3-compatible stores, by name or wildcard. An object is read in order as
// one stream; from S3 several ranges are fetched ahead of the reader, each
// continued at the byte reached when the store fails. What was listed is what
// is read: an object that changes meanwhile is an error, never a mixture.
package source

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/throttle"
)

// Object is one file or S3 object at the moment it was listed.
type Object struct {
	URL    string // s3://bucket/key, file:///path, https://host/path without secrets, or StdinURL
	ETag   string // S3's; of a file its size and time of change; of a web server's what it tells
	Size   int64  // bytes as stored, compressed or not; 0 when unknown
	Source int    // index of the SOURCE block it came from

	Modified time.Time // of a local file; else zero
}

// Options tunes a Set; the zero value is for production.
type Options struct {
	Credentials aws.CredentialsProvider `json:"-"` // instead of the AWS chain
	// CredentialsOf is the same for one SOURCE block; nil leaves it to the rest.
	CredentialsOf func(source int) aws.CredentialsProvider        `json:"-"`
	Attempts      int                                             // tries without progress before giving up; 0: 12, about a minute; listing gives up after 4
	Backoff       time.Duration                                   // first wait between tries, doubled up to 50 times; 0: 200 ms
	Stall         time.Duration                                   // longest silence of a store; 0: 30 s
	RangeSize     int64                                           // bytes per ranged GET; 0: 8 MiB
	Ahead         int                                             // ranges in flight per object; 0: 4
	Stdin         io.Reader                                       `json:"-"` // what FILE: "-" reads; nil: nothing can
	OnNote        func(text string)                               `json:"-"` // what a person should know of a listing
	EmptyOK       bool                                            // a location that matches nothing is no error
	OnRetry       func(url string, err error, wait time.Duration) `json:"-"`

	rangeSize *atomic.Int64 // RangeSize, or less when many read at the same time
}

func (o Options) withDefaults() Options {
	if o.Attempts == 0 {
		o.Attempts = 12
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.RangeSize == 0 {
		o.RangeSize = 8 << 20
	}
	if o.Ahead == 0 {
		o.Ahead = 4
	}
	if o.OnNote == nil {
		o.OnNote = func(string) {}
	}
	o.rangeSize = &atomic.Int64{}
	o.rangeSize.Store(o.RangeSize)
	if o.OnRetry == nil {
		o.OnRetry = func(string, error, time.Duration) {}
	}
	return o
}

// Set is the sources of one load.
type Set struct {
	sources []loadspec.Source
	o       Options
	stores  []store
	waited  atomic.Int64      // nanoseconds
	sums    map[string]string // URL: SHA-256, of those that a manifest knows; written by List
}

// store is one SOURCE block's access to its objects.
type store interface {
	list(ctx context.Context, location string) ([]Object, error)
	open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error)
}

// New prepares access; nothing is contacted yet.
func New(sources []loadspec.Source, o Options) *Set {
	s := &Set{sources: sources, o: o.withDefaults(), sums: map[string]string{}}
	in := &stdin{in: o.Stdin}
	for i, src := range sources {
		own := s.o
		if o.CredentialsOf != nil {
			if c := o.CredentialsOf(i); c != nil {
				own.Credentials = c
			}
		}
		s.stores = append(s.stores, &mixed{s3: newS3Store(src, own), web: newHTTPStore(src, own), stdin: in})
	}
	return s
}

// Keys fetches the credentials of all SOURCE blocks from where they are kept,
// for another machine to use; those of blocks with none of the S3 objects, and of
// anonymous ones, are empty.
func (s *Set) Keys(ctx context.Context, objects []Object) ([]aws.Credentials, error) {
	keys := make([]aws.Credentials, len(s.sources))
	for i, src := range s.sources {
		m, ok := s.stores[i].(*mixed)
		own := func(o Object) bool { return o.Source == i && strings.HasPrefix(o.URL, "s3://") }
		at := slices.IndexFunc(objects, own)
		if !ok || src.Anonymous || at < 0 {
			continue
		}
		api, err := m.s3.Client(ctx)
		if err != nil {
			return nil, err
		}
		if keys[i], err = api.Options().Credentials.Retrieve(ctx); err != nil {
			return nil, fault.New(fault.Auth, "see what is configured: aws configure list", "credentials for %s: %w", objects[at].URL, err)
		}
	}
	return keys, nil
}

// mixed sends every location to its kind of store.
type mixed struct {
	s3    *s3Store
	files fileStore
	web   *httpStore
	stdin *stdin
}

func (m *mixed) list(ctx context.Context, location string) ([]Object, error) {
	switch {
	case strings.HasPrefix(location, "s3://"):
		return m.s3.list(ctx, location)
	case loadspec.IsHTTP(location):
		return m.web.list(ctx, location)
	case location == loadspec.Stdin:
		return m.stdin.list()
	}
	return m.files.list(ctx, location)
}

func (m *mixed) stat(ctx context.Context, url string) (Object, error) {
	switch {
	case strings.HasPrefix(url, "s3://"):
		return m.s3.stat(ctx, url)
	case loadspec.IsHTTP(url):
		return m.web.stat(ctx, url)
	}
	return m.files.stat(url)
}

func (m *mixed) open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	switch {
	case strings.HasPrefix(o.URL, "s3://"):
		return m.s3.open(ctx, o, offset, l)
	case loadspec.IsHTTP(o.URL):
		return m.web.open(ctx, o, offset, l)
	case o.URL == StdinURL:
		return m.stdin.open(ctx, o, offset, l)
	}
	return m.files.open(ctx, o, offset, l)
}

// List finds the objects of all sources, in the order of the control file and
// by name within a wildcard, each once. A location that matches nothing is an
// error.
func (s *Set) List(ctx context.Context) ([]Object, error) {
	var all []Object
	seen := map[string]string{} // URL: endpoint
	for i, src := range s.sources {
		locations := src.Locations
		if src.Manifest != "" {
			locations = append(slices.Clone(locations), src.Manifest)
		}
		for k, location := range locations {
			list := s.stores[i].list
			if k == len(src.Locations) {
				list = func(ctx context.Context, _ string) ([]Object, error) { return s.listManifest(ctx, i) }
			}
			found, err := list(ctx, location)
			var none *NoMatchError
			if s.o.EmptyOK && errors.As(err, &none) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, o := range found {
				endpoint, twice := seen[o.URL]
				if twice && endpoint != src.Endpoint {
					return nil, fault.New(fault.Usage, "load them in two jobs", "%s: named for two endpoints, %s and %s", o.URL, endpoint, src.Endpoint)
				}
				if !twice {
					seen[o.URL] = src.Endpoint
					o.Source = i
					all = append(all, o)
				}
			}
		}
	}
	return all, nil
}

// Open reads an object's stored bytes from offset to its end, at the
// limiter's speed. The stream ends with the context.
func (s *Set) Open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	if o.Source < 0 || o.Source >= len(s.stores) {
		return nil, fault.New(fault.Usage, "", "%s: the control file has no SOURCE %d any more", o.URL, o.Source+1)
	}
	// How an object of a manifest is asked for stands there alone.
	if m, ok := s.stores[o.Source].(*mixed); ok && loadspec.IsHTTP(o.URL) && s.sources[o.Source].Manifest != "" && !m.web.knows(o.URL) {
		if _, err := s.manifest(ctx, o.Source); err != nil {
			return nil, err
		}
	}
	body, err := s.stores[o.Source].open(ctx, o, offset, l)
	if err != nil {
		return nil, err
	}
	return &timed{body, &s.waited}, nil
}

// aheadBudget is how many bytes all objects that are read at the same time may
// have fetched ahead, and leastRange is worth a request all the same.
const (
	aheadBudget = 80 << 20
	leastRange  = 1 << 20
)

// Readers tells how many objects will be read at the same time, so that all of
// them together do not fetch more ahead than memory is meant for.
func (s *Set) Readers(n int) {
	s.o.rangeSize.Store(min(s.o.RangeSize, max(aheadBudget/int64(max(n, 1)*(s.o.Ahead+1)), leastRange)))
}

// Waited is the time that all readers together have spent in reads so far.
func (s *Set) Waited() time.Duration { return time.Duration(s.waited.Load()) }

// timed adds up how long its reads take.
type timed struct {
	io.ReadCloser
	waited *atomic.Int64
}

func (t *timed) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := t.ReadCloser.Read(p)
	t.waited.Add(int64(time.Since(began)))
	return n, err
}
