package disk

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"cw/fault"
)

// TestData: what is written can neither be compressed nor deduplicated, by
// prefill and by each way of writing, and the seed decides it.
func TestData(t *testing.T) {
	t.Parallel()
	s, _ := prepared(t, 16*mib)
	look := func(what, path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[uint64]bool, len(data)/512)
		for i := 0; i < len(data); i += 512 {
			n := binary.LittleEndian.Uint64(data[i:])
			if seen[n] {
				t.Errorf("%s: the sector at %d is there twice", what, i)
				break
			}
			seen[n] = true
		}
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestSpeed)
		_, _ = w.Write(data[:mib])
		_ = w.Close()
		if int64(b.Len()) < mib*99/100 {
			t.Errorf("%s: a MiB compresses to %d bytes", what, b.Len())
		}
		return data
	}
	data := s.targets[0].data()
	before := look("prefill", data)
	for _, j := range []Job{
		{Kind: Write, Block: mib, Depth: 4}, {Kind: Write, Block: mib, Depth: 1}, {Kind: RandWrite, Block: 8 * kib, Depth: 8}, {Kind: RandWrite, Block: 8 * kib, Depth: 1},
	} {
		j.Timing = timing(0, 200*time.Millisecond)
		if _, err := s.Run(t.Context(), j, nil); err != nil {
			t.Fatal(err)
		}
		look(string(j.Kind), data)
	}
	if _, err := s.Run(t.Context(), Job{Kind: Commit, Sync: DirectDsync, Block: 8 * kib, Depth: 4, Timing: timing(0, 200*time.Millisecond)}, nil); err != nil {
		t.Fatal(err)
	}
	look("commits", s.targets[0].wal())
	again, _ := prepared(t, 16*mib)
	if data, err := os.ReadFile(again.targets[0].data()); err != nil || !bytes.Equal(data, before) {
		t.Error("the same seed makes other data", err)
	}
}

func BenchmarkRenew(b *testing.B) {
	for _, size := range []int64{8 * kib, mib} {
		b.Run(strconv.FormatInt(size, 10), func(b *testing.B) {
			buf, r := make([]byte, size), random(1)
			r.fill(buf)
			b.SetBytes(size)
			for b.Loop() {
				r.renew(buf)
			}
		})
	}
}

// TestRandomBlocks: all blocks are met, none beyond the end.
func TestRandomBlocks(t *testing.T) {
	t.Parallel()
	w := &worker{job: Job{Kind: RandRead, Block: 4096}, blocks: 100, rand: 5}
	seen := map[int64]int{}
	for range 20000 {
		off, isWrite := w.nextBlock()
		if off%4096 != 0 || off < 0 || off >= 100*4096 || isWrite {
			t.Fatal(off, isWrite)
		}
		seen[off]++
	}
	for off, n := range seen {
		if n < 100 || n > 320 {
			t.Errorf("block %d met %d times of about 200", off/4096, n)
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 blocks", len(seen))
	}
	w.job.Kind, w.job.ReadShare = Mixed, 0.7
	writes := 0
	for range 20000 {
		if _, isWrite := w.nextBlock(); isWrite {
			writes++
		}
	}
	if writes < 5600 || writes > 6400 {
		t.Errorf("%d of 20000 are writes", writes)
	}
	l := &lane{}
	l.cursor.Store(98)
	w = &worker{job: Job{Kind: Read, Block: 4096}, blocks: 100, lane: l}
	for _, want := range []int64{98, 99, 0, 1} {
		if off, _ := w.nextBlock(); off != want*4096 {
			t.Errorf("block %d, not %d", off/4096, want)
		}
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{false, true} {
		a, b := t.TempDir(), t.TempDir()
		c, err := PrepareCopy(t.Context(), CopyOptions{Dirs: []string{a, b}, Bytes: 3*mib + 4096, Direct: direct, AllowRootDisk: true})
		if fault.KindOf(err) == fault.Check {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, copying := range []func(context.Context) (CopyResult, error){c.Write, c.Read, c.Write} {
			r, err := copying(t.Context())
			if err != nil || r.Bytes != 2*(3*mib+4096) || r.Seconds < 0.1 || len(r.Dirs) != 2 || r.Dirs[1].Dir != b || r.Dirs[1].Bytes != 3*mib+4096 || r.Dirs[1].Seconds < 0.1 {
				t.Errorf("%+v %v", r, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Write(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		empty(t, a)
		empty(t, b)
	}
	if _, err := PrepareCopy(t.Context(), CopyOptions{Dirs: []string{filepath.Join(t.TempDir(), "no")}, Bytes: mib}); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
	if _, err := PrepareCopy(t.Context(), CopyOptions{Dirs: []string{t.TempDir()}, Bytes: 1 << 60, AllowRootDisk: true}); fault.KindOf(err) != fault.Check {
		t.Error(err)
	}
	if _, err := PrepareCopy(t.Context(), CopyOptions{Dirs: []string{t.TempDir()}, AllowRootDisk: true}); fault.KindOf(err) != fault.Usage {
		t.Error(err)
	}
}
