package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cw/fault"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{t.Context(), nil, 0},
		{t.Context(), errors.New("x"), 1},
		{t.Context(), fault.New(fault.Usage, "", "x"), 2},
		{t.Context(), fmt.Errorf("load: %w", fault.New(fault.Partial, "", "x")), 3},
		{t.Context(), fault.New(fault.Auth, "", "x"), 4},
		{t.Context(), fmt.Errorf("dial: %w", context.DeadlineExceeded), 5},
		{t.Context(), fault.New(fault.Check, "", "x"), 6},
		{t.Context(), fault.New(fault.Locked, "", "x"), 7},
		{t.Context(), silent(fault.Degraded), 8},
		{interrupted, fmt.Errorf("run: %w", context.Canceled), 130},
		{interrupted, nil, 0},
	} {
		if got := exitCodeOf(c.ctx, c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
	}
}

// Whatever way a secret reaches the log, it must not be in the file.
func TestLogHidesSecrets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log", "cw.log")
	log, closer, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	const secret = "s3cret"
	log.Info("dial", "password", secret, "url", "s3://k:"+secret+"@h/b", "sql", "create role x password '"+secret+"'")
	log.Error("failed", "error", fmt.Errorf("connect postgres://u:%s@h/db", secret), slog.Group("db", "auth_token", secret))
	log.Info("argv", "argv", []string{"cw", "--store", "postgres://u:" + secret + "@h/db"})
	_ = closer.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(secret)) || !bytes.Contains(data, []byte(fault.Redacted)) {
		t.Errorf("log: %s", data)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	for _, d := range []document{list("JobList", []int{}), object("Job", struct {
		ID string `json:"id"`
	}{"l1"}), object("Empty", struct{}{})} {
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil || m["apiVersion"] != apiVersion || m["kind"] != d.kind {
			t.Errorf("%s: %v", data, err)
		}
	}
	if _, err := json.Marshal(object("Bad", 3)); err == nil {
		t.Error("a number was taken as an object")
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tab := table{cols: cols("NAME", "+SECRET COLUMN", "STATE")}
	tab.add("größe", "w", "up")
	tab.add("b", "w", "down")
	var out bytes.Buffer
	if err := printTable(&out, tab, false); err != nil {
		t.Fatal(err)
	}
	if want := "NAME   STATE\ngröße  up\nb      down\n"; out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
	out.Reset()
	if err := printCSV(&out, tab); err != nil {
		t.Fatal(err)
	}
	if want := "name,secret_column,state\ngröße,w,up\nb,w,down\n"; out.String() != want {
		t.Errorf("csv %q", out.String())
	}
}

func TestProgressModes(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	run := func(mode string) string {
		var out bytes.Buffer
		p := &progress{w: &out, mode: mode, width: func() int { return 12 }, now: func() time.Time { return now }, last: now}
		for i := range 30 {
			now = now.Add(time.Second)
			p.Status(fmt.Sprintf("at %d of thirty", i+1), map[string]int{"at": i + 1})
		}
		p.Event("done", map[string]string{"state": "done"})
		p.Close()
		return out.String()
	}
	if got, want := run("plain"), "at 10 of thirty\nat 20 of thirty\nat 30 of thirty\ndone\n"; got != want {
		t.Errorf("plain %q", got)
	}
	if got := run("off"); got != "" {
		t.Errorf("off %q", got)
	}
	if got := run("json"); strings.Count(got, "\n") != 31 || !strings.HasSuffix(got, `{"state":"done"}`+"\n") {
		t.Errorf("json %q", got)
	}
	tty := run("tty")
	if !strings.Contains(tty, "\r\x1b[Kat 30 of th\r\x1b[Kdone\n") || !strings.HasSuffix(tty, "\r\x1b[K") {
		t.Errorf("tty %q", tty)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	streams, _, errOut := TestStreams("yes\n")
	a := &App{IO: streams}
	if err := a.confirm(t.Context(), "Go on?", false); fault.KindOf(err) != fault.Usage || !strings.Contains(fault.HintOf(err), "--yes") {
		t.Errorf("without a terminal: %v", err)
	}
	streams.InTTY = true
	if err := a.confirm(t.Context(), "Go on?", false); err != nil || errOut.String() != "Go on? [y/N] " {
		t.Errorf("yes: %v, asked %q", err, errOut)
	}
	streams.In = strings.NewReader("\n")
	if err := a.confirm(t.Context(), "Go on?", false); !errors.Is(err, errDeclined) {
		t.Errorf("default: %v", err)
	}
	if err := a.confirmName(t.Context(), "dw1", "dw2"); fault.KindOf(err) != fault.Usage {
		t.Errorf("wrong name: %v", err)
	}
	if err := a.confirmName(t.Context(), "dw1", "dw1"); err != nil {
		t.Errorf("right name: %v", err)
	}
}
