package object

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"cw/schema"
)

// Leftover is what a run left in the store.
type Leftover struct {
	URL     string    `json:"url"`
	Run     string    `json:"run"`
	Objects int       `json:"objects"`
	Uploads int       `json:"uploads"` // that were never finished
	Bytes   int64     `json:"bytes"`
	Newest  time.Time `json:"newest"`

	prefix string
}

// String names it for people.
func (l Leftover) String() string {
	return fmt.Sprintf("%s (%d objects, %s, %d unfinished uploads, the newest of %s)", l.URL, l.Objects, schema.FormatSize(l.Bytes), l.Uploads, l.Newest.UTC().Format(time.RFC3339))
}

// Leftovers finds what other runs left, or removes it as well: objects and
// unfinished uploads in folders of cw perf, of runs that were killed. A run
// that is under way elsewhere looks the same.
func (s *Set) Leftovers(ctx context.Context, remove bool) ([]Leftover, error) {
	base := s.s.prefix + FolderPrefix
	_, list, err := s.s.objects(ctx, base)
	if err != nil {
		return nil, err
	}
	uploads, err := s.s.uploads(ctx, base)
	if err != nil {
		return nil, err
	}
	runs := map[string]*Leftover{}
	of := func(key string, at *time.Time) *Leftover {
		run, _, _ := strings.Cut(strings.TrimPrefix(key, base), "/")
		if run == s.o.Run || run == "" {
			return nil
		}
		l := runs[run]
		if l == nil {
			l = &Leftover{Run: run, prefix: base + run + "/"}
			l.URL = s.s.url(l.prefix)
			runs[run] = l
		}
		if t := aws.ToTime(at); t.After(l.Newest) {
			l.Newest = t
		}
		return l
	}
	for _, o := range list {
		if l := of(aws.ToString(o.Key), o.LastModified); l != nil {
			l.Objects++
			l.Bytes += aws.ToInt64(o.Size)
		}
	}
	for _, u := range uploads {
		if l := of(aws.ToString(u.Key), u.Initiated); l != nil {
			l.Uploads++
		}
	}
	var out []Leftover
	var errs []error
	for _, run := range slices.Sorted(maps.Keys(runs)) {
		out = append(out, *runs[run])
		if remove {
			errs = append(errs, s.s.sweep(ctx, runs[run].prefix))
		}
	}
	return out, errors.Join(errs...)
}
