package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"cw/fault"
)

// TestMain makes the test program an agent when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		err := Serve(context.Background(), os.Stdin, os.Stdout, map[string]Handler{
			"count": func(ctx context.Context, data json.RawMessage) (any, error) {
				var n int
				if err := json.Unmarshal(data, &n); err != nil {
					return nil, err
				}
				for i := range n {
					Note(ctx, i)
				}
				return n, nil
			},
			"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
				Note(ctx, "waiting")
				<-ctx.Done()
				return nil, os.WriteFile(os.Args[2], []byte("ended"), 0o600)
			},
			"refuse": func(context.Context, json.RawMessage) (any, error) {
				return nil, fault.New(fault.Check, "do this", "no")
			},
			"pid": func(context.Context, json.RawMessage) (any, error) { return os.Getpid(), nil },
		})
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, role string) *Agent {
	t.Helper()
	a, err := StartHere(t.Context(), "here", Options{Role: []string{role}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(context.Background()) })
	return a
}

func TestNotesComeBeforeTheAnswerInOrder(t *testing.T) {
	t.Parallel()
	a := start(t, "x")
	var got []int
	var n int
	err := a.Watch(t.Context(), "count", 500, func(data json.RawMessage) {
		var i int
		if err := json.Unmarshal(data, &i); err != nil {
			t.Error(err)
		}
		got = append(got, i)
	}, &n)
	if err != nil || n != 500 || len(got) != 500 || got[0] != 0 || got[499] != 499 {
		t.Errorf("answer %d, %v, after %d notes", n, err, len(got))
	}
}

func TestErrorsKeepTheirKindAndHint(t *testing.T) {
	t.Parallel()
	err := start(t, "x").Call(t.Context(), "refuse", nil, nil)
	if fault.KindOf(err) != fault.Check || fault.HintOf(err) != "do this" || !strings.Contains(err.Error(), "here: no") {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestACallThatIsEndedEndsThere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ended")
	a := start(t, file)
	ctx, cancel := context.WithCancelCause(t.Context())
	because := errors.New("because")
	err := a.Watch(ctx, "wait", nil, func(json.RawMessage) { cancel(because) }, nil)
	if !errors.Is(err, because) {
		t.Errorf("got %v", err)
	}
	a.Close(t.Context()) // waits for the agent, which waits for its calls
	if data, err := os.ReadFile(file); err != nil || string(data) != "ended" {
		t.Errorf("the call did not end there: %q, %v", data, err)
	}
}

func TestAnAgentThatIsKilledIsTold(t *testing.T) {
	t.Parallel()
	a := start(t, filepath.Join(t.TempDir(), "x"))
	var pid int
	if err := a.Call(t.Context(), "pid", nil, &pid); err != nil {
		t.Fatal(err)
	}
	err := a.Watch(t.Context(), "wait", nil, func(json.RawMessage) { _ = syscall.Kill(pid, syscall.SIGKILL) }, nil)
	if err == nil || !strings.Contains(err.Error(), "here") {
		t.Errorf("got %v", err)
	}
	<-a.Ended()
}

func TestClocksOfOneMachineAgree(t *testing.T) {
	t.Parallel()
	ahead, within, err := start(t, "x").Clock(t.Context())
	if err != nil || ahead.Abs() > within {
		t.Errorf("ahead %s, within %s: %v", ahead, within, err)
	}
}

func TestWithoutSignsOfLifeAnAgentEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, control := io.Pipe()
		ended := make(chan error, 1)
		stopped := false
		began := time.Now()
		go func() {
			ended <- Serve(t.Context(), in, io.Discard, map[string]Handler{"wait": func(ctx context.Context, _ json.RawMessage) (any, error) {
				<-ctx.Done()
				stopped = true
				return nil, nil //nolint:nilnil // nothing to say
			}})
		}()
		if _, err := control.Write([]byte(`{"id":1,"op":"wait"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		err := <-ended
		if fault.KindOf(err) != fault.Unreachable || !stopped || time.Since(began) != watchdog {
			t.Errorf("after %s: %v, the call ended: %v", time.Since(began), err, stopped)
		}
		_ = in.Close()
	})
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	a := start(t, "x") // lives in a folder there
	if err := a.Call(t.Context(), "pid", nil, nil); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	folder := func(name, file string, at time.Time) {
		path := filepath.Join(dir, FolderPrefix+name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if file != "" {
			if err := os.WriteFile(filepath.Join(path, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	folder("dead", "cw", time.Now().Add(-time.Minute))
	folder("cutoff", "", old)
	folder("pushing", ".cw.part", time.Now().Add(-time.Minute))
	living, _ := filepath.Glob(filepath.Join(dir, FolderPrefix+"*"))
	for _, l := range living {
		if _, err := os.Readlink(filepath.Join(l, "cw")); err == nil {
			if err := os.Chtimes(l, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	got := Leftovers()
	want := []string{filepath.Join(dir, FolderPrefix+"cutoff"), filepath.Join(dir, FolderPrefix+"dead")}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q, want %q", got, want)
	}
	a.Close(t.Context())
	if left, _ := filepath.Glob(filepath.Join(dir, FolderPrefix+"*")); len(left) != 3 {
		t.Errorf("the agent's own folder is still there: %q", left)
	}
}

// program is the header of a Linux program for a machine of package elf.
func program(machine uint16) []byte {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[16:], 2)
	binary.LittleEndian.PutUint16(head[18:], machine)
	binary.LittleEndian.PutUint32(head[20:], 1)
	binary.LittleEndian.PutUint16(head[52:], 64)
	return head
}

func TestProgramsForOtherMachines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name string
		data []byte
	}{{"README.md", []byte("cw")}, {"cw", program(183)}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.data)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	release := filepath.Join(dir, "cw_1.2.3_linux_arm64.tar.gz")
	if err := os.WriteFile(release, archive.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := beside(filepath.Join(dir, "cw"), "arm64"); got != release {
		t.Errorf("beside: %q", got)
	}
	file, err := unpack(release)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(file) }()
	if err := fits(file, "arm64"); err != nil {
		t.Error(err)
	}
	if err := fits(file, "amd64"); err == nil || fault.KindOf(err) != fault.Usage {
		t.Errorf("a program for another machine: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(self, runtime.GOARCH); err != nil {
		t.Error(err)
	}
	if err := fits(release, "arm64"); err == nil {
		t.Error("an archive is no program")
	}
}
