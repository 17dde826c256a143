package replace

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/perfcheck"
)

// tree makes files of the sizes.
func tree(t *testing.T, sizes ...int) (dir string, total int) {
	t.Helper()
	dir = t.TempDir()
	for i, n := range sizes {
		p := filepath.Join(dir, "base", string(rune('a'+i)))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, make([]byte, n), 0o600)); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return dir, total
}

func TestReadAllReadsEverything(t *testing.T) {
	t.Parallel()
	dir, total := tree(t, 3<<20+17, 0, 1, 8192, 1<<20)
	for path, want := range map[string]int{dir: total, filepath.Join(dir, "base", "a"): 3<<20 + 17} {
		m, err := Read(t.Context(), Job{Kind: ReadAll, Path: path}, nil)
		if err != nil || m.Values["bytes"] != float64(want) || m.Values["throughput"] <= 0 {
			t.Errorf("%s: %v %v, want %d bytes", path, m.Values, err, want)
		}
	}
}

func TestReadRandom(t *testing.T) {
	t.Parallel()
	dir, _ := tree(t, 1<<20, 100, 64<<10)
	j := Job{Kind: ReadRandom, Path: dir, Rate: 200, Timing: perfcheck.Timing{Duration: 500 * time.Millisecond}}
	m, err := Read(t.Context(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := m.Histograms["response"].Count(); n != 100 || m.Histograms["service"].Count() != n {
		t.Errorf("%d reads", n)
	}
	if m.Values["response_p50"] <= 0 || m.Values["response_max"] < m.Values["service_p50"] || m.Values["rate"] <= 0 {
		t.Errorf("%v", m.Values)
	}
	if _, err := Read(t.Context(), Job{Kind: ReadRandom, Path: dir}, nil); err == nil {
		t.Error("no rate is no error")
	}
}

func TestReadFirst(t *testing.T) {
	t.Parallel()
	dir, _ := tree(t, 0, 5)
	m, err := Read(t.Context(), Job{Kind: ReadFirst, Path: dir}, nil)
	if err != nil || m.Values["first_byte"] <= 0 {
		t.Errorf("%v %v", m.Values, err)
	}
}

func TestNothingToReadIsAnError(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{t.TempDir(), empty, filepath.Join(t.TempDir(), "none")} {
		for _, k := range []Kind{ReadFirst, ReadRandom, ReadAll} {
			if _, err := Read(t.Context(), Job{Kind: k, Path: path, Rate: 1, Timing: perfcheck.Timing{Duration: time.Millisecond}}, nil); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s %s: %v", k, path, err)
			}
		}
	}
	dir, _ := tree(t, 10)
	if _, err := Read(t.Context(), Job{Kind: "odd", Path: dir}, nil); err == nil {
		t.Error("an unknown kind is no error")
	}
}

func TestAReadIsStopped(t *testing.T) {
	t.Parallel()
	dir, _ := tree(t, 1<<20)
	stop := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	for _, k := range []Kind{ReadRandom, ReadAll} {
		if _, err := Read(ctx, Job{Kind: k, Path: dir, Rate: 1, Timing: perfcheck.Timing{Duration: time.Hour}}, nil); !errors.Is(err, stop) {
			t.Errorf("%s: %v", k, err)
		}
	}
}
