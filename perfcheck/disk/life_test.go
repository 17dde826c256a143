package disk

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"cw/fault"
	"cw/perfcheck"
)

// prepared makes a set of small files below a temporary folder.
func prepared(t *testing.T, size int64) (*Set, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := Prepare(t.Context(), []string{dir}, PrepareOptions{Size: size, Seed: 7, AllowRootDisk: true})
	if fault.KindOf(err) == fault.Check {
		t.Skip("the temporary folder is no disk:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		empty(t, dir)
	})
	return s, dir
}

// TestProcessors: with fewer processors than requests under way the
// goroutines hold each other up. It is not parallel: the number belongs to
// the process.
func TestProcessors(t *testing.T) {
	s, _ := prepared(t, 64*mib)
	before := runtime.GOMAXPROCS(0)
	j := Job{Kind: Scan, Block: 64 * kib, Depth: 32, Timing: timing(0, 1100*time.Millisecond)} // a thread for each
	during := 0
	if _, err := s.Run(t.Context(), j, func(perfcheck.Second) { during = runtime.GOMAXPROCS(0) }); err != nil {
		t.Fatal(err)
	}
	if during < j.Depth+2 {
		t.Errorf("%d processors for %d requests", during, j.Depth)
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("%d processors before, %d after", before, after)
	}
}

// TestCancel ends the context in every phase: the call has to return soon,
// and Close has to leave nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	t.Run("prefill", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		_, err := Prepare(ctx, []string{dir}, PrepareOptions{Size: 8 * gib, AllowRootDisk: true, On: func(done, total int64) {
			if done > 0 && done < total {
				cancel(why)
			}
		}})
		if fault.KindOf(err) == fault.Check {
			t.Skip(err)
		}
		if !errors.Is(err, why) {
			t.Error(err)
		}
		empty(t, dir)
	})
	long := timing(time.Minute, time.Minute)
	running := timing(0, time.Minute)
	for name, j := range map[string]Job{
		"barrier":    {Kind: Read, Block: mib, Depth: 4, Timing: perfcheck.Timing{Start: time.Now().Add(time.Hour), Duration: time.Second}},
		"warm-up":    {Kind: RandRead, Block: 8 * kib, Depth: 8, Timing: long},
		"queue":      {Kind: RandWrite, Block: 8 * kib, Depth: 8, Timing: running},
		"threads":    {Kind: Scan, Block: mib, Depth: 2, Timing: running},
		"commits":    {Kind: Commit, Sync: Fsync, Block: 8 * kib, Depth: 4, Timing: running},
		"open loop":  {Kind: RandRead, Block: 8 * kib, Depth: 4, Rate: 0.1, Timing: running},
		"firstwrite": {Kind: FirstWrite, Block: mib, Depth: 2, Timing: long},
		"fio":        {Kind: RandRead, Block: 8 * kib, Depth: 8, Engine: EngineFio, Timing: running},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("fio"); j.Engine == EngineFio && err != nil {
				t.Skip("fio is not installed")
			}
			s, _ := prepared(t, 64*mib)
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := s.Run(ctx, j, nil)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s, _ := prepared(t, 16*mib)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, err := s.Run(t.Context(), Job{Kind: Read, Block: mib, Depth: 1, Timing: timing(0, time.Second)}, nil); err == nil {
		t.Error("a closed set runs")
	}
}

