package btrfs

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"cw/cloud"
)

// answers is a machine that says what it is told to.
type answers struct {
	sent  string
	err   error
	sends int
	ran   []string
}

func (a *answers) run(_ context.Context, argv []string, _ io.Reader) ([]byte, error) {
	a.ran = append(a.ran, strings.Join(argv, " "))
	if argv[0] == "/bin/sh" {
		a.sends++
		return []byte(a.sent), a.err
	}
	return nil, nil
}

// TestSend: a snapshot is complete when it was sent, once; a stream that broke
// or has no size is a failure with its reason.
func TestSend(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		sent  string
		err   error
		state cloud.State
		size  int64
	}{
		{"sent", "12345\n", nil, cloud.Available, 12345},
		{"broken", "99\n", errors.New("ERROR: send ioctl failed"), cloud.Failed, cloud.Unknown},
		{"nothing", "0\n", nil, cloud.Failed, cloud.Unknown},
		{"no number", "lots\n", nil, cloud.Failed, cloud.Unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := &answers{sent: tc.sent, err: tc.err}
			d := New(a.run)
			made, err := d.CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"/d/volume"}, Name: "s1", Kind: cloud.Incremental, Parent: "/d/s0"})
			if err != nil || made[0].ID != d.SnapshotID("/d/volume", "s1") || made[0].State != cloud.Pending || !made[0].Captured {
				t.Fatalf("%+v %v", made, err)
			}
			for range 2 {
				s, err := d.Snapshot(t.Context(), made[0].ID)
				if err != nil || s.State != tc.state || s.Size != tc.size || (s.Problem != "") != (tc.state == cloud.Failed) {
					t.Fatalf("%+v %v", s, err)
				}
			}
			if a.sends != 1 || !strings.HasSuffix(a.ran[len(a.ran)-1], "send /d/s0 /d/s1") {
				t.Errorf("%q", a.ran)
			}
		})
	}
	if _, err := New((&answers{}).run).CreateSnapshots(t.Context(), cloud.CreateOptions{Volumes: []string{"/d/v"}, Name: "s", Kind: cloud.Incremental}); err == nil {
		t.Error("incremental to nothing")
	}
}
