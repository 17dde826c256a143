package greenplum

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
)

// Readers that begin before, while and after the file is written all get all
// of it; nothing of it is left in the folder.
func TestSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := newSpool(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, 1<<20)
	for i := range want {
		want[i] = byte(r.Uint32())
	}
	var wg sync.WaitGroup
	read := func() {
		got, err := io.ReadAll(s.reader())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
		}
	}
	for range 4 {
		wg.Go(read)
	}
	for at := 0; at < len(want); {
		n := min(1+r.IntN(100000), len(want)-at)
		if _, err := s.Write(want[at : at+n]); err != nil {
			t.Fatal(err)
		}
		at += n
		wg.Go(read)
	}
	s.end(nil)
	wg.Wait()
	read()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A template that cannot be read to its end must not look like a shorter one.
func TestSpoolThatBreaks(t *testing.T) {
	t.Parallel()
	s, err := newSpool(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	s.end(broken)
	if got, err := io.ReadAll(s.reader()); !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
	if !errors.Is(s.failed(), broken) {
		t.Error("it does not say that it failed")
	}
}