// TestKilled: what a killed run leaves is found, named and removed; what a
// living one has is not touched.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startChild(t, childSpec{Dirs: []string{dir}, Size: 32 * mib})
	found, err := Leftovers(dir)
	if err != nil || len(found) > 0 {
		t.Fatalf("of a living process: %v %v", found, err)
	}
	living := Leftover{Path: p.folders[0]}
	if err := Remove(living); fault.KindOf(err) != fault.Locked {
		t.Error("the folder of a living process:", err)
	}
	if _, err := os.Stat(filepath.Join(p.folders[0], dataName)); err != nil {
		t.Fatal("its file is gone:", err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	found, err = Leftovers(dir)
	if err != nil || len(found) != 1 || found[0].Path != p.folders[0] || found[0].PID != p.cmd.Process.Pid || found[0].Size < 32*mib {
		t.Fatalf("%+v %v", found, err)
	}
	if !strings.Contains(found[0].String(), p.folders[0]) {
		t.Error(found[0])
	}
	if err := Remove(found[0]); err != nil {
		t.Error(err)
	}
	if err := Remove(found[0]); err != nil {
		t.Error("again:", err)
	}
	empty(t, dir)
}

// TestMarkers: whose folder it is, decided from what is in it.
func TestMarkers(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	me := marker{PID: os.Getpid(), Started: processStart(os.Getpid()), Boot: bootID(), Host: host, At: time.Now()}
	again, elsewhere, before := me, me, me
	again.Started = "1" // the number was used again
	elsewhere.Host, elsewhere.PID = "another.example", 1<<30
	before.Boot = "00000000-0000-0000-0000-000000000000"
	for _, c := range []struct {
		name    string
		content any
		files   []string
		age     time.Duration
		left    bool
	}{
		{"mine", me, nil, 0, false},
		{"number used again", again, nil, 0, true},
		{"of another host", elsewhere, nil, 0, false},
		{"of an earlier boot", before, []string{"data"}, 0, true},
		{"marker cut off", "{", nil, 0, true},
		{"no marker, empty, old", nil, nil, 2 * emptyAge, true},
		{"no marker, empty, young", nil, nil, 0, false},
		{"no marker, not empty", nil, []string{"precious"}, 2 * emptyAge, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			folder := filepath.Join(dir, FolderPrefix+"abc")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if c.content != nil {
				data, isText := c.content.(string)
				if !isText {
					b, err := json.Marshal(c.content)
					if err != nil {
						t.Fatal(err)
					}
					data = string(b)
				}
				if err := os.WriteFile(filepath.Join(folder, markerName), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range c.files {
				if err := os.WriteFile(filepath.Join(folder, f), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			old := time.Now().Add(-c.age)
			if err := os.Chtimes(folder, old, old); err != nil {
				t.Fatal(err)
			}
			got, err := Leftovers(dir)
			if err != nil || len(got) != map[bool]int{true: 1}[c.left] {
				t.Errorf("leftovers: %v %v", got, err)
			}
			err = Remove(Leftover{Path: folder})
			if _, stat := os.Stat(folder); c.left != (err == nil) || c.left != os.IsNotExist(stat) {
				t.Errorf("remove: %v, then %v", err, stat)
			}
		})
	}
	t.Run("others are no folders of cw", func(t *testing.T) {
		t.Parallel()
		if err := Remove(Leftover{Path: t.TempDir()}); fault.KindOf(err) != fault.Usage {
			t.Error(err)
		}
		if _, err := Leftovers(filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("a directory that does not exist")
		}
	})
	t.Run("a locked marker is alive whatever it says", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		f, err := newMarker(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		if !again.alive(dir) {
			t.Error("the lock is not asked")
		}
	})
}

// TestErrors: what goes wrong while it runs names the directory.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, j := range map[string]Job{
		"queue":   {Kind: RandRead, Block: 8 * kib, Depth: 8},
		"threads": {Kind: Scan, Block: 64 * kib, Depth: 8},
		"open":    {Kind: RandRead, Block: 8 * kib, Depth: 2, Rate: 100},
		"fio":     {Kind: RandRead, Block: 8 * kib, Depth: 2, Engine: EngineFio},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("fio"); j.Engine == EngineFio && err != nil {
				t.Skip("fio is not installed")
			}
			s, dir := prepared(t, 16*mib)
			if err := os.Truncate(s.targets[0].data(), 0); err != nil {
				t.Fatal(err)
			}
			j.Timing = timing(0, 500*time.Millisecond)
			_, err := s.Run(t.Context(), j, nil)
			if err == nil || !strings.Contains(err.Error(), dir) {
				t.Error(err)
			}
			if err := os.Remove(s.targets[0].data()); err != nil && !os.IsNotExist(err) { // fio removes what it finds too small
				t.Fatal(err)
			}
			if _, err = s.Run(t.Context(), j, nil); err == nil || !strings.Contains(err.Error(), dir) {
				t.Error(err)
			}
			t.Log(err)
		})
	}
}
