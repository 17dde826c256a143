package source

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/loadspec"
	"cw/playground/s3test"
)

func TestParseManifest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"Redshift's":       {`{"entries": [{"url":"s3://b/a","mandatory":true,"meta":{"content_length":5}}, {"url":"s3://b/c"}]}`, "s3://b/a! 5 , s3://b/c  , "},
		"with ETag":        {"\xef\xbb\xbf" + `{"entries": [{"url":"file:///a","size":0,"etag":"\"x\"","other":1}]}`, "file:///a 0 x, "},
		"twice":            {`{"entries": [{"url":"s3://b/a"},{"url":"s3://b/a","mandatory":true}]}`, "s3://b/a!  , "},
		"cw's":             {`{"apiVersion":"cw/v1","kind":"UnloadManifest","rows":3,"objects":[{"url":"s3://b/a","segment":0,"bytes":9}]}`, "s3://b/a!  , "},
		"cw's, of nothing": {`{"kind":"UnloadManifest","objects":null}`, ""},
		"empty":            {`{"entries":[]}`, ""},
		"no JSON":          {`s3://b/a`, "error: invalid character"},
		"a list":           {`["s3://b/a"]`, "error: cannot unmarshal"},
		"something else":   {`{"kind":"Job"}`, "error: has no entries"},
		"both":             {`{"kind":"UnloadManifest","entries":[{"url":"s3://b/a"}]}`, "error: has entries beside"},
		"more":             {`{"entries":[]} {}`, "error: something after"},
		"a folder":         {`{"entries":[{"url":"s3://b/"}]}`, "error: entry 1: \"s3://b/\" names no object"},
		"a path":           {`{"entries":[{"url":"a/b"}]}`, "error: entry 1: \"a/b\" is no URL"},
		"no sum":           {`{"entries":[{"url":"s3://b/a","sha256":"xyz"}]}`, "error: sha256 is not 64"},
		"two sizes":        {`{"entries":[{"url":"s3://b/a","size":1,"meta":{"content_length":2}}]}`, "error: entry 1 has two sizes"},
	} {
		entries, err := parseManifest("m", []byte(c.text))
		var got strings.Builder
		for _, e := range entries {
			size := ""
			if e.Size != nil {
				size = fmt.Sprint(*e.Size)
			}
			fmt.Fprintf(&got, "%s%s %s %s, ", e.URL, map[bool]string{true: "!"}[e.Mandatory], size, e.ETag)
		}
		if want, bad := strings.CutPrefix(c.want, "error: "); bad {
			if err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || got.String() != c.want {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"entries": [{"url":"s3://b/a","mandatory":true,"meta":{"content_length":5}}]}`))
	f.Add([]byte(`{"kind":"UnloadManifest","objects":[{"url":"s3://b/a"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseManifest("m", data)
		if err != nil && (entries != nil || fault.KindOf(err) != fault.Usage) {
			t.Errorf("%v, %v", entries, err)
		}
		seen := map[string]bool{}
		for _, e := range entries {
			if e.URL == "" || seen[e.URL] {
				t.Errorf("%v", entries)
			}
			seen[e.URL] = true
		}
	})
}

func TestManifest(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	dir := t.TempDir()
	file := filepath.Join(dir, "c.csv")
	if err := os.WriteFile(file, []byte("ccc"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWeb(t, &web{data: []byte("dd"), ranges: true, etag: `"dtag"`}, false)
	w.before = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/gone" {
			rw.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	srv.Put(t, "bucket", "a*b.csv", []byte("aaaaa")) // a name, no wildcard
	srv.Put(t, "bucket", "b.csv", []byte("bb"))
	good := fmt.Sprintf(`{"entries": [
		{"url":"s3://bucket/a*b.csv","mandatory":true,"meta":{"content_length":5}}, {"url":"file://%s","size":3},
		{"url":"%s/d?token=t","etag":"dtag","size":2}, {"url":"s3://bucket/none"}, {"url":"file:///none"}, {"url":"%s/gone"}]}`, file, w.URL, w.URL)
	list := func(text, where string) ([]Object, []string, error) {
		t.Helper()
		name := fmt.Sprintf("m%d.json", len(text))
		var location string
		switch where {
		case "s3":
			srv.Put(t, "bucket", name, []byte(text))
			location = "s3://bucket/" + name
		case "web":
			m := newWeb(t, &web{data: []byte(text), ranges: true}, false)
			location = m.URL + "/m?token=t"
		default:
			location = filepath.Join(dir, name)
			if err := os.WriteFile(location, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var notes []string
		set := New([]loadspec.Source{{Endpoint: srv.Endpoint, PathStyle: true, Manifest: location, Locations: []string{"s3://bucket/b.csv"}}},
			Options{Credentials: srv.Credentials(), Backoff: time.Millisecond, OnNote: func(text string) { notes = append(notes, text) }})
		all, err := set.List(t.Context())
		return all, notes, err
	}
	for _, where := range []string{"s3", "file", "web"} {
		all, notes, err := list(good, where)
		if err != nil || len(all) != 4 || all[0].URL != "s3://bucket/b.csv" || all[1].URL != "s3://bucket/a*b.csv" || all[1].Size != 5 || all[1].ETag == "" ||
			all[3].URL != w.URL+"/d" || len(notes) != 1 || !strings.Contains(notes[0], "s3://bucket/none, file:///none, "+w.URL+"/gone") {
			t.Errorf("%s: %+v %q %v", where, all, notes, err)
		}
	}
	missing := strings.NewReplacer(`"s3://bucket/none"`, `"s3://bucket/none","mandatory":true`, `/gone"`, `/gone","mandatory":true`).Replace(good)
	if _, _, err := list(missing, "file"); err == nil || !strings.Contains(err.Error(), "2 of 6 objects are missing") || !strings.Contains(err.Error(), "s3://bucket/none\n") || !strings.Contains(err.Error(), "/gone") {
		t.Errorf("%v", err)
	}
	wrong := strings.NewReplacer(`"content_length":5`, `"content_length":6`, "dtag", "etag").Replace(good)
	if _, _, err := list(wrong, "file"); err == nil || !strings.Contains(err.Error(), "a*b.csv: has 5 bytes, not 6") || !strings.Contains(err.Error(), "has ETag dtag, not etag") {
		t.Errorf("%v", err)
	}
	var none *NoMatchError
	if _, _, err := list(`{"entries":[{"url":"s3://bucket/none"}]}`, "s3"); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	set := New([]loadspec.Source{{Endpoint: srv.Endpoint, PathStyle: true, Manifest: "s3://bucket/nomanifest"}}, Options{Credentials: srv.Credentials()})
	if _, err := set.List(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "manifest: s3://bucket/nomanifest") {
		t.Errorf("%v", err)
	}
}
