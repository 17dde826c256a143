package source

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/s3api"
	"cw/loadspec/throttle"
)

// httpStore reads objects of web servers. An object is known by its URL
// without what lets somebody in; what is asked for is the URL of the control
// file.
type httpStore struct {
	o      Options
	caFile string

	mu     sync.Mutex
	client *http.Client
	full   map[string]string // shown URL: as it is asked for
}

// httpFacts is what a server says about an object.
type httpFacts struct {
	tag    string // see httpTag
	size   int64  // -1 unknown
	ranges bool
}

func newHTTPStore(src loadspec.Source, o Options) *httpStore {
	s := &httpStore{o: o, caFile: src.CAFile, full: map[string]string{}}
	for _, l := range src.Locations {
		s.know(l)
	}
	return s
}

// know keeps how an object is asked for.
func (s *httpStore) know(location string) string {
	shown := loadspec.ShownURL(location)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full[shown] = location
	return shown
}

func (s *httpStore) http() (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		t, err := s3api.Transport(s3api.Access{CAFile: s.caFile, Stall: s.o.Stall})
		if err != nil {
			return nil, err
		}
		s.client = &http.Client{Transport: t}
	}
	return s.client, nil
}

// What a tag of an object begins with, where it is no strong ETag.
const (
	tagModified = "modified "  // Last-Modified
	tagNothing  = "unknown "   // the server does not say; no two of these are the same
	tagWhole    = "unranged; " // it can only be read from its beginning; the rest is as above
)

// Identified tells that a changed object would be noticed: not so where a web
// server says neither ETag nor Last-Modified, nor of standard input.
func (o Object) Identified() bool {
	unknown := loadspec.IsHTTP(o.URL) && strings.HasPrefix(strings.TrimPrefix(o.ETag, tagWhole), tagNothing)
	return o.URL != StdinURL && !unknown
}

// httpTag is what an answer says about the version of its object.
func httpTag(h http.Header) string {
	if e := h.Get("ETag"); e != "" {
		return strings.Trim(e, `"`)
	}
	if m := h.Get("Last-Modified"); m != "" {
		return tagModified + m
	}
	return ""
}

// sameVersion compares a listed tag with an answer's.
func sameVersion(listed, now string) bool {
	listed = strings.TrimPrefix(listed, tagWhole)
	return listed == now || strings.HasPrefix(listed, tagNothing) && now == ""
}

// list asks about one object. A GET of its first byte is what URLs that are
// signed for reading allow.
func (s *httpStore) list(ctx context.Context, location string) ([]Object, error) {
	shown := s.know(location)
	f, err := s.ask(ctx, shown)
	if err != nil {
		return nil, err
	}
	return []Object{{URL: shown, ETag: f.tag, Size: max(f.size, 0)}}, nil
}

func (s *httpStore) stat(ctx context.Context, location string) (Object, error) {
	o, err := s.list(ctx, location)
	if err != nil {
		return Object{}, err
	}
	return o[0], nil
}

// knows tells whether an object's full URL is known.
func (s *httpStore) knows(shown string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.full[shown]
	return ok
}

// ask finds out what there is to know of an object.
func (s *httpStore) ask(ctx context.Context, shown string) (httpFacts, error) {
	b := backoff{o: s.o}
	b.o.Attempts = min(b.o.Attempts, 4)
	for {
		f, err := s.askOnce(ctx, shown)
		if err == nil {
			return f, nil
		}
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		again, err := s.explain(shown, err)
		if !again || !b.wait(ctx, shown, err) {
			return f, err
		}
	}
}

func (s *httpStore) askOnce(ctx context.Context, shown string) (f httpFacts, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.Stall, errStalled)
	defer cancel()
	resp, err := s.get(ctx, shown, "bytes=0-0", "")
	if err != nil {
		return f, stalledOr(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	f = httpFacts{tag: httpTag(resp.Header), size: resp.ContentLength}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		_, _, f.size, f.ranges = contentRange(resp.Header.Get("Content-Range"))
	case http.StatusRequestedRangeNotSatisfiable: // it is empty
		f.size, f.ranges = 0, true
	case http.StatusOK:
		// Some have no range of an empty object, and answer with nothing.
		f.ranges = f.size == 0
	default:
		return f, &statusError{resp: resp}
	}
	if f.size < 0 {
		f.ranges = false
	}
	if f.tag == "" {
		f.tag = tagNothing + rand.Text()[:10]
	}
	if !f.ranges {
		f.tag = tagWhole + f.tag
	}
	return f, nil
}

// get asks for an object, or a range of it.
func (s *httpStore) get(ctx context.Context, shown, byteRange, ifRange string) (*http.Response, error) {
	c, err := s.http()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	full, ok := s.full[shown]
	s.mu.Unlock()
	if !ok {
		full = shown // of a manifest that is not there any more
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, full, nil)
	if err != nil {
		return nil, fault.New(fault.Usage, "", "%s: is no URL", shown)
	}
	req.Header.Set("User-Agent", "cw")
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	if ifRange != "" {
		req.Header.Set("If-Range", ifRange)
	}
	return c.Do(req)
}

