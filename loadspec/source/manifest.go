package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"cw/fault"
	"cw/loadspec"
	"cw/loadspec/throttle"
)

// maxManifest is the longest manifest that is read.
const maxManifest = 256 << 20

// headsAtOnce is how many entries of a manifest are looked up at a time.
const headsAtOnce = 16

// entry is an object that a manifest names.
type entry struct {
	URL       string
	Mandatory bool
	Size      *int64 // nil: not said
	ETag      string // "" not said
	SHA256    string // of the object as stored, in hex; "" not said
}

// manifestFile is the two forms there are: a COPY manifest as Redshift has it,
// with ETag, size and SHA-256 beside the URL where somebody writes them, and that
// of an unload by cw.
type manifestFile struct {
	Kind    string `json:"kind"`
	Entries []struct {
		URL       string `json:"url"`
		Mandatory bool   `json:"mandatory"`
		ETag      string `json:"etag"`
		Size      *int64 `json:"size"`
		SHA256    string `json:"sha256"`
		Meta      struct {
			ContentLength *int64 `json:"content_length"`
		} `json:"meta"`
	} `json:"entries"`
	Objects []struct {
		URL    string `json:"url"`
		ETag   string `json:"etag"`
		Size   *int64 `json:"stored_bytes"`
		SHA256 string `json:"sha256"`
	} `json:"objects"`
}

const unloadManifest = "UnloadManifest"

// parseManifest reads a manifest; name stands in messages.
func parseManifest(name string, data []byte) ([]entry, error) {
	bad := func(format string, args ...any) ([]entry, error) {
		return nil, fault.New(fault.Usage, `write {"entries": [{"url": "s3://bucket/key", "mandatory": true}]}`, "manifest %s: %w", name, fmt.Errorf(format, args...))
	}
	var m manifestFile
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	if err := dec.Decode(&m); err != nil {
		return bad("%w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("has something after its end")
	}
	var all []entry
	switch {
	case m.Kind == unloadManifest:
		if len(m.Entries) > 0 {
			return bad("has entries beside the objects of an unload")
		}
		for _, o := range m.Objects {
			all = append(all, entry{URL: o.URL, Mandatory: true, ETag: strings.Trim(o.ETag, `"`), Size: o.Size, SHA256: strings.ToLower(o.SHA256)})
		}
	case m.Entries == nil:
		return bad("has no entries, nor is it the manifest of an unload")
	default:
		for i, e := range m.Entries {
			size := e.Meta.ContentLength
			if e.Size != nil {
				if size != nil && *size != *e.Size {
					return bad("entry %d has two sizes, %d and %d", i+1, *e.Size, *size)
				}
				size = e.Size
			}
			all = append(all, entry{URL: e.URL, Mandatory: e.Mandatory, ETag: strings.Trim(e.ETag, `"`), Size: size, SHA256: strings.ToLower(e.SHA256)})
		}
	}
	seen := map[string]int{}
	var once []entry
	for i, e := range all {
		if !strings.HasPrefix(e.URL, "s3://") && !strings.HasPrefix(e.URL, "file:///") && !loadspec.IsHTTP(e.URL) {
			return bad("entry %d: %q is no URL of an object: s3://, file:/// and https:// are", i+1, e.URL)
		}
		if bucket, key := splitURL(e.URL); strings.HasPrefix(e.URL, "s3://") && (bucket == "" || key == "") {
			return bad("entry %d: %q names no object", i+1, e.URL)
		}
		if n := len(e.SHA256); n != 0 && (n != 64 || strings.Trim(e.SHA256, "0123456789abcdef") != "") {
			return bad("entry %d: sha256 is not 64 hexadecimal digits", i+1)
		}
		if k, twice := seen[e.URL]; twice {
			once[k].Mandatory = once[k].Mandatory || e.Mandatory
			continue
		}
		seen[e.URL] = len(once)
		once = append(once, e)
	}
	return once, nil
}

// stater looks one object up by its name, which has no wildcards. One that is
// not there is a NoMatchError.
type stater interface {
	stat(ctx context.Context, url string) (Object, error)
}

// manifest reads a SOURCE's manifest.
func (s *Set) manifest(ctx context.Context, i int) ([]entry, error) {
	m, ok := s.stores[i].(*mixed)
	if !ok {
		return nil, fault.New(fault.Usage, "", "MANIFEST: cannot be read here")
	}
	location := s.sources[i].Manifest
	shown := loadspec.ShownURL(location)
	o, err := m.stat(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	body, err := m.open(ctx, o, 0, throttle.New(0, nil))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	defer func() { _ = body.Close() }()
	data, err := io.ReadAll(io.LimitReader(body, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if len(data) > maxManifest {
		return nil, fault.New(fault.Failed, "divide it", "manifest %s: is larger than %d bytes", shown, maxManifest)
	}
	entries, err := parseManifest(shown, data)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if loadspec.IsHTTP(e.URL) {
			m.web.know(e.URL)
		}
	}
	return entries, nil
}

// listManifest looks the entries of a manifest up and compares them with what
// it says. All that is wrong is said at once.
func (s *Set) listManifest(ctx context.Context, i int) ([]Object, error) {
	entries, err := s.manifest(ctx, i)
	if err != nil {
		return nil, err
	}
	store, _ := s.stores[i].(stater)
	objects, there := make([]Object, len(entries)), make([]bool, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(headsAtOnce)
	for k, e := range entries {
		g.Go(func() error {
			o, err := store.stat(gctx, e.URL)
			var none *NoMatchError
			if errors.As(err, &none) {
				return nil
			}
			objects[k], there[k] = o, err == nil
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	name := loadspec.ShownURL(s.sources[i].Manifest)
	var found []Object
	var missing, wrong, absent []string
	for k, e := range entries {
		shown, o := loadspec.ShownURL(e.URL), objects[k]
		switch {
		case !there[k] && e.Mandatory:
			missing = append(missing, shown)
		case !there[k]:
			absent = append(absent, shown)
		case e.Size != nil && *e.Size != o.Size:
			wrong = append(wrong, fmt.Sprintf("%s: has %d bytes, not %d", shown, o.Size, *e.Size))
		case e.ETag != "" && e.ETag != o.ETag:
			wrong = append(wrong, fmt.Sprintf("%s: has ETag %s, not %s", shown, o.ETag, e.ETag))
		default:
			found = append(found, o)
			if e.SHA256 != "" {
				s.sums[o.URL] = e.SHA256
			}
		}
	}
	if len(missing) > 0 && !s.o.EmptyOK {
		return nil, fault.New(fault.Failed, "bring them there, or take them out of the manifest", "manifest %s: %d of %d objects are missing:\n  %s", name, len(missing), len(entries), strings.Join(missing, "\n  "))
	}
	if len(wrong) > 0 {
		return nil, fault.New(fault.Failed, "the manifest or the objects are of another time", "manifest %s: %d objects are not those it means:\n  %s", name, len(wrong), strings.Join(wrong, "\n  "))
	}
	if len(absent) > 0 && !s.o.EmptyOK {
		s.o.OnNote(fmt.Sprintf("manifest %s: %d objects that need not be there are not, and are left out: %s", name, len(absent), strings.Join(absent, ", ")))
	}
	if len(found) == 0 && len(entries) > 0 {
		return nil, &NoMatchError{Location: "manifest " + name, Hint: "none of its objects is there"}
	}
	return found, nil
}
