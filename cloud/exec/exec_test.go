package exec

import (
	"context"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"cw/cloud"
	"cw/fault"
)

// script writes a program whose cases are given in shell.
func script(t *testing.T, cases string) *Driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloud.sh")
	text := "#!/bin/sh\nin=$(cat)\ncase $1 in\n" + cases + "\n*) exit 3;;\nesac\n"
	// Written by another process: while this one has it open for writing, a
	// program that a parallel test starts inherits that, and it cannot be run.
	write := osexec.Command("sh", "-c", `cat >"$0" && chmod 700 "$0"`, path)
	write.Stdin = strings.NewReader(text)
	if err := write.Run(); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Program: path, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	// Each verb refuses any other input than the contract's.
	d := script(t, `
create) [ "$in" = '{"volumes":["v1","v2"],"name":"n","kind":"full","parent":""}' ] || exit 9
  echo '{"snapshots":[{"id":"s1","volume":"v1","state":"pending"},{"id":"s2","volume":"v2","kind":"full","state":"available","progress":1,"size":5,"total":10,"created":"2026-11-21T10:00:00Z"}]}';;
status) [ "$in" = '{"id":"s1"}' ] || exit 9; echo '{"id":"s1","state":"failed","problem":"disk full"}';;
changed) [ "$in" = '{"id":"s2","earlier":"s1"}' ] || exit 9; echo '{"bytes":64}';;
delete) [ "$in" = '{"id":"s1"}' ] || exit 9;;
restore) [ "$in" = '{"id":"s1","name":"n"}' ] || exit 9; echo '{"id":"v9","state":"pending"}';;
volume) [ "$in" = '{"id":"v9"}' ] || exit 9; echo '{"id":"v9","state":"in-use","machine":"m","device":"/dev/x","size":7}';;
attach) [ "$in" = '{"volume":"v9","machine":"m"}' ] || exit 9; echo '{"id":"v9","state":"pending"}';;
detach) [ "$in" = '{"volume":"v9"}' ] || exit 9;;
delete-volume) exit 4;;
launch) [ "$in" = '{"name":"n"}' ] || exit 9; echo '{"id":"m","state":"pending"}';;
machine) [ "$in" = '{"id":"m"}' ] || exit 4; echo '{"id":"m","state":"in-use","address":"192.0.2.1"}';;
stop) [ "$in" = '{"id":"m"}' ] || exit 9;;
delete-machine) [ "$in" = '{"id":"m"}' ] || exit 9;;
move-address) [ "$in" = '{"address":"a","machine":"m"}' ] || exit 9;;`)
	for _, c := range []struct {
		verb string
		do   func(context.Context) (any, error)
		want any
	}{
		{"create", func(ctx context.Context) (any, error) {
			return d.CreateSnapshots(ctx, cloud.CreateOptions{Volumes: []string{"v1", "v2"}, Name: "n", Kind: cloud.Full})
		}, []cloud.Snapshot{
			{ID: "s1", Volume: "v1", State: cloud.Pending, Progress: -1, Size: -1, Total: -1},
			{ID: "s2", Volume: "v2", Kind: cloud.Full, State: cloud.Available, Captured: true, Progress: 1, Size: 5, Total: 10, Created: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)},
		}},
		{"status", func(ctx context.Context) (any, error) { return d.Snapshot(ctx, "s1") }, cloud.Snapshot{ID: "s1", State: cloud.Failed, Progress: -1, Size: -1, Total: -1, Problem: "disk full"}},
		{"changed", func(ctx context.Context) (any, error) { return d.ChangedBytes(ctx, "s2", "s1") }, int64(64)},
		{"delete", func(ctx context.Context) (any, error) { return nil, d.DeleteSnapshot(ctx, "s1") }, nil},
		{"restore", func(ctx context.Context) (any, error) { return d.RestoreSnapshot(ctx, "s1", "n") }, cloud.Volume{ID: "v9", State: cloud.Pending, Size: -1}},
		{"volume", func(ctx context.Context) (any, error) { return d.Volume(ctx, "v9") }, cloud.Volume{ID: "v9", State: cloud.InUse, Machine: "m", Device: "/dev/x", Size: 7}},
		{"attach", func(ctx context.Context) (any, error) { return d.AttachVolume(ctx, "v9", "m") }, cloud.Volume{ID: "v9", State: cloud.Pending, Size: -1}},
		{"detach", func(ctx context.Context) (any, error) { return nil, d.DetachVolume(ctx, "v9") }, nil},
		{"delete what is gone", func(ctx context.Context) (any, error) { return nil, d.DeleteVolume(ctx, "v9") }, nil},
		{"launch", func(ctx context.Context) (any, error) { return d.LaunchMachine(ctx, "n") }, cloud.Machine{ID: "m", State: cloud.Pending}},
		{"machine", func(ctx context.Context) (any, error) { return d.Machine(ctx, "m") }, cloud.Machine{ID: "m", State: cloud.InUse, Address: "192.0.2.1"}},
		{"gone machine", func(ctx context.Context) (any, error) { return d.Machine(ctx, "x") }, cloud.Machine{ID: "x", State: cloud.Gone}},
		{"stop", func(ctx context.Context) (any, error) { return nil, d.StopMachine(ctx, "m") }, nil},
		{"delete-machine", func(ctx context.Context) (any, error) { return nil, d.DeleteMachine(ctx, "m") }, nil},
		{"move-address", func(ctx context.Context) (any, error) { return nil, d.MoveAddress(ctx, "a", "m") }, nil},
	} {
		got, err := c.do(t.Context())
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v %v, want %+v", c.verb, got, err, c.want)
		}
	}
	if a, err := d.Abilities(t.Context()); err != nil || !a.Machines || !a.Addresses {
		t.Errorf("%+v %v", a, err)
	}
}