// contentRange reads "bytes 0-9/100"; size is -1 when the server does not
// tell.
func contentRange(s string) (from, to, size int64, ok bool) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	first, last, ok3 := strings.Cut(span, "-")
	var errs [3]error
	from, errs[0] = strconv.ParseInt(first, 10, 64)
	to, errs[1] = strconv.ParseInt(last, 10, 64)
	size, errs[2] = strconv.ParseInt(total, 10, 64)
	if total == "*" {
		size, errs[2] = -1, nil
	}
	if !ok || !ok2 || !ok3 || errors.Join(errs[:]...) != nil || from < 0 || to < from || size >= 0 && size <= to {
		return 0, 0, -1, false
	}
	return from, to, size, true
}

func (s *httpStore) open(ctx context.Context, o Object, offset int64, l *throttle.Limiter) (io.ReadCloser, error) {
	if strings.HasPrefix(o.ETag, tagWhole) {
		return newWhole(ctx, s, o, offset, l)
	}
	return newRanges(ctx, &httpRanges{s: s, o: o}, o.Size, offset, s.o, l), nil
}

// httpRanges fetches byte ranges of one object.
type httpRanges struct {
	s *httpStore
	o Object
}

func (g *httpRanges) url() string { return g.o.URL }

func (g *httpRanges) get(ctx context.Context, from, to int64) (io.ReadCloser, error) {
	ifRange := ""
	switch tag := g.o.ETag; {
	case strings.HasPrefix(tag, tagModified):
		ifRange = strings.TrimPrefix(tag, tagModified)
	case !strings.HasPrefix(tag, tagNothing) && !strings.HasPrefix(tag, "W/"):
		ifRange = `"` + tag + `"`
	}
	resp, err := g.s.get(ctx, g.o.URL, fmt.Sprintf("bytes=%d-%d", from, to-1), ifRange)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (io.ReadCloser, error) {
		_ = resp.Body.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusPartialContent && resp.StatusCode != http.StatusOK {
		return fail(&statusError{resp: resp})
	}
	if tag := httpTag(resp.Header); !sameVersion(g.o.ETag, tag) {
		return fail(&ChangedError{URL: g.o.URL, Old: g.o.ETag, New: tag})
	}
	first, last, _, ok := contentRange(resp.Header.Get("Content-Range"))
	if resp.StatusCode == http.StatusOK || !ok || first != from || last != to-1 {
		return fail(fault.New(fault.Failed, "the server must honour HTTP ranges from the beginning to the end, or not at all", "%s: asked for bytes %d to %d, the server sends others", g.o.URL, from, to-1))
	}
	return resp.Body, nil
}

func (g *httpRanges) explain(_ context.Context, err error) (again bool, explained error) {
	return g.s.explain(g.o.URL, err)
}

// statusError is an answer that is no data.
type statusError struct{ resp *http.Response }

func (e *statusError) Error() string { return e.resp.Status }

// retryAfter is how long the server asks to be left alone.
func (e *statusError) retryAfter() time.Duration {
	v := e.resp.Header.Get("Retry-After")
	d := time.Duration(0)
	if n, err := strconv.Atoi(v); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = time.Until(at)
	}
	return min(max(d, 0), 5*time.Minute)
}

// laterError is one that may go away after a while that the server has named.
type laterError struct {
	error
	after time.Duration
}

func (e *laterError) Unwrap() error { return e.error }

// explain says in cw's words what went wrong, and whether trying again may
// help. URLs in it are without secrets, also where the HTTP client has put its
// own.
func (s *httpStore) explain(shown string, err error) (again bool, explained error) {
	var status *statusError
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.As(err, &status) {
		return explainStatus(shown, status)
	}
	if errors.Is(err, errStalled) {
		return true, fault.New(fault.Unreachable, "", "%s: no data for %s", shown, s.o.Stall)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return true, fault.New(fault.Unreachable, "", "%s: connection closed in the middle of the data", shown)
	}
	return s3api.ExplainNetwork(shown, err)
}

func explainStatus(shown string, e *statusError) (again bool, explained error) {
	switch code := e.resp.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return false, &NoMatchError{Location: shown, Hint: "the server answers " + e.resp.Status}
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusProxyAuthRequired:
		return false, fault.New(fault.Auth, "name a user in the URL, https://user:password@host/…, or sign it anew if its signature has expired", "%s: access is denied (%s)", shown, e.resp.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return true, &laterError{error: fault.New(fault.Unreachable, "", "%s: the server answers %s", shown, e.resp.Status), after: e.retryAfter()}
	case code == http.StatusPreconditionFailed || code == http.StatusRequestedRangeNotSatisfiable:
		return false, &ChangedError{URL: shown, New: "another"}
	default:
		return false, fault.New(fault.Failed, "look at it: curl -sI '"+shown+"'", "%s: unexpected answer %s", shown, e.resp.Status)
	}
}
