package sink

import (
	"bytes"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"cw/playground/s3test"
)

func TestNaming(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, compression, folder, want, codec string }{
		{"a.csv", "", "", "a.1.j.csv", ""},
		{"a.csv.gz", "", "", "a.1.j.csv.gz", "gzip"},
		{"x/a.csv.lz4", "", "", "x/a.1.j.csv.lz4", "lz4"},
		{"a.csv.sz", "", "d=1/", "d=1/a.1.j.csv.sz", "snappy"},
		{"a.csv.gz", "zstd", "", "a.1.j.csv.zst", "zstd"},
		{"a.csv.zst", "none", "", "a.1.j.csv", "none"},
		{"a", "gzip", "", "a.1.j.gz", "gzip"},
		{".gz", "", "", ".gz.1.j", ""},
		{".hidden", "", "", ".hidden.1.j", ""},
		{"x.y/a", "", "k=v/l=w/", "x.y/k=v/l=w/a.1.j", ""},
	} {
		n := newNaming(c.name, c.compression)
		if got := n.name(c.folder, "1", "j"); got != c.want || n.compression != c.codec {
			t.Errorf("%s %s: %s (%s), want %s (%s)", c.name, c.compression, got, n.compression, c.want, c.codec)
		}
	}
	if _, err := NewParts(nil, PartOptions{Compression: "bzip2"}); err == nil {
		t.Error("bzip2 is taken")
	}
}

// TestParts writes parts, and folders of partitions, in all stores and gives
// half of them up.
func TestParts(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	dir := t.TempDir()
	for _, location := range []string{dir, "s3://bucket/out"} {
		st := store(t, srv.Endpoint, srv, location)
		parts, err := NewParts(st, PartOptions{Name: "a.csv.gz", Epoch: "j"})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i, folder := range []string{"", "d=1/", "d=2/e=x/", "d=2/e=x/"} {
			p, err := parts.Create(t.Context(), folder)
			if err != nil {
				t.Fatal(err)
			}
			row := strings.Repeat("row\n", i+1)
			if _, err := p.Write([]byte(row)); err != nil {
				t.Fatal(err)
			}
			if _, err := parts.Commit(t.Context()); err == nil {
				t.Error("an open part can be published")
			}
			if err := p.Close(t.Context(), int64(i+1), int64(len(row))); err != nil {
				t.Fatal(err)
			}
			want = append(want, row)
		}
		published, err := parts.Commit(t.Context())
		if err != nil || len(published) != 4 {
			t.Fatal(published, err)
		}
		if !strings.HasSuffix(published[3].URL, "/d=2/e=x/a.00003.j.csv.gz") || published[3].Rows != 4 || published[3].Bytes != 16 || published[3].StoredBytes < 20 {
			t.Errorf("%+v", published[3])
		}
		for i, p := range published {
			var data []byte
			if key, ok := strings.CutPrefix(p.URL, "s3://bucket/"); ok {
				data = srv.Get(t, "bucket", key)
			} else if data, err = os.ReadFile(strings.TrimPrefix(p.URL, "file://")); err != nil {
				t.Fatal(err)
			}
			if got := unpack(t, "x.gz", data); string(got) != want[i] || int64(len(data)) != p.StoredBytes {
				t.Errorf("%s: %q", p.URL, got)
			}
		}
		if err := parts.Abort(t.Context()); err != nil { // what is published stays
			t.Fatal(err)
		}

		lost, err := NewParts(st, PartOptions{Name: "a.csv", Epoch: "k"})
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{"d=2/", "d=9/e=y/"} {
			p, err := lost.Create(t.Context(), folder)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Write(make([]byte, 9<<20)); err != nil {
				t.Fatal(err)
			}
		}
		if err := lost.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What another run has published, and what a killed one has left.
		for _, name := range []string{"a.0.j2.csv", "d=1/a.1.j2.csv"} {
			o, err := st.Create(t.Context(), name)
			if err == nil {
				err = o.Commit(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		killed, err := st.Create(t.Context(), "d=7/a.1.j.csv")
		if err == nil {
			_, err = killed.Write(make([]byte, 9<<20))
		}
		if err == nil {
			err = killed.Finish(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Sweep(t.Context(), "j"); err != nil {
			t.Fatal(err)
		}
		if err := st.Clear(t.Context(), "j"); err != nil {
			t.Fatal(err)
		}
	}
	var left []string
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		left = append(left, strings.TrimPrefix(path, dir))
		return nil
	})
	if got := strings.Join(left, " "); got != " /a.0.j2.csv /d=1 /d=1/a.1.j2.csv" {
		t.Errorf("in the folder: %s", got)
	}
	keys := visible(t, srv, "bucket")
	sort.Strings(keys)
	if got := strings.Join(keys, " "); got != "out/a.0.j2.csv out/d=1/a.1.j2.csv" || uploads(t, srv, "bucket") != 0 {
		t.Errorf("in the bucket: %s, %d uploads", got, uploads(t, srv, "bucket"))
	}
}

// TestPartsMemory: parts that are ended do not stay in memory until they are
// published.
func TestPartsMemory(t *testing.T) {
	t.Parallel()
	srv := s3test.Start(t, "bucket")
	parts, err := NewParts(store(t, srv.Endpoint, srv, "s3://bucket/"), PartOptions{Name: "a", Epoch: "j"})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		p, err := parts.Create(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context(), 1, 1<<20); err != nil {
			t.Fatal(err)
		}
		if o, ok := p.raw.(*s3Object); !ok || cap(o.buf) != 0 {
			t.Errorf("%d bytes are held", cap(o.buf))
		}
	}
	if n := len(visible(t, srv, "bucket")); n != 0 {
		t.Errorf("%d objects are visible", n)
	}
	if _, err := parts.Commit(t.Context()); err != nil || len(visible(t, srv, "bucket")) != 5 {
		t.Errorf("%v, %d objects", err, len(visible(t, srv, "bucket")))
	}
}