func TestAbilities(t *testing.T) {
	t.Parallel()
	d := script(t, `verbs) echo '{"verbs":["create","status","delete","restore","volume","attach","detach","delete-volume","move-address","launch"]}';;`)
	if a, err := d.Abilities(t.Context()); err != nil || a != (Abilities{Snapshots: true, Volumes: true, Addresses: true}) {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := d.LaunchMachine(t.Context(), "n"); !strings.Contains(fault.HintOf(err), "add the verb launch") {
		t.Errorf("%v", err)
	}
	if n, err := d.ChangedBytes(t.Context(), "a", "b"); err != nil || n != cloud.Unknown {
		t.Errorf("%d %v", n, err)
	}
}

func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`echo '{"id":"m","state":"up"}'`:                     `state "up"`,
		`echo '{"state":"pending"}'`:                         "no id",
		`echo '{"id":"m","state":"pending","colour":"red"}'`: "colour",
		`echo '{"id":"m","state":"pending"} trailing'`:       "more after",
		`echo '{"id":"m","state":"pending"}{}'`:              "more after",
		`true`:                                               "empty",
		`echo oops >&2; exit 1`:                              "oops",
		`echo '{"id":7,"state":"pending"}'`:                  "number",
		`head -c 2000000 /dev/zero`:                          "longer",
		`for i in 1 2 3; do echo l$i >&2; done; exit 2`:      "l3",
	} {
		d := script(t, "machine) "+answer+";;")
		_, err := d.Machine(t.Context(), "m")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cloud.sh machine") || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
	d := script(t, `create) echo '{"snapshots":[{"id":"s","state":"pending"}]}';;`)
	if s, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"a", "b"}}); err == nil || len(s) != 1 {
		t.Errorf("%v %v", s, err)
	}
}

func TestLaterIsAskedAgain(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	d := script(t, `machine) [ -e `+mark+` ] || { touch `+mark+`; exit 75; }; echo '{"id":"m","state":"pending"}';;
launch) exit 75;;`)
	if _, err := d.Machine(t.Context(), "m"); err != nil {
		t.Error(err)
	}
	if _, err := d.LaunchMachine(t.Context(), "n"); !isExit(err, exitLater) {
		t.Errorf("a launch was repeated or went through: %v", err)
	}
}

func TestItsChildrenEndWithIt(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	d := script(t, `machine) sleep 1000 & echo $! >`+pid+`; wait;;`)
	d.o.Timeout = 30 * time.Second
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	done := make(chan error, 1)
	go func() {
		_, err := d.Machine(ctx, "m")
		done <- err
	}()
	var text []byte
	for len(text) == 0 {
		text, _ = os.ReadFile(pid)
		time.Sleep(time.Millisecond)
	}
	cancel(stop)
	if err := <-done; !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("its child still runs")
		}
	}
	d.o.Timeout = time.Millisecond
	if _, err := d.Machine(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "did not end within") {
		t.Errorf("%v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"", plain, "/no/such/program"} {
		if _, err := New(Options{Program: p}); fault.KindOf(err) != fault.Usage {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":"s","state":"pending","size":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s snapshot
		if decode(data, &s) != nil {
			return
		}
		if got, err := s.read(); err == nil && (got.ID == "" || got.Size < cloud.Unknown || got.State == "") {
			t.Fatalf("%q: %+v", data, got)
		}
	})
}
