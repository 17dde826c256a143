package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cw/loadspec/fdist"
	"cw/playground/s3test"
)

func request(path string) *fdist.Request {
	return &fdist.Request{Method: "POST", Path: path, XID: "1700000000-0000000042", CID: "3", SN: "0", Segments: 4}
}

func outputs(t *testing.T, st Store, o OutputOptions) *Outputs {
	t.Helper()
	s, err := NewOutputs(st, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		found = append(found, f.Name())
	}
	return found
}

func write(t *testing.T, out fdist.Output, segments, bodies int) []string {
	t.Helper()
	var all []string
	var mu sync.Mutex
	var group sync.WaitGroup
	for seg := range segments {
		group.Go(func() {
			for i := range bodies {
				row := fmt.Sprintf("%d,%d,%s\n", seg, i, strings.Repeat("x", i%50))
				if err := out.Append(t.Context(), seg, []byte(row)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				all = append(all, row)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	sort.Strings(all)
	return all
}

func unpack(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch filepath.Ext(name) {
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".zst":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}

func TestOutputsNamesAndRows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		o    OutputOptions
		want []string
	}{
		{"t.csv", OutputOptions{}, []string{"t.0.1700000000-0000000042-3.csv", "t.1.1700000000-0000000042-3.csv"}},
		{"t.csv.gz", OutputOptions{}, []string{"t.0.1700000000-0000000042-3.csv.gz", "t.1.1700000000-0000000042-3.csv.gz"}},
		{"t", OutputOptions{Compression: "zstd", Epoch: "job/7"}, []string{"t.0.job_7.zst", "t.1.job_7.zst"}},
		{"t.tbl", OutputOptions{Merge: true}, []string{"t.1700000000-0000000042-3.tbl"}},
		{"t.csv.gz", OutputOptions{Compression: "none", Merge: true}, []string{"t.1700000000-0000000042-3.csv"}},
	} {
		dir := t.TempDir()
		st, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		out, err := outputs(t, st, c.o).Create(t.Context(), request(c.path))
		if err != nil {
			t.Fatal(err)
		}
		want := write(t, out, 2, 100)
		for _, n := range names(t, dir) {
			if !strings.HasPrefix(n, ".") {
				t.Errorf("%s is visible before it is published", n)
			}
		}
		if err := out.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := names(t, dir); !slices.Equal(got, c.want) {
			t.Errorf("%s %+v: %v, want %v", c.path, c.o, got, c.want)
		}
		var all []byte
		for _, n := range names(t, dir) {
			data, _ := os.ReadFile(filepath.Join(dir, n))
			all = append(all, unpack(t, n, data)...)
		}
		got := strings.SplitAfter(strings.TrimSuffix(string(all), "\n"), "\n")
		got[len(got)-1] += "\n"
		sort.Strings(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s %+v: %d rows, want %d", c.path, c.o, len(got), len(want))
		}
	}
}

// A segment that comes when the others have ended does not overwrite them.
func TestOutputsLateSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, _ := Open(dir, Options{})
	s := outputs(t, st, OutputOptions{Merge: true})
	for range 2 {
		out, err := s.Create(t.Context(), request("t.csv"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, out, 1, 1)
		if err := out.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestOutputsExplicitCommit(t *testing.T) {
	t.Parallel()
	s3s := s3test.Start(t, "bkt")
	st := store(t, s3s.Endpoint, s3s, "s3://bkt/out")
	s := outputs(t, st, OutputOptions{Explicit: true, Epoch: "j1"})
	out, err := s.Create(t.Context(), request("t.csv"))
	if err != nil {
		t.Fatal(err)
	}
	big := rows(6<<20, 1)
	if err := out.Append(t.Context(), 0, big); err != nil {
		t.Fatal(err)
	}
	if err := out.Append(t.Context(), 3, []byte("3\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context()); err == nil {
		t.Error("committed while segments write")
	}
	if err := out.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := visible(t, s3s, "bkt"); len(got) != 0 {
		t.Errorf("visible before the commit: %v", got)
	}
	published, err := s.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, p := range published {
		total += p.Bytes
	}
	if len(published) != 2 || total != int64(len(big))+2 {
		t.Errorf("%+v", published)
	}
	if !bytes.Equal(s3s.Get(t, "bkt", "out/t.0.j1.csv"), big) || string(s3s.Get(t, "bkt", "out/t.3.j1.csv")) != "3\n" {
		t.Errorf("objects: %v", visible(t, s3s, "bkt"))
	}
}

func TestOutputsAbort(t *testing.T) {
	t.Parallel()
	s3s := s3test.Start(t, "bkt")
	st := store(t, s3s.Endpoint, s3s, "s3://bkt/out")
	s := outputs(t, st, OutputOptions{Explicit: true})
	one, err := s.Create(t.Context(), request("t.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := one.Append(t.Context(), 0, rows(6<<20, 1)); err != nil {
		t.Fatal(err)
	}
	if err := one.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	two, err := s.Create(t.Context(), request("u.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := two.Append(t.Context(), 0, rows(6<<20, 1)); err != nil {
		t.Fatal(err)
	}
	if err := two.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context()); err == nil || !strings.Contains(err.Error(), "u.csv") {
		t.Errorf("a statement one of whose sessions was given up was committed: %v", err)
	}
	if err := two.Append(t.Context(), 0, []byte("x\n")); err == nil {
		t.Error("rows after the abort are taken")
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := uploads(t, s3s, "bkt"); n != 0 || len(visible(t, s3s, "bkt")) != 0 {
		t.Errorf("%d uploads are left, objects %v", n, visible(t, s3s, "bkt"))
	}
}

func TestOutputsRefuse(t *testing.T) {
	t.Parallel()
	st, _ := Open(filepath.Join(t.TempDir(), "gone"), Options{})
	s := outputs(t, st, OutputOptions{})
	for _, c := range []struct{ path, want string }{{"a*", "wildcards"}, {"a/", "needs the name"}, {"t.csv", "does not exist"}} {
		_, err := s.Create(t.Context(), request(c.path))
		var status *fdist.StatusError
		if !errors.As(err, &status) || !strings.Contains(status.Reason, c.want) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if _, err := NewOutputs(st, OutputOptions{Compression: "lz77"}); err == nil {
		t.Error("lz77 is taken as a compression")
	}
}
